package graph

// ConvChannels is Conv2D for images whose channels come first: x [C, N, H, W] to [O, N, OH, OW], of static shape. w and b
// are as Conv2D takes them; the groups must be 1, or as many as there are channels with one filter each.
//
// This is the layout to train in on a CPU. A channel's pixels over all images are one contiguous row, so that 1x1
// convolutions and weight gradients are single products, and normalisations reduce and scale rows.
func (g *Graph) ConvChannels(x, w, b *Tensor, spec Conv2DSpec) *Tensor {
	spec.Stride, spec.Groups = max(spec.Stride, 1), max(spec.Groups, 1)
	in := []*Tensor{x, w}
	if b != nil {
		in = append(in, b)
	}
	if !g.okFloat("ConvChannels", in...) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || len(w.shape) != 4 || !static(x.shape) || !static(w.shape) || x.shape[0] != w.shape[1]*spec.Groups ||
		(b != nil && (len(b.shape) != 1 || b.shape[0] != w.shape[0])) || spec.Pad < 0 {
		g.failf("ConvChannels", "input %s, weights %s, %+v; expected [C, N, H, W], [O, C/groups, KH, KW] and a bias [O]",
			g.ShapeString(x.shape), g.ShapeString(w.shape), spec)
		return g.dummy(x)
	}
	if x.shape[2]+2*spec.Pad < w.shape[2] || x.shape[3]+2*spec.Pad < w.shape[3] {
		g.failf("ConvChannels", "input %s is smaller than the kernel %s", g.ShapeString(x.shape), g.ShapeString(w.shape))
		return g.dummy(x)
	}
	c := &channelConv{*newConv2D(g, g.transposed(x), w, spec), x}
	var y *Tensor
	switch {
	case c.pointwise():
		y = g.Gemm(g.Reshape(w, c.out, c.in), g.Reshape(x, c.in, c.n*c.h*c.wd), nil, false, false)
	case spec.Groups == 1:
		y = c.dense()
	case c.depthwise():
		y = c.perChannel()
	default:
		g.failf("ConvChannels", "%d groups of %d channels, expected 1 or as many as channels, with one filter each", spec.Groups, c.in)
		return g.dummy(x)
	}
	y = g.Reshape(y, c.out, c.n, c.oh, c.ow)
	if b != nil {
		y = g.Add(y, g.Reshape(b, c.out, 1, 1, 1))
	}
	return y
}

// transposed stands for x with its first two axes exchanged, to read sizes from.
func (g *Graph) transposed(x *Tensor) *Tensor {
	return &Tensor{shape: []int{x.shape[1], x.shape[0], x.shape[2], x.shape[3]}}
}

// channelConv is a convolution of channel-major images.
type channelConv struct {
	conv2d
	x *Tensor // [C, N, H, W]
}

// dense puts what each kernel element meets below each other, and is one product with that.
func (c *channelConv) dense() *Tensor {
	g := c.g
	pixels := c.n * c.oh * c.ow
	var columns, weights *Tensor // [KH·KW·C, pixels] and [O, KH·KW·C]
	y := g.compose(func() *Tensor {
		padded := g.Pad(g.Pad(c.x, 2, c.pad, c.pad), 3, c.pad, c.pad)
		var list []*Tensor
		c.taps(func(i, j int) {
			list = append(list, g.strided(padded, []int{c.in, c.n, c.oh, c.ow}, []int{2, 3}, []int{i, j}, []int{c.oh, c.ow}, c.stride))
		})
		columns = g.Reshape(g.Concat(0, list...), c.kh*c.kw*c.in, pixels)
		weights = g.Reshape(g.Transpose(c.w, 0, 2, 3, 1), c.out, c.kh*c.kw*c.in)
		return g.Gemm(weights, columns, nil, false, false)
	})
	return g.diff("ConvChannels", y, []*Tensor{c.x, c.w}, func(dy *Tensor) []*Tensor {
		dw := g.Reshape(g.Gemm(dy, columns, nil, false, true), c.out, c.kh, c.kw, c.in)
		each := g.split(g.Reshape(g.Gemm(weights, dy, nil, true, false), c.kh*c.kw*c.in, c.n, c.oh, c.ow), 0, c.kh*c.kw)
		var sum []*Tensor
		c.taps(func(i, j int) { sum = append(sum, c.place(each[len(sum)], c.in, c.n, i, j)) })
		return []*Tensor{g.total(sum), g.Transpose(dw, 0, 3, 1, 2)}
	})
}

// widest is the product of input and output width up to which a depthwise convolution is a matrix product. Beyond, the
// bands are mostly zeros.
const widest = 2000

// perChannel is a depthwise convolution. Along a row it is a product with a matrix whose diagonals hold the kernel's row, a
// band; the rows that a result's row depends on are gathered next to each other, and their bands stand below each other.
// On small images this wastes little arithmetic and is far faster than a convolution of each channel for itself. On
// large ones only the weights' gradient is computed so, and the rest by convolutions in as many groups as there are channels
// and images.
func (c *channelConv) perChannel() *Tensor {
	g := c.g
	banded := g.float == Float64 || c.wd*c.ow <= widest
	var rows, bands *Tensor // [C, N·OH, KH·W] and [C, KH·W, OW]
	y := g.compose(func() *Tensor {
		rows = c.gatherRows(c.x, c.oh, c.h, c.wd, func(y, i int) int { return y*c.stride + i - c.pad })
		bands = g.Reshape(g.Gemm(g.Reshape(c.w, c.in*c.kh, c.kw), c.diagonals(), nil, false, false), c.in, c.kh*c.wd, c.ow)
		if banded {
			return g.MatMul(rows, bands, false, false)
		}
		return c.grouped(c.x, c.filters(), c.stride, c.pad, c.pad, c.oh, c.ow)
	})
	y = g.compose(func() *Tensor { return g.Reshape(y, c.in, c.n*c.oh, c.ow) })
	return g.diff("ConvChannels", y, []*Tensor{c.x, c.w}, func(dy *Tensor) []*Tensor {
		db := g.Reshape(g.MatMul(rows, dy, true, false), c.in*c.kh, c.wd*c.ow)
		dw := g.Reshape(g.Gemm(db, c.diagonals(), nil, false, true), c.w.shape...)
		dy = g.Reshape(dy, c.in, c.n, c.oh, c.ow)
		if !banded {
			return []*Tensor{c.groupedInputGrad(dy), dw}
		}
		back := c.gatherRows(dy, c.h, c.oh, c.ow, func(y, i int) int {
			if (y+c.pad-i)%c.stride != 0 {
				return -1
			}
			return (y + c.pad - i) / c.stride
		})
		turned := g.Transpose(g.Reshape(bands, c.in, c.kh, c.wd, c.ow), 0, 1, 3, 2)
		dx := g.MatMul(back, g.Reshape(turned, c.in, c.kh*c.ow, c.wd), false, false)
		return []*Tensor{g.Reshape(dx, c.in, c.n, c.h, c.wd), dw}
	})
}

// gatherRows returns, for each of count rows of a result, the KH rows of x [C, N, size, width] that at names, next to each
// other: [C, N·count, KH·width]. A row outside of x is zero.
func (c *channelConv) gatherRows(x *Tensor, count, size, width int, at func(y, i int) int) *Tensor {
	g := c.g
	list := make([]int, 0, count*c.kh)
	for y := range count {
		for i := range c.kh {
			r := at(y, i)
			if r < 0 || r >= size {
				r = size
			}
			list = append(list, r)
		}
	}
	return g.Reshape(g.rows(g.Pad(x, 2, 0, 1), 2, list), c.in, c.n*count, c.kh*width)
}

// diagonals returns [KW, W·OW], for each kernel column the matrix [W, OW] that has 1 where a result's column meets an
// input's column through it.
func (c *channelConv) diagonals() *Tensor {
	m := make([]float64, c.kw*c.wd*c.ow)
	for j := range c.kw {
		for q := range c.ow {
			if p := q*c.stride + j - c.pad; p >= 0 && p < c.wd {
				m[(j*c.wd+p)*c.ow+q] = 1
			}
		}
	}
	return c.g.Const(m, c.kw, c.wd*c.ow)
}

// filters returns the weights for each channel of each image, [C·N, 1, KH, KW].
func (c *channelConv) filters() *Tensor {
	g := c.g
	each := g.expand(g.Reshape(c.w, c.in, 1, c.kh, c.kw), []int{c.in, c.n, c.kh, c.kw})
	return g.Reshape(each, c.in*c.n, 1, c.kh, c.kw)
}

// grouped convolves all images of all channels as channels of one image.
func (c *channelConv) grouped(x, filters *Tensor, stride, padH, padW, height, width int) *Tensor {
	g, all := c.g, c.in*c.n
	y := g.emit("Conv", []*Tensor{g.Reshape(x, 1, all, x.shape[2], x.shape[3]), filters}, []int{1, all, height, width},
		attribute{"group", all},
		attribute{"kernel_shape", []int{c.kh, c.kw}},
		attribute{"pads", []int{padH, padW, padH, padW}},
		attribute{"strides", []int{stride, stride}})
	return g.Reshape(y, c.in, c.n, height, width)
}

func (c *channelConv) groupedInputGrad(dy *Tensor) *Tensor {
	g, all := c.g, c.in*c.n
	if c.stride == 1 && c.pad < c.kh && c.pad < c.kw {
		turned := g.rows(g.rows(c.filters(), 2, countdown(c.kh)), 3, countdown(c.kw))
		return c.grouped(dy, turned, 1, c.kh-1-c.pad, c.kw-1-c.pad, c.h, c.wd)
	}
	dx := g.emit("ConvTranspose", []*Tensor{g.Reshape(dy, 1, all, c.oh, c.ow), c.filters()}, []int{1, all, c.h, c.wd},
		attribute{"group", all},
		attribute{"kernel_shape", []int{c.kh, c.kw}},
		attribute{"output_padding", []int{c.restH, c.restW}},
		attribute{"pads", []int{c.pad, c.pad, c.pad, c.pad}},
		attribute{"strides", []int{c.stride, c.stride}})
	return g.Reshape(dx, c.in, c.n, c.h, c.wd)
}
