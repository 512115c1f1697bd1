// Package feature turns pictures into feature vectors by a bundle's extractor.
package feature

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// Extractor computes features by the bundle's extractor model under its input contract. It is used by one goroutine at
// a time and does not allocate once warm.
type Extractor struct {
	dim     int
	pre     *preprocessor
	session *ort.Session
	tensors []ort.Tensor
	bind    *ort.Binding
	out     []float32
	closed  bool
}

// Open opens the extractor of a bundle. The caller closes it.
func Open(b *bundle.Dir, opts ort.Options) (*Extractor, error) {
	onnx, err := os.ReadFile(filepath.Join(b.Path, b.Extractor.Name))
	if err != nil {
		return nil, fmt.Errorf("extractor of %s: %w", b.Release, err)
	}
	e, err := New(onnx, b.Extractor, opts)
	if err != nil {
		return nil, fmt.Errorf("extractor of %s: %w", b.Release, err)
	}
	return e, nil
}

// New opens an extractor from its serialised model and its contract, as a trainer has them before there is a bundle. The
// model's names, types and shapes must be what the contract says; the error names both. The caller closes it.
func New(onnx []byte, contract bundle.Extractor, opts ort.Options) (_ *Extractor, err error) {
	if err := contract.Validate(); err != nil {
		return nil, err
	}
	e := &Extractor{dim: contract.Dim}
	defer func() {
		if err != nil {
			_ = e.Close() // the first error is the one to act on
		}
	}()
	if e.session, err = ort.Open(onnx, opts); err != nil {
		return nil, err
	}
	if n := e.session.Inputs(); len(n) != 1 || n[0].Name != contract.Input.Name {
		return nil, fmt.Errorf("the model's inputs are %v, the manifest says one input %q", n, contract.Input.Name)
	}
	outs := e.session.Outputs()
	if len(outs) != 1 || outs[0].Name != contract.Output {
		return nil, fmt.Errorf("the model's outputs are %v, the manifest says one output %q", outs, contract.Output)
	}
	e.pre = newPreprocessor(contract.Input)
	e.out = make([]float32, e.dim)
	in, err := ort.NewTensor(e.pre.shape(), e.pre.data)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, in)
	shape := []int{1, e.dim}
	if len(outs[0].Shape) == 1 {
		shape = shape[1:]
	}
	out, err := ort.NewTensor(shape, e.out)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, out)
	e.bind, err = e.session.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	return e, err
}

// Dim returns the length of a feature vector.
func (e *Extractor) Dim() int { return e.dim }

// Provider returns the execution provider that runs the model.
func (e *Extractor) Provider() string { return e.session.Provider() }

// Extract writes the features of a picture, 8 bit with 1 (grey) or 3 channels (BGR) and of any size, into dst, which
// has length Dim.
func (e *Extractor) Extract(picture gocv.Mat, dst []float32) error {
	if len(dst) != e.dim {
		return fmt.Errorf("extract features: room for %d values, expected %d", len(dst), e.dim)
	}
	if e.closed {
		return errors.New("extract features: the extractor is closed")
	}
	if err := e.pre.run(picture); err != nil {
		return fmt.Errorf("extract features: %w", err)
	}
	if err := e.bind.Run(); err != nil {
		return fmt.Errorf("extract features: %w", err)
	}
	copy(dst, e.out)
	return nil
}

// Close frees the model and its memory. Closing again does nothing.
func (e *Extractor) Close() error {
	e.closed = true
	var errs []error
	if e.bind != nil {
		errs = append(errs, e.bind.Close())
	}
	for _, t := range e.tensors {
		errs = append(errs, t.Close())
	}
	if e.session != nil {
		errs = append(errs, e.session.Close())
	}
	if e.pre != nil {
		errs = append(errs, e.pre.close())
	}
	return errors.Join(errs...)
}
