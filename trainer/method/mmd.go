package method

import (
	"context"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// mmd is a deep adaptation network (Long et al., ICML 2015, sections 2 and 3): cross entropy on labelled exo sequences and
// the squared maximum mean discrepancy of the classifier's outputs in the two domains,
//
//	L = CE + λ Σ_ij w_i w_j [k(x_i, x_j) + k(y_i, y_j) - 2 k(x_i, y_j)]
//
// with k the mean of Gaussian kernels exp(-d²/(s σ²)), s = ¼, ½, 1, 2, 4, and σ² the mean of d² over the step, through
// which no gradient flows. Default λ = 1. It doesn't use that pairs are synchronized.
func mmd() Method {
	return Method{
		Name: "mmd", Summary: "unpaired: the logits' distributions drawn together", Source: "Long et al., ICML 2015, sections 2 and 3",
		alike: true,
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			return o.adaptDomains(ctx, p, teacher, o.penalty(func(b *nn.Build, exo, ego, w *graph.Tensor) *graph.Tensor {
				n := exo.Dim(0)
				both := b.Concat(0, exo, ego)
				d := squaredDistances(b, both)
				share := b.Scale(b.Concat(0, w, w), 0.5)
				mean := b.Detach(b.Shift(weighed(b, d, share), 1e-6))
				signed := b.Concat(0, w, b.Neg(w))
				var sum *graph.Tensor
				for _, s := range []float64{0.25, 0.5, 1, 2, 4} {
					k := b.Exp(b.Scale(b.Div(d, b.Expand(b.Reshape(mean, 1, 1), 2*n, 2*n)), -1/s))
					sum = plus(b, weighed(b, k, signed), sum)
				}
				return b.Scale(sum, 1.0/5)
			}))
		},
	}
}

// squaredDistances between the rows of x [n, k]: [n, n].
func squaredDistances(b *nn.Build, x *graph.Tensor) *graph.Tensor {
	square := b.Sum(b.Mul(x, x), -1) // [n, 1]
	d := b.Add(b.Add(square, b.Transpose(square, 1, 0)), b.Scale(b.Gemm(x, x, nil, false, true), -2))
	return b.Relu(d) // rounding may leave a little less than 0
}

// weighed is Σ_ij w_i w_j d_ij of d [n, n] and w [n, 1].
func weighed(b *nn.Build, d, w *graph.Tensor) *graph.Tensor {
	return b.Sum(b.Mul(b.Gemm(d, w, nil, false, false), w))
}
