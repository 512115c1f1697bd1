package graph

import "slices"

// LayerNorm standardises x [..., C] over its last axis and returns the result times gain [C] plus bias [C] (Ba, Kiros &
// Hinton, arXiv 1607.06450). epsilon > 0 is added to the variance.
func (g *Graph) LayerNorm(x, gain, bias *Tensor, epsilon float64) *Tensor {
	if !g.okFloat("LayerNorm", x, gain, bias) {
		return g.dummy(x)
	}
	last := len(x.shape) - 1
	if last < 0 || x.shape[last] < 1 || !slices.Equal(gain.shape, x.shape[last:]) || !slices.Equal(bias.shape, x.shape[last:]) ||
		!(epsilon > 0) {
		g.failf("LayerNorm", "input %s, gain %s, bias %s, ε %g; expected [..., C], [C], [C] and ε > 0", g.ShapeString(x.shape),
			g.ShapeString(gain.shape), g.ShapeString(bias.shape), epsilon)
		return g.dummy(x)
	}
	share := 1 / float64(x.shape[last])
	var standard, inverse *Tensor // (x - mean)/σ and 1/σ
	y := g.compose(func() *Tensor {
		if g.float == Float64 {
			// ONNX Runtime's kernel keeps its statistics in float32.
			centred := g.Sub(x, g.Scale(g.Sum(x, -1), share))
			inverse = g.inverseDeviation(g.Scale(g.Sum(g.Mul(centred, centred), -1), share), epsilon)
			standard = g.Mul(centred, inverse)
			return g.Add(g.Mul(standard, gain), bias)
		}
		stat := slices.Clone(x.shape)
		stat[last] = 1
		out := g.emitN("LayerNormalization", []*Tensor{x, gain, bias}, g.float, [][]int{x.shape, stat, stat},
			attribute{"axis", -1}, attribute{"epsilon", float32(epsilon)})
		inverse = out[2]
		standard = g.Mul(g.Sub(x, out[1]), inverse) // dropped from graphs without a gradient
		return out[0]
	})
	return g.diff("LayerNorm", y, []*Tensor{x, gain, bias}, func(dy *Tensor) []*Tensor {
		ds := g.Mul(dy, gain)
		along := g.Scale(g.Sum(g.Mul(ds, standard), -1), share)
		dx := g.Mul(inverse, g.Sub(g.Sub(ds, g.Scale(g.Sum(ds, -1), share)), g.Mul(standard, along)))
		return []*Tensor{dx, g.unbroadcast(g.Mul(dy, standard), gain.shape), g.unbroadcast(dy, bias.shape)}
	})
}

func (g *Graph) inverseDeviation(variance *Tensor, epsilon float64) *Tensor {
	return g.emit("Reciprocal", []*Tensor{g.Sqrt(g.Shift(variance, epsilon))}, variance.shape)
}

// BatchNorm standardises x over all axes but the given one, the channels', and returns the result times gain [C] plus
// bias [C], with the mean and the variance [C] it did so by (Ioffe & Szegedy, ICML 2015, algorithm 1; the variance is the
// biased one). epsilon > 0 is added to the variance. No gradient flows through mean and variance as results.
//
// present, unless it is nil, holds 1 for the places that count and 0 for padding, which has no part in the statistics. It
// has x's rank and dimension 1 for the channels and wherever places stand or fall together. At least one place must count.
func (g *Graph) BatchNorm(x, gain, bias, present *Tensor, axis int, epsilon float64) (y, mean, variance *Tensor) {
	in := []*Tensor{x, gain, bias}
	if present != nil {
		in = append(in, present)
	}
	if !g.okFloat("BatchNorm", in...) {
		return g.dummy(x), g.dummy(gain), g.dummy(gain)
	}
	n, ok := newNorm(g, x, gain, bias, present, axis, epsilon)
	if !ok {
		return g.dummy(x), g.dummy(gain), g.dummy(gain)
	}
	var centred, inverse, slope *Tensor // x - mean, 1/σ, gain/σ
	y = g.compose(func() *Tensor {
		mean = n.mean(x)
		centred = g.Sub(x, mean)
		variance = n.mean(g.Mul(centred, centred))
		inverse = g.inverseDeviation(variance, epsilon)
		slope = g.Mul(inverse, g.Reshape(gain, n.stat...))
		y := n.affine(centred, slope, g.Reshape(bias, n.stat...))
		mean, variance = g.Reshape(mean, gain.shape...), g.Reshape(variance, gain.shape...)
		return y
	})
	y = g.diff("BatchNorm", y, []*Tensor{x, gain, bias}, func(dy *Tensor) []*Tensor {
		level, along := n.sum(dy), n.sum(g.Mul(dy, centred))
		// What dy does through the mean and through the variance, shared out over the places that count.
		through := n.affine(centred, n.perPlace(g.Mul(slope, g.Mul(g.Mul(inverse, inverse), along))), n.perPlace(g.Mul(slope, level)))
		if n.weights != nil {
			through = g.Mul(through, n.weights)
		}
		dx := g.Sub(g.Mul(dy, slope), through)
		return []*Tensor{dx, g.Reshape(g.Mul(along, inverse), gain.shape...), g.Reshape(level, bias.shape...)}
	})
	return y, mean, variance
}

// norm knows how a batch normalisation reduces to its channels.
type norm struct {
	g       *Graph
	at      int     // axis of the channels
	axes    []int   // all the others
	stat    []int   // shape of a statistic
	weights *Tensor // each place's share of a mean; nil if all have the share
	share   float64
}

func newNorm(g *Graph, x, gain, bias, present *Tensor, axis int, epsilon float64) (*norm, bool) {
	at, ok := x.axis(axis)
	if !ok || !static(x.shape) || len(x.shape) < 2 || !slices.Equal(gain.shape, x.shape[at:at+1]) ||
		!slices.Equal(bias.shape, gain.shape) || !(epsilon > 0) {
		g.failf("BatchNorm", "input %s, gain %s, bias %s, channels on axis %d, ε %g; expected static shapes, one gain and bias a channel and ε > 0",
			g.ShapeString(x.shape), g.ShapeString(gain.shape), g.ShapeString(bias.shape), axis, epsilon)
		return nil, false
	}
	n := &norm{g: g, at: at, stat: []int{x.shape[at]}}
	places := 1
	for i, d := range x.shape {
		if i != at {
			n.axes = append(n.axes, i)
			places *= d
		}
	}
	for range x.shape[at+1:] {
		n.stat = append(n.stat, 1)
	}
	n.share = 1 / float64(places)
	if present == nil {
		return n, true
	}
	if full, ok := g.broadcast("BatchNorm", present.shape, x.shape); !ok || !slices.Equal(full, x.shape) ||
		len(present.shape) != len(x.shape) || present.shape[at] != 1 {
		g.failf("BatchNorm", "presence %s for an input of %s, expected one for all channels", g.ShapeString(present.shape), g.ShapeString(x.shape))
		return nil, false
	}
	size, _ := present.size()
	count := g.Scale(g.Sum(present), float64(places/size)) // places that count
	n.weights = g.Div(present, count)
	return n, true
}

// sum reduces to a channel's statistic. On the last axis it broadcasts without a reshape.
func (n *norm) sum(x *Tensor) *Tensor {
	keep := len(n.stat) > 1
	y := n.g.reduceSum(x, n.axes, keep)
	return n.g.Reshape(y, n.stat...)
}

func (n *norm) mean(x *Tensor) *Tensor {
	if n.weights != nil {
		return n.sum(n.g.Mul(x, n.weights))
	}
	return n.g.Scale(n.sum(x), n.share)
}

// affine returns x·slope + offset, both statistics. The inference form of ONNX's operator does that in one pass, where
// places lie together in memory.
func (n *norm) affine(x, slope, offset *Tensor) *Tensor {
	g := n.g
	if g.float == Float64 || len(n.stat) == 1 {
		return g.Add(g.Mul(x, slope), offset)
	}
	channels := n.stat[0]
	outer, inner := 1, 1
	for i, d := range x.shape {
		switch {
		case i < n.at:
			outer *= d
		case i > n.at:
			inner *= d
		}
	}
	ones := make([]float64, channels)
	for i := range ones {
		ones[i] = 1
	}
	shape := []int{outer, channels, inner}
	y := g.emit("BatchNormalization", []*Tensor{g.Reshape(x, shape...), g.Reshape(slope, channels), g.Reshape(offset, channels),
		g.Const(make([]float64, channels), channels), g.Const(ones, channels)}, shape, attribute{"epsilon", float32(0)})
	return g.Reshape(y, x.shape...)
}

// perPlace shares a statistic out; with weights, the caller multiplies by them instead.
func (n *norm) perPlace(stat *Tensor) *Tensor {
	if n.weights != nil {
		return stat
	}
	return n.g.Scale(stat, n.share)
}
