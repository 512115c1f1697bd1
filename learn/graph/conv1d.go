package graph

// Conv1DSpec describes a convolution over time.
type Conv1DSpec struct {
	Kernel   int // taps, >= 1
	Dilation int // frames between taps, >= 1; 0 means 1
	// Before and After are the zero frames put around the sequence. A causal convolution has Before = (Kernel-1)·Dilation
	// and After = 0.
	Before, After int
}

// Causal returns the specification of a convolution whose output at t sees no frame after t.
func Causal(kernel, dilation int) Conv1DSpec {
	return Conv1DSpec{Kernel: kernel, Dilation: dilation, Before: (kernel - 1) * dilation}
}

// Symmetric returns the specification of a convolution that sees as far ahead as back and keeps the length. The kernel
// must be odd.
func Symmetric(kernel, dilation int) Conv1DSpec {
	reach := (kernel - 1) / 2 * dilation
	return Conv1DSpec{Kernel: kernel, Dilation: dilation, Before: reach, After: reach}
}

// reach is how many frames lie between the first and the last tap.
func (s Conv1DSpec) reach() int { return (s.Kernel - 1) * s.Dilation }

// Conv1D convolves x [B, T, C] over time with w [Kernel·C, O], taps oldest first, and adds b [O] unless it is nil. The
// result is [B, T', O] with T' = T + Before + After - (Kernel-1)·Dilation.
//
// With a static T all taps of a frame are gathered into one row, so that the forward pass and both gradients are one
// matrix product each; with a dynamic T (inference only) the rows are joined from shifted views.
func (g *Graph) Conv1D(x, w, b *Tensor, spec Conv1DSpec) *Tensor {
	spec.Dilation = max(spec.Dilation, 1)
	if !g.okFloat("Conv1D", x, w) || (b != nil && !g.okFloat("Conv1D", b)) {
		return g.dummy(x)
	}
	if len(x.shape) != 3 || x.shape[2] < 0 || spec.Kernel < 1 || spec.Before < 0 || spec.After < 0 {
		g.failf("Conv1D", "input %s with %+v, expected [B, T, C] and a kernel >= 1", g.ShapeString(x.shape), spec)
		return g.dummy(x)
	}
	if len(w.shape) != 2 || w.shape[0] != spec.Kernel*x.shape[2] {
		g.failf("Conv1D", "weights %s for an input of %s, expected [%d, outputs]", g.ShapeString(w.shape),
			g.ShapeString(x.shape), spec.Kernel*x.shape[2])
		return g.dummy(x)
	}
	if b != nil && (len(b.shape) != 1 || b.shape[0] != w.shape[1]) {
		g.failf("Conv1D", "bias %s, expected [%d]", g.ShapeString(b.shape), w.shape[1])
		return g.dummy(x)
	}
	if _, ok := g.shifted(x.shape[1], spec.Before+spec.After-spec.reach()); !ok {
		g.failf("Conv1D", "%d frames are too few for %+v", x.shape[1], spec)
		return g.dummy(x)
	}
	if spec.Kernel == 1 {
		return g.Linear(g.Pad(x, 1, spec.Before, spec.After), w, b)
	}
	if !static(x.shape) {
		return g.conv1dDynamic(x, w, b, spec)
	}
	return g.conv1dStatic(x, w, b, spec)
}

func (g *Graph) conv1dDynamic(x, w, b *Tensor, spec Conv1DSpec) *Tensor {
	padded := g.Pad(x, 1, spec.Before, spec.After)
	views := make([]*Tensor, spec.Kernel)
	for j := range views {
		views[j] = g.Crop(padded, 1, j*spec.Dilation, spec.reach()-j*spec.Dilation)
	}
	return g.Linear(g.Concat(2, views...), w, b)
}

func (g *Graph) conv1dStatic(x, w, b *Tensor, spec Conv1DSpec) *Tensor {
	batch, frames, in := x.shape[0], x.shape[1], x.shape[2]
	out := w.shape[1]
	length := frames + spec.Before + spec.After - spec.reach()
	var columns *Tensor // [B·T', Kernel·C]
	y := g.compose(func() *Tensor {
		taps := make([]int, 0, length*spec.Kernel)
		for t := range length {
			for j := range spec.Kernel {
				taps = append(taps, t+j*spec.Dilation)
			}
		}
		padded := g.Pad(x, 1, spec.Before, spec.After)
		columns = g.Reshape(g.rows(padded, 1, taps), batch*length, spec.Kernel*in)
		return g.Reshape(g.Gemm(columns, w, b, false, false), batch, length, out)
	})
	operands := []*Tensor{x, w}
	if b != nil {
		operands = append(operands, b)
	}
	return g.diff("Conv1D", y, operands, func(dy *Tensor) []*Tensor {
		flat := g.Reshape(dy, batch*length, out)
		grads := []*Tensor{g.conv1dInputGrad(dy, x, w, spec), g.Gemm(columns, flat, nil, true, false)}
		if b != nil {
			grads = append(grads, g.unbroadcast(flat, b.shape))
		}
		return grads
	})
}

// conv1dInputGrad is the transposed convolution: the taps of dy in reverse order, times the weights with input and
// output channels exchanged.
func (g *Graph) conv1dInputGrad(dy, x, w *Tensor, spec Conv1DSpec) *Tensor {
	batch, frames, in := x.shape[0], x.shape[1], x.shape[2]
	out := w.shape[1]
	padded := g.Pad(dy, 1, spec.reach()-spec.Before, spec.reach()-spec.After)
	taps := make([]int, 0, frames*spec.Kernel)
	for t := range frames {
		for j := range spec.Kernel {
			taps = append(taps, t+spec.reach()-j*spec.Dilation)
		}
	}
	columns := g.Reshape(g.rows(padded, 1, taps), batch*frames, spec.Kernel*out)
	turned := g.Transpose(g.Reshape(w, spec.Kernel, in, out), 0, 2, 1)
	dx := g.Gemm(columns, g.Reshape(turned, spec.Kernel*out, in), nil, false, false)
	return g.Reshape(dx, batch, frames, in)
}
