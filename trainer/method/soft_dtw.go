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

// softDTW is tas for pairs of which only the order of what happens is known, not the times: the student's logits y are
// compared with the teacher's z by soft dynamic time warping (Cuturi & Blondel, ICML 2017),
//
//	L = mean over ego frames of softDTW_γ(C),  C_ij = ‖ y_i - z_j ‖² / classes,  default γ = 0.1 · mean over i, j of ‖ z_i - z_j ‖² / classes
//
// The recursion is no graph of tensors, so it runs in Go, in float64, before each epoch: the gradient of softDTW with respect
// to C is the expected alignment E, so that of Σ_ij E_ij C_ij with E held fixed is the same, and that is, but for a constant,
//
//	Σ_i w_i ‖ y_i - t_i ‖² / classes,  w_i = Σ_j E_ij,  t_i = Σ_j E_ij z_j / w_i
//
// a regression like that of tas. It is exact at the parameters that E was taken at. Within an epoch E gets old; as softDTW is
// the least of <E, C> - γ·entropy over distributions of paths, going on with an older E still lowers a bound of it.
//
// Sequences of more than 512 frames are aligned by the means over windows of frames, whose frames share a target. Both
// sequences must show the same actions in the same order from the first frame to the last; which frame belongs to which is
// not used, nor for the choice of the epoch, which is by the loss on held-out pairs. What a constant delay does to the middle
// of a take is undone; at its ends there is nothing to align with. A student that starts with no idea of the ego view has
// nothing to align by.
func softDTW() Method {
	return Method{
		Name: "soft-dtw", Summary: "tas along a soft alignment of the outputs, on unknown times",
		Source: "Cuturi & Blondel, ICML 2017, section 2",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			s, params, err := o.student(teacher, p.Pairs)
			if err != nil {
				return nil, err
			}
			if err := o.warp(ctx, teacher, s, params, lessons, choose); err != nil {
				return nil, err
			}
			return o.model(p, s, params), nil
		},
	}
}

const (
	// softness is γ relative to what the teacher's outputs differ by.
	softness = 0.1
	// longestAlignment is the most steps that are aligned, on either side.
	longestAlignment = 512
	// massField is the input of w.
	massField = "mass"
)

// warping is a pair to be aligned.
type warping struct {
	pair    Pair
	k       int
	targets [][]float32 // the teacher's logits of each exo frame, one [T, k] a set
	gamma   float64
	// What the loss reads, which is written over by each alignment: [T, k] for each set of targets, and [T].
	want [][]float32
	mass []float32
}

func newWarping(l lesson, outputs, k int) (*warping, error) {
	frames := l.pair.Ego.Len()
	w := &warping{pair: l.pair, k: k, targets: l.targets(outputs, k), mass: make([]float32, frames)}
	var sum float64
	for _, z := range w.targets {
		w.want = append(w.want, make([]float32, frames*k))
		rows, _ := windows(z, k, longestAlignment, w.seenExo)
		n := len(rows) / k
		if n == 0 {
			return nil, fmt.Errorf("the pair %s has no exo frame that was seen", l.pair.Name)
		}
		for c := range k {
			var s, q float64
			for i := range n {
				s += rows[i*k+c]
				q += rows[i*k+c] * rows[i*k+c]
			}
			sum += 2 * (q - s*s/float64(n)) / float64(n*k*len(w.targets))
		}
	}
	w.gamma = softness * max(sum, 1e-6)
	return w, nil
}

func (w *warping) seenExo(t int) bool {
	for _, x := range w.pair.Exo {
		if x.weight(t) > 0 {
			return true
		}
	}
	return false
}

func (w *warping) seenEgo(t int) bool { return w.pair.Ego.weight(t) > 0 }

// align computes targets and masses for what a student says of the ego frames, and returns the loss.
func (w *warping) align(logits [][]float32) float64 {
	k := w.k
	var cost []float64
	var rows [][]float64 // of the targets
	var at []int
	n, m := 0, 0
	for i, y := range logits {
		ego, place := windows(y, k, longestAlignment, w.seenEgo)
		exo, _ := windows(w.targets[min(i, len(w.targets)-1)], k, longestAlignment, w.seenExo)
		if cost == nil {
			n, m, at = len(ego)/k, len(exo)/k, place
			cost = make([]float64, n*m)
		}
		squaredCosts(cost, ego, exo, k, 1/float64(len(logits)))
		if i < len(w.targets) {
			rows = append(rows, exo)
		}
	}
	if n == 0 {
		return 0 // no ego frame was seen, so none counts
	}
	value, e := softAlign(cost, n, m, w.gamma)
	mass := make([]float64, n)
	for i := range mass {
		for _, p := range e[i*m : (i+1)*m] {
			mass[i] += p
		}
	}
	for i, z := range rows {
		mean := make([]float64, n*k)
		for a := range n {
			for j, p := range e[a*m : (a+1)*m] {
				if p < 1e-9 {
					continue // most of them
				}
				for c := range k {
					mean[a*k+c] += p / mass[a] * z[j*k+c]
				}
			}
		}
		for t, a := range at {
			for c := range k {
				if a >= 0 {
					w.want[i][t*k+c] = float32(mean[a*k+c])
				}
			}
		}
	}
	for t, a := range at {
		if a >= 0 {
			w.mass[t] = float32(mass[a])
		}
	}
	return value / float64(n)
}

// warp trains a student by softDTW.
func (o Options) warp(ctx context.Context, teacher *Model, s *segmenter, params *nn.Params, lessons, choose []lesson) error {
	sets := 0
	list, err := warpings(lessons, s.outputs(), s.classes)
	if err != nil {
		return err
	}
	held, err := warpings(choose, s.outputs(), s.classes)
	if err != nil {
		return err
	}
	samples := make([]train.Sample, len(list))
	for i, w := range list {
		samples[i] = sample(w.pair.Name, w.pair.Ego, w.pair.Ego.Weights)
		samples[i].Float[massField] = w.mass
		sets = len(w.want)
		for j, y := range w.want {
			samples[i].Float[teacherName(j)] = y
		}
	}
	student := *teacher
	student.net = s
	j := job{stage: "soft-dtw", params: params, samples: samples, reach: s.reach(), loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		outputs := s.forward(b, b.Features(net.Features, s.width()))
		w := b.Mul(b.Weights(), b.Reshape(b.Features(massField, 1), b.Batch, b.Frames))
		targets := make([]*graph.Tensor, sets)
		for i := range targets {
			targets[i] = b.Features(teacherName(i), s.classes)
		}
		return overOutputs(b, outputs, func(i int, out output) *graph.Tensor {
			y, q, w := late(b, out, targets[min(i, sets-1)], w)
			return b.SquaredError(y, q, w)
		})
	}}
	j.prepare = func(m moment, batch []train.Sample) ([]train.Sample, error) {
		if m.step%m.perEpoch > 0 {
			return batch, nil
		}
		student.Params = params
		_, err := student.warped(list) // the samples, cut or not, share its memory
		return batch, err
	}
	if len(held) > 0 {
		j.evaluate = func(p *nn.Params) (float64, error) {
			student.Params = p
			loss, err := student.warped(held)
			return -loss, err
		}
	}
	return o.fit(ctx, j)
}

func warpings(lessons []lesson, outputs, k int) ([]*warping, error) {
	list := make([]*warping, len(lessons))
	for i, l := range lessons {
		var err error
		if list[i], err = newWarping(l, outputs, k); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// warped aligns pairs by what the model says of them and returns the mean loss.
func (m *Model) warped(list []*warping) (_ float64, err error) {
	p, err := m.open()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var sum float64
	for _, w := range list {
		logits, err := p.logits(w.pair.Ego)
		if err != nil {
			return 0, err
		}
		sum += w.align(logits) / float64(len(list))
	}
	return sum, nil
}
