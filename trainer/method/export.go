package method

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
	"tandem/tas"
)

// ChosenTeacher is Teacher, but leaves the epoch that scores best on labelled exo sequences apart from the problem's.
func ChosenTeacher(ctx context.Context, p Problem, heldOut []Labelled, o Options) (*Model, error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	if err := p.checkExo(); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	for _, l := range heldOut {
		if err := l.check(p.Exo[0].Dim, p.Labels.Len()); err != nil {
			return nil, fmt.Errorf("teacher: held out: %w", err)
		}
	}
	return o.fromLabels(ctx, "teacher", p, p.Exo, heldOut...)
}

// FromTCN returns a TCN that was trained elsewhere, or stored, as a model. It uses the parameters, not a copy.
func FromTCN(c net.TCN, params *nn.Params, labels tas.Labels, background []string, session ort.Options) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Classes != labels.Len() {
		return nil, fmt.Errorf("a network of %d classes for %d labels", c.Classes, labels.Len())
	}
	return &Model{Labels: labels, Background: background, Params: params, net: &segmenter{in: c.In, classes: c.Classes, tcn: &c}, session: session}, nil
}

// TCN returns the network's description. It reports false if the model is anything else, or more, such as a TCN behind an
// adapter.
func (m *Model) TCN() (net.TCN, bool) {
	if m.net.tcn == nil || m.net.adapter != nil {
		return net.TCN{}, false
	}
	return *m.net.tcn, true
}

// Clone returns an independent copy.
func (m *Model) Clone() *Model {
	c := *m
	c.Params = m.Params.Clone()
	c.Offsets = slices.Clone(m.Offsets)
	return &c
}

// Lags are how late the outputs judge, in frames, ascending.
func (m *Model) Lags() []int {
	if m.net.tcn != nil && len(m.net.tcn.Lags) > 0 {
		return slices.Clone(m.net.tcn.Lags)
	}
	return []int{0}
}

// Causal tells whether the model never looks ahead of a frame, so that it can be streamed.
func (m *Model) Causal() bool {
	return m.net.tcn != nil && !m.net.tcn.Symmetric && (m.net.adapter == nil || m.net.adapter.Causal)
}

// Context is how many frames on each side of a frame a model that is not causal looks at. It reports false where that is the
// whole sequence, as with a C2F-TCN.
func (m *Model) Context() (frames int, bounded bool) {
	if m.net.tcn == nil {
		return 0, false
	}
	frames = m.net.tcn.Context()
	if m.net.adapter == nil {
		return frames, true
	}
	a, ok := m.net.adapter.network.(net.TCNAdapter)
	return frames + a.Context(), ok
}

// Joint returns the ONNX model over whole sequences with one output: net.Features [1, T, Dim] of any T to net.LogitsName(0)
// [1, T, classes], whose softmax are the probabilities that Predict gives.
func (m *Model) Joint() ([]byte, error) {
	if len(m.Lags()) > 1 || m.Lags()[0] > 0 {
		return nil, errors.New("the model's heads judge at several times: there is no one output that judges each frame")
	}
	b := nn.NewInfer(m.Params)
	list := m.net.forward(b, b.Features(net.Features, m.net.width()))
	y := list[0].logits
	if m.net.c2f != nil {
		scales := make([]*graph.Tensor, len(list))
		for i, o := range list {
			scales[i] = o.logits
		}
		y = m.net.c2f.Join(b, scales)
	}
	b.Output(net.LogitsName(0), y)
	return b.Model()
}

// Stream returns the ONNX model over single frames of a causal model, adapter included: net.Features [1, 1, Dim] to
// net.LogitsName(lag) [1, 1, classes] for each of Lags, and the state that has to be kept between frames.
func (m *Model) Stream() ([]byte, nn.StreamSpec, error) {
	var none nn.StreamSpec
	if !m.Causal() {
		return nil, none, errors.New("the model looks ahead of the frame that it judges: only a causal one can be streamed")
	}
	b := nn.NewStream(m.Params)
	for i, o := range m.net.forward(b, b.Features(net.Features, m.net.width())) {
		b.Output(net.LogitsName(m.Lags()[i]), o.logits)
	}
	model, err := b.Model()
	return model, b.StreamSpec(), err
}
