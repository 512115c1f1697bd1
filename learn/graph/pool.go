package graph

import "fmt"

// AveragePool2D averages x [N, C, H, W] over windows of k by k that do not overlap; rows and columns that fill no
// window are left out. N may be dynamic; a gradient needs it static.
func (g *Graph) AveragePool2D(x *Tensor, k int) *Tensor {
	if !g.okFloat("AveragePool2D", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || !static(x.shape[1:]) || k < 1 || x.shape[2] < k || x.shape[3] < k {
		g.failf("AveragePool2D", "input %s with windows of %d, expected [N, C, H, W] of at least one window", g.ShapeString(x.shape), k)
		return g.dummy(x)
	}
	if k == 1 {
		return x
	}
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2]/k, x.shape[3]/k
	restH, restW := x.shape[2]-h*k, x.shape[3]-w*k
	if !static(x.shape) {
		y := g.emit("AveragePool", []*Tensor{x}, []int{n, c, h, w}, attribute{"kernel_shape", []int{k, k}}, attribute{"strides", []int{k, k}})
		return g.diff("AveragePool2D of dynamic shape", y, []*Tensor{x}, nil)
	}
	y := g.compose(func() *Tensor {
		if g.float == Float32 {
			return g.emit("AveragePool", []*Tensor{x}, []int{n, c, h, w}, attribute{"kernel_shape", []int{k, k}}, attribute{"strides", []int{k, k}})
		}
		whole := g.Crop(g.Crop(x, 2, 0, restH), 3, 0, restW)
		sum := g.reduceSum(g.Reshape(whole, n, c, h, k, w, k), []int{3, 5}, false)
		return g.Scale(sum, 1/float64(k*k))
	})
	return g.diff("AveragePool2D", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		share := g.Reshape(g.Scale(dy, 1/float64(k*k)), n, c, h, 1, w, 1)
		whole := g.Reshape(g.expand(share, []int{n, c, h, k, w, k}), n, c, h*k, w*k)
		return []*Tensor{g.Pad(g.Pad(whole, 2, 0, restH), 3, 0, restW)}
	})
}

// GlobalPool2D averages x [N, C, H, W] over all pixels to [N, C]. N may be dynamic.
func (g *Graph) GlobalPool2D(x *Tensor) *Tensor {
	if !g.okFloat("GlobalPool2D", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || !static(x.shape[1:]) {
		g.failf("GlobalPool2D", "input %s, expected [N, C, H, W]", g.ShapeString(x.shape))
		return g.dummy(x)
	}
	return g.Reshape(g.Mean(x, 2, 3), x.shape[:2]...)
}

// GridPool averages x [N, C, H, W] over a grid of rows by cols cells of equal area, whatever H and W, and returns
// [N, C, rows, cols]. It is two products with constant matrices, which split pixels between cells where they must. N may
// be dynamic.
func (g *Graph) GridPool(x *Tensor, rows, cols int) *Tensor {
	if !g.okFloat("GridPool", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || !static(x.shape[1:]) || rows < 1 || cols < 1 || rows > x.shape[2] || cols > x.shape[3] {
		g.failf("GridPool", "input %s to %d by %d cells, expected [N, C, H, W] of at least a pixel a cell", g.ShapeString(x.shape), rows, cols)
		return g.dummy(x)
	}
	across, down := g.cells(x.shape[3], cols), g.cells(x.shape[2], rows)
	y := g.compose(func() *Tensor { return g.twoProducts(x, across, down) })
	return g.diff("GridPool", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.twoProducts(dy, g.Transpose(across, 1, 0), g.Transpose(down, 1, 0))}
	})
}

// twoProducts returns downᵀ·x·across for each image and channel.
func (g *Graph) twoProducts(x, across, down *Tensor) *Tensor {
	n, c, h := x.shape[0], x.shape[1], x.shape[2]
	y := g.emit("MatMul", []*Tensor{x, across}, []int{n, c, h, across.shape[1]})
	y = g.Transpose(y, 0, 1, 3, 2)
	y = g.emit("MatMul", []*Tensor{y, down}, []int{n, c, across.shape[1], down.shape[1]})
	return g.Transpose(y, 0, 1, 3, 2)
}

// cells returns the matrix [n, k] that averages n samples into k cells of equal length.
func (g *Graph) cells(n, k int) *Tensor { return g.Const(shares(n, k), n, k) }

// shares returns that matrix.
func shares(n, k int) []float64 {
	m := make([]float64, n*k)
	width := float64(n) / float64(k)
	for j := range k {
		lo, hi := float64(j)*width, float64(j+1)*width
		for i := range n {
			share := min(hi, float64(i+1)) - max(lo, float64(i))
			if share > 0 {
				m[i*k+j] = share / width
			}
		}
	}
	return m
}

// lowest is smaller than any value that training could survive, and finite in both float types.
const lowest = -3e38

// MaxPool1D takes the maximum of x [B, T, C] over windows of k frames that do not overlap; frames behind the last whole
// window are left out. A sequence shorter than k frames is one window. T may be dynamic; a gradient needs it static, and
// goes to the first of equal maxima.
func (g *Graph) MaxPool1D(x *Tensor, k int) *Tensor {
	if !g.okFloat("MaxPool1D", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || x.shape[2] < 0 || k < 1 {
		g.failf("MaxPool1D", "input %s with windows of %d, expected [B, T, C] and at least 1", g.ShapeString(x.shape), k)
		return g.dummy(x)
	}
	if !static(x.shape) {
		y := g.compose(func() *Tensor { return g.maxPoolDynamic(x, k) })
		return g.diff("MaxPool1D of dynamic shape", y, []*Tensor{x}, nil)
	}
	batch, channels := x.shape[0], x.shape[2]
	k = min(k, x.shape[1])
	if k == 1 {
		return x
	}
	n := x.shape[1] / k
	var views []*Tensor
	y := g.compose(func() *Tensor {
		whole := g.Reshape(g.Crop(x, 1, 0, x.shape[1]-n*k), batch*n, k*channels)
		views = g.split(whole, 1, k)
		return g.emit("Max", views, []int{batch * n, channels})
	})
	top := y
	y = g.compose(func() *Tensor { return g.Reshape(top, batch, n, channels) })
	return g.diff("MaxPool1D", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		// Comparisons only: ArgMax and OneHot lack CUDA kernels for long.
		rest := g.Reshape(dy, batch*n, channels)
		parts := make([]*Tensor, k)
		for i := range k - 1 {
			parts[i] = g.Mul(rest, g.mask("Equal", views[i], top))
			rest = g.Sub(rest, parts[i])
		}
		parts[k-1] = rest
		whole := g.Reshape(g.Concat(1, parts...), batch, n*k, channels)
		return []*Tensor{g.Pad(whole, 1, 0, x.shape[1]-n*k)}
	})
}

// split cuts an axis into k equal parts.
func (g *Graph) split(x *Tensor, axis, k int) []*Tensor {
	size := x.shape[axis] / k
	parts := make([]*Tensor, k)
	for i := range parts {
		parts[i] = g.Slice(x, axis, i*size, (i+1)*size)
	}
	return parts
}

// maxPoolDynamic works the number of windows out while running. Rows of the lowest value behind the sequence make a
// window of one that is too short.
func (g *Graph) maxPoolDynamic(x *Tensor, k int) *Tensor {
	if k == 1 {
		return x
	}
	batch, channels := x.shape[0], x.shape[2]
	frames := g.symbol(dimension{base: fmt.Sprintf("max(1, (%s)/%d)", g.dimString(x.shape[1]), k)})
	windows := g.intOp("Max", g.intOp("Div", g.frames(x), g.Ints(k)), g.Ints(1))
	longer, _ := g.shifted(x.shape[1], k-1)
	padded := g.emit("Pad", []*Tensor{x, g.Ints(0, 0, 0, 0, k-1, 0), g.Scalar(lowest)}, []int{batch, longer, channels})
	whole := g.emit("Slice", []*Tensor{padded, g.Ints(0), g.intOp("Mul", windows, g.Ints(k)), g.Ints(1)}, []int{batch, longer, channels})
	folded := g.emit("Reshape", []*Tensor{whole, g.Ints(batch, -1, k*channels)}, []int{batch, frames, k * channels})
	return g.emit("Max", g.split(folded, 2, k), []int{batch, frames, channels})
}
