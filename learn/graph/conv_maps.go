package graph

// ConvMaps convolves maps with w [O, C/Groups, KH, KW]. The groups must be 1, or as many as there are channels with one
// filter each. It has no bias.
func (g *Graph) ConvMaps(m Maps, w *Tensor, spec Conv2DSpec) Maps {
	spec.Stride, spec.Groups = max(spec.Stride, 1), max(spec.Groups, 1)
	if !g.okFloat("ConvMaps", m.X, w) {
		return m
	}
	c := m.Channels()
	if len(w.shape) != 4 || !static(w.shape) || c != w.shape[1]*spec.Groups || spec.Pad < 0 {
		g.failf("ConvMaps", "%d channels, weights %s, %+v; expected weights [O, C/groups, KH, KW]", c, g.ShapeString(w.shape), spec)
		return m
	}
	if spec.Groups > 1 && (spec.Groups != c || w.shape[0] != c) {
		g.failf("ConvMaps", "%d groups of %d channels, expected 1 or as many as channels, with one filter each", spec.Groups, c)
		return m
	}
	kh, kw := w.shape[2], w.shape[3]
	if m.h+2*spec.Pad < kh || m.w+2*spec.Pad < kw {
		g.failf("ConvMaps", "maps of %d by %d pixels are smaller than the kernel %s", m.h, m.w, g.ShapeString(w.shape))
		return m
	}
	v := &mapConv{g: g, in: m, w: w, kernel: kh * kw, channels: c, filters: w.shape[0]}
	if kh == 1 && kw == 1 && spec.Stride == 1 && spec.Pad == 0 && spec.Groups == 1 {
		v.out = m.grid
		return Maps{X: v.pointwise(), N: m.N, grid: v.out}
	}
	v.out = grid{(m.h+2*spec.Pad-kh)/spec.Stride + 1, (m.w+2*spec.Pad-kw)/spec.Stride + 1, tile{1, 1}}
	v.there = reach{to: v.out, from: m.grid, kh: kh, kw: kw, stride: spec.Stride, pad: spec.Pad}
	v.there.settle(m.N, spec.Groups > 1)
	v.out = v.there.to
	v.back = reach{to: m.grid, from: v.out, kh: kh, kw: kw, stride: spec.Stride, pad: spec.Pad, back: true}
	if spec.Groups == 1 {
		return Maps{X: v.dense(), N: m.N, grid: v.out}
	}
	return Maps{X: v.depthwise(), N: m.N, grid: v.out}
}

// mapConv is a convolution of maps. Products want many rows and columns, and a depthwise convolution has one filter for
// each channel only. So it computes a tile of pixels from its patch, with a matrix that holds the kernel's elements where they
// meet: 16 pixels from 36, say, for all tiles and images in one product a channel. Nine of those 36 are needed, the others
// are multiplied by 0, which still is far less work than moving each pixel to nine places.
type mapConv struct {
	g                         *Graph
	in                        Maps
	w                         *Tensor
	kernel, channels, filters int
	out                       grid
	there, back               reach
}

// shape returns the shape of maps on a grid.
func (v *mapConv) shape(channels int, a grid) []int { return []int{1, channels, a.h * a.w * v.in.N} }

// patches returns for each channel and place in a patch the pixels of all tiles and images: [C, patch, tiles·N].
func (v *mapConv) patches(x *Tensor, r *reach) *Tensor {
	g, c := v.g, x.shape[1]
	x = g.Reshape(x, c, r.from.h*r.from.w, v.in.N)
	list, outside := r.sources()
	if outside {
		x = g.Pad(x, 1, 0, 1)
	}
	return g.Reshape(g.rows(x, 1, list), c, r.patch(), len(list)/r.patch()*v.in.N)
}

// pointwise is one product.
func (v *mapConv) pointwise() *Tensor {
	g := v.g
	var rows, weights *Tensor
	y := g.compose(func() *Tensor {
		rows, weights = g.Reshape(v.in.X, v.channels, v.in.X.shape[2]), g.Reshape(v.w, v.filters, v.channels)
		return g.Reshape(g.Gemm(weights, rows, nil, false, false), v.shape(v.filters, v.out)...)
	})
	return g.diff("ConvMaps", y, []*Tensor{v.in.X, v.w}, func(dy *Tensor) []*Tensor {
		dy, scale := g.unscaled(dy)
		dy = g.Reshape(dy, v.filters, rows.shape[1])
		dx := g.Gemm(scaled(weights, scale), dy, nil, true, false)
		dw := scaled(g.Gemm(dy, rows, nil, false, true), scale)
		return []*Tensor{g.Reshape(dx, v.in.X.shape...), g.Reshape(dw, v.w.shape...)}
	})
}

// dense is one product with what each kernel element meets.
func (v *mapConv) dense() *Tensor {
	g := v.g
	var columns, weights *Tensor // [C·KH·KW, pixels] and [O, C·KH·KW]
	y := g.compose(func() *Tensor {
		p := v.patches(v.in.X, &v.there)
		columns = g.Reshape(p, v.channels*v.kernel, p.shape[2])
		weights = g.Reshape(v.w, v.filters, v.channels*v.kernel)
		return g.Reshape(g.Gemm(weights, columns, nil, false, false), v.shape(v.filters, v.out)...)
	})
	return g.diff("ConvMaps", y, []*Tensor{v.in.X, v.w}, func(dy *Tensor) []*Tensor {
		dy, scale := g.unscaled(dy)
		dw := scaled(g.Gemm(g.Reshape(dy, v.filters, columns.shape[1]), columns, nil, false, true), scale)
		r := &v.back
		if !r.cut(tile{r.stride, r.stride}) {
			r.best(v.in.N, nil)
		}
		pixels, patch := r.tile.size(), r.patch()
		links := g.Gemm(g.Reshape(scaled(weights, scale), v.filters*v.channels, v.kernel), r.links(g, false), nil, false, false)
		links = g.Transpose(g.Reshape(links, v.filters, v.channels, pixels, patch), 1, 2, 0, 3)
		p := v.patches(dy, r)
		dx := g.Gemm(g.Reshape(links, v.channels*pixels, v.filters*patch), g.Reshape(p, v.filters*patch, p.shape[2]), nil, false, false)
		return []*Tensor{v.arranged(dx), g.Reshape(dw, v.w.shape...)}
	})
}

// depthwise is one product a channel with its patches.
func (v *mapConv) depthwise() *Tensor {
	g := v.g
	var patches *Tensor
	y := g.compose(func() *Tensor {
		patches = v.patches(v.in.X, &v.there)
		y := g.MatMul(v.matrices(&v.there, nil), patches, false, false)
		return g.Reshape(y, v.shape(v.filters, v.out)...)
	})
	return g.diff("ConvMaps", y, []*Tensor{v.in.X, v.w}, func(dy *Tensor) []*Tensor {
		dy, scale := g.unscaled(dy)
		met := g.MatMul(patches, g.Reshape(dy, v.channels, v.there.tile.size(), patches.shape[2]), false, true)
		dw := g.Gemm(g.Reshape(met, v.channels, v.there.patch()*v.there.tile.size()), v.there.links(g, true), nil, false, true)
		if !v.back.cut(v.in.order) || v.in.order.size() == 1 {
			v.back.best(v.in.N, nil)
		}
		dx := g.MatMul(v.matrices(&v.back, scale), v.patches(dy, &v.back), false, false)
		return []*Tensor{v.arranged(dx), g.Reshape(scaled(dw, scale), v.w.shape...)}
	})
}

// matrices returns the matrix of each channel's kernel, [C, tile, patch].
func (v *mapConv) matrices(r *reach, scale *Tensor) *Tensor {
	g := v.g
	kernels := scaled(g.Reshape(v.w, v.channels, v.kernel), scale)
	return g.Reshape(g.Gemm(kernels, r.links(g, false), nil, false, false), v.channels, r.tile.size(), r.patch())
}

// arranged puts a gradient that was computed tile by tile into the order of the input.
func (v *mapConv) arranged(dx *Tensor) *Tensor {
	g, have := v.g, v.back.to
	if have.order = v.back.order(); have.order != v.in.order {
		list := make([]int, 0, v.in.h*v.in.w)
		for _, at := range v.in.pixels() {
			list = append(list, have.place(at[0], at[1]))
		}
		dx = g.rows(g.Reshape(dx, v.channels, v.in.h*v.in.w, v.in.N), 1, list)
	}
	return g.Reshape(dx, v.in.X.shape...)
}

// unscaled takes a gradient of maps that was multiplied by a factor a channel, as those of normalisations are, apart: the
// factors [C, 1], nil where there are none, are cheaper to apply to weights than to maps.
func (g *Graph) unscaled(dy *Tensor) (rest, scale *Tensor) {
	n := g.makers[dy]
	if n == nil || n.op != "Mul" || len(n.in[0].shape) != 3 || len(n.in[1].shape) != 2 ||
		n.in[1].shape[0] != dy.shape[1] || n.in[1].shape[1] != 1 {
		return dy, nil
	}
	return n.in[0], n.in[1]
}

// scaled multiplies the rows of a matrix.
func scaled(m, scale *Tensor) *Tensor {
	if scale == nil {
		return m
	}
	return m.g.Mul(m, scale)
}
