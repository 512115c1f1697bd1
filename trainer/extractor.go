package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/trainer/backbone"
)

// FilterBank names the untrained extractor in a configuration.
const FilterBank = "filterbank"

// DefaultExtractor returns the extractor that a line starts with, backbone.Default. A user's own one replaces it by its ONNX
// file and its input contract (OpenExtractor).
func DefaultExtractor() (Extractor, error) {
	b, err := backbone.Default()
	if err != nil {
		return Extractor{}, err
	}
	return Extractor{ONNX: b.ONNX, Contract: b.Contract}, nil
}

// FilterBankExtractor returns the fixed filter bank: no training, the same features on every machine.
func FilterBankExtractor() (Extractor, error) {
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

// OpenBackbone returns the extractor that a configuration names, as OpenExtractor does, with what it takes to train it on. One
// that can only be run is an error.
func OpenBackbone(name string) (*backbone.Backbone, error) {
	if name == "" {
		return backbone.Default()
	}
	if !backbone.Is(name) {
		return nil, fmt.Errorf("extractor %s can't be trained on: that needs a directory with %s and %s, such as tandem train extractor writes",
			name, backbone.File, backbone.CheckpointFile)
	}
	b, err := backbone.Read(name)
	if err != nil {
		return nil, err
	}
	if b.Params == nil {
		return nil, fmt.Errorf("extractor %s can't be trained on: it comes without a network and %s", name, backbone.CheckpointFile)
	}
	return b, nil
}

// OpenExtractor returns the extractor that a configuration names: the default one (empty), FilterBank, or one in a
// directory, which is a bundle or what `tandem train extractor` wrote. rateHz is a bundle's, otherwise 0.
func OpenExtractor(name string) (ex Extractor, rateHz float64, err error) {
	switch {
	case name == "":
		ex, err = DefaultExtractor()
		return ex, 0, err
	case name == FilterBank:
		ex, err = FilterBankExtractor()
		return ex, 0, err
	case backbone.Is(name):
		b, err := backbone.Read(name)
		if err != nil {
			return ex, 0, err
		}
		return Extractor{ONNX: b.ONNX, Contract: b.Contract}, 0, nil
	}
	if _, err := os.Stat(filepath.Join(name, bundle.ManifestFile)); errors.Is(err, fs.ErrNotExist) {
		return ex, 0, fmt.Errorf("extractor %s: neither %s nor a directory with %s (tandem train extractor) or %s (a bundle)",
			name, FilterBank, backbone.File, bundle.ManifestFile)
	}
	b, err := bundle.Read(name)
	if err != nil {
		return ex, 0, err
	}
	ex.Contract = b.Extractor
	if ex.ONNX, err = os.ReadFile(filepath.Join(b.Path, b.Extractor.Name)); err != nil {
		return ex, 0, fmt.Errorf("extractor of %s: %w", b.Release, err)
	}
	return ex, b.RateHz, nil
}
