package graph

// Conv2DSpec describes a convolution over images.
type Conv2DSpec struct {
	Stride int // >= 1; 0 means 1
	Pad    int // zeros on each side
	Groups int // channel groups, 0 means 1; as many as channels makes it depthwise
}

// Conv2D convolves x [N, C, H, W] with w [O, C/Groups, KH, KW] and adds b [O] unless it is nil. N may be dynamic. It
// has no gradient yet: it serves extractors that are not trained.
func (g *Graph) Conv2D(x, w, b *Tensor, spec Conv2DSpec) *Tensor {
	stride, groups := max(spec.Stride, 1), max(spec.Groups, 1)
	in := []*Tensor{x, w}
	if b != nil {
		in = append(in, b)
	}
	if !g.okFloat("Conv2D", in...) {
		return g.dummy(x)
	}
	if len(x.shape) != 4 || len(w.shape) != 4 || !static(x.shape[1:]) || x.shape[1] != w.shape[1]*groups ||
		w.shape[0]%groups != 0 || (b != nil && (len(b.shape) != 1 || b.shape[0] != w.shape[0])) || spec.Pad < 0 {
		g.failf("Conv2D", "input %s, weights %s, %+v; expected [N, C, H, W], [O, C/groups, KH, KW] and a bias [O]",
			g.ShapeString(x.shape), g.ShapeString(w.shape), spec)
		return g.dummy(x)
	}
	h := (x.shape[2]+2*spec.Pad-w.shape[2])/stride + 1
	wd := (x.shape[3]+2*spec.Pad-w.shape[3])/stride + 1
	if x.shape[2]+2*spec.Pad < w.shape[2] || x.shape[3]+2*spec.Pad < w.shape[3] {
		g.failf("Conv2D", "input %s is smaller than the kernel %s", g.ShapeString(x.shape), g.ShapeString(w.shape))
		return g.dummy(x)
	}
	y := g.emit("Conv", in, []int{x.shape[0], w.shape[0], h, wd},
		attribute{"group", groups},
		attribute{"kernel_shape", []int{w.shape[2], w.shape[3]}},
		attribute{"pads", []int{spec.Pad, spec.Pad, spec.Pad, spec.Pad}},
		attribute{"strides", []int{stride, stride}})
	return g.diff("Conv2D", y, in, nil)
}
