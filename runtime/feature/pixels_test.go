package feature

import (
	"strings"
	"testing"

	"tandem/runtime/bundle"
)

// TestPixelsAreWhatTheExtractorReads: normalising the bytes gives the extractor's input, whatever the fit.
func TestPixelsAreWhatTheExtractorReads(t *testing.T) {
	for _, fit := range []string{"stretch", "crop", "letterbox"} {
		im := contract(24, 16, "NCHW", "RGB", fit)
		p, err := NewPixels(bundle.Extractor{Input: im, Output: "features", Dim: 1})
		if err != nil {
			t.Fatal(err)
		}
		shot := randomPicture(61, 40, 3)
		px := make([]byte, p.Size())
		if err := p.Read(shot.mat(t), px); err != nil {
			t.Fatal(err)
		}
		got, n := make([]float32, len(px)), 24*16
		for i, v := range px {
			got[i] = float32((float64(v)*im.Scale - im.Mean[i/n]) / im.Std[i/n])
		}
		compare(t, got, preprocess(t, im, shot))
		if err := p.Read(shot.mat(t), px[1:]); err == nil || !strings.Contains(err.Error(), "expected 1152") {
			t.Errorf("a short destination: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewPixels(bundle.Extractor{}); err == nil {
		t.Error("a contract without fields was taken")
	}
}
