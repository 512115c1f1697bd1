package graph

import "slices"

// Conv2DSpec describes a convolution over images.
type Conv2DSpec struct {
	Stride int // >= 1; 0 means 1
	Pad    int // zeros on each side
	Groups int // channel groups, 0 means 1; as many as channels makes it depthwise
}

// Conv2D convolves x [N, C, H, W] with w [O, C/Groups, KH, KW] and adds b [O] unless it is nil. N may be dynamic; a
// gradient needs it static.
func (g *Graph) Conv2D(x, w, b *Tensor, spec Conv2DSpec) *Tensor {
	spec.Stride, spec.Groups = max(spec.Stride, 1), max(spec.Groups, 1)
	in := []*Tensor{x, w}
	if b != nil {
		in = append(in, b)
	}
	if !g.okFloat("Conv2D", in...) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || len(w.shape) != 4 || !static(x.shape[1:]) || !static(w.shape) || x.shape[1] != w.shape[1]*spec.Groups ||
		w.shape[0]%spec.Groups != 0 || (b != nil && (len(b.shape) != 1 || b.shape[0] != w.shape[0])) || spec.Pad < 0 {
		g.failf("Conv2D", "input %s, weights %s, %+v; expected [N, C, H, W], [O, C/groups, KH, KW] and a bias [O]",
			g.ShapeString(x.shape), g.ShapeString(w.shape), spec)
		return g.dummy(x)
	}
	if x.shape[2]+2*spec.Pad < w.shape[2] || x.shape[3]+2*spec.Pad < w.shape[3] {
		g.failf("Conv2D", "input %s is smaller than the kernel %s", g.ShapeString(x.shape), g.ShapeString(w.shape))
		return g.dummy(x)
	}
	c := newConv2D(g, x, w, spec)
	if c.pointwise() && static(x.shape) {
		return c.product(b)
	}
	y := g.compose(func() *Tensor { return c.forward(b) })
	if !static(x.shape) {
		return g.diff("Conv2D of dynamic shape", y, in, nil)
	}
	return g.diff("Conv2D", y, in, func(dy *Tensor) []*Tensor {
		grads := []*Tensor{c.inputGrad(dy), c.weightGrad(dy)}
		if b != nil {
			grads = append(grads, g.Reshape(g.reduceSum(dy, []int{0, 2, 3}, true), b.shape...))
		}
		return grads
	})
}

// conv2d holds the sizes of one convolution.
type conv2d struct {
	g                   *Graph
	x, w                *Tensor
	stride, pad, groups int
	n, in, h, wd        int // of x
	out, kh, kw         int // of w
	oh, ow              int // of the result
	restH, restW        int // rows and columns behind the last window, which no result depends on
}

func newConv2D(g *Graph, x, w *Tensor, spec Conv2DSpec) *conv2d {
	c := &conv2d{g: g, x: x, w: w, stride: spec.Stride, pad: spec.Pad, groups: spec.Groups,
		n: x.shape[0], in: x.shape[1], h: x.shape[2], wd: x.shape[3],
		out: w.shape[0], kh: w.shape[2], kw: w.shape[3]}
	spanH, spanW := c.h+2*c.pad-c.kh, c.wd+2*c.pad-c.kw
	c.oh, c.ow = spanH/c.stride+1, spanW/c.stride+1
	c.restH, c.restW = spanH%c.stride, spanW%c.stride
	return c
}

func (c *conv2d) pointwise() bool {
	return c.kh == 1 && c.kw == 1 && c.stride == 1 && c.pad == 0 && c.groups == 1
}

func (c *conv2d) depthwise() bool { return c.groups == c.in && c.out == c.in }

// product is a 1x1 convolution: one matrix product an image, which records its own gradient.
func (c *conv2d) product(b *Tensor) *Tensor {
	g, pixels := c.g, c.h*c.wd
	rows, weights := g.Reshape(c.x, c.n, c.in, pixels), g.Reshape(c.w, c.out, c.in)
	y := g.emit("MatMul", []*Tensor{weights, rows}, []int{c.n, c.out, pixels})
	y = g.diff("Conv2D", y, []*Tensor{rows, weights}, func(dy *Tensor) []*Tensor {
		dx := g.emit("MatMul", []*Tensor{g.swapLast(weights, true), dy}, rows.shape)
		return []*Tensor{dx, g.reduceSum(g.MatMul(dy, rows, false, true), []int{0}, false)}
	})
	y = g.Reshape(y, c.n, c.out, c.h, c.wd)
	if b != nil {
		y = g.Add(y, g.Reshape(b, c.out, 1, 1))
	}
	return y
}

func (c *conv2d) attributes(extra ...attribute) []attribute {
	return append([]attribute{
		{"group", c.groups},
		{"kernel_shape", []int{c.kh, c.kw}},
		{"pads", []int{c.pad, c.pad, c.pad, c.pad}},
		{"strides", []int{c.stride, c.stride}},
	}, extra...)
}

func (c *conv2d) forward(b *Tensor) *Tensor {
	if c.g.float == Float64 {
		return c.forwardByTaps(b)
	}
	in := []*Tensor{c.x, c.w}
	if b != nil {
		in = append(in, b)
	}
	return c.g.emit("Conv", in, []int{c.n, c.out, c.oh, c.ow}, c.attributes()...)
}

// inputGrad is a convolution of dy with the weights turned by half a turn, which at stride 1 is a plain one.
func (c *conv2d) inputGrad(dy *Tensor) *Tensor {
	g := c.g
	if g.float == Float64 {
		return c.inputGradByTaps(dy)
	}
	if c.stride > 1 || c.pad >= c.kh || c.pad >= c.kw {
		return g.emit("ConvTranspose", []*Tensor{dy, c.w}, c.x.shape,
			c.attributes(attribute{"output_padding", []int{c.restH, c.restW}})...)
	}
	turned := g.rows(g.rows(c.w, 2, countdown(c.kh)), 3, countdown(c.kw))
	if !c.depthwise() {
		outs, ins := c.out/c.groups, c.in/c.groups
		split := g.Reshape(turned, c.groups, outs, ins, c.kh, c.kw)
		turned = g.Reshape(g.Transpose(split, 0, 2, 1, 3, 4), c.in, outs, c.kh, c.kw)
	}
	padH, padW := c.kh-1-c.pad, c.kw-1-c.pad
	return g.emit("Conv", []*Tensor{dy, turned}, c.x.shape,
		attribute{"group", c.groups},
		attribute{"kernel_shape", []int{c.kh, c.kw}},
		attribute{"pads", []int{padH, padW, padH, padW}},
		attribute{"strides", []int{1, 1}})
}

func countdown(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = n - 1 - i
	}
	return list
}

func (c *conv2d) weightGrad(dy *Tensor) *Tensor {
	switch {
	case c.g.float == Float64:
		return c.weightGradByTaps(dy)
	case c.groups == 1:
		return c.denseWeightGrad(dy)
	case c.depthwise():
		return c.depthwiseWeightGrad(dy)
	}
	return c.weightGradByTaps(dy)
}

// denseWeightGrad is a convolution, too: images and channels change places, and dy is the kernel, its elements as far
// apart as the stride.
func (c *conv2d) denseWeightGrad(dy *Tensor) *Tensor {
	g := c.g
	// What lies behind the last window must not be seen: less padding, or none and less of the input.
	seen := g.Crop(g.Crop(c.x, 2, 0, max(c.restH-c.pad, 0)), 3, 0, max(c.restW-c.pad, 0))
	y := g.emit("Conv", []*Tensor{g.Transpose(seen, 1, 0, 2, 3), g.Transpose(dy, 1, 0, 2, 3)}, []int{c.in, c.out, c.kh, c.kw},
		attribute{"dilations", []int{c.stride, c.stride}},
		attribute{"kernel_shape", []int{c.oh, c.ow}},
		attribute{"pads", []int{c.pad, c.pad, max(c.pad-c.restH, 0), max(c.pad-c.restW, 0)}})
	return g.Transpose(y, 1, 0, 2, 3)
}

// depthwiseWeightGrad multiplies, for each channel and each row of the kernel, all columns of dy with all columns of
// the input rows it saw. A kernel element's gradient is the sum of one diagonal of that small matrix. This does some
// tens of times the arithmetic that is needed, but in matrix products over all images and rows at once.
func (c *conv2d) depthwiseWeightGrad(dy *Tensor) *Tensor {
	g := c.g
	width := c.wd + 2*c.pad
	padded := g.Pad(g.Pad(c.x, 2, c.pad, c.pad), 3, c.pad, c.pad)
	turned := g.Reshape(g.Transpose(dy, 1, 0, 2, 3), c.in, c.n*c.oh, c.ow)
	diagonals := make([]int, 0, c.ow*c.kw)
	for i := range c.ow {
		for j := range c.kw {
			diagonals = append(diagonals, i*width+i*c.stride+j)
		}
	}
	rows := make([]*Tensor, c.kh)
	for i := range rows {
		seen := g.strided(padded, []int{c.n, c.in, c.oh, width}, []int{2}, []int{i}, []int{c.oh}, c.stride)
		seen = g.Reshape(g.Transpose(seen, 1, 0, 2, 3), c.in, c.n*c.oh, width)
		cross := g.Reshape(g.MatMul(turned, seen, true, false), c.in, c.ow*width)
		rows[i] = g.Sum(g.Reshape(g.rows(cross, 1, diagonals), c.in, c.ow, c.kw), 1)
	}
	return g.Reshape(g.Concat(1, rows...), c.w.shape...)
}

// strided takes count elements from each of some axes, starting at first, stride apart.
func (g *Graph) strided(x *Tensor, shape, axes, first, count []int, stride int) *Tensor {
	ends, steps := make([]int, len(axes)), make([]int, len(axes))
	for i := range axes {
		ends[i], steps[i] = first[i]+(count[i]-1)*stride+1, stride
	}
	return g.emit("Slice", []*Tensor{x, g.Ints(first...), g.Ints(ends...), g.Ints(axes...), g.Ints(steps...)}, slices.Clone(shape))
}
