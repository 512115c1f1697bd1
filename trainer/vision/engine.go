package vision

import (
	"errors"
	"fmt"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/trainer/backbone"
)

// Pictures are pictures by number, brought to an extractor's input: [C, H, W] bytes before its normalisation.
type Pictures interface {
	Len() int
	Size() int // bytes of a picture
	Read(i int, dst []byte) error
}

// Eyes compute an extractor's features of stored pictures. They are used by one goroutine at a time.
type Eyes struct{ e *engine }

// Open opens an extractor. The caller closes the eyes.
func Open(b *backbone.Backbone, opts ort.Options) (*Eyes, error) {
	if im := b.Contract.Input; im.Layout != "NCHW" || im.Depth() != 3 {
		return nil, fmt.Errorf("the extractor's input is %s of %d channels, expected NCHW of 3", im.Layout, im.Depth())
	}
	e, err := newEngine(b.ONNX, b.Contract, b.Contract.Dim, opts)
	if err != nil {
		return nil, err
	}
	return &Eyes{e}, nil
}

// See returns the features of all pictures, one after the other.
func (e *Eyes) See(p Pictures) ([]float32, error) {
	if p.Size() != len(e.e.raw) {
		return nil, fmt.Errorf("pictures of %d bytes, the extractor reads %d", p.Size(), len(e.e.raw))
	}
	out := make([]float32, 0, p.Len()*len(e.e.out))
	for i := range p.Len() {
		if err := p.Read(i, e.e.raw); err != nil {
			return nil, err
		}
		y, err := e.e.run()
		if err != nil {
			return nil, err
		}
		out = append(out, y...)
	}
	return out, nil
}

// Close frees the model.
func (e *Eyes) Close() error { return e.e.close() }

// engine runs a network over cached pictures, one at a time.
type engine struct {
	raw     []byte
	in, out []float32
	table   [3][256]float32
	session *ort.Session
	tensors []ort.Tensor
	bind    *ort.Binding
}

func newEngine(model []byte, contract bundle.Extractor, width int, opts ort.Options) (_ *engine, err error) {
	im := contract.Input
	n := 3 * im.Width * im.Height
	e := &engine{raw: make([]byte, n), in: make([]float32, n), out: make([]float32, width)}
	for c := range e.table {
		for v := range e.table[c] {
			e.table[c][v] = float32((float64(v)*im.Scale - im.Mean[c]) / im.Std[c])
		}
	}
	defer func() {
		if err != nil {
			_ = e.close() // the first error is the one to act on
		}
	}()
	if e.session, err = ort.Open(model, opts); err != nil {
		return nil, err
	}
	in, err := ort.NewTensor([]int{1, 3, im.Height, im.Width}, e.in)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, in)
	out, err := ort.NewTensor([]int{1, width}, e.out)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, out)
	e.bind, err = e.session.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	return e, err
}

// run computes the outputs of raw. The slice is valid until the next run.
func (e *engine) run() ([]float32, error) {
	n := len(e.raw) / 3
	for c := range e.table {
		for i, v := range e.raw[c*n : (c+1)*n] {
			e.in[c*n+i] = e.table[c][v]
		}
	}
	return e.out, e.bind.Run()
}

func (e *engine) close() error {
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
	return errors.Join(errs...)
}
