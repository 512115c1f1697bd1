package net

import (
	"fmt"
	"strconv"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// Names of what adapters compute and are trained on.
const (
	Adapted = "adapted" // output [B, T, Out] float32
	Target  = "target"  // [B, T, Out] float32, in training: the other stream's features of the same instants
)

// An adapter maps one stream's features to those that another stream, of the same instants, has: ego to exo. Its parameters'
// names begin with "adapter.", so that it can be traced in front of another network.

// adapterName begins the names of an adapter's parameters.
const adapterName = "adapter."

// TransformerAdapter is the feature-level adapter of Quattrocchi et al. (ECCV 2024, arXiv 2312.02638): encoder layers of a
// transformer (Vaswani et al., NeurIPS 2017) with the normalisation after each sum, GELU, and the input added to the
// result. There it has 12 layers of 1024 channels, 16 heads and no position code. Their code also gives the exo features
// to a decoder, which no rig has at hand when it counts; there is none here.
type TransformerAdapter struct {
	In  int `json:"in"`  // features a frame
	Out int `json:"out"` // features of the other stream; if it is not In, the input is added through a 1x1 convolution
	// Width is the number of channels inside; 0 means In. If it is neither In nor Out, 1x1 convolutions lead in and out.
	Width   int     `json:"width,omitempty"`
	Layers  int     `json:"layers"`
	Heads   int     `json:"heads"`            // must divide the width
	Hidden  int     `json:"hidden,omitempty"` // units of the feed-forward layers; 0 means four times the width
	Dropout float64 `json:"dropout"`
}

func (a TransformerAdapter) width() int {
	if a.Width == 0 {
		return a.In
	}
	return a.Width
}

// Check returns an error if the configuration cannot be built.
func (a TransformerAdapter) Check() error {
	switch {
	case a.In < 1 || a.Out < 1 || a.Width < 0 || a.Hidden < 0:
		return fmt.Errorf("transformer adapter: in %d, out %d, width %d, hidden %d; expected in and out >= 1, the others >= 0", a.In, a.Out,
			a.Width, a.Hidden)
	case a.Layers < 1 || a.Layers > maxLayers:
		return fmt.Errorf("transformer adapter: %d layers, expected 1 to %d", a.Layers, maxLayers)
	case a.Heads < 1 || a.width()%a.Heads != 0:
		return fmt.Errorf("transformer adapter: %d heads for a width of %d, expected a divisor", a.Heads, a.width())
	case !(a.Dropout >= 0 && a.Dropout < 1):
		return fmt.Errorf("transformer adapter: dropout %g, expected [0, 1)", a.Dropout)
	}
	return nil
}

// NewParams returns the adapter's parameters, initialised from the seed.
func (a TransformerAdapter) NewParams(seed uint64) (*nn.Params, error) {
	return newParams(seed, a.Check, func(b *nn.Build) { a.Forward(b, b.Features(Features, a.In)) })
}

// Forward traces the adapter over x [B, T, In] and returns [B, T, Out].
func (a TransformerAdapter) Forward(b *nn.Build, x *graph.Tensor) *graph.Tensor {
	if err := a.Check(); err != nil {
		b.Fail(err)
		return x
	}
	width, hidden := a.width(), a.Hidden
	if hidden == 0 {
		hidden = 4 * width
	}
	y := x
	if width != a.In {
		y = b.Linear(y, adapterName+"in", width)
	}
	for l := range a.Layers {
		y = EncoderLayer(b, y, adapterName+"layer"+strconv.Itoa(l), a.Heads, hidden, a.Dropout)
	}
	if width != a.Out {
		y = b.Linear(y, adapterName+"out", a.Out)
	}
	return addInput(b, x, y)
}

// EncoderLayer is one layer of a transformer's encoder over x [B, T, C] with all of the sequence's frames: self-attention and a
// feed-forward layer with GELU, each added to its input and normalised (Vaswani et al., NeurIPS 2017, section 3.1).
func EncoderLayer(b *nn.Build, x *graph.Tensor, name string, heads, hidden int, dropout float64) *graph.Tensor {
	width := x.Dim(-1)
	y := b.SelfAttention(x, b.Span(), name+".attention", heads)
	x = b.LayerNorm(b.Add(x, b.Dropout(y, dropout)), name+".norm0")
	y = b.Dropout(b.Gelu(b.Linear(x, name+".feed0", hidden)), dropout)
	y = b.Dropout(b.Linear(y, name+".feed1", width), dropout)
	return b.LayerNorm(b.Add(x, y), name+".norm1")
}

// addInput adds an adapter's input to what it has made of it.
func addInput(b *nn.Build, x, y *graph.Tensor) *graph.Tensor {
	if x.Dim(-1) != y.Dim(-1) {
		x = b.Linear(x, adapterName+"skip", y.Dim(-1))
	}
	return b.Add(x, y)
}

// Infer returns the model over whole sequences: Features [1, T, In] with any T to Adapted [1, T, Out].
func (a TransformerAdapter) Infer(p *nn.Params) ([]byte, error) {
	b := nn.NewInfer(p)
	b.Output(Adapted, a.Forward(b, b.Features(Features, a.In)))
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("transformer adapter: %w", err)
	}
	return model, nil
}

// Loss traces the adapter and the mean squared error between its result and the input Target.
func (a TransformerAdapter) Loss(b *nn.Build) *graph.Tensor {
	return regression(b, a.Forward(b, b.Features(Features, a.In)))
}

func regression(b *nn.Build, y *graph.Tensor) *graph.Tensor {
	return b.SquaredError(y, b.Features(Target, y.Dim(-1)), b.Weights())
}

// TCNAdapter is an adapter for rigs, lighter than a transformer: the residual layers of a TCN between 1x1 convolutions, the
// last of which starts at zero, so that an adapter for streams of equal width starts as the identity. With Causal it
// runs frame by frame.
type TCNAdapter struct {
	In       int     `json:"in"`       // features a frame
	Out      int     `json:"out"`      // features of the other stream; if it is not In, the input is added through a 1x1 convolution
	Channels int     `json:"channels"` // of the residual layers
	Layers   int     `json:"layers"`   // it sees 2^(Layers+1) - 1 frames, around the present one unless it is causal
	Causal   bool    `json:"causal"`
	Dropout  float64 `json:"dropout"`
}

// Check returns an error if the configuration cannot be built.
func (a TCNAdapter) Check() error {
	switch {
	case a.In < 1 || a.Out < 1 || a.Channels < 1:
		return fmt.Errorf("tcn adapter: in %d, out %d, channels %d; expected at least 1 of each", a.In, a.Out, a.Channels)
	case a.Layers < 1 || a.Layers > maxLayers:
		return fmt.Errorf("tcn adapter: %d layers, expected 1 to %d", a.Layers, maxLayers)
	case !(a.Dropout >= 0 && a.Dropout < 1):
		return fmt.Errorf("tcn adapter: dropout %g, expected [0, 1)", a.Dropout)
	}
	return nil
}

// Context returns how many frames the adapter sees on each side of a frame, or before it if it is causal.
func (a TCNAdapter) Context() int {
	return TCN{Layers: a.Layers, Symmetric: !a.Causal}.Context()
}

// NewParams returns the adapter's parameters, initialised from the seed.
func (a TCNAdapter) NewParams(seed uint64) (*nn.Params, error) {
	return newParams(seed, a.Check, func(b *nn.Build) { a.Forward(b, b.Features(Features, a.In)) })
}

// Standardize sets the constants that the branch's input is standardised with, one mean and standard deviation each.
func (a TCNAdapter) Standardize(p *nn.Params, mean, std []float32) error {
	return p.SetStandard(adapterName+norm, mean, std)
}

// Forward traces the adapter over x [B, T, In] and returns [B, T, Out].
func (a TCNAdapter) Forward(b *nn.Build, x *graph.Tensor) *graph.Tensor {
	if err := a.Check(); err != nil {
		b.Fail(err)
		return x
	}
	y := b.Linear(b.Standardize(x, adapterName+norm), adapterName+"in", a.Channels)
	y = residual(b, y, adapterName+"layer", a.Layers, a.Causal, a.Dropout)
	return addInput(b, x, b.ZeroLinear(b.Relu(y), adapterName+"out", a.Out))
}

// Infer returns the model over whole sequences: Features [1, T, In] with any T to Adapted [1, T, Out].
func (a TCNAdapter) Infer(p *nn.Params) ([]byte, error) { return a.model(nn.NewInfer(p)) }

// Stream returns the model of a causal adapter over single frames with the description of its state, as TCN.Stream does.
func (a TCNAdapter) Stream(p *nn.Params) ([]byte, nn.StreamSpec, error) {
	b := nn.NewStream(p)
	model, err := a.model(b)
	return model, b.StreamSpec(), err
}

func (a TCNAdapter) model(b *nn.Build) ([]byte, error) {
	b.Output(Adapted, a.Forward(b, b.Features(Features, a.In)))
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("tcn adapter: %w", err)
	}
	return model, nil
}

// Loss traces the adapter and the mean squared error between its result and the input Target.
func (a TCNAdapter) Loss(b *nn.Build) *graph.Tensor {
	return regression(b, a.Forward(b, b.Features(Features, a.In)))
}
