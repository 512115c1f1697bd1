package graph

// AveragePool2D averages x [N, C, H, W] over windows of k by k that do not overlap; rows and columns that fill no
// window are left out. N may be dynamic. It has no gradient yet.
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
	shape := []int{x.shape[0], x.shape[1], x.shape[2] / k, x.shape[3] / k}
	y := g.emit("AveragePool", []*Tensor{x}, shape, attribute{"kernel_shape", []int{k, k}}, attribute{"strides", []int{k, k}})
	return g.diff("AveragePool2D", y, []*Tensor{x}, nil)
}

// GridPool averages x [N, C, H, W] over a grid of rows by cols cells of equal area, whatever H and W, and returns
// [N, C, rows, cols]. It is two products with constant matrices, which split pixels between cells where they must.
func (g *Graph) GridPool(x *Tensor, rows, cols int) *Tensor {
	if !g.okFloat("GridPool", x) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || !static(x.shape[1:]) || rows < 1 || cols < 1 || rows > x.shape[2] || cols > x.shape[3] {
		g.failf("GridPool", "input %s to %d by %d cells, expected [N, C, H, W] of at least a pixel a cell", g.ShapeString(x.shape), rows, cols)
		return g.dummy(x)
	}
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	across := g.emit("MatMul", []*Tensor{x, g.cells(w, cols)}, []int{n, c, h, cols})
	down := g.emit("MatMul", []*Tensor{g.emit("Transpose", []*Tensor{across}, []int{n, c, cols, h}, attribute{"perm", []int{0, 1, 3, 2}}),
		g.cells(h, rows)}, []int{n, c, cols, rows})
	y := g.emit("Transpose", []*Tensor{down}, []int{n, c, rows, cols}, attribute{"perm", []int{0, 1, 3, 2}})
	return g.diff("GridPool", y, []*Tensor{x}, nil)
}

// cells returns the matrix [n, k] that averages n samples into k cells of equal length.
func (g *Graph) cells(n, k int) *Tensor {
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
	return g.Const(m, n, k)
}
