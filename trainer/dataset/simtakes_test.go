package dataset

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/learn/graph"
	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/sim"
	"tandem/stream/capture"
)

// pixels is an extractor whose features are the grey values of a tiny picture, so that they tell frames apart.
func pixels(t *testing.T) *feature.Extractor {
	t.Helper()
	const side = 8
	g := graph.New(graph.Float32)
	g.Output("features", g.Reshape(g.Input("image", graph.Float32, 1, 1, side, side), 1, side*side))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	ex, err := feature.New(model, bundle.Extractor{
		Input: bundle.Image{
			Name: "image", Width: side, Height: side, Layout: "NCHW", Channels: "GRAY", Fit: "stretch",
			Scale: 1, Mean: []float64{0}, Std: []float64{1},
		},
		Output: "features", Dim: side * side,
	}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// rendered renders takes of 3 s at 10 fps: one of a fixed camera to train on, one of both to pair and one to test on.
func rendered(t *testing.T, ego sim.Clock) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "takes")
	for i, group := range []string{"labelled", "paired", "test"} {
		cameras := []string{"exo1", "ego"}
		if group == "labelled" {
			cameras = cameras[:1]
		}
		b := sim.Batch{Config: sim.Config{Seed: 3, Length: 3 * time.Second, FPS: 10, Cameras: sim.DefaultCameras(cameras...)}, Takes: []sim.TakeSpec{{Index: i}}}
		for k := range b.Config.Cameras {
			c := &b.Config.Cameras[k]
			c.Width, c.Height = 64, 48
			if c.ID == "ego" {
				c.Clock = ego
			}
		}
		if _, err := b.Render(t.Context(), filepath.Join(root, group)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// everyFrame extracts all frames of a video.
func everyFrame(t *testing.T, ex *feature.Extractor, path string) [][]float32 {
	t.Helper()
	cam, err := capture.Open(t.Context(), capture.Config{Source: path})
	if err != nil {
		t.Fatal(err)
	}
	defer cam.Close()
	var rows [][]float32
	for {
		f, err := cam.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, ex.Dim())
		err = ex.Extract(f.Mat, row)
		cam.Release(f)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

func TestSimulatedTakes(t *testing.T) {
	const rate = 5.0
	ex := pixels(t)
	root := rendered(t, sim.Clock{Offset: 700 * time.Millisecond, Drop: 0.2})
	oracle, err := NewOracle(Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	for _, clock := range []Clock{Stamps, Truth} {
		d := open(t, root, Options{Extractor: ex, RateHz: rate, Clock: clock})
		if want := []View{{"exo1", Exo, 64}, {"ego", Ego, 64}}; d.Format != "sim" || d.RateHz != rate || !slices.Equal(d.Views(), want) {
			t.Errorf("format %s, rate %g, views %v", d.Format, d.RateHz, d.Views())
		}
		if f := d.Folds(); len(f) != 1 || !slices.Equal(f[0].Train, []string{"labelled_take-001"}) || !slices.Equal(f[0].Pairs, []string{"paired_take-002"}) || !slices.Equal(f[0].Test, []string{"test_take-003"}) {
			t.Errorf("folds %v", f)
		}
		truth, err := sim.ReadTake(filepath.Join(root, "paired", "take-002"))
		if err != nil {
			t.Fatal(err)
		}
		x, _ := d.Take("paired_take-002")
		if x.Samples != 15 {
			t.Errorf("%d samples, want 15", x.Samples)
		}
		for _, view := range x.Views() {
			c, _ := truth.Camera(view)
			times := c.CaptureNS
			if clock == Stamps {
				times = truth.RawNS(c)
			}
			frames := everyFrame(t, ex, filepath.Join(root, "paired", "take-002", c.Video))
			f := features(t, d, x.Name, view)
			labels, err := x.Labels(t.Context())
			if view == "ego" {
				labels, err = d.EgoLabels(t.Context(), x.Name, oracle)
			}
			if err != nil {
				t.Fatal(err)
			}
			filled := 0
			for k := range f.Samples {
				tick := truth.StartNS + int64(float64(k)*1e9/rate)
				best, gap := 0, math.Inf(1)
				for i, at := range times {
					if g := math.Abs(float64(at - tick)); g < gap {
						best, gap = i, g
					}
				}
				if gap > 1e9/rate {
					filled++
					if f.Weights == nil || f.Weights[k] != 0 {
						t.Errorf("%s by %s: sample %d has no frame and weights %v", view, clock, k, f.Weights)
					}
					continue
				}
				if f.Weights != nil && f.Weights[k] != 1 {
					t.Errorf("%s by %s: sample %d has a frame and weight %g", view, clock, k, f.Weights[k])
				}
				if !slices.Equal(f.Row(k), frames[best]) {
					t.Errorf("%s by %s: sample %d is not frame %d", view, clock, k, best)
				}
				if want := truth.LabelAt(c.CaptureNS[best]); d.Labels.Name(labels[k]) != want {
					t.Errorf("%s by %s: the label of sample %d is %s, want %s", view, clock, k, d.Labels.Name(labels[k]), want)
				}
			}
			// A clock 0.7 s ahead leaves the first samples without frames.
			if want := map[bool]int{true: 3, false: 0}[view == "ego" && clock == Stamps]; filled != want {
				t.Errorf("%s by %s: %d samples without a frame, want %d", view, clock, filled, want)
			}
		}
		y, _ := imported(t, d)
		same(t, y, d)
	}
}

func TestSimulatedTakesRefused(t *testing.T) {
	ex := pixels(t)
	root := rendered(t, sim.Clock{})
	_, err := Open(t.Context(), root, Auto, Options{Extractor: ex})
	if err == nil || err.Error() != "sim data set: the rate of features to extract isn't said" {
		t.Errorf("without a rate: %v", err)
	}
	video := filepath.Join(root, "test", "take-003", "ego.mp4")
	other := filepath.Join(root, "labelled", "take-001", "exo1.mp4")
	d := open(t, root, Options{Extractor: ex, RateHz: 5})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, _ := d.Take("test_take-003")
	if _, err := x.Features(ctx, "ego"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := os.WriteFile(video, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	s, err := d.Check(t.Context(), nil)
	if err != nil || len(s.Problems) != 2 || !strings.HasPrefix(s.Problems[0], "take labelled_take-001: extract "+other+": ") ||
		!strings.HasPrefix(s.Problems[1], "take test_take-003: extract "+video+": ") {
		t.Errorf("problems %q, %v", s.Problems, err)
	}
	if err := os.WriteFile(filepath.Join(root, "test", "take-003", sim.TruthFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), root, Auto, Options{Extractor: ex, RateHz: 5})
	if err == nil || !strings.Contains(err.Error(), "truth.json: ends in the middle") {
		t.Errorf("a damaged truth: %v", err)
	}
}
