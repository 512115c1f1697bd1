package feature

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"tandem/learn/graph"
	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// several are extractors of as many cameras on one loaded model.
func several(t *testing.T, e *Extractor, n int) []*Extractor {
	t.Helper()
	list := make([]*Extractor, n)
	for i := range list {
		var err error
		if list[i], err = e.Share(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := list[i].Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return list
}

// TestExtractorsThatShareAModel: each gets the features of its own pictures, run alone or with others.
func TestExtractorsThatShareAModel(t *testing.T) {
	for _, together := range []bool{false, true} {
		e := openMirror(t, contract(12, 8, "NCHW", "RGB", "stretch"))
		const cameras = 4
		list := several(t, e, cameras)
		if together {
			b, err := e.newBatches(cameras)
			if err != nil {
				t.Fatal(err)
			}
			b.start()
			e.crew.batches.Store(b)
		}
		var group sync.WaitGroup
		for i, x := range list {
			want := make([]float32, e.Dim())
			p := randomPicture(12, 8, 3)
			p.px[0] = byte(17 * i)
			alone := openMirror(t, contract(12, 8, "NCHW", "RGB", "stretch"))
			if err := alone.Extract(p.mat(t), want); err != nil {
				t.Fatal(err)
			}
			picture := p.mat(t)
			group.Go(func() {
				got := make([]float32, e.Dim())
				for range 50 {
					clear(got)
					if err := x.Extract(picture, got); err != nil {
						t.Error(err)
						return
					}
					if !slices.Equal(got, want) {
						t.Errorf("together %v: camera %d has other features than alone", together, i)
						return
					}
				}
			})
		}
		group.Wait()
	}
}

func TestBatchIsMeasured(t *testing.T) {
	e := openMirror(t, contract(64, 64, "NCHW", "RGB", "stretch"))
	list := several(t, e, 2)
	got, err := e.Batch(2)
	if err != nil {
		t.Fatal(err)
	}
	if got.Single <= 0 || got.Batched <= 0 || got.On != (float64(got.Batched) < batchGain*float64(got.Single)) || !strings.Contains(got.Why, "2 pictures take") {
		t.Errorf("%+v", got)
	}
	if on := list[1].crew.batches.Load() != nil; on != got.On {
		t.Errorf("together %v, measured %+v", on, got)
	}
}

func TestExtractorOfOnePictureARun(t *testing.T) {
	im := contract(12, 8, "NCHW", "RGB", "stretch")
	model, c := fixedMirror(t, im)
	e, err := New(model, c, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Batch(2)
	if err != nil || got.On || !strings.Contains(got.Why, "dynamic batch axis") {
		t.Errorf("%+v, %v", got, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestExtractorThatMixesPictures: a dynamic batch axis is no promise. One picture at a time is right, several are not.
func TestExtractorThatMixesPictures(t *testing.T) {
	im := contract(12, 8, "NCHW", "RGB", "stretch")
	g := graph.New(graph.Float32)
	dim := im.Depth() * im.Height * im.Width
	x := g.Input("image", graph.Float32, g.Dim("N"), im.Depth(), im.Height, im.Width)
	rows := g.Reshape(x, x.Dim(0), dim)
	g.Output("features", g.Sub(rows, g.Scale(g.Sum(rows, 0), 0.5)))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(model, bundle.Extractor{Input: im, Output: "features", Dim: dim}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Batch(3)
	if err != nil || got.On || !strings.Contains(got.Why, "other features than alone") {
		t.Errorf("%+v, %v", got, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestSlotOutlivesItsExtractor: what is loaded is freed with the last that uses it.
func TestSlotOutlivesItsExtractor(t *testing.T) {
	model, c := mirror(t, contract(12, 8, "NCHW", "RGB", "stretch"))
	e, err := New(model, c, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := several(t, e, 1)[0]
	s, err := e.NewSlot()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	picture := randomPicture(12, 8, 3).mat(t)
	if err := e.Prepare(picture, s); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
	if err := other.Extract(picture, make([]float32, e.Dim())); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Share(); err == nil {
		t.Error("a closed one was shared")
	}
}
