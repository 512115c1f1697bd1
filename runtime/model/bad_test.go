package model_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
)

// TestBadBundles opens, with the real ONNX Runtime, bundles whose models are not what they should be. Each has a message of its own.
func TestBadBundles(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	spoilt := func(f modeltest.Fault) *bundle.Dir {
		return modeltest.Replace(t, b, bundle.ExtractorFile, extractorOf(t, b, f))
	}
	segmenter := func(f modeltest.Fault) *bundle.Dir {
		return modeltest.Replace(t, b, bundle.SegmenterFile, segmenterOf(t, b, f))
	}
	other := func(float graph.DType, dim int, input string) *bundle.Dir {
		g := graph.New(float)
		x := g.Input(input, float, 1, 3, 32, 32)
		g.Output("features", g.Crop(g.Reshape(x, 1, 3*32*32), 1, 0, 3*32*32-dim))
		data, err := g.Model()
		if err != nil {
			t.Fatal(err)
		}
		return modeltest.Replace(t, b, bundle.ExtractorFile, data)
	}
	fewer := *b
	fewer.Labels = b.Labels[:3]
	fewer.Background = nil
	for name, c := range map[string]struct {
		b    *bundle.Dir
		is   error
		want string
	}{
		"shape":            {other(graph.Float32, 95, "image"), bundle.ErrInvalid, `extractor.onnx: output "features" has shape [1 95], the manifest says [1 96] (extractor.dim: 96)`},
		"type":             {other(graph.Float64, 96, "image"), bundle.ErrInvalid, `extractor.onnx: input "image" is float64, expected float32`},
		"names":            {other(graph.Float32, 96, "picture"), bundle.ErrInvalid, `extractor.input.name is "image", which is no input of the model; it has picture`},
		"labels":           {&fewer, bundle.ErrInvalid, "scores 4 classes, the manifest has 3 labels"},
		"no model":         {modeltest.Replace(t, b, bundle.SegmenterFile, []byte("no ONNX")), ort.ErrModel, "segmenter.onnx: ONNX model"},
		"golden cut":       {modeltest.Replace(t, b, bundle.GoldenFile, []byte(`{"features":[1]}`)), model.ErrProbe, "holds 1 features and 0 heads, the manifest says 96 and 2"},
		"golden broken":    {modeltest.Replace(t, b, bundle.GoldenFile, []byte(`{"features":`)), bundle.ErrInvalid, "golden.json: unexpected end"},
		"throws":           {spoilt(modeltest.Throwing), ort.ErrProvider, `"cpu": the extractor of test-1 opens there and fails when it runs`},
		"NaN":              {spoilt(modeltest.NaN), model.ErrProbe, "extractor of test-1 on cpu: feature 0 is NaN"},
		"other numbers":    {spoilt(modeltest.Scaled), model.ErrProbe, "extractor of test-1 on cpu: features differ by 0.2"},
		"segmenter throws": {segmenter(modeltest.Throwing), ort.ErrProvider, `the segmenter of test-1 opens there and fails when it runs`},
		"segmenter NaN":    {segmenter(modeltest.NaN), model.ErrProbe, "on cpu: segment sample 0: scores are not finite"},
		"segmenter other":  {segmenter(modeltest.Inverted), model.ErrProbe, "segmenter of test-1 on cpu: head 1, class"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := model.OpenProbed(c.b, ort.Options{})
			if err == nil {
				t.Fatal("it was opened", m.Close())
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line that wraps %q and says %q", err, c.is, c.want)
			}
		})
	}
}

// TestBadBundlesOfWindows: a network over whole sequences is compared with its manifest as a causal one is.
func TestBadBundlesOfWindows(t *testing.T) {
	good := modeltest.New(t, modeltest.Options{})
	network := func(dim, classes int) (onnx []byte, input, output string) {
		t.Helper()
		tcn := net.TCN{In: dim, Channels: 4, Layers: 2, Classes: classes, Symmetric: true}
		p, err := tcn.NewParams(3)
		if err != nil {
			t.Fatal(err)
		}
		if onnx, err = tcn.Infer(p); err != nil {
			t.Fatal(err)
		}
		in, out, err := ort.Describe(onnx)
		if err != nil {
			t.Fatal(err)
		}
		return onnx, in[0].Name, out[0].Name
	}
	for name, c := range map[string]struct {
		dim, classes int
		change       func(*bundle.Segmenter)
		want         string
	}{
		"good":     {good.Extractor.Dim, 4, func(*bundle.Segmenter) {}, ""},
		"labels":   {good.Extractor.Dim, 3, func(*bundle.Segmenter) {}, "scores 3 classes, the manifest has 4 labels"},
		"features": {7, 4, func(*bundle.Segmenter) {}, "has shape [1 -1 7], the manifest says [1 12 96] (windows of 12, extractor.dim: 96)"},
		"input":    {good.Extractor.Dim, 4, func(s *bundle.Segmenter) { s.Input = "x" }, `segmenter.input is "x", which is no input of the model`},
		"output":   {good.Extractor.Dim, 4, func(s *bundle.Segmenter) { s.Heads[0].Output = "y" }, `segmenter.heads[0].output is "y", which is no output of the model`},
		"causal":   {-1, 4, func(*bundle.Segmenter) {}, "that the manifest does not name"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good.Manifest
			m.Segmenter.Mode, m.Segmenter.Window, m.Segmenter.States = bundle.Window, &bundle.Windows{Frames: 12, Hop: 2, Right: 4, Left: 6}, nil
			onnx, in, out := modelFile(t, good, bundle.SegmenterFile), good.Segmenter.Input, good.Segmenter.Heads[0].Output
			if c.dim > 0 {
				onnx, in, out = network(c.dim, c.classes)
			}
			m.Segmenter.Input, m.Segmenter.Heads = in, []bundle.Head{{Output: out}}
			c.change(&m.Segmenter)
			_, err := model.Write(filepath.Join(t.TempDir(), "out"), m, modelFile(t, good, bundle.ExtractorFile), onnx)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestNoGoldenOutputsOfNaN: what can't be compared with is not recorded.
func TestNoGoldenOutputsOfNaN(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	dir := filepath.Join(t.TempDir(), "out")
	_, err := model.Write(dir, b.Manifest, extractorOf(t, b, modeltest.NaN), modelFile(t, b, bundle.SegmenterFile))
	if err == nil || !strings.Contains(err.Error(), "record golden outputs: features are not finite: feature 0 is NaN") {
		t.Errorf("got %v", err)
	}
}
