package graph

// A convolution as a sum over the elements ("taps") of its kernel. It serves float64, for which ONNX Runtime has no Conv,
// and weights in groups.

// taps calls f for each kernel element.
func (c *conv2d) taps(f func(i, j int)) {
	for i := range c.kh {
		for j := range c.kw {
			f(i, j)
		}
	}
}

// views returns, for each tap, what of the padded input it meets: [N, groups, C/groups, pixels].
func (c *conv2d) views() []*Tensor {
	g := c.g
	padded := g.Pad(g.Pad(c.x, 2, c.pad, c.pad), 3, c.pad, c.pad)
	var list []*Tensor
	c.taps(func(i, j int) {
		v := g.strided(padded, []int{c.n, c.in, c.oh, c.ow}, []int{2, 3}, []int{i, j}, []int{c.oh, c.ow}, c.stride)
		list = append(list, g.Reshape(v, c.n, c.groups, c.in/c.groups, c.oh*c.ow))
	})
	return list
}

// tapWeights returns, for each tap, its weights [groups, O/groups, C/groups].
func (c *conv2d) tapWeights() []*Tensor {
	g := c.g
	var list []*Tensor
	c.taps(func(i, j int) {
		w := g.Slice(g.Slice(c.w, 2, i, i+1), 3, j, j+1)
		list = append(list, g.Reshape(w, c.groups, c.out/c.groups, c.in/c.groups))
	})
	return list
}

func (c *conv2d) forwardByTaps(b *Tensor) *Tensor {
	g := c.g
	weights := c.tapWeights()
	var sum []*Tensor
	for i, v := range c.views() {
		sum = append(sum, g.emit("MatMul", []*Tensor{weights[i], v}, []int{c.n, c.groups, c.out / c.groups, c.oh * c.ow}))
	}
	y := g.Reshape(g.total(sum), c.n, c.out, c.oh, c.ow)
	if b != nil {
		y = g.Add(y, g.Reshape(b, c.out, 1, 1))
	}
	return y
}

// inputGradByTaps puts what each tap passes back where the tap met the input.
func (c *conv2d) inputGradByTaps(dy *Tensor) *Tensor {
	g := c.g
	rows := g.Reshape(dy, c.n, c.groups, c.out/c.groups, c.oh*c.ow)
	weights := c.tapWeights()
	var sum []*Tensor
	c.taps(func(i, j int) {
		d := g.emit("MatMul", []*Tensor{g.swapLast(weights[len(sum)], true), rows}, []int{c.n, c.groups, c.in / c.groups, c.oh * c.ow})
		sum = append(sum, c.place(d, c.n, c.in, i, j))
	})
	return g.total(sum)
}

// place puts a result d, of a by b images of a channel, where its pixels met the input through tap i, j.
func (c *conv2d) place(d *Tensor, a, b, i, j int) *Tensor {
	g := c.g
	// Zeros between the pixels.
	d = g.Reshape(d, a, b, c.oh, 1, c.ow, 1)
	d = g.Pad(g.Pad(d, 3, 0, c.stride-1), 5, 0, c.stride-1)
	d = g.Reshape(d, a, b, c.oh*c.stride, c.ow*c.stride)
	d = g.Crop(g.Crop(d, 2, 0, c.stride-1), 3, 0, c.stride-1)
	d = g.Pad(d, 2, i-c.pad, c.h+c.pad-i-((c.oh-1)*c.stride+1))
	return g.Pad(d, 3, j-c.pad, c.wd+c.pad-j-((c.ow-1)*c.stride+1))
}

func (c *conv2d) weightGradByTaps(dy *Tensor) *Tensor {
	g := c.g
	outs, ins, pixels := c.out/c.groups, c.in/c.groups, c.n*c.oh*c.ow
	// All images side by side: [groups, channels, N·pixels].
	abreast := func(x *Tensor, channels int) *Tensor {
		x = g.Reshape(x, c.n, c.groups, channels, c.oh*c.ow)
		return g.Reshape(g.Transpose(x, 1, 2, 0, 3), c.groups, channels, pixels)
	}
	d := abreast(dy, outs)
	var list []*Tensor
	for _, v := range c.views() {
		dw := g.MatMul(d, abreast(v, ins), false, true)
		list = append(list, g.Reshape(dw, c.out, ins, 1))
	}
	return g.Reshape(g.Concat(2, list...), c.w.shape...)
}
