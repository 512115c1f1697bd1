package method

import (
	"context"
	"errors"
	"fmt"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
)

// feature is distillation at the feature level (Quattrocchi et al., ECCV 2024, section 4): an adapter g maps ego features
// x to the exo features z of the same instant,
//
//	L = mean over frames of ‖ x + g(x) - z ‖² / D
//
// and the teacher reads what comes out. The published adapter is a transformer of 12 layers of 1024 channels with 16 heads
// (Options.Adapter "transformer"); the default is the lighter net.TCNAdapter, which starts as the identity and is causal if the
// student is. Either has 4 layers of 32 channels by default. Where the widths differ, x is mapped by a 1x1 convolution first.
//
// The teacher is as good on adapted features as they are near: an adapter that is too small or not trained to its end costs
// much (simulated views that have nothing in common, 4 takes: 8 channels after 32 steps 70 % of the frames right, on the takes
// that it was trained on as well; after 80 steps, or with 32 channels, 97 %; the teacher on exo 97 %).
func feature() Method {
	return Method{
		Name: "feature", Summary: "an adapter regressed to exo features", Source: "Quattrocchi et al., ECCV 2024, section 4",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			o = o.asPublished()
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			a, params, err := o.adapt(ctx, teacher, lessons, choose)
			if err != nil {
				return nil, err
			}
			return o.join(p, a, params, teacher.net, teacher.Params)
		},
	}
}

// adapt trains the adapter. The epoch is chosen by the error on the pairs to choose by.
func (o Options) adapt(ctx context.Context, teacher *Model, lessons, choose []lesson) (*adapter, *nn.Params, error) {
	a, err := o.newAdapter(lessons[0].pair.Ego.Dim, teacher.Dim())
	if err != nil {
		return nil, nil, err
	}
	ego := make([]Sequence, len(lessons))
	samples := make([]train.Sample, len(lessons))
	for i, l := range lessons {
		ego[i] = l.pair.Ego
		samples[i] = sample(l.pair.Name, l.pair.Ego, l.weights)
		samples[i].Float[net.Target] = l.features()
	}
	params, err := a.params(o.Seed, ego)
	if err != nil {
		return nil, nil, err
	}
	j := job{stage: "adapter", params: params, samples: samples, longest: a.longest, loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		return a.network.Loss(b)
	}}
	if len(choose) > 0 {
		j.evaluate = func(p *nn.Params) (float64, error) { return closeness(a, p, choose, o) }
	}
	return a, params, o.fit(ctx, j)
}

// closeness is the negative mean squared error of the adapted features over the frames that have a partner.
func closeness(a *adapter, params *nn.Params, lessons []lesson, o Options) (_ float64, err error) {
	p, err := a.open(params, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var sum, n float64
	for _, l := range lessons {
		got, err := p.Run(l.pair.Ego.Features)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", l.pair.Name, err)
		}
		want := l.features()
		for t, w := range l.weights {
			for d := range a.Out {
				e := float64(got[0][t*a.Out+d] - want[t*a.Out+d])
				sum, n = sum+float64(w)*e*e, n+float64(w)
			}
		}
	}
	if n == 0 {
		return 0, errors.New("not one frame of the pairs to choose by has a partner")
	}
	return -sum / n, nil
}

// adapted returns the lessons with adapted features on the ego side.
func (o Options) adapted(a *adapter, params *nn.Params, lessons []lesson) (_ []lesson, err error) {
	p, err := a.open(params, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	out := make([]lesson, len(lessons))
	for i, l := range lessons {
		y, err := p.Run(l.pair.Ego.Features)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.pair.Name, err)
		}
		out[i] = l
		out[i].pair.Ego.Dim, out[i].pair.Ego.Features = a.Out, y[0]
	}
	return out, nil
}

// join returns an adapter and a network as one model.
func (o Options) join(p Problem, a *adapter, trained *nn.Params, s *segmenter, params *nn.Params) (*Model, error) {
	s = s.behind(a)
	whole, err := s.params(o.Seed)
	if err != nil {
		return nil, err
	}
	for _, part := range []*nn.Params{trained, params} {
		if err := inherit(whole, part); err != nil {
			return nil, err
		}
	}
	return o.model(p, s, whole), nil
}
