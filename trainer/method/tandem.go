package method

import (
	"context"
	"fmt"
	"math"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// tandem is our method. It differs from tas in five ways:
//
//   - the loss is the Kullback–Leibler divergence at a temperature T (Hinton, Vinyals & Dean, arXiv 1503.02531, section 2),
//     on every output of the network, with the smoothing loss of MS-TCN (Farha & Gall, CVPR 2019, section 3.3):
//     L = mean over s, t of w_t T² KL(q'_t ‖ softmax(student_s(ego)_t / T)) + 0.15 smoothing; default T = 1
//   - a frame counts by the teacher's confidence, w_t = ½ + ½ (1 - H(q_t) / log K): where it wavers, between actions, it
//     teaches half;
//   - each pair's offset is estimated before the loss from novelty curves (sync/offset), and once more by the agreement of
//     a first student, trained for a quarter of the epochs, with the teacher; default band ±20 frames;
//   - q' is the teacher's distribution averaged over the posterior of what is left of the offset, peaked at the estimate;
//   - the student is the teacher behind an adapter that has been regressed to the exo features of the estimated instant, as in
//     feature, and both are trained on. So the whole of the teacher is of use where ego features have another width too.
//
// The learning rate is twice Options.Rate: soft targets allow it.
func tandem() Method {
	return Method{
		Name: "tandem", Summary: "divergence at a temperature after estimating each pair's offset",
		Source: "this project; Hinton et al., arXiv 1503.02531, section 2",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			o.Rate *= 2
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			k := p.Labels.Len()
			offsets, err := o.align(lessons, k)
			if err != nil {
				return nil, err
			}
			held, err := o.align(choose, k)
			if err != nil {
				return nil, err
			}
			round := func(stage string, part int, adapt bool) (*Model, error) {
				lessons, choose := aligned(lessons, offsets, k), aligned(choose, held, k)
				s, params, err := o.student(teacher, p.Pairs)
				if err == nil && adapt {
					s, params, err = o.behindAdapter(ctx, p, teacher, lessons, choose)
				}
				if err != nil {
					return nil, err
				}
				o := o
				o.Epochs, o.MinSteps = max(1, o.Epochs/part), o.MinSteps/part
				err = o.distil(ctx, stage, teacher, s, params, lessons, choose)
				return o.model(p, s, params), err
			}
			scout, err := round("alignment", 4, false)
			if err != nil {
				return nil, err
			}
			if offsets, err = o.realign(scout, lessons, offsets, k); err != nil {
				return nil, err
			}
			if held, err = o.realign(scout, choose, held, k); err != nil {
				return nil, err
			}
			student, err := round("tandem", 1, true)
			if err != nil {
				return nil, err
			}
			student.Offsets = offsets
			return student, nil
		},
	}
}

// aligned returns lessons whose logits are those of the ego frames' instants.
func aligned(lessons []lesson, offsets []Offset, k int) []lesson {
	out := make([]lesson, len(lessons))
	for i, l := range lessons {
		out[i] = lesson{pair: l.pair}
		out[i].pair.Exo = make([]Sequence, len(l.pair.Exo))
		for j, x := range l.pair.Exo {
			seen := make([]float32, len(l.weights))
			for t := range seen {
				seen[t] = x.weight(t)
			}
			y := x
			y.Features, y.Weights = offsets[i].shift(x.Features, seen, x.Dim)
			out[i].pair.Exo[j] = y
		}
		partner := make([]float32, len(l.weights)) // of the exo side alone: the ego frames' weights don't move
		for t := range partner {
			for _, x := range l.pair.Exo {
				partner[t] = max(partner[t], x.weight(t))
			}
		}
		for _, y := range l.logits {
			probs, w := offsets[i].shift(joint([][]float32{y}, k, 1), partner, k)
			for j, v := range probs {
				probs[j] = float32(math.Log(max(float64(v), 1e-8)))
			}
			out[i].logits, out[i].weights = append(out[i].logits, probs), w
		}
		for t := range out[i].weights {
			out[i].weights[t] *= l.pair.Ego.weight(t)
		}
	}
	return out
}

// distil trains a student by the divergence at the temperature, by the teacher's confidence.
func (o Options) distil(ctx context.Context, stage string, teacher *Model, s *segmenter, params *nn.Params, lessons, choose []lesson) error {
	weighted := make([]lesson, len(lessons))
	for i, l := range lessons {
		weighted[i] = l
		weighted[i].weights = make([]float32, len(l.weights))
		for t, c := range confidence(joint(l.logits, s.classes, 1), s.classes) {
			weighted[i].weights[t] = l.weights[t] * (0.5 + 0.5*c)
		}
	}
	err := o.follow(ctx, stage, teacher, s, params, weighted, choose,
		func(logits []float32) []float32 { return joint([][]float32{logits}, s.classes, 1) },
		func(b *nn.Build, y, target, w *graph.Tensor) *graph.Tensor {
			return plus(b, b.Distill(y, target, w, o.Temperature), smoothing(b, y, w, o.Smooth))
		})
	if err != nil {
		return fmt.Errorf("distil: %w", err)
	}
	return nil
}

// confidence is 1 - H(q)/log K of each frame's probabilities: 1 for one class, 0 for all alike.
func confidence(probs []float32, k int) []float32 {
	out := make([]float32, len(probs)/k)
	for t := range out {
		var h float64
		for _, v := range probs[t*k : (t+1)*k] {
			if v > 0 {
				h -= float64(v) * math.Log(float64(v))
			}
		}
		out[t] = float32(max(0, 1-h/math.Log(float64(k))))
	}
	return out
}

// behindAdapter returns a student that reads ego features through an adapter, which has been regressed to the exo features,
// and is the teacher behind it.
func (o Options) behindAdapter(ctx context.Context, p Problem, teacher *Model, lessons, choose []lesson) (*segmenter, *nn.Params, error) {
	a, adapter, err := o.adapt(ctx, teacher, lessons, choose)
	if err != nil {
		return nil, nil, err
	}
	s, err := o.Network.segmenter(teacher.Dim(), teacher.Labels.Len())
	if err != nil {
		return nil, nil, err
	}
	m, err := o.join(p, a, adapter, s, teacher.Params)
	if err != nil {
		return nil, nil, err
	}
	return m.net, m.Params, nil
}
