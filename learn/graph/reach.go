package graph

import "math"

// reach says how the pixels of one grid, to, depend on those of another, from, through a kernel: in the forward direction
// pixel y sees pixel y·stride + i - pad through kernel row i, backwards the other way round; columns likewise. It cuts the
// grid to into tiles that depend on equal blocks of from, their patches.
type reach struct {
	to, from        grid
	kh, kw          int
	stride, pad     int
	back            bool
	tile            tile // to is cut into
	top, left       int  // first row and column of the first tile's patch
	height, breadth int  // of a patch
}

// sees returns the row (or column) of from that one of to meets through a kernel row; false if it meets none. It may lie
// outside.
func (r *reach) sees(y, i int) (int, bool) {
	if !r.back {
		return y*r.stride + i - r.pad, true
	}
	d := y + r.pad - i
	return (d - mod(d, r.stride)) / r.stride, mod(d, r.stride) == 0
}

func mod(a, b int) int { return (a%b + b) % b }

// cut cuts into tiles; false if they would differ in how they depend on their patches.
func (r *reach) cut(t tile) bool {
	if r.to.h%t.h != 0 || r.to.w%t.w != 0 {
		return false
	}
	if r.back && (t.h%r.stride != 0 && t.h != r.to.h || t.w%r.stride != 0 && t.w != r.to.w) {
		return false
	}
	r.tile = t
	r.top, r.height = r.extent(t.h, r.kh)
	r.left, r.breadth = r.extent(t.w, r.kw)
	return true
}

// extent returns the first row that one of a tile's rows sees, and how many there are up to the last.
func (r *reach) extent(rows, kernel int) (first, count int) {
	lo, hi := math.MaxInt, math.MinInt
	for y := range rows {
		for i := range kernel {
			if s, ok := r.sees(y, i); ok {
				lo, hi = min(lo, s), max(hi, s)
			}
		}
	}
	if lo > hi {
		return 0, 1
	}
	return lo, hi - lo + 1
}

func (r *reach) patch() int { return r.height * r.breadth }

// steps returns how far the patches of neighbouring tiles are apart.
func (r *reach) steps() (down, across int) {
	if r.back {
		return r.tile.h / r.stride, r.tile.w / r.stride
	}
	return r.tile.h * r.stride, r.tile.w * r.stride
}

// sources returns, for each place in a patch, the position in from of each tile's pixel there. What is outside gets the
// position behind the last; outside tells whether there is any. Tiles of one pixel are in the order of the grid to.
func (r *reach) sources() (list []int, outside bool) {
	var origins [][2]int
	if r.tile.size() == 1 {
		origins = r.to.pixels()
	} else {
		origins = grid{h: r.to.h / r.tile.h, w: r.to.w / r.tile.w, order: tile{1, 1}}.pixels()
	}
	down, across := r.steps()
	list = make([]int, 0, r.patch()*len(origins))
	for i := range r.height {
		for j := range r.breadth {
			for _, o := range origins {
				y, x := r.top+i+o[0]*down, r.left+j+o[1]*across
				if y < 0 || y >= r.from.h || x < 0 || x >= r.from.w {
					list, outside = append(list, r.from.h*r.from.w), true
					continue
				}
				list = append(list, r.from.place(y, x))
			}
		}
	}
	return list, outside
}

// links returns for each kernel element the matrix of a tile's pixels and the places of its patch, or the other way round,
// that is 1 where they meet through it: [KH·KW, tile·patch] or [KH·KW, patch·tile].
func (r *reach) links(g *Graph, patchFirst bool) *Tensor {
	pixels, places := r.tile.size(), r.patch()
	m := make([]float64, r.kh*r.kw*pixels*places)
	for y := range r.tile.h {
		for i := range r.kh {
			row, ok := r.sees(y, i)
			for x := 0; ok && x < r.tile.w; x++ {
				for j := range r.kw {
					col, ok := r.sees(x, j)
					if !ok {
						continue
					}
					pixel, place := y*r.tile.w+x, (row-r.top)*r.breadth+col-r.left
					at := pixel*places + place
					if patchFirst {
						at = place*pixels + pixel
					}
					m[(i*r.kw+j)*pixels*places+at] = 1
				}
			}
		}
	}
	return g.Const(m, r.kh*r.kw, pixels*places)
}

// order returns the order of what is computed tile by tile.
func (r *reach) order() tile {
	if r.tile.size() == 1 {
		return r.to.order
	}
	return r.tile
}

// cost estimates what a pixel of to costs, in nanoseconds of one core: the pixels of patches, which are n floats, are moved,
// packed for the products of both directions and the one of the weights' gradient, and multiplied.
func (r *reach) cost(n int) float64 {
	const each, float, pack, multiply = 7, 0.15, 0.4, 0.06
	patch := float64(r.patch())
	return patch/float64(r.tile.size())*(each/float64(n)+float+pack) + patch*multiply
}

// best returns the tiles that cost least, alone or together with what other costs with them.
func (r *reach) best(n int, other func(t tile) float64) tile {
	least, chosen := math.Inf(1), tile{r.to.h, r.to.w}
	for h := 1; h <= r.to.h; h++ {
		for w := 1; w <= r.to.w; w++ {
			t := tile{h, w}
			if !r.cut(t) {
				continue
			}
			c := r.cost(n)
			if other != nil {
				c += other(t)
			}
			if c < least {
				least, chosen = c, t
			}
		}
	}
	r.cut(chosen)
	return chosen
}

// settle cuts the grid to into tiles and puts it in their order: those that suit both this reach and, behind it, convolutions
// of 3x3 on n images. Otherwise it computes each pixel for itself and takes care of the convolutions behind only.
func (r *reach) settle(n int, tiles bool) {
	next := reach{to: r.to, from: r.to, kh: 3, kw: 3, stride: 1, pad: 1}
	if !tiles {
		r.to.order = next.best(n, nil)
		r.cut(tile{1, 1})
		return
	}
	r.to.order = r.best(n, func(t tile) float64 {
		next.cut(t)
		return next.cost(n)
	})
}
