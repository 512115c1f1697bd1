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

// domain is what a network makes of one domain's frames of a step.
type domain struct {
	outputs []output
	hidden  *graph.Tensor // [B, T, channels]
}

// confusion is what draws two domains together.
type confusion struct {
	// loss of both domains' frames; it may have parameters of its own, which are trained, too, and then forgotten.
	loss func(b *nn.Build, exo, ego domain) *graph.Tensor
	// prepare gives the samples of a step what the loss reads besides; may be nil.
	prepare func(m moment, batch []train.Sample) ([]train.Sample, error)
}

// adaptDomains trains a student that starts as the teacher on labelled exo sequences, while what it makes of exo and of ego
// sequences is drawn together. Sequences are matched at random: nothing is known of which belong together. Where the network
// has batch normalisations, each domain is normalised by itself, and the running statistics are those of the ego domain.
func (o Options) adaptDomains(ctx context.Context, p Problem, teacher *Model, c confusion) (*Model, error) {
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
	loss := func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		view := func(input string) domain {
			outputs, hidden := s.forwardHidden(b, b.Features(input, s.width()))
			return domain{outputs, hidden}
		}
		exo, ego := view(net.Features), view(egoFeatures)
		return b.Add(labelLoss(b, exo.outputs, b.Labels(net.Labels, s.classes), b.Weights(), o.Smooth), c.loss(b, exo, ego))
	}
	whole, err := nn.Declare(func(b *nn.Build) { loss(b) })
	if err != nil {
		return nil, err
	}
	whole.Init(o.Seed)
	if err := inherit(whole, params); err != nil {
		return nil, err
	}
	err = o.fit(ctx, job{stage: "adaptation", params: whole, samples: o.unpaired(p), reach: s.reach(), loss: loss, prepare: c.prepare})
	if err != nil {
		return nil, err
	}
	return o.model(p, s, params), inherit(params, whole)
}

// unpaired matches labelled exo sequences with ego sequences at random.
func (o Options) unpaired(p Problem) []train.Sample {
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
	return samples
}

// penalty is the confusion by a distance of the logits [frames, classes] of two domains, which gets each frame's share
// [frames, 1] of the loss; the mean over outputs, times Options.Penalty.
func (o Options) penalty(apart func(b *nn.Build, exo, ego, w *graph.Tensor) *graph.Tensor) confusion {
	return confusion{loss: func(b *nn.Build, exo, ego domain) *graph.Tensor {
		frames := b.Batch * b.Frames
		flat := func(x *graph.Tensor) *graph.Tensor { return b.Reshape(x, frames, x.Dim(-1)) }
		w := b.Reshape(b.Weights(), frames, 1)
		return b.Scale(overOutputs(b, exo.outputs, func(i int, out output) *graph.Tensor {
			return apart(b, flat(out.logits), flat(ego.outputs[i].logits), w)
		}), o.Penalty)
	}}
}
