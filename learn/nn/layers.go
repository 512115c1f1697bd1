package nn

import (
	"strconv"

	"tandem/learn/graph"
)

// Linear maps the last axis of x to out values. Parameters: name.weight [in, out], name.bias [out].
func (b *Build) Linear(x *graph.Tensor, name string, out int) *graph.Tensor {
	return b.linear(x, name, out, FanIn(x.Dim(-1)))
}

// ZeroLinear is Linear with parameters that start as 0, so that a residual branch that ends in it starts as nothing.
func (b *Build) ZeroLinear(x *graph.Tensor, name string, out int) *graph.Tensor {
	return b.linear(x, name, out, Zeros)
}

func (b *Build) linear(x *graph.Tensor, name string, out int, init Init) *graph.Tensor {
	w := b.Param(name+".weight", init, true, x.Dim(-1), out)
	return b.Graph.Linear(x, w, b.Param(name+".bias", init, false, out))
}

// Relu returns max(x, 0), or x·sigmoid(x) in a Smooth build.
func (b *Build) Relu(x *graph.Tensor) *graph.Tensor {
	if b.Smooth {
		return b.Silu(x)
	}
	return b.Graph.Relu(x)
}

// Conv1D convolves x [B, T, C] over time and keeps its length. A causal convolution sees the present and the past
// (and can be streamed), another one as far ahead as back (with an odd kernel). Parameters: name.weight
// [kernel·C, out], taps oldest first, and name.bias [out]. x must have the frames of the whole sequence.
func (b *Build) Conv1D(x *graph.Tensor, name string, out, kernel, dilation int, causal bool) *graph.Tensor {
	in := x.Dim(-1)
	if kernel < 1 || dilation < 1 || (!causal && kernel%2 == 0) {
		b.failf("%s: kernel %d with dilation %d, expected both >= 1 and the kernel odd unless causal", name, kernel, dilation)
		return x
	}
	w := b.Param(name+".weight", FanIn(kernel*in), true, kernel*in, out)
	bias := b.Param(name+".bias", FanIn(kernel*in), false, out)
	switch {
	case kernel == 1:
		return b.Graph.Linear(x, w, bias)
	case b.Mode == Stream && !causal:
		b.failf("%s looks ahead, so the network cannot run frame by frame", name)
		return x
	case b.Mode == Stream:
		window := b.Concat(1, b.taps(x, name, kernel-1, dilation), x)
		return b.Graph.Linear(b.Reshape(window, 1, 1, kernel*in), w, bias)
	case causal:
		return b.Graph.Conv1D(x, w, bias, graph.Causal(kernel, dilation))
	}
	return b.Graph.Conv1D(b.Span().Keep(x), w, bias, graph.Symmetric(kernel, dilation))
}

// Dropout sets elements of x to zero with the given probability while training and scales the others up (Srivastava et
// al., JMLR 2014). The mask is an input of the training graph.
func (b *Build) Dropout(x *graph.Tensor, rate float64) *graph.Tensor {
	if !(rate >= 0 && rate < 1) {
		b.failf("dropout rate %g, expected [0, 1)", rate)
		return x
	}
	if b.Mode != Train || rate == 0 {
		return x
	}
	m := Mask{Input: "dropout." + strconv.Itoa(len(b.masks)), Shape: x.Shape(), Rate: rate}
	b.masks = append(b.masks, m)
	return b.Mul(x, b.Input(m.Input, b.Float(), m.Shape...))
}

// LayerNorm standardises the last axis of x and applies the parameters name.gain and name.bias.
func (b *Build) LayerNorm(x *graph.Tensor, name string) *graph.Tensor {
	d := x.Dim(-1)
	return b.Graph.LayerNorm(x, b.Param(name+".gain", Ones, false, d), b.Param(name+".bias", Zeros, false, d), normEpsilon)
}

// Standardize returns (x - mean) · scale over the last axis, with the buffers name.mean and name.scale. They start as
// 0 and 1; see SetStandard.
func (b *Build) Standardize(x *graph.Tensor, name string) *graph.Tensor {
	d := x.Dim(-1)
	mean, scale := b.Buffer(name+".mean", Zeros, d), b.Buffer(name+".scale", Ones, d)
	return b.Mul(b.Sub(x, mean), scale)
}

// constantFeature is the deviation below which a feature counts as constant, relative to the largest deviation: it
// carries no information, and dividing by it would blow up what noise it has on another camera.
const constantFeature = 1e-3

// SetStandard sets the buffers of a Standardize layer from the mean and the standard deviation of each feature.
// Features whose deviation is under a thousandth of the largest are scaled as if they had that.
func (p *Params) SetStandard(name string, mean, std []float32) error {
	if err := p.Set(name+".mean", mean); err != nil {
		return err
	}
	var largest float32
	for _, s := range std {
		largest = max(largest, s)
	}
	scale := make([]float32, len(std))
	for i, s := range std {
		scale[i] = 1
		if largest > 0 {
			scale[i] = 1 / max(s, constantFeature*largest)
		}
	}
	return p.Set(name+".scale", scale)
}
