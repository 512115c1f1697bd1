package model_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// fakes stands in for hardware: it opens, on the CPU of this machine and by the real ONNX Runtime, what a provider would have made of a
// bundle's models.
type fakes struct {
	extractor map[string][]byte        // ONNX that a provider runs instead of the bundle's extractor
	segmenter map[string][]byte        // the same of the segmenter
	missing   map[string]error         // providers that can't be had
	perRun    map[string]time.Duration // what a run takes by the fake clock
	opened    []string

	provider string // that was opened last
	at       time.Time
}

func (f *fakes) now() time.Time {
	f.at = f.at.Add(max(f.perRun[f.provider], time.Millisecond))
	return f.at
}

func (f *fakes) open(kind string, o ort.Options) (string, error) {
	f.provider = o.Providers[0]
	f.opened = append(f.opened, kind+" on "+f.provider)
	if err := f.missing[f.provider]; err != nil {
		return "", fmt.Errorf("%w %q: %w", ort.ErrProvider, f.provider, err)
	}
	return f.provider, nil
}

func (f *fakes) selector(cache string, opts ort.Options) *model.Selector {
	if f.at.IsZero() {
		f.at = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)
	}
	f.opened = nil
	s := &model.Selector{Options: opts, Cache: cache}
	s.Fake(model.Fakes{
		Now: f.now, Machine: func() string { return "a machine of the test's" },
		OpenExtractor: func(b *bundle.Dir, o ort.Options) (*feature.Extractor, error) {
			p, err := f.open("extractor", o)
			if err != nil {
				return nil, err
			}
			if onnx := f.extractor[p]; onnx != nil {
				return feature.New(onnx, b.Extractor, ort.Options{})
			}
			return feature.Open(b, ort.Options{})
		},
		OpenSegmenter: func(b *bundle.Dir, o ort.Options) (*segment.Segmenter, error) {
			p, err := f.open("segmenter", o)
			if err != nil {
				return nil, err
			}
			if onnx := f.segmenter[p]; onnx != nil {
				return openOther(b, onnx)
			}
			return segment.Open(b, ort.Options{})
		},
	})
	return s
}

// openOther opens another segmenter in the place of the bundle's.
func openOther(b *bundle.Dir, onnx []byte) (*segment.Segmenter, error) {
	dir, err := os.MkdirTemp("", "tandem-fake-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of a test
	if err := os.WriteFile(filepath.Join(dir, b.Segmenter.Name), onnx, 0o600); err != nil {
		return nil, err
	}
	other := *b
	other.Path = dir
	return segment.Open(&other, ort.Options{})
}

func TestTheFirstProviderThatIsRightRuns(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	for name, c := range map[string]struct {
		fake    fakes
		want    string // provider of the extractor
		outcome model.Outcome
		reason  string
	}{
		"all is well": {fakes{}, ort.TensorRT, "", ""},
		"missing":     {fakes{missing: map[string]error{ort.TensorRT: errors.New("libnvinfer.so.10: no such file")}}, ort.CUDA, model.Missing, "libnvinfer.so.10"},
		"wrong":       {fakes{extractor: map[string][]byte{ort.TensorRT: extractorOf(t, b, modeltest.Scaled)}}, ort.CUDA, model.Wrong, "features differ by 0.2"},
		"repeats":     {fakes{extractor: map[string][]byte{ort.TensorRT: extractorOf(t, b, modeltest.Repeating)}}, ort.CUDA, model.Wrong, "a second picture, beside the CPU"},
		"NaN":         {fakes{extractor: map[string][]byte{ort.TensorRT: extractorOf(t, b, modeltest.NaN)}}, ort.CUDA, model.Wrong, "feature 0 is NaN"},
		"throws":      {fakes{extractor: map[string][]byte{ort.TensorRT: extractorOf(t, b, modeltest.Throwing)}}, ort.CUDA, model.Failed, "opens there and fails when it runs"},
		"slow":        {fakes{perRun: map[string]time.Duration{ort.TensorRT: 120 * time.Millisecond}}, ort.CUDA, model.Slow, "it takes 120ms for a sample, 100ms is between two"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := c.fake.selector("", ort.Options{Providers: []string{ort.TensorRT, ort.CUDA, ort.CPU}}).Open(b)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close() //nolint:errcheck // of a test
			s := m.Selection
			if s.Extractor.Provider != c.want || s.Extractor.Outcome != model.Right || s.Extractor.PerRun <= 0 {
				t.Errorf("the extractor runs as %+v, want it right on %s", s.Extractor, c.want)
			}
			if c.outcome == "" {
				if f := s.Fallbacks(); len(f) != 0 {
					t.Errorf("fallbacks %q, want none", f)
				}
				return
			}
			if len(s.Extractor.Passed) != 1 {
				t.Fatalf("passed over %+v, want one", s.Extractor.Passed)
			}
			if p := s.Extractor.Passed[0]; p.Provider != ort.TensorRT || p.Outcome != c.outcome || !strings.Contains(p.Reason, c.reason) {
				t.Errorf("passed over %+v, want %s because of %q", p, c.outcome, c.reason)
			}
			if g := s.Gauges(); g["fallback_extractor"] != 1 || g["probe_extractor_ms"] <= 0 {
				t.Errorf("gauges are %v", g)
			}
			if v := s.Versions(); v["provider_extractor"] != ort.CUDA || !strings.Contains(v["provider_fallback"], c.reason) ||
				strings.Contains(v["provider_fallback"], "\n") || v["provider_requested"] != "tensorrt cuda cpu" {
				t.Errorf("versions are %q", v)
			}
		})
	}
}

func TestTheSegmenterIsChosenByItself(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	for name, c := range map[string]struct {
		model   []byte
		outcome model.Outcome
		reason  string
	}{
		"wrong":  {segmenterOf(t, b, modeltest.Inverted), model.Wrong, "golden is"},
		"NaN":    {segmenterOf(t, b, modeltest.NaN), model.Wrong, "scores are not finite"},
		"throws": {segmenterOf(t, b, modeltest.Throwing), model.Failed, "fails when it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakes{segmenter: map[string][]byte{ort.OpenVINO: c.model}}
			m, err := f.selector("", ort.Options{Providers: []string{ort.OpenVINO, ort.CPU}}).Open(b)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close() //nolint:errcheck // of a test
			s := m.Selection
			if s.Extractor.Provider != ort.OpenVINO || s.Segmenter.Provider != ort.CPU || len(s.Segmenter.Passed) != 1 {
				t.Fatalf("selection is %+v", s)
			}
			if p := s.Segmenter.Passed[0]; p.Outcome != c.outcome || !strings.Contains(p.Reason, c.reason) {
				t.Errorf("passed over %+v, want %s because of %q", p, c.outcome, c.reason)
			}
		})
	}
}

func TestRequireForbidsAFallback(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	for name, c := range map[string]struct {
		fake fakes
		is   []error
		want string
	}{
		"missing": {fakes{missing: map[string]error{ort.CUDA: errors.New("no driver")}}, []error{model.ErrRequired, ort.ErrProvider}, "no driver"},
		"wrong":   {fakes{extractor: map[string][]byte{ort.CUDA: extractorOf(t, b, modeltest.Scaled)}}, []error{model.ErrRequired, model.ErrProbe}, "features differ"},
		"throws":  {fakes{extractor: map[string][]byte{ort.CUDA: extractorOf(t, b, modeltest.Throwing)}}, []error{model.ErrRequired, ort.ErrProvider}, "fails when it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.fake.selector(t.TempDir(), ort.Options{Providers: []string{ort.CUDA, ort.CPU}, Require: true}).Open(b)
			for _, is := range c.is {
				if !errors.Is(err, is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %q, want it to wrap %q and say %q", err, is, c.want)
				}
			}
		})
	}
	// Too slow is no fallback: it runs, and says so.
	f := fakes{perRun: map[string]time.Duration{ort.CUDA: time.Second}}
	m, err := f.selector("", ort.Options{Providers: []string{ort.CUDA, ort.CPU}, Require: true}).Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // of a test
	if s := m.Selection; s.Extractor.Provider != ort.CUDA || s.Extractor.Outcome != model.Slow || !s.Late() {
		t.Errorf("selection is %+v, want the required provider, late", s)
	}
}

func TestWhereAllAreTooSlowTheFastestRuns(t *testing.T) {
	f := fakes{perRun: map[string]time.Duration{ort.CUDA: time.Second, ort.OpenVINO: 300 * time.Millisecond, ort.CPU: 400 * time.Millisecond}}
	m, err := f.selector("", ort.Options{Providers: []string{ort.CUDA, ort.OpenVINO, ort.CPU}}).Open(modeltest.New(t, modeltest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // of a test
	s := m.Selection
	if s.Extractor.Provider != ort.OpenVINO || s.Segmenter.Provider != ort.OpenVINO || !s.Late() || len(s.Extractor.Passed) != 2 {
		t.Errorf("selection is %+v", s)
	}
}

func TestNoProviderAtAll(t *testing.T) {
	f := fakes{missing: map[string]error{ort.CUDA: errors.New("no driver"), ort.QNN: errors.New("no backend")}}
	_, err := f.selector("", ort.Options{Providers: []string{ort.CUDA, ort.QNN}}).Open(modeltest.New(t, modeltest.Options{}))
	if !errors.Is(err, ort.ErrProvider) || !strings.Contains(err.Error(), "no driver") || !strings.Contains(err.Error(), "no backend") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want both reasons on one line", err)
	}
}

func modelFile(t *testing.T, b *bundle.Dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.Path, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func extractorOf(t *testing.T, b *bundle.Dir, f modeltest.Fault) []byte {
	t.Helper()
	var g model.Golden
	if err := json.Unmarshal(modelFile(t, b, b.Golden.Name), &g); err != nil {
		t.Fatal(err)
	}
	return modeltest.Spoil(t, modelFile(t, b, b.Extractor.Name), b.Extractor.Output, f, g.Features...)
}

func segmenterOf(t *testing.T, b *bundle.Dir, f modeltest.Fault) []byte {
	t.Helper()
	return modeltest.Spoil(t, modelFile(t, b, b.Segmenter.Name), b.Segmenter.Heads[1].Output, f)
}

// TestAWindowIsTimedByItsSamples: in windows most samples bring about nothing. The time that counts is that of a full window, by the samples
// from one to the next; with a clock that moves by a second at each look, that is a second by the hop.
func TestAWindowIsTimedByItsSamples(t *testing.T) {
	good := modeltest.New(t, modeltest.Options{RateHz: 10})
	tcn := net.TCN{In: good.Extractor.Dim, Channels: 4, Layers: 2, Classes: len(good.Labels), Symmetric: true}
	p, err := tcn.NewParams(3)
	if err != nil {
		t.Fatal(err)
	}
	onnx, err := tcn.Infer(p)
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := ort.Describe(onnx)
	if err != nil {
		t.Fatal(err)
	}
	m := good.Manifest
	m.Segmenter.Mode, m.Segmenter.Window, m.Segmenter.States = bundle.Window, &bundle.Windows{Frames: 12, Hop: 4, Right: 4, Left: 4}, nil
	m.Segmenter.Input, m.Segmenter.Heads = in[0].Name, []bundle.Head{{Output: out[0].Name}}
	b, err := model.Write(filepath.Join(t.TempDir(), "out"), m, modelFile(t, good, bundle.ExtractorFile), onnx)
	if err != nil {
		t.Fatal(err)
	}
	f := fakes{perRun: map[string]time.Duration{ort.CPU: 200 * time.Millisecond}}
	x, err := f.selector("", ort.Options{}).Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got := x.Selection.Segmenter.PerRun; got != 50*time.Millisecond {
		t.Errorf("a sample of windows with a hop of 4 takes %v, want a quarter of 200ms", got)
	}
	if !x.Selection.Late() { // the extractor's 200 ms are more than the 100 between two samples
		t.Error("it isn't late")
	}
}
