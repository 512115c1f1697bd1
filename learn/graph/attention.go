package graph

import (
	"math"
	"slices"
)

// Attention returns softmax(q·kᵀ/√D + bias)·v, scaled dot-product attention (Vaswani et al., NeurIPS 2017, section
// 3.2.1): q [..., T, D], k [..., S, D], v [..., S, E], result [..., T, E], with equal leading axes. bias is nil or
// broadcasts to the scores [..., T, S]; a large negative value takes a key out.
func (g *Graph) Attention(q, k, v, bias *Tensor) *Tensor {
	if !g.okFloat("Attention", q, k, v) || (bias != nil && !g.okFloat("Attention", bias)) {
		return g.dummy(q)
	}
	n := len(q.shape)
	if n < 2 || len(k.shape) != n || len(v.shape) != n || !slices.Equal(q.shape[:n-2], k.shape[:n-2]) ||
		!slices.Equal(q.shape[:n-2], v.shape[:n-2]) || q.shape[n-1] < 1 || q.shape[n-1] != k.shape[n-1] || k.shape[n-2] != v.shape[n-2] {
		g.failf("Attention", "queries %s, keys %s, values %s; expected [..., T, D], [..., S, D] and [..., S, E]",
			g.ShapeString(q.shape), g.ShapeString(k.shape), g.ShapeString(v.shape))
		return g.dummy(q)
	}
	scale := 1 / math.Sqrt(float64(q.shape[n-1]))
	in := []*Tensor{q, k, v}
	var p *Tensor
	y := g.compose(func() *Tensor {
		scores := g.MatMul(g.Scale(q, scale), k, false, true)
		if bias != nil {
			in = append(in, bias)
			biased := g.Add(scores, bias)
			if !slices.Equal(biased.shape, scores.shape) {
				g.failf("Attention", "bias %s for scores of %s", g.ShapeString(bias.shape), g.ShapeString(scores.shape))
				return g.dummy(q)
			}
			scores = biased
		}
		p = g.Softmax(scores)
		return g.MatMul(p, v, false, false)
	})
	return g.diff("Attention", y, in, func(dy *Tensor) []*Tensor {
		// A row of dp·p adds up to that of dy·y, which is the smaller by far (Dao et al., NeurIPS 2022, appendix B).
		dp := g.MatMul(dy, v, false, true)
		ds := g.Mul(p, g.Sub(dp, g.Sum(g.Mul(dy, y), -1)))
		grads := []*Tensor{
			g.Scale(g.MatMul(ds, k, false, false), scale),
			g.Scale(g.MatMul(ds, q, true, false), scale),
			g.MatMul(p, dy, true, false),
		}
		if bias != nil {
			grads = append(grads, g.unbroadcast(ds, bias.shape))
		}
		return grads
	})
}
