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
		centred = g.Sub(x, n.wide(mean))
		variance = n.square(centred)
		inverse = g.inverseDeviation(variance, epsilon)
		slope = g.Mul(inverse, gain)
		return n.affine(centred, slope, bias)
	})
	y = g.diff("BatchNorm", y, []*Tensor{x, gain, bias}, func(dy *Tensor) []*Tensor {
		level, along := n.sum(dy), n.dot(dy, centred)
		// What dy does through the mean and through the variance, shared out over the places that count.
		flat, tilted := level, g.Mul(g.Mul(inverse, inverse), along)
		if !n.inRows() {
			flat, tilted = g.Mul(slope, flat), g.Mul(slope, tilted)
		}
		through := n.affine(centred, n.perPlace(tilted), n.perPlace(flat))
		if n.weights != nil {
			through = g.Mul(through, n.weights)
		}
		var dx *Tensor
		if n.inRows() {
			dx = g.Mul(g.Sub(dy, through), n.wide(slope)) // last, so that a convolution of maps can take it over (see unscaled)
		} else {
			dx = g.Sub(g.Mul(dy, n.wide(slope)), through)
		}
		return []*Tensor{dx, g.Mul(along, inverse), level}
	})
	return y, mean, variance
}

// norm knows how a batch normalisation reduces to its channels.
type norm struct {
	g        *Graph
	channels int
	axes     []int   // all the others
	outer    int     // places before the channels' axis
	inner    int     // and behind it
	behind   int     // axes behind it
	weights  *Tensor // each place's share of a mean; nil if all have the share
	share    float64
}

func newNorm(g *Graph, x, gain, bias, present *Tensor, axis int, epsilon float64) (*norm, bool) {
	at, ok := x.axis(axis)
	if !ok || !static(x.shape) || len(x.shape) < 2 || !slices.Equal(gain.shape, x.shape[at:at+1]) ||
		!slices.Equal(bias.shape, gain.shape) || !(epsilon > 0) {
		g.failf("BatchNorm", "input %s, gain %s, bias %s, channels on axis %d, ε %g; expected static shapes, one gain and bias a channel and ε > 0",
			g.ShapeString(x.shape), g.ShapeString(gain.shape), g.ShapeString(bias.shape), axis, epsilon)
		return nil, false
	}
	n := &norm{g: g, channels: x.shape[at], outer: 1, inner: 1, behind: len(x.shape) - 1 - at}
	for i, d := range x.shape {
		if i < at {
			n.outer *= d
		} else if i > at {
			n.inner *= d
		}
		if i != at {
			n.axes = append(n.axes, i)
		}
	}
	places := n.outer * n.inner
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

// sum reduces to a statistic, a vector over the channels.
func (n *norm) sum(x *Tensor) *Tensor {
	return n.g.Reshape(n.g.reduceSum(x, n.axes, false), n.channels)
}

// wide gives a statistic the shape that broadcasts over places.
func (n *norm) wide(stat *Tensor) *Tensor {
	shape := make([]int, 1, 3)
	shape[0] = n.channels
	for range n.behind {
		shape = append(shape, 1)
	}
	return n.g.Reshape(stat, shape...)
}

func (n *norm) mean(x *Tensor) *Tensor {
	if n.weights != nil {
		return n.sum(n.g.Mul(x, n.weights))
	}
	return n.g.Scale(n.sum(x), n.share)
}

// inRows tells whether a channel's places lie in one row.
func (n *norm) inRows() bool { return n.outer == 1 && n.inner > 1 }

// square returns the mean square.
func (n *norm) square(x *Tensor) *Tensor {
	switch {
	case !n.inRows():
		return n.mean(n.g.Mul(x, x))
	case n.weights != nil:
		return n.dot(n.g.Mul(x, n.weights), x)
	}
	return n.g.Scale(n.dot(x, x), n.share)
}

// dot sums the products of two tensors. In rows that is a product of two, which writes nothing in between.
func (n *norm) dot(a, b *Tensor) *Tensor {
	g := n.g
	if !n.inRows() {
		return n.sum(g.Mul(a, b))
	}
	row := []int{n.channels, 1, n.inner}
	return g.Reshape(g.MatMul(g.Reshape(a, row...), g.Reshape(b, row...), false, true), n.channels)
}

// affine returns x·slope + offset, both statistics. Where places lie together in memory, a convolution of each channel for
// itself does that in one pass, on all threads, and with a ReLU behind it if there is one.
func (n *norm) affine(x, slope, offset *Tensor) *Tensor {
	g := n.g
	if g.float == Float64 || n.inner == 1 {
		return g.Add(g.Mul(x, n.wide(slope)), n.wide(offset))
	}
	shape := []int{n.outer, n.channels, n.inner}
	y := g.emit("Conv", []*Tensor{g.Reshape(x, shape...), g.Reshape(slope, n.channels, 1, 1), offset}, shape,
		attribute{"group", n.channels}, attribute{"kernel_shape", []int{1}})
	return g.Reshape(y, x.shape...)
}

// perPlace shares a statistic out; with weights, the caller multiplies by them instead.
func (n *norm) perPlace(stat *Tensor) *Tensor {
	if n.weights != nil {
		return stat
	}
	return n.g.Scale(stat, n.share)
}
