package feature

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"tandem/learn/graph"
	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// mirror is a model that gives its input back as features, so that what it was fed shows.
func mirror(t testing.TB, im bundle.Image) ([]byte, bundle.Extractor) {
	t.Helper()
	g := graph.New(graph.Float32)
	dim := im.Depth() * im.Height * im.Width
	x := g.Input("image", graph.Float32, g.Dim("N"), im.Depth(), im.Height, im.Width)
	if im.Layout == "NHWC" {
		g = graph.New(graph.Float32)
		x = g.Input("image", graph.Float32, g.Dim("N"), im.Height, im.Width, im.Depth())
	}
	g.Output("features", g.Reshape(x, x.Dim(0), dim))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model, bundle.Extractor{Input: im, Output: "features", Dim: dim}
}

// fixedMirror is a mirror that takes one picture a run.
func fixedMirror(t testing.TB, im bundle.Image) ([]byte, bundle.Extractor) {
	t.Helper()
	g := graph.New(graph.Float32)
	dim := im.Depth() * im.Height * im.Width
	g.Output("features", g.Reshape(g.Input("image", graph.Float32, 1, im.Depth(), im.Height, im.Width), 1, dim))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model, bundle.Extractor{Input: im, Output: "features", Dim: dim}
}

func openMirror(t testing.TB, im bundle.Image) *Extractor {
	t.Helper()
	model, contract := mirror(t, im)
	e, err := New(model, contract, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestExtractFeedsTheContract(t *testing.T) {
	for _, layout := range []string{"NCHW", "NHWC"} {
		for _, channels := range []string{"RGB", "GRAY"} {
			im := contract(12, 8, layout, channels, "stretch")
			e := openMirror(t, im)
			if e.Dim() != im.Depth()*12*8 || e.Provider() != ort.CPU {
				t.Errorf("dim %d on %s", e.Dim(), e.Provider())
			}
			got := make([]float32, e.Dim())
			for seed := range 3 { // the second picture must not see the first
				p := randomPicture(12, 8, 3)
				p.px[0] = byte(seed)
				if err := e.Extract(p.mat(t), got); err != nil {
					t.Fatal(err)
				}
				compare(t, got, reference(im, p))
			}
		}
	}
}

// TestOutputOfOneDimension: a model may leave the batch out of its output.
func TestOutputOfOneDimension(t *testing.T) {
	g := graph.New(graph.Float32)
	g.Output("features", g.Reshape(g.Input("image", graph.Float32, 1, 3, 2, 2), 12))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	im := contract(2, 2, "NCHW", "RGB", "stretch")
	e, err := New(model, bundle.Extractor{Input: im, Output: "features", Dim: 12}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, got := randomPicture(2, 2, 3), make([]float32, 12)
	if err := e.Extract(p.mat(t), got); err != nil {
		t.Fatal(err)
	}
	compare(t, got, reference(im, p))
}

func TestExtractRefuses(t *testing.T) {
	e := openMirror(t, contract(12, 8, "NCHW", "RGB", "stretch"))
	m := randomPicture(12, 8, 3).mat(t)
	if err := e.Extract(m, make([]float32, 3)); err == nil || !strings.Contains(err.Error(), "room for 3 values, expected 288") {
		t.Errorf("a short destination: %v", err)
	}
	none := gocv.NewMat()
	defer closeTest(t, &none)
	if err := e.Extract(none, make([]float32, e.Dim())); err == nil {
		t.Error("an empty picture was taken")
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := e.Extract(m, make([]float32, e.Dim())); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
}

func TestNewNamesWhatDoesNotFit(t *testing.T) {
	model, good := mirror(t, contract(12, 8, "NCHW", "RGB", "stretch"))
	for name, c := range map[string]struct {
		spoil func(*bundle.Extractor)
		want  string
	}{
		"input name":      {func(e *bundle.Extractor) { e.Input.Name = "pixels" }, `the manifest says one input "pixels"`},
		"output name":     {func(e *bundle.Extractor) { e.Output = "embedding" }, `the manifest says one output "embedding"`},
		"size":            {func(e *bundle.Extractor) { e.Input.Width = 13 }, `input "image" has shape [-1 3 8 12], got a tensor of [1 3 8 13]`},
		"layout":          {func(e *bundle.Extractor) { e.Input.Layout = "NHWC" }, `got a tensor of [1 8 12 3]`},
		"dim":             {func(e *bundle.Extractor) { e.Dim = 5 }, `output "features" has shape [-1 288], got a tensor of [1 5]`},
		"no mean":         {func(e *bundle.Extractor) { e.Input.Mean = nil }, "extractor.input.mean"},
		"grey with three": {func(e *bundle.Extractor) { e.Input.Channels = "GRAY" }, "extractor.input.mean"},
		"std of 0":        {func(e *bundle.Extractor) { e.Input.Std = []float64{1, 0, 1} }, "extractor.input.std[1]"},
		"scale":           {func(e *bundle.Extractor) { e.Input.Scale = math.NaN() }, "extractor.input.scale"},
		"layout unknown":  {func(e *bundle.Extractor) { e.Input.Layout = "CHW" }, "extractor.input.layout"},
		"fit unknown":     {func(e *bundle.Extractor) { e.Input.Fit = "pad" }, "extractor.input.fit"},
		"dim 0":           {func(e *bundle.Extractor) { e.Dim = 0 }, "extractor.dim"},
		"height":          {func(e *bundle.Extractor) { e.Input.Height = -1 }, "extractor.input.height"},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := good
			c.spoil(&spoilt)
			e, err := New(model, spoilt, ort.Options{})
			if err == nil {
				t.Fatal("it was opened", e.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := New([]byte("junk"), good, ort.Options{}); !errors.Is(err, ort.ErrModel) {
		t.Errorf("a damaged model: %v", err)
	}
	if _, err := Open(&bundle.Dir{Path: t.TempDir(), Manifest: bundle.Manifest{Release: "r-1"}}, ort.Options{}); err == nil || !strings.Contains(err.Error(), "extractor of r-1") {
		t.Errorf("no model file: %v", err)
	}
}

func TestExtractDoesNotAllocate(t *testing.T) {
	e := openMirror(t, contract(32, 24, "NCHW", "RGB", "letterbox"))
	m := randomPicture(320, 180, 3).mat(t)
	dst := make([]float32, e.Dim())
	run := func() {
		if err := e.Extract(m, dst); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(50, run); n > 0 {
		t.Errorf("%g allocations a picture", n)
	}
}
