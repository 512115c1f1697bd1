package trainer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/learn/net"
	"tandem/learn/train"
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/gate"
)

// Distillation is a distilled student with what is known of it.
type Distillation struct {
	Student *Network
	Report  Report
}

// Report says how a student was made and what the gate found: how well it and the release that runs agree with the
// teacher on held-out pairs. It is what the release carries, and what the hub keeps of a student that was refused: without ego
// labels, agreement with the teacher is what can be measured on a line.
type Report struct {
	Method     string  `json:"method"`
	Seed       uint64  `json:"seed"`
	TrainTakes int     `json:"train_takes"`
	TrainPairs int     `json:"train_pairs"` // ego samples with a partner, repetitions in place of lost ones not counted
	GatePairs  int     `json:"gate_pairs"`
	Chosen     float64 `json:"chosen_on"` // agreement on the takes that chose the checkpoint (and the seed): mean of MoF, Edit, F1@50
	// Before and After are the scores of the first running release and of the student against the teacher.
	Before      tas.Scores       `json:"before"`
	After       tas.Scores       `json:"after"`
	Better      bool             `json:"better"` // than one of the running releases at least
	Calibration gate.Calibration `json:"calibration"`
	Gate        []Comparison     `json:"gate"` // one a running release
}

// Distil makes a student of the teacher from paired takes at the TAS level (Quattrocchi et al., ECCV 2024, section 4.2):
// the student starts as the teacher, sees the ego features and is drawn to the teacher's class probabilities on the exo
// features of the same instant. The published loss is the squared error of the logits; here it is the Kullback–Leibler
// divergence at a temperature (Hinton et al., 2015), scaled by its square. Probabilities are averaged over the exo
// cameras. The student's features are standardised by the ego takes' own statistics, which need no label. What the student is worth is for the gate.
func Distil(ctx context.Context, teacher *Network, split Split, r Recipe, progress Progress) (*Distillation, error) {
	const stage = "distil"
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if len(split.Train) == 0 || len(split.Choose) == 0 || len(split.Gate) == 0 {
		return nil, fmt.Errorf("distil: %d takes to train on, %d to choose by and %d to gate on, expected at least 1 of each",
			len(split.Train), len(split.Choose), len(split.Gate))
	}
	if err := split.check(teacher); err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	targets, err := teach(teacher, r, split.Train, split.Choose, split.Gate)
	if err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	for i, part := range []string{"train on", "choose by", "gate on"} {
		if pairs(targets[i]) == 0 {
			return nil, fmt.Errorf("distil: not one pair in the %d takes to %s; collect more takes", len(targets[i]), part)
		}
	}
	d := &Distillation{Student: teacher.Clone(), Report: Report{Method: "tas-kl", Seed: r.Seed, TrainTakes: len(split.Train)}}
	d.Report.TrainPairs, d.Report.GatePairs = pairs(targets[0]), pairs(targets[2])
	var samples []train.Sample
	var ego []*Sequence
	for i, t := range split.Train {
		target := targets[0][i]
		ego = append(ego, t.Ego)
		samples = append(samples, train.Sample{
			Name: t.ID.String(), Frames: t.Ego.Len(), Weights: target.weights,
			Float: map[string][]float32{net.Features: t.Ego.Features, net.Teacher: target.probs},
		})
	}
	mean, std, err := standard(ego)
	if err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	if err := d.Student.TCN.Standardize(d.Student.Params, mean, std); err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	objective := net.Objective{Teacher: 1, Temperature: r.Temperature, Smooth: r.Smooth}
	if err := d.Student.fit(ctx, stage, samples, objective, r, reference(split.Choose, targets[1]), progress); err != nil {
		return nil, err
	}
	chosen, err := d.Student.score(reference(split.Choose, targets[1]), r)
	if err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	d.Report.Chosen = merit(chosen)
	return d, nil
}

// check reports what in the takes would spoil distillation. The takes must be of the same extractors as one another: the
// student reads all of them.
func (s Split) check(teacher *Network) error {
	var first *PairedTake
	for _, p := range slices.Concat(s.Train, s.Choose, s.Gate) {
		if err := p.check(teacher.TCN.In, teacher.RateHz); err != nil {
			return err
		}
		if first == nil {
			first = p
		}
		if p.EgoExtractor != first.EgoExtractor || p.ExoExtractor != first.ExoExtractor {
			return fmt.Errorf("the features of the takes %s and %s are of different extractors", first.ID, p.ID)
		}
	}
	return nil
}

// target is what the teacher says of a take.
type target struct {
	probs   []float32 // [T, classes]
	labels  []int     // [T] as the teacher's committed stream
	weights []float32 // [T] 0 where there is no pair
}

// pairs counts the frames that have a partner.
func pairs(list []target) int {
	n := 0
	for _, t := range list {
		for _, w := range t.weights {
			if w > 0 {
				n++
			}
		}
	}
	return n
}

// teach runs the teacher over the exo sides of lists of takes.
func teach(teacher *Network, r Recipe, lists ...[]*PairedTake) (_ [][]target, err error) {
	p, err := teacher.predictor(r.session())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	out := make([][]target, len(lists))
	for i, list := range lists {
		for _, t := range list {
			x, err := p.target(t, nil)
			if err != nil {
				return nil, fmt.Errorf("take %s: %w", t.ID, err)
			}
			out[i] = append(out[i], x)
		}
	}
	return out, nil
}

// target averages the teacher's probabilities over the cameras that have a partner for the frame, calibrated if c isn't nil.
func (p *predictor) target(t *PairedTake, c *gate.Calibration) (target, error) {
	n, k := t.Ego.Len(), p.n.TCN.Classes
	x := target{probs: make([]float32, n*k), weights: make([]float32, n)}
	count := make([]float32, n)
	for _, exo := range t.Exo {
		probs, err := p.probs(exo)
		if err != nil {
			return x, err
		}
		if c != nil {
			probs = c.Apply(probs, k)
		}
		for f := range n {
			// A frame that no camera has is context only, but its probabilities must be some distribution.
			w := max(exo.Weights[f], 1e-6)
			count[f] += w
			for c := range k {
				x.probs[f*k+c] += w * probs[f*k+c]
			}
			if exo.Weights[f] > 0 && t.Ego.Weights[f] > 0 {
				x.weights[f] = 1
			}
		}
	}
	for f := range n {
		for c := range k {
			x.probs[f*k+c] /= count[f]
		}
	}
	x.labels = segment.Hold(argmaxRows(x.probs, k), p.n.MinFrames)
	return x, nil
}

// reference is what a student is examined in: the labels of the teacher's committed stream, where there are pairs.
func reference(takes []*PairedTake, targets []target) []exam {
	list := make([]exam, len(takes))
	for i, t := range takes {
		list[i] = exam{Sequence: t.Ego, want: targets[i].labels, weights: targets[i].weights}
	}
	return list
}
