package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"

	"tandem/tas"
	"tandem/trainer/gate"
	"tandem/trainer/method"
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
	Method     string `json:"method"`
	Seed       uint64 `json:"seed"`
	TrainTakes int    `json:"train_takes"`
	TrainPairs int    `json:"train_pairs"` // ego samples with a partner, repetitions in place of lost ones not counted
	GatePairs  int    `json:"gate_pairs"`
	// Offset is the median of what was found of the takes' clock errors, in samples: the rig's sample t is of the instant of
	// the exo sample t+Offset. 0 where the method doesn't look.
	Offset float64 `json:"offset"`
	Chosen float64 `json:"chosen_on"` // agreement on the takes that chose the checkpoint (and the seed): mean of MoF, Edit, F1@50
	// Before and After are the scores of the first running release and of the student against the teacher.
	Before      tas.Scores       `json:"before"`
	After       tas.Scores       `json:"after"`
	Better      bool             `json:"better"` // than one of the running releases at least
	Calibration gate.Calibration `json:"calibration"`
	Gate        []Comparison     `json:"gate"` // one a running release
}

// Distil makes a student of the teacher from paired takes by the recipe's method (package method; tandem by default). What
// the student is worth is for the gate to say.
func Distil(ctx context.Context, teacher *Network, split Split, r Recipe, progress Progress) (*Distillation, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	m, err := r.student()
	if err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	if len(split.Train) == 0 || len(split.Choose) == 0 || len(split.Gate) == 0 {
		return nil, fmt.Errorf("distil: %d takes to train on, %d to choose by and %d to gate on, expected at least 1 of each",
			len(split.Train), len(split.Choose), len(split.Gate))
	}
	if err := split.check(teacher); err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	for _, part := range []struct {
		list []*PairedTake
		what string
	}{{split.Train, "train on"}, {split.Choose, "choose by"}, {split.Gate, "gate on"}} {
		if pairs(part.list) == 0 {
			return nil, fmt.Errorf("distil: not one pair in the %d takes to %s; collect more takes", len(part.list), part.what)
		}
	}
	o := r.options(len(split.Train), progress)
	o.Teacher = teacher.Model
	if c, ok := teacher.TCN(); ok { // the student starts as the teacher, so it has its shape, whoever's recipe made that
		o.Network.Channels, o.Network.Layers, o.Network.Lags = c.Channels, c.Layers, c.Lags
	}
	if r.Method == "tandem" {
		o.Rate /= 2 // which it doubles
	}
	student, err := m.Train(ctx, method.Problem{
		Labels: teacher.Labels, Background: teacher.Background, Pairs: learnablePairs(split.Train), Choose: learnablePairs(split.Choose),
	}, o)
	if err != nil {
		return nil, fmt.Errorf("distil: %w", err)
	}
	d := &Distillation{Student: &Network{Model: student, RateHz: teacher.RateHz, Decode: teacher.Decode}}
	d.Report = Report{Method: r.Method, Seed: r.Seed, TrainTakes: len(split.Train), TrainPairs: pairs(split.Train),
		GatePairs: pairs(split.Gate), Offset: medianOffset(student.Offsets)}
	return d, nil
}

// check reports what in the takes would spoil distillation. The takes must be of the same extractors as one another: the
// student reads all of them.
func (s Split) check(teacher *Network) error {
	var first *PairedTake
	for _, p := range slices.Concat(s.Train, s.Choose, s.Gate) {
		if err := p.check(teacher.Dim(), teacher.RateHz); err != nil {
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

// hasPartner reports whether sample t of the rig is real and has a partner that is.
func (p *PairedTake) hasPartner(t int) bool {
	return p.Ego.Weights[t] > 0 && slices.ContainsFunc(p.Exo, func(x *Sequence) bool { return x.Weights[t] > 0 })
}

// pairs counts the samples that have a partner.
func pairs(list []*PairedTake) int {
	n := 0
	for _, p := range list {
		for t := range p.Ego.Len() {
			if p.hasPartner(t) {
				n++
			}
		}
	}
	return n
}

// learnablePairs are takes as package method has them. A take of a single sample has no time in it and is left out.
func learnablePairs(takes []*PairedTake) []method.Pair {
	var list []method.Pair
	for _, p := range takes {
		if p.Ego.Len() < 2 {
			continue
		}
		pair := method.Pair{Name: p.ID.String(), Ego: p.Ego.learnable()}
		for _, x := range p.Exo {
			pair.Exo = append(pair.Exo, x.learnable())
		}
		list = append(list, pair)
	}
	return list
}

// medianOffset is the median of the takes' offsets: what is left of a clock's error is much the same in each.
func medianOffset(list []method.Offset) float64 {
	if len(list) == 0 {
		return 0
	}
	frames := make([]float64, len(list))
	for i, o := range list {
		frames[i] = o.Frames
	}
	slices.Sort(frames)
	m := (frames[(len(frames)-1)/2] + frames[len(frames)/2]) / 2
	return math.Round(m*100) / 100
}
