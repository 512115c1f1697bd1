package method

import (
	"context"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// coral is Deep CORAL (Sun & Saenko, ECCV 2016 workshops, section 3): cross entropy on labelled exo sequences and the
// distance of the second-order statistics of the classifier's outputs in the two domains,
//
//	L = CE + λ ‖C_exo - C_ego‖²_F / (4 K²)
//
// with C the covariance of the logits over a step's frames. Default λ = 1. It doesn't use that pairs are synchronized.
func coral() Method {
	return Method{
		Name: "coral", Summary: "unpaired: the logits' covariances drawn together", Source: "Sun & Saenko, ECCV 2016 workshops, section 3",
		alike: true,
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			return o.adaptDomains(ctx, p, teacher, o.penalty(func(b *nn.Build, exo, ego, w *graph.Tensor) *graph.Tensor {
				d := b.Sub(covariance(b, exo, w), covariance(b, ego, w))
				k := float64(exo.Dim(-1))
				return b.Scale(b.Sum(b.Mul(d, d)), 1/(4*k*k))
			}))
		},
	}
}

// covariance of rows x [n, k] with weights [n, 1] that add up to 1.
func covariance(b *nn.Build, x, w *graph.Tensor) *graph.Tensor {
	x = b.Sub(x, b.Gemm(w, x, nil, true, false))
	return b.Gemm(b.Mul(x, w), x, nil, true, false)
}
