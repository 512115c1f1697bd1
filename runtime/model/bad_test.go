package model_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"tandem/learn/graph"
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

// TestNoGoldenOutputsOfNaN: what can't be compared with is not recorded.
func TestNoGoldenOutputsOfNaN(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	dir := filepath.Join(t.TempDir(), "out")
	_, err := model.Write(dir, b.Manifest, extractorOf(t, b, modeltest.NaN), modelFile(t, b, bundle.SegmenterFile))
	if err == nil || !strings.Contains(err.Error(), "record golden outputs: features are not finite: feature 0 is NaN") {
		t.Errorf("got %v", err)
	}
}
