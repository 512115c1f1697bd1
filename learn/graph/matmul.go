package graph

import "slices"

// Gemm returns op(a)·op(b) + c for matrices, where op transposes when its flag is set. c may be nil or broadcast to
// the result.
func (g *Graph) Gemm(a, b, c *Tensor, transA, transB bool) *Tensor {
	in := []*Tensor{a, b}
	if c != nil {
		in = append(in, c)
	}
	if !g.okFloat("Gemm", in...) {
		return g.dummy(a)
	}
	if len(a.shape) != 2 || len(b.shape) != 2 || a.shape[1-toInt(transA)] != b.shape[toInt(transB)] {
		g.failf("Gemm", "shapes %s%s and %s%s", g.ShapeString(a.shape), prime(transA), g.ShapeString(b.shape), prime(transB))
		return g.dummy(a)
	}
	shape := []int{a.shape[toInt(transA)], b.shape[1-toInt(transB)]}
	if c != nil {
		if full, ok := g.broadcast("Gemm", c.shape, shape); !ok || !slices.Equal(full, shape) {
			g.failf("Gemm", "bias %s for a result of %s", g.ShapeString(c.shape), g.ShapeString(shape))
			return g.dummyShape(shape...)
		}
	}
	y := g.emit("Gemm", in, shape, attribute{"transA", toInt(transA)}, attribute{"transB", toInt(transB)})
	return g.diff("Gemm", y, in, func(dy *Tensor) []*Tensor {
		grads := make([]*Tensor, len(in))
		if transA {
			grads[0] = g.Gemm(b, dy, nil, transB, true)
		} else {
			grads[0] = g.Gemm(dy, b, nil, false, !transB)
		}
		if transB {
			grads[1] = g.Gemm(dy, a, nil, true, transA)
		} else {
			grads[1] = g.Gemm(a, dy, nil, !transA, false)
		}
		if c != nil {
			grads[2] = g.unbroadcast(dy, c.shape)
		}
		return grads
	})
}

func prime(transposed bool) string {
	if transposed {
		return "ᵀ"
	}
	return ""
}

// Linear returns x·w + b over the last axis of x: x [..., I], w [I, O], b [O] or nil, result [..., O]. With static
// dimensions it is one Gemm over all rows.
func (g *Graph) Linear(x, w, b *Tensor) *Tensor {
	if !g.okFloat("Linear", x, w) {
		return g.dummy(x)
	}
	n := len(x.shape)
	if n < 1 || len(w.shape) != 2 || x.shape[n-1] != w.shape[0] {
		g.failf("Linear", "weights %s for inputs %s, expected [%d, outputs]", g.ShapeString(w.shape), g.ShapeString(x.shape),
			x.Dim(-1))
		return g.dummy(x)
	}
	shape := slices.Clone(x.shape)
	shape[n-1] = w.shape[1]
	if size, ok := x.size(); ok {
		flat := g.Reshape(x, size/w.shape[0], w.shape[0])
		return g.Reshape(g.Gemm(flat, w, b, false, false), shape...)
	}
	if n == 2 {
		return g.Gemm(x, w, b, false, false)
	}
	y := g.matmul(x, w, shape)
	if b != nil {
		y = g.Add(y, b)
	}
	return y
}

// matmul emits a MatMul with a shape that the caller has worked out.
func (g *Graph) matmul(a, b *Tensor, shape []int) *Tensor {
	y := g.emit("MatMul", []*Tensor{a, b}, shape)
	return g.diff("MatMul of dynamic shape", y, []*Tensor{a, b}, nil)
}

// MatMul returns op(a)·op(b) over the last two axes, where op transposes them when its flag is set. The leading axes
// must be equal.
func (g *Graph) MatMul(a, b *Tensor, transA, transB bool) *Tensor {
	if !g.okFloat("MatMul", a, b) {
		return g.dummy(a)
	}
	n := len(a.shape)
	if n < 2 || len(b.shape) != n || !slices.Equal(a.shape[:n-2], b.shape[:n-2]) ||
		a.shape[n-1-toInt(transA)] != b.shape[n-2+toInt(transB)] {
		g.failf("MatMul", "shapes %s%s and %s%s", g.ShapeString(a.shape), prime(transA), g.ShapeString(b.shape), prime(transB))
		return g.dummy(a)
	}
	shape := slices.Clone(a.shape)
	shape[n-2], shape[n-1] = a.shape[n-2+toInt(transA)], b.shape[n-1-toInt(transB)]
	y := g.compose(func() *Tensor {
		if transA && !transB && a.shape[n-1] > 2*b.shape[n-1] && static(shape) {
			// Packing a transposed first operand is slow: take the smaller of the two, and turn the result.
			turned := slices.Clone(shape)
			turned[n-2], turned[n-1] = shape[n-1], shape[n-2]
			return g.swapLast(g.emit("MatMul", []*Tensor{g.swapLast(b, true), a}, turned), true)
		}
		// ONNX Runtime fuses the transposes into the product.
		return g.emit("MatMul", []*Tensor{g.swapLast(a, transA), g.swapLast(b, transB)}, shape)
	})
	return g.diff("MatMul", y, []*Tensor{a, b}, func(dy *Tensor) []*Tensor {
		var da, db *Tensor
		if transA {
			da = g.MatMul(b, dy, transB, true)
		} else {
			da = g.MatMul(dy, b, false, !transB)
		}
		if transB {
			db = g.MatMul(dy, a, true, transA)
		} else {
			db = g.MatMul(a, dy, !transA, false)
		}
		return []*Tensor{da, db}
	})
}

func (g *Graph) swapLast(x *Tensor, swap bool) *Tensor {
	if !swap {
		return x
	}
	perm := make([]int, len(x.shape))
	for i := range perm {
		perm[i] = i
	}
	n := len(perm)
	perm[n-1], perm[n-2] = n-2, n-1
	return g.Transpose(x, perm...)
}
