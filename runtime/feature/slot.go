package feature

import (
	"errors"

	"tandem/runtime/ort"
)

// Slot is the memory of one run of an extractor: a picture that has been prepared, then its features. With several of them one
// picture is prepared while another is run. It is used by one goroutine at a time.
type Slot struct {
	in, out []float32
	tensors []ort.Tensor
	session *ort.Session
	bind    *ort.Binding
	done    chan error // capacity 1: what came of a run among others
}

// NewSlot makes a slot for this extractor. The caller closes it.
func (e *Extractor) NewSlot() (_ *Slot, err error) {
	shape, dim := e.pre.shape(), e.Dim()
	s := &Slot{in: make([]float32, len(e.pre.data)), out: make([]float32, dim), done: make(chan error, 1)}
	defer func() {
		if err != nil {
			_ = s.Close() // the first error is the one to act on
		}
	}()
	// It may outlive the extractor.
	if s.session, err = e.session.Share(); err != nil {
		return nil, err
	}
	in, err := ort.NewTensor(shape, s.in)
	if err != nil {
		return nil, err
	}
	s.tensors = append(s.tensors, in)
	outShape := []int{1, dim}
	if e.flat {
		outShape = outShape[1:]
	}
	out, err := ort.NewTensor(outShape, s.out)
	if err != nil {
		return nil, err
	}
	s.tensors = append(s.tensors, out)
	s.bind, err = s.session.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	return s, err
}

// Close frees the slot. Closing again does nothing.
func (s *Slot) Close() error {
	var errs []error
	if s.bind != nil {
		errs = append(errs, s.bind.Close())
	}
	for _, t := range s.tensors {
		errs = append(errs, t.Close())
	}
	if s.session != nil {
		errs = append(errs, s.session.Close())
	}
	return errors.Join(errs...)
}
