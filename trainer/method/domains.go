package method

import (
	"context"
	"fmt"
	"math/rand/v2"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
)

// egoFeatures is the second input of a network that sees both domains in one step.
const egoFeatures = "ego_features"

// adaptDomains trains a student that starts as the teacher on labelled exo sequences, while a penalty draws what it makes
// of exo and of ego sequences together. Sequences are matched at random: nothing is known of which belong together. penalty
// gets the logits [frames, classes] of both domains, and each frame's share of the loss.
func (o Options) adaptDomains(ctx context.Context, p Problem, teacher *Model,
	penalty func(b *nn.Build, exo, ego, w *graph.Tensor) *graph.Tensor) (*Model, error) {
	if err := p.checkExo(); err != nil {
		return nil, err
	}
	if o.Batch != 1 {
		return nil, fmt.Errorf("batches of %d sequences, expected 1: the penalty compares distributions within a step", o.Batch)
	}
	s, params, err := o.student(teacher, p.Pairs)
	if err != nil {
		return nil, err
	}
	both := make([]Sequence, 0, len(p.Exo)+len(p.Pairs))
	for _, l := range p.Exo {
		both = append(both, l.Sequence)
	}
	for _, q := range p.Pairs {
		both = append(both, q.Ego)
	}
	if err := s.standardize(params, both); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, 7))
	samples := make([]train.Sample, len(p.Exo))
	for i, l := range p.Exo {
		q := p.Pairs[rng.IntN(len(p.Pairs))].Ego
		frames := l.Len()
		x := make([]float32, 0, frames*q.Dim)
		for len(x) < frames*q.Dim { // a shorter sequence is seen again from its start
			x = append(x, q.Features[:min(len(q.Features), frames*q.Dim-len(x))]...)
		}
		classes := make([]int64, frames)
		for t, c := range l.Classes {
			classes[t] = int64(c)
		}
		samples[i] = sample(l.Name, l.Sequence, l.Weights)
		samples[i].Float[egoFeatures] = x
		samples[i].Labels = map[string][]int64{net.Labels: classes}
	}
	err = o.fit(ctx, job{stage: "adaptation", params: params, samples: samples, reach: s.reach(), loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		w := b.Weights()
		exo := s.forward(b, b.Features(net.Features, s.width()))
		ego := s.forward(b, b.Features(egoFeatures, s.width()))
		supervised := labelLoss(b, exo, b.Labels(net.Labels, s.classes), w, o.Smooth)
		flat := func(x *graph.Tensor) *graph.Tensor { return b.Reshape(x, b.Batch*b.Frames, s.classes) }
		apart := overOutputs(b, exo, func(i int, out output) *graph.Tensor {
			return penalty(b, flat(out.logits), flat(ego[i].logits), b.Reshape(w, b.Batch*b.Frames, 1))
		})
		return b.Add(supervised, b.Scale(apart, o.Penalty))
	}})
	if err != nil {
		return nil, err
	}
	return o.model(p, s, params), nil
}
