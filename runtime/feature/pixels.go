package feature

import (
	"fmt"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
)

// Pixels brings pictures to an extractor's input size, layout and order of channels, as Extractor.Extract does, and stops
// before the normalisation: the bytes that training reads are those that inference will read. It is used by one goroutine
// at a time and does not allocate once warm.
type Pixels struct{ pre *preprocessor }

// NewPixels returns the first half of the preprocessing of a contract. The caller closes it.
func NewPixels(contract bundle.Extractor) (*Pixels, error) {
	if err := contract.Validate(); err != nil {
		return nil, err
	}
	im := contract.Input
	// value = pixel: the table's floats are the bytes.
	im.Scale, im.Mean, im.Std = 1, make([]float64, im.Depth()), make([]float64, im.Depth())
	for i := range im.Std {
		im.Std[i] = 1
	}
	return &Pixels{newPreprocessor(im)}, nil
}

// Size returns the number of bytes of a picture.
func (p *Pixels) Size() int { return len(p.pre.data) }

// Read writes the input's bytes of a picture, 8 bit with 1 or 3 channels and of any size, into dst, which has length Size.
func (p *Pixels) Read(picture gocv.Mat, dst []byte) error {
	if len(dst) != p.Size() {
		return fmt.Errorf("read pixels: room for %d bytes, expected %d", len(dst), p.Size())
	}
	if err := p.pre.run(picture); err != nil {
		return fmt.Errorf("read pixels: %w", err)
	}
	for i, v := range p.pre.data {
		dst[i] = byte(v)
	}
	return nil
}

// Close frees the memory.
func (p *Pixels) Close() error { return p.pre.close() }
