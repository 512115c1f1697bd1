package backbone

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gocv.io/x/gocv"

	"tandem/learn/net"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
)

var small = net.DepthwiseCNN{Width: 32, Height: 40, Stem: 4, Out: 8, Grid: 2, Blocks: []net.CNNBlock{{Channels: 8, Stride: 2}}}

// written makes an extractor of a trained network, with its head, and writes it.
func written(t testing.TB) (*Backbone, string) {
	t.Helper()
	p, err := small.NewParams(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(small, p, &Training{Seed: 3, Classes: []string{"background", "screw"}, Test: Recall{Colour: 80, Grey: 70}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "sub", "extractor")
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	return b, dir
}

// features are what an extractor makes of an even picture and one with a bright half.
func features(t *testing.T, b *Backbone) []float32 {
	t.Helper()
	e, err := feature.New(b.ONNX, b.Contract, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []float32
	for _, v := range []float64{30, 220} {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(v, v/2, 255-v, 0), 60, 80, gocv.MatTypeCV8UC3)
		row := make([]float32, e.Dim())
		if err := e.Extract(m, row); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		all = append(all, row...)
	}
	return all
}

func TestAnExtractorIsReadAsItWasWritten(t *testing.T) {
	b, dir := written(t)
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Params.Weights, b.Params.Weights) || !slices.Equal(got.ONNX, b.ONNX) || got.Training.Test != b.Training.Test {
		t.Error("the extractor that was read is another one")
	}
	if !slices.Equal(features(t, got), features(t, b)) {
		t.Error("it has other features")
	}
	file, err := os.ReadFile(filepath.Join(dir, ModelFile))
	if err != nil || !slices.Equal(file, b.ONNX) {
		t.Errorf("%s is not the model: %v", ModelFile, err)
	}
	if !Is(dir) || Is(filepath.Dir(dir)) {
		t.Error("an extractor's directory is not told from another one")
	}
	if err := b.Write(dir); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("written over another one: %v", err)
	}
}

// TestAnyModelWithAContract: an extractor from elsewhere has no network and no checkpoint.
func TestAnyModelWithAContract(t *testing.T) {
	b, _ := written(t)
	b.Network, b.Params, b.Training = nil, nil, nil
	dir := filepath.Join(t.TempDir(), "own")
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	replace(ModelFile, "image", "eimag")(t, dir)
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "has SHA-256") {
		t.Errorf("another model: %v", err)
	}
	if got.Params != nil || !slices.Equal(features(t, got), features(t, b)) {
		t.Error("the model that was read is another one")
	}
}

func TestDamageIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(t *testing.T, dir string){
		"schema is 2":         replace(File, `"schema": 1`, `"schema": 2`),
		"unknown field":       replace(File, `"schema": 1`, `"schema": 1, "more": 1`),
		"extractor.dim":       replace(File, `"dim": 8`, `"dim": 0`),
		"not that of":         replace(File, `"out": 8`, `"out": 12`),
		"the network's has":   replace(File, `"stem": 4`, `"stem": 6`),
		"parameters at least": replace(File, `"channels": 8`, `"channels": 80000000`),
		"no such file": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, CheckpointFile)); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": replace(CheckpointFile, "stem.weight", "item.weight"),
	} {
		_, dir := written(t)
		spoil(t, dir)
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error with %q", err, want)
		}
	}
}

// replace changes a text in a file, whatever the space in it.
func replace(file, from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if file == File {
			text = strings.Join(strings.Fields(text), " ")
		}
		if !strings.Contains(text, from) {
			t.Fatalf("%s does not contain %q:\n%s", file, from, text)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(text, from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzRead: whatever the files hold, reading ends with an extractor or an error.
func FuzzRead(f *testing.F) {
	_, dir := written(f)
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		f.Fatal(err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(dir, CheckpointFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, checkpoint)
	f.Add([]byte(strings.Replace(string(text), `"stem": 4`, `"stem": 400000000`, 1)), checkpoint)
	f.Add([]byte(`{"schema": 1}`), []byte("TANDEMCK"))
	f.Fuzz(func(t *testing.T, text, checkpoint []byte) {
		b, err := read(fstest.MapFS{File: {Data: text}, CheckpointFile: {Data: checkpoint}, ModelFile: {Data: checkpoint}})
		if err == nil && (b.Contract.Dim < 1 || len(b.ONNX) == 0) {
			t.Errorf("an extractor without features or model was read: %+v", b)
		}
	})
}
