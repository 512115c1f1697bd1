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

// Extractor computes features by the bundle's extractor model under its input contract. It does not allocate once warm.
//
// Extract is used by one goroutine at a time. So is Prepare, but Run may work on other slots meanwhile, and several calls of
// Run on as many slots.
type Extractor struct {
	contract bundle.Extractor
	pre      *preprocessor
	session  *ort.Session
	crew     *crew
	flat     bool // the output has no batch axis
	own      *Slot
	closed   bool
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
	e := &Extractor{contract: contract, crew: newCrew(opts)}
	e.crew.members.Add(1)
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
	e.flat = len(outs[0].Shape) == 1
	e.pre = newPreprocessor(contract.Input)
	e.own, err = e.NewSlot()
	return e, err
}

// Share returns another extractor on the same loaded model, for another camera. The caller closes it; the model is freed with
// the last.
func (e *Extractor) Share() (*Extractor, error) {
	session, err := e.session.Share()
	if err != nil {
		return nil, err
	}
	other := &Extractor{contract: e.contract, session: session, crew: e.crew, flat: e.flat, pre: newPreprocessor(e.contract.Input)}
	e.crew.members.Add(1)
	if other.own, err = other.NewSlot(); err != nil {
		return nil, errors.Join(err, other.Close())
	}
	return other, nil
}

// Dim returns the length of a feature vector.
func (e *Extractor) Dim() int { return e.contract.Dim }

// Provider returns the execution provider that runs the model.
func (e *Extractor) Provider() string { return e.session.Provider() }

// Extract writes the features of a picture, 8 bit with 1 (grey) or 3 channels (BGR) and of any size, into dst, which
// has length Dim.
func (e *Extractor) Extract(picture gocv.Mat, dst []float32) error {
	if len(dst) != e.Dim() {
		return fmt.Errorf("extract features: room for %d values, expected %d", len(dst), e.Dim())
	}
	if err := e.Prepare(picture, e.own); err != nil {
		return err
	}
	features, err := e.Run(e.own)
	if err != nil {
		return err
	}
	copy(dst, features)
	return nil
}

// Prepare brings a picture as Extract takes it into a slot of this extractor, to be run.
func (e *Extractor) Prepare(picture gocv.Mat, s *Slot) error {
	if e.closed {
		return errors.New("extract features: the extractor is closed")
	}
	if err := e.pre.fill(picture, s.in); err != nil {
		return fmt.Errorf("extract features: %w", err)
	}
	return nil
}

// Run computes the features of the picture in a slot. They are valid until the slot's next use.
func (e *Extractor) Run(s *Slot) ([]float32, error) {
	if err := e.crew.run(s); err != nil {
		return nil, fmt.Errorf("extract features: %w", err)
	}
	return s.out, nil
}

// Close frees the model and its memory. Closing again does nothing. Slots are closed by whoever made them, before or after.
func (e *Extractor) Close() error {
	var errs []error
	if !e.closed {
		errs = append(errs, e.crew.leave())
	}
	e.closed = true
	if e.own != nil {
		errs = append(errs, e.own.Close())
	}
	if e.session != nil {
		errs = append(errs, e.session.Close())
	}
	if e.pre != nil {
		errs = append(errs, e.pre.close())
	}
	return errors.Join(errs...)
}
