package dataset

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/learn/net"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/sim"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// eye is a small extractor that can be trained, closed with the test.
func eye(t *testing.T) (*backbone.Backbone, *feature.Extractor) {
	t.Helper()
	c := net.DepthwiseCNN{Width: 32, Height: 32, Stem: 4, Out: 8, Grid: 2, Blocks: []net.CNNBlock{{Channels: 8, Stride: 2}}}
	p, err := c.NewParams(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := backbone.New(c, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := feature.New(b.ONNX, b.Contract, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, ex
}

// TestPicturesAreWhatTheFeaturesWereMadeOf: the stored extractor makes of the stored pictures the stored features.
func TestPicturesAreWhatTheFeaturesWereMadeOf(t *testing.T) {
	b, ex := eye(t)
	root := rendered(t, sim.Clock{})
	d := open(t, root, Options{Extractor: ex, RateHz: 5, Frames: b})
	out := filepath.Join(t.TempDir(), "own")
	if _, err := d.Import(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	got := open(t, out, Options{})
	if got.Extractor() == nil {
		t.Fatal("the extractor was not kept")
	}
	eyes, err := vision.Open(got.Extractor(), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = eyes.Close() }()
	seen := 0
	for _, take := range got.Takes() {
		if _, err := take.Pictures("exo1"); !errors.Is(err, ErrNoPictures) {
			t.Errorf("%s: pictures of an exo view: %v", take.Name, err)
		}
		if !take.Has("ego") {
			continue
		}
		p, err := take.Pictures("ego")
		if err != nil {
			t.Fatal(err)
		}
		f, err := take.Features(t.Context(), "ego")
		if err != nil {
			t.Fatal(err)
		}
		y, err := eyes.See(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Len() != f.Samples || len(y) != len(f.Data) {
			t.Fatalf("%s: %d pictures and %d features of them, the features are %d of %d samples", take.Name, p.Len(), len(y), len(f.Data), f.Samples)
		}
		for i := range y {
			if d := math.Abs(float64(y[i] - f.Data[i])); d > 1e-5 {
				t.Fatalf("%s: feature %d of sample %d differs by %g", take.Name, i%8, i/8, d)
			}
		}
		seen++
	}
	if seen != 2 {
		t.Errorf("%d takes have pictures, expected 2", seen)
	}
	if s, err := got.Check(t.Context(), nil); err != nil || len(s.Problems) > 0 {
		t.Errorf("the import has problems %q: %v", s.Problems, err)
	}
	slow := open(t, out, Options{Stride: 2})
	take := slow.Takes()[1]
	p, err := take.Pictures("ego")
	if err != nil || p.Len() != take.Samples {
		t.Fatalf("every second sample: %v of %d pictures: %v", p, take.Samples, err)
	}
	q, err := got.Takes()[1].Pictures("ego")
	if err != nil {
		t.Fatal(err)
	}
	one, other := make([]byte, p.Size()), make([]byte, p.Size())
	if err := errors.Join(p.Read(3, one), q.Read(6, other)); err != nil || string(one) != string(other) {
		t.Errorf("the fourth of every second picture is not the seventh: %v", err)
	}
}

func TestPicturesThatAreDamagedOrCannotBe(t *testing.T) {
	b, ex := eye(t)
	root := rendered(t, sim.Clock{})
	d := open(t, root, Options{Extractor: ex, RateHz: 5, Frames: b})
	out := filepath.Join(t.TempDir(), "own")
	if _, err := d.Import(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	got := open(t, out, Options{})
	take := got.Takes()[1]
	p, err := take.Pictures("ego")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Read(p.Len(), make([]byte, p.Size())); err == nil {
		t.Error("a picture beyond the last was read")
	}
	path := filepath.Join(out, framesDir+"_ego", take.Name+arrayEnding)
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := take.Pictures("ego"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is cut off: %v", err)
	}
	if s, err := got.Check(t.Context(), nil); err != nil || len(s.Problems) == 0 {
		t.Errorf("the check found %q: %v", s.Problems, err)
	}
	b.Params = nil
	if _, err := Open(t.Context(), root, "sim", Options{Extractor: ex, RateHz: 5, Frames: b}); err == nil || !strings.Contains(err.Error(), "no parameters") {
		t.Errorf("an extractor that can't be trained: %v", err)
	}
}
