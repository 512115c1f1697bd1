package quantize_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/learn/graph/onnxtest"
	"tandem/learn/quant"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/trainer/quantize"
)

func walk(name string, seed uint64, n, dim int) quantize.Take {
	rng := rand.New(rand.NewPCG(seed, 1))
	t := quantize.Take{Name: name, Data: make([]float32, n*dim)}
	state := make([]float64, dim)
	for f := range n {
		for i := range state {
			state[i] = 0.9*state[i] + rng.NormFloat64()
			t.Data[f*dim+i] = float32(state[i])
		}
	}
	return t
}

func read(t *testing.T, b *bundle.Dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.Path, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAnInt8BundleRunsAndSaysHowItAgrees(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	dim := b.Extractor.Dim
	dir := filepath.Join(t.TempDir(), "int8")
	r, err := quantize.Run(t.Context(), b, dir, quantize.Options{
		Release: "test-int8", Calibrate: []quantize.Take{walk("a", 1, 400, dim), walk("b", 2, 400, dim)}, Held: []quantize.Take{walk("c", 3, 500, dim)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Segmenter.Nodes < 8 || r.Segmenter.Calls != 800 || r.Segmenter.Agreement.Samples != 500 || r.Segmenter.Ns <= 0 || r.Segmenter.FromNs <= 0 ||
		r.Extractor.Nodes != 0 || r.Extractor.Bytes != r.Extractor.FromBytes {
		t.Errorf("report %+v", r)
	}
	// The heads were scaled up thirtyfold, so that errors show; still most labels are the same.
	if a := r.Segmenter.Agreement; a.Same < 80 || a.Same == 100 && a.MeanAbs == 0 {
		t.Errorf("agreement %+v, want most labels the same, and not everything", a)
	}
	d, err := bundle.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Quantization quantize.Report }
	if err := json.Unmarshal(d.Report, &report); err != nil || report.Quantization != *r || d.Parent != b.Release || d.Release != "test-int8" {
		t.Errorf("the bundle's report %s, %v; parent %s", d.Report, err, d.Parent)
	}
	m, err := model.OpenProbed(d, ort.Options{}) // the golden outputs are its own
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	onnxtest.Check(t, map[string][]byte{"segmenter": read(t, d, bundle.SegmenterFile)})
}

func TestWhatCantBeQuantized(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	nan := modeltest.Replace(t, b, bundle.SegmenterFile,
		modeltest.Spoil(t, read(t, b, bundle.SegmenterFile), b.Segmenter.States[0].Output, modeltest.NaN))
	none := modeltest.Replace(t, b, bundle.SegmenterFile, read(t, b, bundle.ExtractorFile))
	takes := []quantize.Take{walk("a", 1, 20, b.Extractor.Dim)}
	windows := *b
	windows.Segmenter.Mode = "window"
	for name, c := range map[string]struct {
		b    *bundle.Dir
		o    quantize.Options
		want string
	}{
		"another kind":         {&windows, quantize.Options{Calibrate: takes}, `its segmenter's mode is "window", expected causal`},
		"another model":        {none, quantize.Options{Calibrate: takes}, "its segmenter"},
		"numbers that explode": {nan, quantize.Options{Calibrate: takes}, "expected finite numbers"},
		"no such video":        {b, quantize.Options{Pictures: []string{"no.mp4"}}, "no.mp4"},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		c.o.Release = "x"
		_, err := quantize.Run(t.Context(), c.b, dir, c.o)
		if !errors.Is(err, quantize.ErrUnfit) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrUnfit and %q", name, err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
	if _, _, err := quant.Instrument([]byte("junk"), true); err == nil {
		t.Error("junk was taken")
	}
}
