package graph

import "math"

const (
	erfNodes = 32  // that make the quadrature of erf exact to float64 within
	erfLimit = 6.0 // beyond which erf is ±1 in float64
)

// erf returns the error function of x, without a gradient. For float64, which ONNX Runtime has no kernel for and which
// only references are computed in, it is integrated numerically: erf(x) = 2x/√π · ∫₀¹ exp(-x²s²) ds.
func (g *Graph) erf(x *Tensor) *Tensor {
	if g.float == Float32 {
		return g.emit("Erf", []*Tensor{x}, x.shape)
	}
	x = g.AtMost(g.AtLeast(x, -erfLimit), erfLimit)
	nodes, weights := gaussLegendre(erfNodes)
	for i, s := range nodes {
		nodes[i] = -s * s
		weights[i] *= 2 / math.Sqrt(math.Pi)
	}
	square := g.perFrame(g.Mul(x, x))
	terms := g.Mul(g.Exp(g.Mul(square, g.Const(nodes, erfNodes))), g.Const(weights, erfNodes))
	return g.Mul(x, g.reduceSum(terms, []int{len(x.shape)}, false))
}

// gaussLegendre returns the nodes and weights of the Gauss-Legendre quadrature over [0, 1]: the roots of the Legendre
// polynomial of degree n, found by Newton's method from their asymptotic places.
func gaussLegendre(n int) (nodes, weights []float64) {
	for i := range n {
		x := math.Cos(math.Pi * (float64(i) + 0.75) / (float64(n) + 0.5))
		var slope float64
		for range 10 {
			before, p := 1.0, x
			for k := 2; k <= n; k++ {
				before, p = p, (float64(2*k-1)*x*p-float64(k-1)*before)/float64(k)
			}
			slope = float64(n) * (x*p - before) / (x*x - 1)
			x -= p / slope
		}
		nodes = append(nodes, (1-x)/2)
		weights = append(weights, 1/((1-x*x)*slope*slope))
	}
	return nodes, weights
}
