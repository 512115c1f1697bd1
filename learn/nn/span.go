package nn

import "tandem/learn/graph"

// Span is the time line of sequences [B, T, C] at one resolution. In a padded training graph it knows which frames are
// there, so that pooling, stretching and looking ahead give what they give without padding.
type Span struct {
	b       *Build
	present *graph.Tensor // [B, T] of 1 and 0; nil where all frames are there
}

// absent takes an absent frame out of a maximum or a softmax and stays finite in sums.
const absent = 1e9

// Span returns the time line of the network's inputs.
func (b *Build) Span() Span {
	s := Span{b: b}
	if b.Mode == Train && b.Padded {
		b.masked = true
		s.present = b.Present()
	}
	return s
}

// Masked tells whether a layer has asked which frames are present. Otherwise the graph of a network is the same whether
// it is Padded or not.
func (b *Build) Masked() bool { return b.masked }

// Present returns which frames are there as [B, T, 1], or nil if all are.
func (s Span) Present() *graph.Tensor {
	if s.present == nil {
		return nil
	}
	return s.b.Reshape(s.present, append(s.present.Shape(), 1)...)
}

// Keep sets the absent frames of x [B, T, C] to 0, as they are beyond the ends of an unpadded sequence.
func (s Span) Keep(x *graph.Tensor) *graph.Tensor {
	if s.present == nil {
		return x
	}
	return s.b.Mul(x, s.Present())
}

// KeyBias returns what takes absent frames out of attention scores [B, heads, T, T], or nil if all are there.
func (s Span) KeyBias() *graph.Tensor {
	if s.present == nil {
		return nil
	}
	shape := s.present.Shape()
	return s.b.Scale(s.b.Shift(s.b.Reshape(s.present, shape[0], 1, 1, shape[1]), -1), absent)
}

// MaxPool takes the maximum of x over windows of k frames (graph.MaxPool1D) and returns it with its time line. A window
// is there when all of its frames are, the first one when any is.
func (s Span) MaxPool(x *graph.Tensor, k int) (*graph.Tensor, Span) {
	b := s.b
	if s.present == nil {
		return b.MaxPool1D(x, k), s
	}
	frames := s.present.Dim(1)
	k = min(k, frames)
	last := make([]int, frames/k)
	for i := 1; i < len(last); i++ {
		last[i] = i*k + k - 1
	}
	pooled := Span{b: b, present: b.Take(s.present, 1, last...)}
	down := b.Scale(b.Shift(s.Present(), -1), absent)
	return pooled.Keep(b.MaxPool1D(b.Add(x, down), k)), pooled
}

// lengths returns the number of frames of each sequence, [B].
func (s Span) lengths() *graph.Tensor {
	return s.b.Reshape(s.b.Sum(s.present, 1), s.present.Dim(0))
}

// Stretch interpolates x, which lies on s, to the frames of like [B, T', C'], which lies on to (graph.InterpolateLike).
func (s Span) Stretch(x *graph.Tensor, to Span, like *graph.Tensor) *graph.Tensor {
	if s.present == nil {
		return s.b.InterpolateLike(x, like)
	}
	return s.b.InterpolateRows(x, s.lengths(), to.lengths(), like.Dim(1))
}

// Double interpolates x, which lies on s, to twice its frames and fits them to those of like (graph.DoubleLike).
func (s Span) Double(x, like *graph.Tensor) *graph.Tensor {
	if s.present == nil {
		return s.b.DoubleLike(x, like)
	}
	return s.b.InterpolateRows(x, s.lengths(), s.b.Scale(s.lengths(), 2), like.Dim(1))
}
