package net

import (
	"fmt"
	"math"
	"strconv"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// C2FTCN is the coarse-to-fine encoder-decoder of Singhania, Rahaman & Yao (arXiv 2105.10859; TPAMI 2023), with the sizes
// of its published code. The encoder has seven levels of two convolutions of five taps, each with batch normalisation and
// ReLU, and halves the frames by max-pooling between levels. At the bottom a temporal pyramid pools over 2, 3, 5 and 6 frames
// and adds one channel of each. Six decoder levels double the frames, join the encoder's level of that resolution, convolve
// like the encoder and score the classes. All six outputs are stretched to the input's frames.
//
// It sees the whole sequence, so it serves offline: a teacher, or a student for recordings. Convolutions have no bias
// where the published code has one, since the normalisation takes it out. A sequence that is too short for a pooling
// window is one window, where the published code fails.
type C2FTCN struct {
	In      int `json:"in"` // features a frame
	Classes int `json:"classes"`
	// Width is the number of channels of the three finest levels, the other levels have half of it; 0 means 256, as published.
	Width int `json:"width,omitempty"`
	// Ensemble weighs the probabilities of the decoder outputs, the finest first; nil means 1 each, as Quattrocchi et al.
	// (ECCV 2024) have it. The original weighs 1, 1, 1, 1, 0, 0.
	Ensemble []float64 `json:"ensemble,omitempty"`
	// Standardized puts a standardisation before the network, whose constants Standardize sets.
	Standardized bool `json:"standardized,omitempty"`
}

const (
	c2fWidth  = 256
	c2fKernel = 5
	c2fScales = 6
	// tinyProbability keeps the logarithm of the ensemble's probabilities finite, as published.
	tinyProbability = 1e-10
)

// pyramid are the windows of the temporal pyramid pooling.
var pyramid = []int{2, 3, 5, 6}

// ScaleName returns the name of what belongs to decoder output i, 0 for the finest.
func ScaleName(name string, i int) string { return name + ".scale" + strconv.Itoa(i) }

// Logits is the base name of a C2FTCN's outputs by scale.
const Logits = "logits"

// Check returns an error if the configuration cannot be built.
func (c C2FTCN) Check() error {
	switch {
	case c.In < 1 || c.Classes < 1:
		return fmt.Errorf("c2f-tcn: in %d, classes %d; expected at least 1 of each", c.In, c.Classes)
	case c.Width < 0 || c.Width%2 != 0:
		return fmt.Errorf("c2f-tcn: width %d, expected an even number, or 0 for %d", c.Width, c2fWidth)
	case len(c.Ensemble) != 0 && len(c.Ensemble) != c2fScales:
		return fmt.Errorf("c2f-tcn: %d weights of the ensemble, expected %d", len(c.Ensemble), c2fScales)
	}
	var sum float64
	for _, w := range c.Ensemble {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("c2f-tcn: ensemble weights %v, expected them >= 0", c.Ensemble)
		}
		sum += w
	}
	if len(c.Ensemble) > 0 && sum == 0 {
		return fmt.Errorf("c2f-tcn: ensemble weights %v, expected one > 0", c.Ensemble)
	}
	return nil
}

// Scales returns the number of decoder outputs.
func (c C2FTCN) Scales() int { return c2fScales }

func (c C2FTCN) widths() []int {
	wide := c.Width
	if wide == 0 {
		wide = c2fWidth
	}
	return []int{wide, wide, wide, wide / 2, wide / 2, wide / 2, wide / 2}
}

// NewParams returns the network's parameters, initialised from the seed.
func (c C2FTCN) NewParams(seed uint64) (*nn.Params, error) {
	return newParams(seed, c.Check, func(b *nn.Build) { c.Forward(b, b.Features(Features, c.In)) })
}

func newParams(seed uint64, check func() error, define func(b *nn.Build)) (*nn.Params, error) {
	if err := check(); err != nil {
		return nil, err
	}
	p, err := nn.Declare(define)
	if err != nil {
		return nil, err
	}
	p.Init(seed)
	return p, nil
}

// Standardize sets the constants that features are standardised with, one mean and standard deviation each. The network
// must be Standardized.
func (c C2FTCN) Standardize(p *nn.Params, mean, std []float32) error {
	return p.SetStandard(norm, mean, std)
}

// Forward traces the network over x [B, T, In] and returns the logits [B, T, Classes] of the decoder outputs, the finest
// first, stretched to T.
func (c C2FTCN) Forward(b *nn.Build, x *graph.Tensor) []*graph.Tensor {
	scales, _ := c.ForwardHidden(b, x)
	return scales
}

// ForwardHidden is Forward and also returns the hidden features [B, T, Width/2] of the finest level, which its head reads.
func (c C2FTCN) ForwardHidden(b *nn.Build, x *graph.Tensor) (scales []*graph.Tensor, hidden *graph.Tensor) {
	if err := c.Check(); err != nil {
		b.Fail(err)
		return nil, x
	}
	if c.Standardized {
		x = b.Standardize(x, norm)
	}
	widths := c.widths()
	line := b.Span()
	levels := []level{c.convolve(b, level{x, line}, "down0", widths[0])}
	for i, width := range widths[1:] {
		above := levels[i]
		pooled, span := above.span.MaxPool(above.x, 2)
		levels = append(levels, c.convolve(b, level{pooled, span}, "down"+strconv.Itoa(i+1), width))
	}
	at := c.pyramid(b, levels[c2fScales])
	scales = make([]*graph.Tensor, c2fScales)
	for i := range scales {
		skip := levels[c2fScales-1-i]
		joined := b.Concat(2, skip.x, at.span.Double(at.x, skip.x))
		at = c.convolve(b, level{joined, skip.span}, "up"+strconv.Itoa(i), widths[c2fScales])
		logits := b.Linear(at.x, "head"+strconv.Itoa(i), c.Classes)
		scales[c2fScales-1-i] = at.span.Stretch(logits, line, x)
	}
	return scales, at.x
}

// level is a tensor [B, T, C] with its time line.
type level struct {
	x    *graph.Tensor
	span nn.Span
}

// convolve is the network's building block: twice convolution, normalisation and ReLU.
func (c C2FTCN) convolve(b *nn.Build, in level, name string, out int) level {
	for i := range 2 {
		in.x = b.Relu(b.Conv1DNorm(in.x, in.span, name+".conv"+strconv.Itoa(i), out, c2fKernel, 1, false))
	}
	return in
}

// pyramid adds a channel for each pooling window. They share one 1x1 convolution.
func (c C2FTCN) pyramid(b *nn.Build, in level) level {
	var joined []*graph.Tensor
	for _, k := range pyramid {
		pooled, span := in.span.MaxPool(in.x, k)
		joined = append(joined, span.Stretch(b.Linear(pooled, "pyramid", 1), in.span, in.x))
	}
	return level{b.Concat(2, append(joined, in.x)...), in.span}
}

// Join returns the logarithm of the ensemble's class probabilities [B, T, Classes] from what Forward returned: the weighted
// mean of the outputs' softmax.
func (c C2FTCN) Join(b *nn.Build, scales []*graph.Tensor) *graph.Tensor {
	if len(scales) != c2fScales {
		b.Fail(fmt.Errorf("c2f-tcn: an ensemble of %d outputs, expected %d", len(scales), c2fScales))
		return b.Scalar(0)
	}
	weights := c.Ensemble
	if len(weights) == 0 {
		weights = []float64{1, 1, 1, 1, 1, 1}
	}
	var total float64
	for _, w := range weights {
		total += w
	}
	var sum *graph.Tensor
	for i, y := range scales {
		if weights[i] == 0 {
			continue
		}
		p := b.Scale(b.Softmax(y), weights[i]/total)
		if sum != nil {
			p = b.Add(sum, p)
		}
		sum = p
	}
	return b.Log(b.Shift(sum, tinyProbability))
}

// Infer returns the model over whole sequences: Features [1, T, In] with any T >= 1 to LogitsName(0) [1, T, Classes], the
// logarithm of the ensemble's probabilities.
func (c C2FTCN) Infer(p *nn.Params) ([]byte, error) {
	b := nn.NewInfer(p)
	b.Output(LogitsName(0), c.Join(b, c.Forward(b, b.Features(Features, c.In))))
	return c.write(b)
}

// InferScales is Infer with the outputs ScaleName(Logits, i), each decoder output's logits [1, T, Classes].
func (c C2FTCN) InferScales(p *nn.Params) ([]byte, error) {
	b := nn.NewInfer(p)
	for i, y := range c.Forward(b, b.Features(Features, c.In)) {
		b.Output(ScaleName(Logits, i), y)
	}
	return c.write(b)
}

func (c C2FTCN) write(b *nn.Build) ([]byte, error) {
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("c2f-tcn: %w", err)
	}
	return model, nil
}

// Loss traces the network and its loss: the objective's terms on the ensemble, as published, or their mean over the
// decoder outputs if the objective judges EachScale.
func (c C2FTCN) Loss(b *nn.Build, o Objective) *graph.Tensor {
	x := b.Features(Features, c.In)
	t := terms{b: b, o: o, weights: b.Weights(), present: b.Present()}
	if o.Labels > 0 {
		t.labels = b.Labels(Labels, c.Classes)
	}
	scales := c.Forward(b, x)
	if b.Err() != nil {
		return b.Scalar(0)
	}
	if !o.EachScale {
		if o.Teacher > 0 {
			t.teacher = b.Features(Teacher, c.Classes)
		}
		return t.loss(c.Join(b, scales), 0)
	}
	var sum *graph.Tensor
	for i, y := range scales {
		if o.Teacher > 0 {
			t.teacher = b.Features(ScaleName(Teacher, i), c.Classes)
		}
		l := t.loss(y, 0)
		if sum != nil {
			l = b.Add(sum, l)
		}
		sum = l
	}
	return b.Scale(sum, 1/float64(c2fScales))
}
