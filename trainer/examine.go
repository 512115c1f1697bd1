package trainer

import (
	"fmt"
	"math"

	"tandem/runtime/segment"
	"tandem/trainer/gate"
)

// examine makes exams of paired takes: what the teacher says on the exo side, averaged over the cameras that have a partner,
// with its calibrated confidence. offset says by how many samples the rigs' clocks are late, as the student's training
// found: the rig's sample t is compared with what the teacher says of t+offset.
func (n *Network) examine(takes []*PairedTake, c gate.Calibration, offset float64) ([]gate.Exam, error) {
	list := make([]gate.Exam, len(takes))
	for i, t := range takes {
		e, err := n.exam(t, c)
		if err != nil {
			return nil, fmt.Errorf("take %s: %w", t.ID, err)
		}
		list[i] = shifted(e, int(math.Round(offset)), n.Labels.Len())
		for t, w := range takes[i].Ego.Weights {
			list[i].Weights[t] *= w
		}
	}
	return list, nil
}

// exam is the teacher's view of a take. Weights are 0 where no camera has a partner.
func (n *Network) exam(t *PairedTake, c gate.Calibration) (gate.Exam, error) {
	frames, k := t.Ego.Len(), n.Labels.Len()
	e := gate.Exam{Name: t.ID.String(), RateHz: t.RateHz, Probs: make([]float32, frames*k), Weights: make([]float32, frames)}
	count := make([]float32, frames)
	said, err := n.probs(t.Exo...)
	if err != nil {
		return e, err
	}
	for i, exo := range t.Exo {
		probs := c.Apply(said[i], k)
		for f := range frames {
			// A frame that no camera has is context only, but its probabilities must be some distribution.
			w := max(exo.Weights[f], 1e-6)
			count[f] += w
			for j := range k {
				e.Probs[f*k+j] += w * probs[f*k+j]
			}
			if exo.Weights[f] > 0 {
				e.Weights[f] = 1
			}
		}
	}
	for f := range frames {
		for j := range k {
			e.Probs[f*k+j] /= count[f]
		}
	}
	e.Teacher = segment.Decode(e.Probs, k, n.decoder())
	return e, nil
}

// shifted is an exam about what was so many samples later. What lies beyond the ends doesn't count.
func shifted(e gate.Exam, by, k int) gate.Exam {
	if by == 0 {
		return e
	}
	n := len(e.Teacher)
	s := gate.Exam{Name: e.Name, RateHz: e.RateHz, Teacher: make([]int, n), Probs: make([]float32, n*k), Weights: make([]float32, n)}
	for t := range n {
		at := min(max(t+by, 0), n-1)
		s.Teacher[t] = e.Teacher[at]
		copy(s.Probs[t*k:(t+1)*k], e.Probs[at*k:])
		if at == t+by {
			s.Weights[t] = e.Weights[at]
		}
	}
	return s
}

// answers are a network's committed labels of the rigs' sides of takes.
func (n *Network) answers(takes []*PairedTake) (gate.Answers, error) {
	list := make([]*Sequence, len(takes))
	for i, t := range takes {
		list[i] = t.Ego
	}
	return n.committed(list...)
}
