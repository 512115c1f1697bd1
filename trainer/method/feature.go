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
// and the teacher reads what comes out. The published adapter is a transformer; this one is the lighter net.TCNAdapter
// (default 4 layers of 32 channels; causal if the student is), which starts as the identity. Where the widths differ, x is
// mapped by a 1x1 convolution first.
func feature() Method {
	return Method{
		Name: "feature", Summary: "an adapter regressed to exo features", Source: "Quattrocchi et al., ECCV 2024, section 4",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
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
func (o Options) adapt(ctx context.Context, teacher *Model, lessons, choose []lesson) (net.TCNAdapter, *nn.Params, error) {
	a := net.TCNAdapter{In: lessons[0].pair.Ego.Dim, Out: teacher.Dim(), Channels: o.AdapterChannels, Layers: o.AdapterLayers,
		Causal: o.Network.Kind == "causal"}
	params, err := a.NewParams(o.Seed)
	if err != nil {
		return a, nil, err
	}
	ego := make([]Sequence, len(lessons))
	samples := make([]train.Sample, len(lessons))
	for i, l := range lessons {
		ego[i] = l.pair.Ego
		samples[i] = sample(l.pair.Name, l.pair.Ego, l.weights)
		samples[i].Float[net.Target] = l.features()
	}
	mean, std, err := standard(ego)
	if err != nil {
		return a, nil, err
	}
	if err := a.Standardize(params, mean, std); err != nil {
		return a, nil, err
	}
	j := job{stage: "adapter", params: params, samples: samples, loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		return a.Loss(b)
	}}
	if len(choose) > 0 {
		j.evaluate = func(p *nn.Params) (float64, error) { return closeness(a, p, choose, o) }
	}
	return a, params, o.fit(ctx, j)
}

// closeness is the negative mean squared error of the adapted features over the frames that have a partner.
func closeness(a net.TCNAdapter, params *nn.Params, lessons []lesson, o Options) (_ float64, err error) {
	p, err := openAdapter(a, params, o)
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

func openAdapter(a net.TCNAdapter, params *nn.Params, o Options) (*net.Predictor, error) {
	model, err := a.Infer(params)
	if err != nil {
		return nil, err
	}
	return net.NewPredictor(model, o.Session)
}

// adapted returns the lessons with adapted features on the ego side.
func (o Options) adapted(a net.TCNAdapter, params *nn.Params, lessons []lesson) (_ []lesson, err error) {
	p, err := openAdapter(a, params, o)
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
func (o Options) join(p Problem, a net.TCNAdapter, adapter *nn.Params, s *segmenter, params *nn.Params) (*Model, error) {
	s = s.behind(a)
	whole, err := s.params(o.Seed)
	if err != nil {
		return nil, err
	}
	for _, part := range []*nn.Params{adapter, params} {
		if err := inherit(whole, part); err != nil {
			return nil, err
		}
	}
	return o.model(p, s, whole), nil
}
