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
	// fewPlaces is the number of places that statistics are taken over alone.
	fewPlaces = 8
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
	settled := settled{mean: b.Buffer(name+".mean", Zeros, channels), variance: b.Buffer(name+".variance", Ones, channels)}
	places := 1.0
	for _, d := range x.Shape() {
		places *= float64(d)
	}
	places /= float64(channels)
	if places < 2*fewPlaces {
		return b.normalizeFew(x, gain, bias, settled, name, axis, present, places)
	}
	y, mean, variance := b.Graph.BatchNorm(x, gain, bias, present, axis, normEpsilon)
	if b.Err() != nil {
		return x
	}
	if present == nil {
		variance = b.Scale(variance, places/max(places-1, 1))
	} else {
		count := b.present(present, places)
		variance = b.Mul(variance, b.Div(count, b.AtLeast(b.Shift(count, -1), 1)))
	}
	b.stats = append(b.stats, statistic{name: name, mean: mean, variance: variance})
	return y
}

// present counts the places that are there, of so many.
func (b *Build) present(present *graph.Tensor, places float64) *graph.Tensor {
	for _, d := range present.Shape() {
		places /= float64(d)
	}
	return b.Scale(b.Sum(present), places)
}

// settled are running statistics as inputs of a training graph.
type settled struct{ mean, variance *graph.Tensor }

// normalizeFew normalises where there may be fewer than fewPlaces places: those that are missing are made up for by the
// running statistics, so that
//
//	m = (n μ + k μ') / (n+k),  v = (n (σ² + (μ-m)²) + k (σ'² + (μ'-m)²)) / (n+k),  k = max(fewPlaces - n, 0)
//
// take the place of the mean μ and variance σ² of n places, with μ', σ'² the running ones, through which no gradient flows.
// From fewPlaces on that is batch normalisation as it is. The idea is that of batch renormalisation (Ioffe, NeurIPS 2017):
// training must see nearly what inference will. Of one place σ² is 0: by itself it would always be normalised to 0, while
// its running variance fell to 0 and inference divided by that.
func (b *Build) normalizeFew(x, gain, bias *graph.Tensor, old settled, name string, axis int, present *graph.Tensor, places float64) *graph.Tensor {
	if axis < 0 {
		axis += x.Rank()
	}
	var axes []int
	stat := make([]int, x.Rank())
	for i := range stat {
		stat[i] = 1
		if i != axis {
			axes = append(axes, i)
		}
	}
	channels := x.Dim(axis)
	stat[axis] = channels
	n, counted := b.Scalar(places), x
	if present != nil {
		n, counted = b.present(present, places), b.Mul(x, present)
	}
	all := b.AtLeast(n, fewPlaces)
	share, rest := b.Div(n, all), b.Div(b.Sub(all, n), all)
	square := func(x *graph.Tensor) *graph.Tensor { return b.Mul(x, x) }
	mean := b.Div(b.Sum(counted, axes...), n)
	apart := b.Sub(x, mean)
	if present != nil {
		apart = b.Mul(apart, present)
	}
	variance := b.Div(b.Sum(square(apart), axes...), n)
	before := b.Reshape(old.mean, stat...)
	m := b.Add(b.Mul(share, mean), b.Mul(rest, before))
	v := b.Add(b.Mul(share, b.Add(variance, square(b.Sub(mean, m)))),
		b.Mul(rest, b.Add(b.Reshape(old.variance, stat...), square(b.Sub(before, m)))))
	y := b.Div(b.Sub(x, m), b.Sqrt(b.Shift(v, normEpsilon)))
	b.stats = append(b.stats, statistic{name: name, mean: b.Reshape(b.Detach(m), channels),
		variance: b.Reshape(b.Mul(b.Detach(v), b.Div(all, b.Shift(all, -1))), channels)})
	return b.Add(b.Mul(y, b.Reshape(gain, stat...)), b.Reshape(bias, stat...))
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
// of the buffer, which each step should move towards them by NormMomentum. The variance is the unbiased one. Of a
// normalisation that was traced several times, over the sequences of several domains, the last one counts.
func (b *Build) Statistics() map[string]string {
	names := map[string]string{}
	last := map[string]*statistic{}
	for i := range b.stats {
		last[b.stats[i].name] = &b.stats[i]
	}
	for i := range b.stats {
		s := &b.stats[i]
		if last[s.name] != s {
			continue
		}
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
