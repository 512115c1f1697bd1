package graph

import "fmt"

// Interpolate stretches x [B, T, C] to the given number of frames, at least 1, by linear interpolation with aligned
// corners: frame i of the result lies at i·(T-1)/(frames-1) of x, so that first and last frames meet. It is a product
// with a constant matrix. T must be static.
func (g *Graph) Interpolate(x *Tensor, frames int) *Tensor {
	if !g.okFloat("Interpolate", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || !static(x.shape) || frames < 1 {
		g.failf("Interpolate", "input %s to %d frames, expected [B, T, C] of static shape and at least 1", g.ShapeString(x.shape), frames)
		return g.dummy(x)
	}
	from := x.shape[1]
	if from == frames {
		return x
	}
	m := make([]float64, frames*from)
	for i := range frames {
		at, rest := 0, 0.0
		if frames > 1 {
			at = i * (from - 1) / (frames - 1)
			rest = float64(i*(from-1)%(frames-1)) / float64(frames-1)
		}
		m[i*from+at] += 1 - rest
		m[i*from+min(at+1, from-1)] += rest
	}
	return g.resample(x, g.Const(m, frames, from), frames)
}

// resample returns m·x for each sequence: m [frames, T] or [B, frames, T]. No gradient flows to m.
func (g *Graph) resample(x, m *Tensor, frames int) *Tensor {
	y := g.emit("MatMul", []*Tensor{m, x}, []int{x.shape[0], frames, x.shape[2]})
	return g.diff("Interpolate", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.emit("MatMul", []*Tensor{g.swapLast(m, true), dy}, x.shape)}
	})
}

// InterpolateLike stretches x [B, T, C] to the frames of like [B, T', C'], whether the two are static or dynamic. A
// gradient needs them static.
func (g *Graph) InterpolateLike(x, like *Tensor) *Tensor {
	if !g.okFloat("InterpolateLike", x, like) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || len(like.shape) != 3 || x.shape[2] < 0 {
		g.failf("InterpolateLike", "input %s to the frames of %s, expected [B, T, C] of both", g.ShapeString(x.shape), g.ShapeString(like.shape))
		return g.dummy(x)
	}
	switch {
	case x.shape[1] == like.shape[1]:
		return x
	case static(x.shape) && like.shape[1] > 0:
		return g.Interpolate(x, like.shape[1])
	}
	y := g.compose(func() *Tensor { return g.interpolateDynamic(x, g.frames(like), like.shape[1]) })
	return g.diff("InterpolateLike of dynamic shape", y, []*Tensor{x}, nil)
}

// DoubleLike stretches x [B, T, C] to 2·T frames and then cuts frames off or puts zeros behind, to have those of like
// [B, T', C']. It inverts a pooling by 2 in the way of U-nets. Static or dynamic; a gradient needs static shapes.
func (g *Graph) DoubleLike(x, like *Tensor) *Tensor {
	if !g.okFloat("DoubleLike", x, like) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || len(like.shape) != 3 || x.shape[2] < 0 {
		g.failf("DoubleLike", "input %s to the frames of %s, expected [B, T, C] of both", g.ShapeString(x.shape), g.ShapeString(like.shape))
		return g.dummy(x)
	}
	if static(x.shape) && like.shape[1] > 0 {
		return g.Pad(g.Interpolate(x, 2*x.shape[1]), 1, 0, like.shape[1]-2*x.shape[1])
	}
	y := g.compose(func() *Tensor {
		double := g.symbol(dimension{base: fmt.Sprintf("2*(%s)", g.dimString(x.shape[1]))})
		frames := g.frames(like)
		y := g.interpolateDynamic(x, g.intOp("Mul", g.frames(x), g.Ints(2)), double)
		// As many zeros as there are frames at all, which is more than any sequence lacks.
		pads := g.emitTyped("Concat", Int64, []*Tensor{g.Ints(0, 0, 0, 0), frames, g.Ints(0)}, []int{6}, attribute{"axis", 0})
		y = g.emit("Pad", []*Tensor{y, pads}, y.shape)
		return g.emit("Slice", []*Tensor{y, g.Ints(0), frames, g.Ints(1)}, []int{x.shape[0], like.shape[1], x.shape[2]})
	})
	return g.diff("DoubleLike of dynamic shape", y, []*Tensor{x}, nil)
}

// InterpolateRows is Interpolate for sequences of different lengths: x [B, T, C] with from [B] the frames that are
// there of each, to [B] those of the result, as floats, which has frames in all; those behind are 0. No gradient flows
// to the lengths.
func (g *Graph) InterpolateRows(x, from, to *Tensor, frames int) *Tensor {
	if !g.okFloat("InterpolateRows", x, from, to) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || !static(x.shape) || len(from.shape) != 1 || from.shape[0] != x.shape[0] || len(to.shape) != 1 ||
		to.shape[0] != x.shape[0] || frames < 1 {
		g.failf("InterpolateRows", "input %s with lengths %s to %s, %d frames; expected [B, T, C], [B] and [B]", g.ShapeString(x.shape),
			g.ShapeString(from.shape), g.ShapeString(to.shape), frames)
		return g.dummy(x)
	}
	m := g.compose(func() *Tensor {
		batch, length := x.shape[0], x.shape[1]
		last := g.AtLeast(g.Shift(g.Reshape(from, batch, 1, 1), -1), 0)
		end := g.Reshape(to, batch, 1, 1)
		i, j := g.Const(count(frames), 1, frames, 1), g.Const(count(length), 1, 1, length)
		// Whole and rest of i·last/(to-1): the product is exact, and |whole + rest - j| does not mind a quotient that was
		// rounded up to the next whole number.
		steps := g.AtLeast(g.Shift(end, -1), 1)
		way := g.Mul(i, last)
		whole := g.emit("Floor", []*Tensor{g.Div(way, steps)}, []int{batch, frames, 1})
		rest := g.Div(g.Sub(way, g.Mul(whole, steps)), steps)
		far := g.Abs(g.Add(g.Sub(whole, j), rest))
		share := g.emit("Relu", []*Tensor{g.Sub(g.Scalar(1), far)}, []int{batch, frames, length})
		return g.Mul(share, g.mask("Less", i, end))
	})
	return g.resample(x, m, frames)
}

func count(n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = float64(i)
	}
	return list
}

// interpolateDynamic gathers the frames on both sides of each frame of the result, frames of them, an int64 tensor [1].
func (g *Graph) interpolateDynamic(x, frames *Tensor, dim int) *Tensor {
	last := g.intOp("Sub", g.frames(x), g.Ints(1))
	steps := g.intOp("Max", g.intOp("Sub", frames, g.Ints(1)), g.Ints(1))
	zero, one := g.intScalar(0), g.intScalar(1)
	limit := g.emitTyped("Squeeze", Int64, []*Tensor{frames}, nil)
	each := g.emitTyped("Range", Int64, []*Tensor{zero, limit, one}, []int{dim})
	// In whole numbers, since float32 would misplace frames of long sequences.
	way := g.emitTyped("Mul", Int64, []*Tensor{each, last}, []int{dim})
	before := g.emitTyped("Div", Int64, []*Tensor{way, steps}, []int{dim})
	after := g.emitTyped("Min", Int64, []*Tensor{g.emitTyped("Add", Int64, []*Tensor{before, g.Ints(1)}, []int{dim}), last}, []int{dim})
	rest := g.emitTyped("Sub", Int64, []*Tensor{way, g.emitTyped("Mul", Int64, []*Tensor{before, steps}, []int{dim})}, []int{dim})
	share := g.Div(g.cast(rest, g.float), g.cast(steps, g.float))
	share = g.emit("Unsqueeze", []*Tensor{share, g.Ints(1)}, []int{dim, 1})
	shape := []int{x.shape[0], dim, x.shape[2]}
	low := g.emit("Gather", []*Tensor{x, before}, shape, attribute{"axis", 1})
	high := g.emit("Gather", []*Tensor{x, after}, shape, attribute{"axis", 1})
	return g.Add(low, g.Mul(g.Sub(high, low), share))
}

// frames returns the dimension of axis 1 as an int64 tensor [1].
func (g *Graph) frames(x *Tensor) *Tensor {
	if x.shape[1] > 0 {
		return g.Ints(x.shape[1])
	}
	return g.emitTyped("Shape", Int64, []*Tensor{x}, []int{1}, attribute{"start", 1}, attribute{"end", 2})
}

// intOp computes on int64 tensors [1].
func (g *Graph) intOp(op string, a, b *Tensor) *Tensor {
	return g.emitTyped(op, Int64, []*Tensor{a, b}, []int{1})
}
