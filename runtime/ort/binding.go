package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	onnx "github.com/yalue/onnxruntime_go"
)

// Binding ties tensors to the inputs and outputs of a session, once, so that each run costs nothing but the run. It is
// used by one goroutine at a time.
type Binding struct {
	s *onnx.DynamicAdvancedSession
	b *onnx.IoBinding
	// The library keeps the tensors' addresses, so they must live as long as the binding.
	in, out []Tensor
}

// Bind ties in and out, in the order of Inputs and Outputs, and checks their shapes against the model's. The caller
// closes the binding before the tensors and before the session.
func (s *Session) Bind(in, out []Tensor) (*Binding, error) {
	if s.s == nil {
		return nil, errors.New("bind: the session is closed")
	}
	if err := check("input", s.in, in); err != nil {
		return nil, err
	}
	if err := check("output", s.out, out); err != nil {
		return nil, err
	}
	b, err := s.s.CreateIoBinding()
	if err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	for i, t := range in {
		if err == nil {
			err = b.BindInput(s.in[i].Name, t.value())
		}
	}
	for i, t := range out {
		if err == nil {
			err = b.BindOutput(s.out[i].Name, t.value())
		}
	}
	if err != nil {
		_ = b.Destroy() // the first error is the one to act on
		return nil, fmt.Errorf("bind: %w", err)
	}
	handles.bindings.Add(1)
	return &Binding{s: s.s, b: b, in: slices.Clone(in), out: slices.Clone(out)}, nil
}

func check(what string, want []Info, got []Tensor) error {
	if len(want) != len(got) {
		return fmt.Errorf("%w: it has %d %ss %v, got %d tensors", ErrModel, len(want), what, want, len(got))
	}
	for i, w := range want {
		if got[i] == nil || got[i].value() == nil {
			return fmt.Errorf("%s %q: its tensor is missing or closed", what, w.Name)
		}
		sh := got[i].Shape()
		ok := len(sh) == len(w.Shape) || (len(w.Shape) == 0 && len(sh) == 1 && sh[0] == 1)
		for j := 0; ok && j < len(w.Shape); j++ {
			ok = w.Shape[j] < 0 || w.Shape[j] == sh[j]
		}
		if !ok {
			return fmt.Errorf("%w: %s %q has shape %v, got a tensor of %v", ErrModel, what, w.Name, w.Shape, sh)
		}
		if e := got[i].element(); e != w.Type {
			return fmt.Errorf("%w: %s %q is %s, got a tensor of %s", ErrModel, what, w.Name, w.Type, e)
		}
	}
	return nil
}

// Run reads the bound inputs, runs the model and writes the bound outputs. It does not allocate.
func (b *Binding) Run() error {
	if b.b == nil {
		return errors.New("run model: the binding is closed")
	}
	err := b.s.RunWithBinding(b.b)
	runtime.KeepAlive(b) // and with it the tensors, whose finalizers would take the memory away under the run
	if err != nil {
		return fmt.Errorf("run model: %w", err)
	}
	return nil
}

// Close frees the binding, not its tensors. Closing again does nothing.
func (b *Binding) Close() error {
	if b.b == nil {
		return nil
	}
	handles.bindings.Add(-1)
	err := b.b.Destroy()
	b.b, b.in, b.out = nil, nil, nil
	return err
}
