package trainer

import (
	"tandem/learn/net"
	"tandem/runtime/bundle"
)

// DefaultExtractor returns the fixed filter bank that a line starts with: no training, no downloads, the same features on
// every machine. A user's own backbone replaces it by its ONNX file and its input contract.
func DefaultExtractor() (Extractor, error) {
	f := net.DefaultFilterBank()
	onnx, err := f.Model()
	if err != nil {
		return Extractor{}, err
	}
	// The bank expects pixels standardised by about what natural pictures have.
	half := []float64{0.45, 0.45, 0.45}
	quarter := []float64{0.25, 0.25, 0.25}
	return Extractor{ONNX: onnx, Contract: bundle.Extractor{
		Input: bundle.Image{
			Name: net.Image, Width: f.Width, Height: f.Height, Layout: "NCHW", Channels: "RGB", Fit: "stretch",
			Scale: 1.0 / 255, Mean: half, Std: quarter,
		},
		Output: net.Features, Dim: f.Size(),
	}}, nil
}
