package net

import (
	"errors"
	"fmt"

	"tandem/runtime/ort"
)

// Predictor runs an inference model of a sequence network over whole sequences, to evaluate it. It is not safe for
// concurrent use.
type Predictor struct {
	s *ort.Session
}

// NewPredictor opens a model with one input [1, T, width] of any T and outputs [1, T, …], such as TCN.Infer gives. The
// caller closes it.
func NewPredictor(model []byte, opts ort.Options) (*Predictor, error) {
	s, err := ort.Open(model, opts)
	if err != nil {
		return nil, err
	}
	for _, i := range append(append([]ort.Info(nil), s.Inputs()...), s.Outputs()...) {
		if len(i.Shape) != 3 || i.Type != "float32" || i.Shape[1] > 0 || i.Shape[2] < 1 || len(s.Inputs()) != 1 {
			return nil, errors.Join(fmt.Errorf("%w: %d inputs, %v; expected one input and outputs float32 [1, T, width] with any T",
				ort.ErrModel, len(s.Inputs()), i), s.Close())
		}
	}
	return &Predictor{s: s}, nil
}

// Run feeds features, frames rows of the input's width, and returns each output's frames rows in the model's order of
// outputs. The slices belong to the caller.
func (p *Predictor) Run(features []float32) ([][]float32, error) {
	width := p.s.Inputs()[0].Shape[2]
	frames := len(features) / width
	if frames == 0 || frames*width != len(features) {
		return nil, fmt.Errorf("predict: %d values, expected a multiple of %d and at least one frame", len(features), width)
	}
	var open []ort.Tensor
	tensor := func(data []float32, width int) (ort.Tensor, error) {
		t, err := ort.NewTensor([]int{1, frames, width}, data)
		if err == nil {
			open = append(open, t)
		}
		return t, err
	}
	defer func() {
		for _, t := range open {
			_ = t.Close() // frees memory only
		}
	}()
	in, err := tensor(features, width)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	var outs []ort.Tensor
	var results [][]float32
	for _, o := range p.s.Outputs() {
		data := make([]float32, frames*o.Shape[2])
		t, err := tensor(data, o.Shape[2])
		if err != nil {
			return nil, fmt.Errorf("predict: %w", err)
		}
		outs, results = append(outs, t), append(results, data)
	}
	b, err := p.s.Bind([]ort.Tensor{in}, outs)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	if err := errors.Join(b.Run(), b.Close()); err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	return results, nil
}

// Close frees the session.
func (p *Predictor) Close() error { return p.s.Close() }
