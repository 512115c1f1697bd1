package method

import (
	"context"
	"errors"
	"fmt"
	"math"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/tas"
)

// Teacher trains the teacher on the problem's labelled exo sequences by cross entropy and the smoothing loss of MS-TCN
// (Farha & Gall, CVPR 2019, section 3.3), and leaves the last epoch.
func Teacher(ctx context.Context, p Problem, o Options) (*Model, error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	if err := p.checkExo(); err != nil {
		return nil, fmt.Errorf("teacher: %w", err)
	}
	return o.fromLabels(ctx, "teacher", p, p.Exo)
}

// lesson is a pair with what the teacher says of it.
type lesson struct {
	pair Pair
	// logits are the teacher's, one [T, classes] an output, averaged over cameras.
	logits [][]float32
	// weights [T] are 0 where there is no partner.
	weights []float32
}

// teach runs the teacher over the exo sides of pairs.
func teach(teacher *Model, pairs []Pair) (_ []lesson, err error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	p, err := teacher.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	lessons := make([]lesson, len(pairs))
	for i, pair := range pairs {
		if lessons[i], err = p.lesson(pair); err != nil {
			return nil, fmt.Errorf("the pair %s: %w", pair.Name, err)
		}
	}
	return lessons, nil
}

// lesson averages the logits over cameras by their weights.
func (p *predictor) lesson(pair Pair) (lesson, error) {
	frames, k := pair.Ego.Len(), p.m.Labels.Len()
	l := lesson{pair: pair, weights: make([]float32, frames)}
	total := make([]float32, frames)
	for _, x := range pair.Exo {
		outputs, err := p.logits(x)
		if err != nil {
			return l, err
		}
		if l.logits == nil {
			l.logits = make([][]float32, len(outputs))
			for i := range outputs {
				l.logits[i] = make([]float32, frames*k)
			}
		}
		for t := range frames {
			// A frame that no camera has is context only, but its targets must be finite.
			w := max(x.weight(t), 1e-6)
			total[t] += w
			for i, y := range outputs {
				for c := range k {
					l.logits[i][t*k+c] += w * y[t*k+c]
				}
			}
		}
	}
	for t := range frames {
		l.weights[t] = pair.weight(t)
		for i := range l.logits {
			for c := range k {
				l.logits[i][t*k+c] /= total[t]
			}
		}
	}
	return l, nil
}

// features are the exo features of each instant, averaged over cameras by their weights.
func (l lesson) features() []float32 {
	if len(l.pair.Exo) == 1 {
		return l.pair.Exo[0].Features
	}
	dim := l.pair.Exo[0].Dim
	out := make([]float32, len(l.weights)*dim)
	for t := range l.weights {
		var total float32
		for _, x := range l.pair.Exo {
			w := max(x.weight(t), 1e-6)
			total += w
			for d := range dim {
				out[t*dim+d] += w * x.Features[t*dim+d]
			}
		}
		for d := range dim {
			out[t*dim+d] /= total
		}
	}
	return out
}

// targets are the lesson's logits for a student of so many outputs: output for output, or else the logarithm of their mean
// probability for all.
func (l lesson) targets(outputs, k int) [][]float32 {
	if len(l.logits) == outputs || len(l.logits) == 1 {
		return l.logits
	}
	y := joint(l.logits, k, 1)
	for i, v := range y {
		y[i] = float32(math.Log(max(float64(v), 1e-8)))
	}
	return [][]float32{y}
}

// student returns a network for ego features that starts as the teacher, as far as their shapes agree: where ego and exo
// features have other widths, the first layer is new. Features are standardised by the ego sequences' own statistics,
// which need no label.
func (o Options) student(teacher *Model, pairs []Pair) (*segmenter, *nn.Params, error) {
	s, err := o.Network.segmenter(pairs[0].Ego.Dim, teacher.Labels.Len())
	if err != nil {
		return nil, nil, err
	}
	params, err := s.params(o.Seed)
	if err != nil {
		return nil, nil, err
	}
	if err := inherit(params, teacher.Params); err != nil {
		return nil, nil, err
	}
	list := make([]Sequence, len(pairs))
	for i, p := range pairs {
		list[i] = p.Ego
	}
	return s, params, s.standardize(params, list)
}

// outputs is the number of what forward returns.
func (s *segmenter) outputs() int {
	if s.c2f != nil {
		return s.c2f.Scales()
	}
	return max(1, len(s.tcn.Lags))
}

// follow trains a student on lessons. compare is the loss of an output's logits against the targets that asTarget made of
// the teacher's logits.
func (o Options) follow(ctx context.Context, stage string, teacher *Model, s *segmenter, params *nn.Params, lessons, choose []lesson,
	asTarget func(logits []float32) []float32, compare func(b *nn.Build, y, target, w *graph.Tensor) *graph.Tensor) error {
	samples := make([]train.Sample, len(lessons))
	sets := 0
	for i, l := range lessons {
		samples[i] = sample(l.pair.Name, l.pair.Ego, l.weights)
		targets := l.targets(s.outputs(), s.classes)
		sets = len(targets)
		for j, y := range targets {
			samples[i].Float[teacherName(j)] = asTarget(y)
		}
	}
	j := job{stage: stage, params: params, samples: samples, reach: s.reach(), loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		outputs := s.forward(b, b.Features(net.Features, s.width()))
		targets := make([]*graph.Tensor, sets)
		for i := range targets {
			targets[i] = b.Features(teacherName(i), s.classes)
		}
		return overOutputs(b, outputs, func(i int, out output) *graph.Tensor {
			y, q, w := late(b, out, targets[min(i, sets-1)], b.Weights())
			return compare(b, y, q, w)
		})
	}}
	if len(choose) > 0 {
		j.evaluate = func(p *nn.Params) (float64, error) {
			m := *teacher
			m.net, m.Params = s, p
			return m.agreement(choose)
		}
	}
	return o.fit(ctx, j)
}

// agreement is how well a student finds the teacher's segments: the mean of frame accuracy, order and overlap, in per
// cent, over the frames that have a partner.
func (m *Model) agreement(lessons []lesson) (_ float64, err error) {
	p, err := m.open()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	k := m.Labels.Len()
	var videos []tas.Video
	for _, l := range lessons {
		got, err := p.predict(l.pair.Ego)
		if err != nil {
			return 0, err
		}
		want := argmax(joint(l.logits, k, 1), k)
		v := tas.Video{Name: l.pair.Name}
		for t, w := range l.weights {
			if w > 0 {
				v.GT, v.Pred = append(v.GT, m.Labels.Name(want[t])), append(v.Pred, m.Labels.Name(got.Classes[t]))
			}
		}
		if len(v.GT) > 0 {
			videos = append(videos, v)
		}
	}
	s, err := tas.Score(videos, m.Background...)
	return (s.MoF + s.Edit + s.F1At50) / 3, err
}
