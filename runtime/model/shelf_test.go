package model_test

import (
	"os"
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"

	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
)

func TestShelfSharesWhatIsLoaded(t *testing.T) {
	d, other := modeltest.New(t, modeltest.Options{}), modeltest.New(t, modeltest.Options{Release: "test-2", Seed: 9})
	shelf := &model.Shelf{Selector: &model.Selector{}, Cameras: 3}
	open := func(want int) *model.Model {
		t.Helper()
		b := d
		if want > 1 {
			b = other
		}
		m, err := shelf.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := shelf.Len(); got != want {
			t.Errorf("%d bundles are loaded, want %d", got, want)
		}
		return m
	}
	a, b, c := open(1), open(1), open(2)
	if a.Selection != b.Selection || a.Selection == c.Selection {
		t.Error("the second camera's model was probed anew, or another bundle's was not")
	}
	for range 2 { // a second close counts for nothing
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	picture := gocv.NewMatWithSize(48, 64, gocv.MatTypeCV8UC3)
	defer picture.Close() //nolint:errcheck // memory only
	if err := b.Extractor.Extract(picture, make([]float32, b.Extractor.Dim())); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got := shelf.Len(); got != 1 {
		t.Errorf("%d bundles are loaded after the last camera changed its release, want the other's", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(other.Path, "extractor.onnx"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := shelf.Open(other); err == nil || shelf.Len() != 0 {
		t.Errorf("a broken bundle: %v, %d are loaded", err, shelf.Len())
	}
}
