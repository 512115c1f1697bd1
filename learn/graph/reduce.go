package graph

import "slices"

// Sum adds up the given axes and keeps them with dimension 1. Without axes it adds up all of them to a scalar.
func (g *Graph) Sum(x *Tensor, axes ...int) *Tensor {
	if !g.okFloat("Sum", x) {
		return g.dummy(x)
	}
	norm, ok := x.axes(axes)
	if !ok {
		g.failf("Sum", "axes %v of shape %s", axes, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	if len(norm) == 0 {
		return x
	}
	y := g.reduceSum(x, norm, len(axes) > 0)
	return g.diff("Sum", y, []*Tensor{x}, func(dy *Tensor) []*Tensor { return []*Tensor{g.expand(dy, x.shape)} })
}

// Mean averages over the given static axes and keeps them with dimension 1. Without axes it averages over all of them
// to a scalar. It is a sum and a product, since ReduceMean changed its form in opset 18.
func (g *Graph) Mean(x *Tensor, axes ...int) *Tensor {
	if !g.okFloat("Mean", x) {
		return g.dummy(x)
	}
	norm, ok := x.axes(axes)
	n := 1
	for _, a := range norm {
		n *= x.shape[a]
		ok = ok && x.shape[a] > 0
	}
	if !ok {
		g.failf("Mean", "axes %v of shape %s", axes, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	return g.Scale(g.Sum(x, axes...), 1/float64(n))
}

// axes resolves a list of axes, all of them when it is empty, sorted.
func (t *Tensor) axes(list []int) ([]int, bool) {
	var norm []int
	for _, a := range list {
		i, ok := t.axis(a)
		if !ok || slices.Contains(norm, i) {
			return nil, false
		}
		norm = append(norm, i)
	}
	if len(list) == 0 {
		for i := range t.shape {
			norm = append(norm, i)
		}
	}
	slices.Sort(norm)
	return norm, true
}

// reduceSum emits a sum over sorted axes without recording a gradient.
func (g *Graph) reduceSum(x *Tensor, axes []int, keep bool) *Tensor {
	var shape []int
	for i, d := range x.shape {
		switch {
		case !slices.Contains(axes, i):
			shape = append(shape, d)
		case keep:
			shape = append(shape, 1)
		}
	}
	return g.emit("ReduceSum", []*Tensor{x, g.Ints(axes...)}, shape, attribute{"keepdims", toInt(keep)})
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
