package graph

// Maps are images in the layout to train in on a CPU: X is [1, C, H·W·N], of static shape. A channel's pixels over all
// images are one contiguous row, so that 1x1 convolutions and weight gradients are single products and normalisations work
// on rows; and the N images of a pixel lie together, so that pixels are moved about in one piece for all images. The pixels
// are in an order of the maps' own (see tile), which all that treats them alike need not know.
type Maps struct {
	X *Tensor
	N int
	grid
}

// grid is H by W pixels in an order.
type grid struct {
	h, w  int
	order tile
}

// tile is a block of h by w pixels that grids are cut into. The order of pixels is by their place in their tile, and
// those of one place by tile, both row by row. Tiles of 1x1 give the usual order.
type tile struct{ h, w int }

func (t tile) size() int { return t.h * t.w }

// place returns the position of a pixel.
func (a grid) place(y, x int) int {
	tiles := a.h / a.order.h * (a.w / a.order.w)
	return (y%a.order.h*a.order.w+x%a.order.w)*tiles + y/a.order.h*(a.w/a.order.w) + x/a.order.w
}

// pixels returns the row and column of each pixel in order.
func (a grid) pixels() [][2]int {
	list := make([][2]int, a.h*a.w)
	for y := range a.h {
		for x := range a.w {
			list[a.place(y, x)] = [2]int{y, x}
		}
	}
	return list
}

// Maps takes images [N, C, H, W] of static shape to that layout.
func (g *Graph) Maps(x *Tensor) Maps {
	if !g.okFloat("Maps", x) {
		return Maps{X: g.dummyShape(1, 1, 1), N: 1, grid: grid{1, 1, tile{1, 1}}}
	}
	if len(x.shape) != 4 || !static(x.shape) {
		g.failf("Maps", "images %s, expected a static [N, C, H, W]", g.ShapeString(x.shape))
		return Maps{X: g.dummyShape(1, 1, 1), N: 1, grid: grid{1, 1, tile{1, 1}}}
	}
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	return Maps{X: g.Reshape(g.Transpose(x, 1, 2, 3, 0), 1, c, h*w*n), N: n, grid: grid{h, w, tile{1, 1}}}
}

// Channels returns the number of channels.
func (m Maps) Channels() int { return m.X.Dim(1) }

// PerImage brings one value an image, [N], to the shape [1, 1, H·W·N], which broadcasts over X.
func (m Maps) PerImage(v *Tensor) *Tensor {
	g := m.X.g
	return g.Reshape(g.Expand(v, m.h*m.w, m.N), 1, 1, m.h*m.w*m.N)
}

// Images returns the images as [N, C, H, W].
func (m Maps) Images() *Tensor {
	g, c, t := m.X.g, m.X.shape[1], m.order
	if m.h%t.h != 0 || m.w%t.w != 0 {
		return g.dummy(m.X) // of a graph that has failed
	}
	x := g.Reshape(m.X, c, t.h, t.w, m.h/t.h, m.w/t.w, m.N)
	return g.Reshape(g.Transpose(x, 5, 0, 3, 1, 4, 2), m.N, c, m.h, m.w)
}

// Pool averages over all pixels, to [N, C].
func (m Maps) Pool() *Tensor {
	g, c := m.X.g, m.X.Dim(1)
	mean := g.Mean(g.Reshape(m.X, c, m.h*m.w, m.N), 1)
	return g.Transpose(g.Reshape(mean, c, m.N), 1, 0)
}

// GridPool averages over a grid of rows by cols cells as Graph.GridPool does, to [N, C, rows, cols]. It is one product with
// a constant matrix.
func (m Maps) GridPool(rows, cols int) *Tensor {
	g := m.X.g
	if !g.okFloat("GridPool", m.X) {
		return g.dummy(m.X)
	}
	if rows < 1 || cols < 1 || rows > m.h || cols > m.w {
		g.failf("GridPool", "maps of %d by %d pixels to %d by %d cells, expected at least a pixel a cell", m.h, m.w, rows, cols)
		return g.dummy(m.X)
	}
	c, pixels, cells := m.X.shape[1], m.h*m.w, rows*cols
	down, across := shares(m.h, rows), shares(m.w, cols)
	into, back := make([]float64, cells*pixels), make([]float64, pixels*cells)
	for p, at := range m.pixels() {
		for i := range cells {
			share := down[at[0]*rows+i/cols] * across[at[1]*cols+i%cols]
			into[i*pixels+p], back[p*cells+i] = share, share
		}
	}
	x := g.Reshape(m.X, c, pixels, m.N)
	y := g.emit("MatMul", []*Tensor{g.Const(into, cells, pixels), x}, []int{c, cells, m.N})
	y = g.diff("GridPool", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.emit("MatMul", []*Tensor{g.Const(back, pixels, cells), dy}, x.shape)}
	})
	return g.Reshape(g.Transpose(y, 2, 0, 1), m.N, c, rows, cols)
}
