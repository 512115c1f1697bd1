package method

import (
	"context"
	"maps"
	"math"
	"slices"

	"tandem/learn/graph"
	"tandem/learn/nn"
	"tandem/learn/train"
)

// dann is domain-adversarial training (Ganin & Lempitsky, ICML 2015, section 3): cross entropy on labelled exo sequences,
// while a classifier d learns to tell the domains apart by the features h that the network's last head reads, and the
// network to make that hard, since gradients from d to h are reversed,
//
//	L = CE + ½ mean over frames of [ -log d(exo | R(h_exo)) - log d(ego | R(h_ego)) ],  R(h) = h,  dR/dh = -λ
//
// λ rises over the steps from 0 to 0.1 Penalty, by 2/(1 + exp(-10 p)) - 1 for the part p of them that is done (section 4.1).
// Default Penalty = 1. The published end is λ = 1; there, the student forgets what it knows of labelled exo takes that are
// held out (simulated features: 97 % of the frames right after 8 epochs, 77 % after 40, with 0.1 always 99 %), which is what
// 0.1 was chosen on. The classifier is a layer of 64 units with ReLU and one of 2; it is forgotten afterwards.
//
// It doesn't use that pairs are synchronized. What it makes alike is the domains, not the classes: where the ego view is far
// from the exo view, it may as well match a class with another one.
func dann() Method {
	return Method{
		Name: "dann", Summary: "unpaired: hidden features that don't tell the domain, by reversed gradients",
		Source: "Ganin & Lempitsky, ICML 2015, section 3", alike: true,
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			return o.adaptDomains(ctx, p, teacher, confusion{loss: domainLoss, prepare: o.reversal})
		},
	}
}

const (
	// domainUnits are in the domain classifier.
	domainUnits = 64
	// reversalLimit is what λ ends at, as a share of Options.Penalty.
	reversalLimit = 0.1
	// strengthField is the input that holds λ.
	strengthField = "reversal"
)

// domainLoss is the domain classifier's mean cross entropy.
func domainLoss(b *nn.Build, exo, ego domain) *graph.Tensor {
	strength := b.Features(strengthField, 1)
	tell := func(d domain, class int) *graph.Tensor {
		x := b.Relu(b.Linear(b.Reverse(d.hidden, strength), "domain.hidden", domainUnits))
		labels := b.Reshape(b.Ints(slices.Repeat([]int{class}, b.Batch*b.Frames)...), b.Batch, b.Frames)
		return b.CrossEntropy(b.Linear(x, "domain.out", 2), labels, b.Weights())
	}
	return b.Scale(b.Add(tell(exo, 0), tell(ego, 1)), 0.5)
}

// reversal gives the samples of a step their λ.
func (o Options) reversal(m moment, batch []train.Sample) ([]train.Sample, error) {
	λ := reversalLimit * o.Penalty * (2/(1+math.Exp(-10*float64(m.step)/float64(m.steps))) - 1)
	out := slices.Clone(batch)
	for i, s := range out {
		out[i].Float = maps.Clone(s.Float)
		out[i].Float[strengthField] = slices.Repeat([]float32{float32(λ)}, s.Frames)
	}
	return out, nil
}
