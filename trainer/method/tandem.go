package method

import (
	"context"
	"fmt"
	"math"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// tandem is our method. It differs from tas in four ways:
//
//   - the loss is the Kullback–Leibler divergence at a temperature T (Hinton, Vinyals & Dean, arXiv 1503.02531, section 2),
//     on every output of the network, with the smoothing loss of MS-TCN (Farha & Gall, CVPR 2019, section 3.3):
//     L = mean over s, t of w_t T² KL(q'_t ‖ softmax(student_s(ego)_t / T)) + 0.15 smoothing; default T = 2
//   - a frame counts by the teacher's confidence, w_t = ½ + ½ (1 - H(q_t) / log K): where it wavers, between actions, it
//     teaches half;
//   - each pair's offset is estimated before the loss from novelty curves (sync/offset), and once more by the agreement of
//     a first student, trained for a quarter of the epochs, with the teacher; default band ±20 frames;
//   - q' is the teacher's distribution averaged over the posterior of what is left of the offset, peaked at the estimate.
//
// A student of the teacher's shape starts as it, the second one again.
func tandem() Method {
	return Method{
		Name: "tandem", Summary: "divergence at a temperature after estimating each pair's offset",
		Source: "this project; Hinton et al., arXiv 1503.02531, section 2",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
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
			round := func(stage string, epochs int) (*Model, error) {
				s, params, err := o.student(teacher, p.Pairs)
				if err != nil {
					return nil, err
				}
				o := o
				o.Epochs = epochs
				err = o.distil(ctx, stage, teacher, s, params, aligned(lessons, offsets, k), aligned(choose, held, k))
				return o.model(p, s, params), err
			}
			scout, err := round("alignment", max(1, o.Epochs/4))
			if err != nil {
				return nil, err
			}
			if offsets, err = o.realign(scout, lessons, offsets, k); err != nil {
				return nil, err
			}
			if held, err = o.realign(scout, choose, held, k); err != nil {
				return nil, err
			}
			student, err := round("tandem", o.Epochs)
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
