package graph

import (
	"math"
	"slices"
)

// Attention returns softmax(q·kᵀ/√D + bias)·v, scaled dot-product attention (Vaswani et al., NeurIPS 2017, section
// 3.2.1): q [..., T, D], k [..., S, D], v [..., S, E], result [..., T, E], with equal leading axes. bias is nil or
// broadcasts to the scores [..., T, S]; a large negative value takes a key out.
func (g *Graph) Attention(q, k, v, bias *Tensor) *Tensor {
	if !g.okFloat("Attention", q, k, v) {
		return g.dummy(q)
	}
	n := len(q.shape)
	if n < 2 || len(k.shape) != n || len(v.shape) != n || q.shape[n-1] < 1 || k.shape[n-2] != v.shape[n-2] {
		g.failf("Attention", "queries %s, keys %s, values %s; expected [..., T, D], [..., S, D] and [..., S, E]",
			g.ShapeString(q.shape), g.ShapeString(k.shape), g.ShapeString(v.shape))
		return g.dummy(q)
	}
	scores := g.MatMul(g.Scale(q, 1/math.Sqrt(float64(q.shape[n-1]))), k, false, true)
	if bias != nil {
		biased := g.Add(scores, bias)
		if !slices.Equal(biased.shape, scores.shape) {
			g.failf("Attention", "bias %s for scores of %s", g.ShapeString(bias.shape), g.ShapeString(scores.shape))
			return g.dummy(q)
		}
		scores = biased
	}
	return g.MatMul(g.Softmax(scores), v, false, false)
}
