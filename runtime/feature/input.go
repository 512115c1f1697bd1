package feature

import (
	"fmt"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
)

// Input does the preprocessing of Extractor.Extract alone: it brings pictures into the memory of an extractor's input tensor. It is
// used by one goroutine at a time and does not allocate once warm.
type Input struct{ pre *preprocessor }

// NewInput returns the preprocessing of a contract. The caller closes it.
func NewInput(contract bundle.Extractor) (*Input, error) {
	if err := contract.Validate(); err != nil {
		return nil, err
	}
	return &Input{newPreprocessor(contract.Input)}, nil
}

// Shape returns the dimensions of the tensor, of one picture.
func (i *Input) Shape() []int { return i.pre.shape() }

// Data returns the tensor's memory, which stays the same.
func (i *Input) Data() []float32 { return i.pre.data }

// Fill writes the tensor of a picture, 8 bit with 1 or 3 channels and of any size.
func (i *Input) Fill(picture gocv.Mat) error {
	if err := i.pre.run(picture); err != nil {
		return fmt.Errorf("preprocess: %w", err)
	}
	return nil
}

// Close frees the pictures on the way. Data stays valid.
func (i *Input) Close() error { return i.pre.close() }
