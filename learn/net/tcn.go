package net

import (
	"fmt"
	"strconv"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// Names of the inputs and outputs of sequence networks.
const (
	Features = "features" // [B, T, In] float32
	Labels   = "labels"   // [B, T] int64, in training
	Teacher  = "teacher"  // [B, T, Classes] float32 probabilities, in training
	norm     = "norm"
)

// TCN is a causal dilated residual temporal convolutional network: one stage of MS-TCN (Farha & Gall, CVPR 2019,
// section 3.1) with causal convolutions, as the online variant of MS-TCN++ (Li et al., TPAMI 2020) has them.
// Features are standardised, mapped to Channels, and pass Layers residual layers, the l-th with dilation 2^l: a causal
// convolution of three taps, ReLU, a 1x1 convolution, dropout.
//
// It has one head for each decision lag: the head of lag n scores at time t the frame t-n, so that it has seen n
// frames beyond the one it judges. Its output is named LogitsName(n). Lag 0 is the provisional label.
type TCN struct {
	In       int     `json:"in"`       // features a frame
	Channels int     `json:"channels"` // of the residual layers
	Layers   int     `json:"layers"`   // the network sees 2^(Layers+1) - 1 frames
	Classes  int     `json:"classes"`
	Lags     []int   `json:"lags"`    // ascending, in frames; empty means [0]
	Dropout  float64 `json:"dropout"` // rate in the residual layers while training
	// Symmetric makes the convolutions look as far ahead as back, as those of MS-TCN do: for whole sequences only.
	Symmetric bool `json:"symmetric,omitempty"`
}

// kernel is the number of taps of the residual layers' convolutions.
const kernel = 3

// maxLayers keeps dilations and states in a sane range: 16 layers see an hour at 30 frames a second.
const maxLayers = 16

// LogitsName returns the output name of the head with the given lag.
func LogitsName(lag int) string { return "logits_lag" + strconv.Itoa(lag) }

// Check returns an error if the configuration cannot be built.
func (c TCN) Check() error {
	switch {
	case c.In < 1 || c.Channels < 1 || c.Classes < 1:
		return fmt.Errorf("tcn: in %d, channels %d, classes %d; expected at least 1 of each", c.In, c.Channels, c.Classes)
	case c.Layers < 1 || c.Layers > maxLayers:
		return fmt.Errorf("tcn: %d layers, expected 1 to %d", c.Layers, maxLayers)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("tcn: dropout %g, expected [0, 1)", c.Dropout)
	}
	for i, n := range c.Lags {
		if n < 0 || (i > 0 && n <= c.Lags[i-1]) {
			return fmt.Errorf("tcn: lags %v, expected them >= 0 and ascending", c.Lags)
		}
	}
	return nil
}

// Reach returns how many frames back the network sees, the present one included.
func (c TCN) Reach() int { return (kernel-1)*(1<<c.Layers-1) + 1 }

// Context returns how many frames the network sees on each side of a frame, or before it if it is causal.
func (c TCN) Context() int {
	if c.Symmetric {
		return (c.Reach() - 1) / 2
	}
	return c.Reach() - 1
}

func (c TCN) lags() []int {
	if len(c.Lags) == 0 {
		return []int{0}
	}
	return c.Lags
}

// NewParams returns the network's parameters, initialised from the seed.
func (c TCN) NewParams(seed uint64) (*nn.Params, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	p, err := nn.Declare(func(b *nn.Build) { c.Forward(b, b.Features(Features, c.In)) })
	if err != nil {
		return nil, err
	}
	p.Init(seed)
	return p, nil
}

// Standardize sets the constants that features are standardised with, one mean and standard deviation each.
func (c TCN) Standardize(p *nn.Params, mean, std []float32) error {
	return p.SetStandard(norm, mean, std)
}

// Forward traces the network over x [B, T, In] and returns the logits [B, T, Classes] of each head in the order of Lags.
func (c TCN) Forward(b *nn.Build, x *graph.Tensor) []*graph.Tensor {
	heads, _ := c.ForwardHidden(b, x)
	return heads
}

// ForwardHidden is Forward and also returns the hidden features [B, T, Channels] that the heads read.
func (c TCN) ForwardHidden(b *nn.Build, x *graph.Tensor) (heads []*graph.Tensor, hidden *graph.Tensor) {
	if err := c.Check(); err != nil {
		b.Fail(err)
		return nil, x
	}
	x = b.Linear(b.Standardize(x, norm), "in", c.Channels)
	x = residual(b, x, "layer", c.Layers, !c.Symmetric, c.Dropout)
	for _, lag := range c.lags() {
		heads = append(heads, b.Linear(x, "head.lag"+strconv.Itoa(lag), c.Classes))
	}
	return heads, x
}

// residual traces layers of a dilated convolution, ReLU, a 1x1 convolution and dropout, each added to its input; the
// l-th, named prefix and l, has dilation 2^l.
func residual(b *nn.Build, x *graph.Tensor, prefix string, layers int, causal bool, dropout float64) *graph.Tensor {
	for l := range layers {
		name := prefix + strconv.Itoa(l)
		y := b.Relu(b.Conv1D(x, name+".conv", x.Dim(-1), kernel, 1<<l, causal))
		x = b.Add(x, b.Dropout(b.Linear(y, name+".mix", x.Dim(-1)), dropout))
	}
	return x
}

// Infer returns the model over whole sequences: Features [1, T, In] with any T to the logits [1, T, Classes] of each
// head.
func (c TCN) Infer(p *nn.Params) ([]byte, error) { return c.model(nn.NewInfer(p)) }

// Stream returns the model over single frames, Features [1, 1, In], with the description of its state, which is also in
// the model's metadata (nn.ReadStreamSpec).
func (c TCN) Stream(p *nn.Params) ([]byte, nn.StreamSpec, error) {
	b := nn.NewStream(p)
	model, err := c.model(b)
	return model, b.StreamSpec(), err
}

func (c TCN) model(b *nn.Build) ([]byte, error) {
	for i, y := range c.Forward(b, b.Features(Features, c.In)) {
		b.Output(LogitsName(c.lags()[i]), y)
	}
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("tcn: %w", err)
	}
	return model, nil
}

// Loss traces the network and its loss: the mean over heads of the weighted terms. Labels and teacher probabilities are given on
// the natural time line; the head of lag n is trained at t with those of t-n, as long as t is a frame of the sequence.
func (c TCN) Loss(b *nn.Build, o Objective) *graph.Tensor {
	x := b.Features(Features, c.In)
	terms := terms{b: b, o: o, weights: b.Weights(), present: b.Present()}
	if o.Labels > 0 {
		terms.labels = b.Labels(Labels, c.Classes)
	}
	if o.Teacher > 0 {
		terms.teacher = b.Features(Teacher, c.Classes)
	}
	var sum *graph.Tensor
	heads := 0
	for i, y := range c.Forward(b, x) {
		lag := c.lags()[i]
		if lag >= b.Frames {
			continue // no frame of so short a sequence can be judged so late
		}
		heads++
		l := terms.loss(y, lag)
		if sum != nil {
			l = b.Add(sum, l)
		}
		sum = l
	}
	if sum == nil {
		b.Fail(fmt.Errorf("tcn: sequences of %d frames are shorter than each lag of %v", b.Frames, c.lags()))
		return b.Scalar(0)
	}
	return b.Scale(sum, 1/float64(heads))
}
