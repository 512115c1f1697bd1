package trainer

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/trainer/backbone"
)

func TestExtractorsThatAConfigurationNames(t *testing.T) {
	builtin, err := DefaultExtractor()
	if err != nil || builtin.Contract.Dim != 256 {
		t.Fatalf("the built-in extractor has %d features: %v", builtin.Contract.Dim, err)
	}
	c := net.DepthwiseCNN{Width: 32, Height: 32, Stem: 4, Out: 8, Blocks: []net.CNNBlock{{Channels: 8, Stride: 2}}}
	p, err := c.NewParams(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := backbone.New(c, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	own, foreign := filepath.Join(dir, "own"), filepath.Join(dir, "foreign")
	if err := b.Write(own); err != nil {
		t.Fatal(err)
	}
	run := *b
	run.Network, run.Params = nil, nil
	if err := run.Write(foreign); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		dim   int
		train bool
	}{{"", 256, true}, {FilterBank, 512, false}, {own, 8, true}, {foreign, 8, false}} {
		ex, rate, err := OpenExtractor(test.name)
		if err != nil || ex.Contract.Dim != test.dim || rate != 0 || len(ex.ONNX) == 0 {
			t.Errorf("%q: %d features, %g Hz: %v", test.name, ex.Contract.Dim, rate, err)
		}
		got, err := OpenBackbone(test.name)
		if (err == nil) != test.train || err == nil && !bytes.Equal(got.ONNX, ex.ONNX) {
			t.Errorf("%q to train on: %v", test.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "can't be trained on") {
			t.Error(err)
		}
	}
	if _, _, err := OpenExtractor(dir); err == nil || !strings.Contains(err.Error(), "neither filterbank nor a directory with extractor.json") {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestABundlesExtractor: the one that a release was made with can be used again.
func TestABundlesExtractor(t *testing.T) {
	builtin, err := DefaultExtractor()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "line-0001")
	m := bundle.Manifest{Release: "line-0001", Created: time.Unix(1, 0).UTC(), RateHz: 12, Labels: []string{"a", "b"}, Extractor: builtin.Contract,
		Segmenter: bundle.Segmenter{Mode: "causal", Input: "features", Heads: []bundle.Head{{Output: "logits"}}, Decode: bundle.Decoding{MinFrames: 1}}}
	if _, err := bundle.Write(dir, m, bundle.Parts{Extractor: builtin.ONNX, Segmenter: []byte("none"), Golden: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	ex, rate, err := OpenExtractor(dir)
	if err != nil || rate != 12 || ex.Contract.Dim != 256 || !bytes.Equal(ex.ONNX, builtin.ONNX) {
		t.Errorf("%d features, %g Hz: %v", ex.Contract.Dim, rate, err)
	}
}
