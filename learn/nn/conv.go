package nn

import "tandem/learn/graph"

// Conv1DNorm convolves x [B, T, C], which lies on span, over time, keeps its length and normalises the result over batch
// and time. The convolution has no bias, since the normalisation would take it out again. Otherwise than in training it is
// one convolution with folded weights. Parameters: name.weight [kernel·C, out], name.norm.gain and name.norm.bias [out];
// buffers: name.norm.mean and name.norm.variance [out].
func (b *Build) Conv1DNorm(x *graph.Tensor, span Span, name string, out, kernel, dilation int, causal bool) *graph.Tensor {
	in := x.Dim(-1)
	switch {
	case kernel < 1 || dilation < 1 || (!causal && kernel%2 == 0):
		b.failf("%s: kernel %d with dilation %d, expected both >= 1 and the kernel odd unless causal", name, kernel, dilation)
		return x
	case b.Mode == Stream && !causal && kernel > 1:
		b.failf("%s looks ahead, so the network cannot run frame by frame", name)
		return x
	}
	spec := graph.Symmetric(kernel, dilation)
	if causal {
		spec = graph.Causal(kernel, dilation)
	}
	if b.Mode == Train {
		w := b.Param(name+".weight", FanIn(kernel*in), true, kernel*in, out)
		gain, bias := b.Param(name+".norm.gain", Ones, false, out), b.Param(name+".norm.bias", Zeros, false, out)
		if !causal && kernel > 1 {
			x = span.Keep(x)
		}
		return b.normalize(b.Graph.Conv1D(x, w, nil, spec), gain, bias, name+".norm", -1, span.Present())
	}
	w, bias := b.folded(name, out, 1, kernel*in, out)
	switch {
	case kernel == 1:
		return b.Graph.Linear(x, w, bias)
	case b.Mode == Stream:
		window := b.Concat(1, b.taps(x, name, kernel-1, dilation), x)
		return b.Graph.Linear(b.Reshape(window, 1, 1, kernel*in), w, bias)
	}
	return b.Graph.Conv1D(x, w, bias, spec)
}

// SelfAttention is multi-head attention of x [B, T, C], which lies on span, to itself (Vaswani et al., NeurIPS 2017,
// section 3.2.2), heads of them, which must divide C. Parameters: those of the Linear layers name.query,
// name.key, name.value and name.out.
func (b *Build) SelfAttention(x *graph.Tensor, span Span, name string, heads int) *graph.Tensor {
	width := x.Dim(-1)
	if x.Rank() != 3 || heads < 1 || width < 1 || width%heads != 0 {
		b.failf("%s: %d heads over an input of %s, expected [B, T, C] with C a multiple of the heads", name, heads, b.ShapeString(x.Shape()))
		return x
	}
	if b.Mode == Stream {
		b.failf("%s looks ahead, so the network cannot run frame by frame", name)
		return x
	}
	batch, frames, each := x.Dim(0), x.Dim(1), width/heads
	part := func(what string) *graph.Tensor {
		p := b.Linear(x, name+"."+what, width)
		return b.Transpose(b.Reshape(p, batch, frames, heads, each), 0, 2, 1, 3)
	}
	y := b.Attention(part("query"), part("key"), part("value"), span.KeyBias())
	return b.Linear(b.Reshape(b.Transpose(y, 0, 2, 1, 3), batch, frames, width), name+".out", width)
}
