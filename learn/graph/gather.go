package graph

import "slices"

// Take picks elements of an axis by constant indices, in their order; an index may be there several times.
func (g *Graph) Take(x *Tensor, axis int, indices ...int) *Tensor {
	if !g.okFloat("Take", x) {
		return g.dummy(x)
	}
	a, ok := x.axis(axis)
	if !ok || len(indices) == 0 || slices.Min(indices) < 0 || slices.Max(indices) >= x.shape[a] {
		g.failf("Take", "indices %v on axis %d of shape %s", indices, axis, g.ShapeString(x.shape))
		return g.dummy(x)
	}
	y := g.rows(x, a, indices)
	return g.diff("Take", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.untake(dy, a, x.shape[a], indices)}
	})
}

// untake adds the elements of dy up in the places they were taken from. An element that was taken n times is gathered
// n times, and places without a further one get the zero that is put behind dy.
func (g *Graph) untake(dy *Tensor, axis, size int, indices []int) *Tensor {
	from := make([][]int, size)
	most := 0
	for i, j := range indices {
		from[j] = append(from[j], i)
		most = max(most, len(from[j]))
	}
	padded := g.Pad(dy, axis, 0, 1)
	parts := make([]*Tensor, most)
	for n := range parts {
		picks := make([]int, size)
		for j, list := range from {
			picks[j] = len(indices)
			if n < len(list) {
				picks[j] = list[n]
			}
		}
		parts[n] = g.rows(padded, axis, picks)
	}
	return g.total(parts)
}

// Embed looks ids int64 [...] up in table [V, D] and returns [..., D]. The ids must lie in [0, V). The gradient is a
// product with one-hot rows, since scattering is not deterministic on all devices.
func (g *Graph) Embed(table, ids *Tensor) *Tensor {
	if !g.okFloat("Embed", table) || !g.ok("Embed", ids) {
		return g.dummy(table)
	}
	if len(table.shape) != 2 || !static(table.shape) || ids.dtype != Int64 {
		g.failf("Embed", "table %s, ids %s %s; expected [V, D] and int64", g.ShapeString(table.shape), ids.dtype, g.ShapeString(ids.shape))
		return g.dummy(table)
	}
	size, width := table.shape[0], table.shape[1]
	y := g.emit("Gather", []*Tensor{table, ids}, append(ids.Shape(), width), attribute{"axis", 0})
	if !static(ids.shape) {
		return g.diff("Embed of dynamic shape", y, []*Tensor{table}, nil)
	}
	return g.diff("Embed", y, []*Tensor{table}, func(dy *Tensor) []*Tensor {
		n, _ := ids.size()
		hot := g.Reshape(g.oneHot(ids, size), n, size)
		return []*Tensor{g.Gemm(hot, g.Reshape(dy, n, width), nil, true, false)}
	})
}
