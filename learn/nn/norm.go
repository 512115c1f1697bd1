package nn

import (
	"fmt"
	"math"

	"tandem/learn/graph"
)

const (
	// normEpsilon is added to the variance in all normalisations.
	normEpsilon = 1e-5
	// NormMomentum is the share of a step's statistics in the running ones of a batch normalisation.
	NormMomentum = 0.1
)

// statistic are the results of one batch normalisation that its running statistics follow.
type statistic struct {
	name           string
	mean, variance *graph.Tensor
	declared       bool
}

// BatchNorm standardises x over all axes but the given one and applies the parameters name.gain and name.bias. In
// training it takes the statistics of what is present (nil means all; see graph.BatchNorm), otherwise the buffers name.mean
// and name.variance, which a trainer lets follow (see Statistics). Where it comes after a convolution, Conv1DNorm and
// Images.ConvNorm fold it into the weights.
func (b *Build) BatchNorm(x *graph.Tensor, name string, axis int, present *graph.Tensor) *graph.Tensor {
	channels := x.Dim(axis)
	if b.Mode == Train {
		gain, bias := b.Param(name+".gain", Ones, false, channels), b.Param(name+".bias", Zeros, false, channels)
		return b.normalize(x, gain, bias, name, axis, present)
	}
	slope, offset := b.running(name, channels)
	shape := []int{channels}
	if axis >= 0 {
		for range x.Rank() - 1 - axis {
			shape = append(shape, 1)
		}
	}
	slopes := b.Const(slope, channels)
	offsets := b.NamedConst(name+".offset", offset, channels)
	return b.Add(b.Mul(x, b.Reshape(slopes, shape...)), b.Reshape(offsets, shape...))
}

func (b *Build) normalize(x, gain, bias *graph.Tensor, name string, axis int, present *graph.Tensor) *graph.Tensor {
	channels := x.Dim(axis)
	b.Buffer(name+".mean", Zeros, channels)
	b.Buffer(name+".variance", Ones, channels)
	y, mean, variance := b.Graph.BatchNorm(x, gain, bias, present, axis, normEpsilon)
	if b.Err() != nil {
		return x
	}
	places := 1.0
	for _, d := range x.Shape() {
		places *= float64(d)
	}
	places /= float64(channels)
	if present == nil {
		variance = b.Scale(variance, places/max(places-1, 1))
	} else {
		each := places
		for _, d := range present.Shape() {
			each /= float64(d)
		}
		count := b.Scale(b.Sum(present), each)
		variance = b.Mul(variance, b.Div(count, b.AtLeast(b.Shift(count, -1), 1)))
	}
	b.stats = append(b.stats, statistic{name: name, mean: mean, variance: variance})
	return y
}

// running returns the slope and offset that a normalisation comes down to with its running statistics.
func (b *Build) running(name string, channels int) (slope []float64, offset []float32) {
	var list [4][]float32
	for i, part := range []string{".gain", ".bias", ".mean", ".variance"} {
		v, err := b.params.Get(name + part)
		if err == nil && len(v) != channels {
			err = fmt.Errorf("parameter %q has %d values, the network expects %d", name+part, len(v), channels)
		}
		if err != nil {
			b.Fail(err)
			return make([]float64, channels), make([]float32, channels)
		}
		list[i] = v
	}
	slope, offset = make([]float64, channels), make([]float32, channels)
	for i := range slope {
		s := float64(list[0][i]) / math.Sqrt(float64(list[3][i])+normEpsilon)
		slope[i] = s
		offset[i] = float32(float64(list[1][i]) - float64(list[2][i])*s)
	}
	return slope, offset
}

// Statistics makes what the batch normalisations have measured outputs of a training graph and returns their names by that
// of the buffer, which each step should move towards them by NormMomentum. The variance is the unbiased one.
func (b *Build) Statistics() map[string]string {
	names := map[string]string{}
	for i := range b.stats {
		s := &b.stats[i]
		mean, variance := "batch."+s.name+".mean", "batch."+s.name+".variance"
		names[s.name+".mean"], names[s.name+".variance"] = mean, variance
		if !s.declared {
			b.Output(mean, s.mean)
			b.Output(variance, s.variance)
			s.declared = true
		}
	}
	return names
}

// folded returns the weights of a convolution as constants with the normalisation name.norm folded in. inner is how many
// weights of one output channel lie next to each other.
func (b *Build) folded(name string, channels, inner int, shape ...int) (w, bias *graph.Tensor) {
	slope, offset := b.running(name+".norm", channels)
	raw, err := b.params.Get(name + ".weight")
	size := 1
	for _, d := range shape {
		size *= d
	}
	if err == nil && len(raw) != size {
		err = fmt.Errorf("parameter %q has %d values, the network expects %v", name+".weight", len(raw), shape)
	}
	if err != nil {
		b.Fail(err)
		raw = make([]float32, size)
	}
	weights := make([]float32, size)
	for i, v := range raw {
		weights[i] = float32(float64(v) * slope[i/inner%channels])
	}
	return b.NamedConst(name+".weight", weights, shape...), b.NamedConst(name+".bias", offset, channels)
}
