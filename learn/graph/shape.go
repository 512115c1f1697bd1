package graph

import (
	"math"
	"slices"
)

// Reshape returns x with other dimensions that hold as many elements. Dynamic dimensions of x must appear in the new
// shape, too.
func (g *Graph) Reshape(x *Tensor, shape ...int) *Tensor {
	if !g.ok("Reshape", x) {
		return g.dummyShape(shape...)
	}
	if slices.Equal(x.shape, shape) {
		return x
	}
	target, ok := g.reshapeTarget(x.shape, shape)
	if !ok {
		g.failf("Reshape", "%s does not fit into %s", g.ShapeString(x.shape), g.ShapeString(shape))
		return g.dummyShape(shape...)
	}
	y := g.emitTyped("Reshape", x.dtype, []*Tensor{x, g.Ints(target...)}, shape)
	return g.diff("Reshape", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Reshape(dy, x.shape...)}
	})
}

// reshapeTarget returns the shape operand of a Reshape: a dynamic dimension that keeps its axis is written 0, another
// one -1, of which there can be only one.
func (g *Graph) reshapeTarget(from, to []int) ([]int, bool) {
	if !g.validShape(to) {
		return nil, false
	}
	count := func(shape []int) (int, []int) {
		n, dynamic := 1, []int(nil)
		for _, d := range shape {
			if d > 0 {
				n *= d
			} else {
				dynamic = append(dynamic, d)
			}
		}
		slices.Sort(dynamic)
		return n, dynamic
	}
	n, dyn := count(from)
	m, dynTo := count(to)
	if n != m || !slices.Equal(dyn, dynTo) {
		return nil, false
	}
	target := slices.Clone(to)
	free := 0
	for i, d := range to {
		switch {
		case d > 0:
		case len(dyn) > 1 && i < len(from) && from[i] == d:
			target[i] = 0
		default:
			target[i] = -1
			free++
		}
	}
	return target, free <= 1
}

// Transpose returns x with its axes in the order that perm lists them.
func (g *Graph) Transpose(x *Tensor, perm ...int) *Tensor {
	if !g.ok("Transpose", x) {
		return g.dummy(x)
	}
	inverse := make([]int, len(perm))
	shape := make([]int, len(perm))
	sorted := slices.Sorted(slices.Values(perm))
	for i, p := range perm {
		if len(perm) != len(x.shape) || sorted[i] != i {
			g.failf("Transpose", "axes %v of a tensor of shape %s, expected a permutation of its %d axes", perm,
				g.ShapeString(x.shape), len(x.shape))
			return g.dummy(x)
		}
		shape[i], inverse[p] = x.shape[p], i
	}
	y := g.emitTyped("Transpose", x.dtype, []*Tensor{x}, shape, attribute{"perm", slices.Clone(perm)})
	return g.diff("Transpose", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Transpose(dy, inverse...)}
	})
}

// Slice returns the elements lo <= i < hi of an axis with a static dimension.
func (g *Graph) Slice(x *Tensor, axis, lo, hi int) *Tensor {
	if !g.ok("Slice", x) {
		return g.dummy(x)
	}
	a, ok := x.axis(axis)
	if !ok || lo < 0 || hi <= lo || hi > x.shape[a] {
		g.failf("Slice", "[%d, %d) on axis %d of shape %s", lo, hi, axis, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	return g.Crop(x, a, lo, x.shape[a]-hi)
}

// Crop takes lo elements off the front and hi elements off the back of an axis. It is the inverse of Pad.
func (g *Graph) Crop(x *Tensor, axis, lo, hi int) *Tensor {
	if !g.ok("Crop", x) {
		return g.dummy(x)
	}
	a, ok := x.axis(axis)
	if !ok || lo < 0 || hi < 0 {
		g.failf("Crop", "%d and %d elements off axis %d of shape %s", lo, hi, axis, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	if lo == 0 && hi == 0 {
		return x
	}
	shape := slices.Clone(x.shape)
	if shape[a], ok = g.shifted(x.shape[a], -lo-hi); !ok {
		g.failf("Crop", "%d and %d elements off axis %d of shape %s leave nothing", lo, hi, axis, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	end := -hi
	if hi == 0 {
		end = math.MaxInt64
	}
	y := g.emitTyped("Slice", x.dtype, []*Tensor{x, g.Ints(lo), g.Ints(end), g.Ints(a)}, shape)
	return g.diff("Crop", y, []*Tensor{x}, func(dy *Tensor) []*Tensor { return []*Tensor{g.Pad(dy, a, lo, hi)} })
}

// Pad puts lo zeros before and hi zeros behind an axis; negative counts crop.
func (g *Graph) Pad(x *Tensor, axis, lo, hi int) *Tensor {
	if !g.okFloat("Pad", x) {
		return g.dummy(x)
	}
	a, ok := x.axis(axis)
	if !ok {
		g.failf("Pad", "axis %d of shape %s", axis, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	if lo < 0 || hi < 0 {
		x = g.Crop(x, a, max(-lo, 0), max(-hi, 0))
		lo, hi = max(lo, 0), max(hi, 0)
	}
	if (lo == 0 && hi == 0) || g.err != nil {
		return x
	}
	shape := slices.Clone(x.shape)
	shape[a], _ = g.shifted(x.shape[a], lo+hi)
	pads := make([]int, 2*len(shape))
	pads[a], pads[a+len(shape)] = lo, hi
	y := g.emit("Pad", []*Tensor{x, g.Ints(pads...)}, shape)
	return g.diff("Pad", y, []*Tensor{x}, func(dy *Tensor) []*Tensor { return []*Tensor{g.Crop(dy, a, lo, hi)} })
}

// Concat joins tensors along an axis; their other dimensions must agree.
func (g *Graph) Concat(axis int, xs ...*Tensor) *Tensor {
	if len(xs) == 0 {
		g.failf("Concat", "of nothing")
		return g.dummy(nil)
	}
	if !g.okFloat("Concat", xs...) {
		return g.dummy(xs[0])
	}
	if len(xs) == 1 {
		return xs[0]
	}
	a, ok := xs[0].axis(axis)
	shape := slices.Clone(xs[0].shape)
	for _, x := range xs[1:] {
		if !ok || len(x.shape) != len(shape) || x.shape[a] < 0 || shape[a] < 0 {
			g.failf("Concat", "shapes %s and %s on axis %d", g.ShapeString(shape), g.ShapeString(x.shape), axis)
			return g.dummy(xs[0])
		}
		for i := range shape {
			if i != a && shape[i] != x.shape[i] {
				g.failf("Concat", "shapes %s and %s differ off axis %d", g.ShapeString(shape), g.ShapeString(x.shape), a)
				return g.dummy(xs[0])
			}
		}
		shape[a] += x.shape[a]
	}
	y := g.emit("Concat", xs, shape, attribute{"axis", a})
	return g.diff("Concat", y, xs, func(dy *Tensor) []*Tensor {
		parts := make([]*Tensor, len(xs))
		at := 0
		for i, x := range xs {
			parts[i] = g.Slice(dy, a, at, at+x.shape[a])
			at += x.shape[a]
		}
		return parts
	})
}

// Expand broadcasts x to a static shape.
func (g *Graph) Expand(x *Tensor, shape ...int) *Tensor {
	if !g.okFloat("Expand", x) {
		return g.dummyShape(shape...)
	}
	full, ok := g.broadcast("Expand", x.shape, shape)
	if !ok || !slices.Equal(full, shape) || !static(shape) {
		g.failf("Expand", "%s to %s", g.ShapeString(x.shape), g.ShapeString(shape))
		return g.dummyShape(shape...)
	}
	if slices.Equal(x.shape, shape) {
		return x
	}
	y := g.expand(x, shape)
	return g.diff("Expand", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.unbroadcast(dy, x.shape)}
	})
}

func (g *Graph) expand(x *Tensor, shape []int) *Tensor {
	if !static(shape) {
		g.failf("Expand", "to the dynamic shape %s", g.ShapeString(shape))
		return g.dummyShape(shape...)
	}
	return g.emit("Expand", []*Tensor{x, g.Ints(shape...)}, shape)
}

// rows picks elements of an axis by constant indices. It records no gradient: its users have closed forms.
func (g *Graph) rows(x *Tensor, axis int, indices []int) *Tensor {
	shape := slices.Clone(x.shape)
	shape[axis] = len(indices)
	return g.emit("Gather", []*Tensor{x, g.Ints(indices...)}, shape, attribute{"axis", axis})
}
