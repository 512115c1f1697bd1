package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// Single says what one training is: a method on the pairs of a fold, or of all takes.
type Single struct {
	Method string
	// Fold is the fold whose takes are trained on; "" trains on all, and then there is nothing left to score with.
	Fold string
	// Choose and Gate are the shares of the pairs that are held out: to choose the epoch by, and to report the agreement
	// with the teacher on. Each is in [0, 0.4]; a share above 0 is at least one pair.
	Choose, Gate float64
	// Score asks for the scores on the test takes of the fold, for which their ego labels are read. Nothing is chosen by them.
	Score bool

	TeacherNetwork method.Network // as in Plan
	Hold           int            // as in Plan
	Options        method.Options // Teacher is set by the training
}

// Trained is the outcome of a Single.
type Trained struct {
	Model   *method.Model // the student
	Teacher *method.Model
	Report  Report
	// MinFramesByClass is the label hold of each class, with HoldClass. LogTransitions is how labels follow one another in those that
	// the teacher was trained on (segment.LogTransitions).
	MinFramesByClass []int
	LogTransitions   [][]float64
}

// plan is the comparison of which the training would be one measurement.
func (s Single) plan() Plan {
	return Plan{Methods: []string{s.Method}, Seeds: 1, FirstSeed: s.Options.Seed, Choose: s.Choose, TeacherNetwork: s.TeacherNetwork,
		Hold: s.Hold, Options: s.Options}
}

// Check returns an error that names what can't be trained.
func (s Single) Check() error {
	if _, err := method.Get(s.Method); err != nil {
		return err
	}
	if !(s.Choose >= 0 && s.Choose <= 0.4) || !(s.Gate >= 0 && s.Gate <= 0.4) {
		return fmt.Errorf("shares of %g of the pairs to choose by and %g to check with, expected 0 to 0.4 each", s.Choose, s.Gate)
	}
	if s.Score && s.Fold == "" {
		return errors.New("scores without a fold: every take is trained on, so there is none to score with; name a fold")
	}
	return s.plan().Check()
}

// Train trains a method. Unless it is the one that learns from ego labels, it sees a data set that has none. A training
// that diverges gives an error that wraps a *method.StoppedError.
func Train(ctx context.Context, set *dataset.Dataset, s Single) (*Trained, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	began := time.Now()
	d, err := openData(set)
	if err != nil {
		return nil, err
	}
	fold, err := s.takes(set, d.ego.Name)
	if err != nil {
		return nil, err
	}
	u := &unit{run: &run{data: d, plan: s.plan(), meter: newMeter(nil, 1)}, fold: fold, seed: s.Options.Seed, options: s.Options}
	if err := u.prepare(ctx, s.Method); err != nil {
		return nil, err
	}
	m, err := method.Get(s.Method)
	if err != nil {
		return nil, err
	}
	p, gate, err := u.divide(ctx, m, s)
	if err != nil {
		return nil, err
	}
	out := &Trained{Teacher: u.options.Teacher, MinFramesByClass: u.hold.byClass,
		LogTransitions: segment.LogTransitions(classesOf(u.base.Exo), set.Labels.Len())}
	if out.Model, err = m.Train(ctx, p, u.options); err != nil {
		return nil, err
	}
	out.Report = newReport(set, s, m, fold, p, gate, u)
	out.Report.Offsets = out.Model.Offsets
	if len(gate) > 0 {
		if out.Report.Agreement, err = agreement(out.Teacher, out.Model, gate, u.hold); err != nil {
			return nil, fmt.Errorf("agreement with the teacher: %w", err)
		}
	}
	if s.Score {
		if out.Report.Test, err = u.test(ctx, out.Model); err != nil {
			return nil, fmt.Errorf("scores: %w", err)
		}
	}
	out.Report.Seconds = time.Since(began).Seconds()
	return out, nil
}

// takes returns the fold, or one that trains on all takes.
func (s Single) takes(set *dataset.Dataset, ego string) (dataset.Fold, error) {
	if s.Fold != "" {
		list, err := chosen(set, []string{s.Fold})
		if err != nil {
			return dataset.Fold{}, err
		}
		return list[0], nil
	}
	var f dataset.Fold
	for _, t := range set.Takes() {
		if t.Labelled {
			f.Train = append(f.Train, t.Name)
		}
		if views := t.Views(); t.Has(ego) && len(views) > 1 {
			f.Pairs = append(f.Pairs, t.Name)
		}
	}
	switch {
	case len(f.Train) == 0:
		return f, fmt.Errorf("data set %s has no takes with exo labels, so there is nothing to train a teacher on", set.Name)
	case len(f.Pairs) == 0:
		return f, fmt.Errorf("data set %s has no take that both sides have seen, so there are no pairs", set.Name)
	}
	return f, nil
}

// divide divides the pairs into those to train on, to choose by and to check with.
func (u *unit) divide(ctx context.Context, m method.Method, s Single) (method.Problem, []method.Pair, error) {
	p := u.base
	set, err := u.data.set.Blind(u.fold.Train)
	if err != nil {
		return p, nil, err
	}
	blind := data{set, u.data.ego}
	takes := u.fold.Pairs
	hold := func(share float64, stream uint64) ([]method.Pair, error) {
		if share == 0 {
			return nil, nil
		}
		n := max(1, int(math.Round(share*float64(len(u.fold.Pairs)))))
		if n >= len(takes) {
			return nil, fmt.Errorf("%d pairs are too few to train on and to hold out %g to choose the epoch by and %g to check with; "+
				"hold out none (0) or add takes", len(u.fold.Pairs), s.Choose, s.Gate)
		}
		list, rest := some(takes, float64(n)/float64(len(takes)), u.seed+stream)
		takes = rest
		return blind.pairs(ctx, list, 0, u.seed)
	}
	gate, err := hold(s.Gate, 2)
	if err != nil {
		return p, nil, err
	}
	if m.UsesOracle() {
		right, err := dataset.NewOracle(dataset.Supervised)
		if err != nil {
			return p, nil, err
		}
		labelled, err := u.data.labelledEgo(ctx, takes, right)
		p.Oracle = method.NewOracle(labelled)
		return p, gate, err
	}
	if p.Choose, err = hold(s.Choose, 1); err != nil {
		return p, nil, err
	}
	p.Pairs, err = blind.pairs(ctx, takes, 0, u.seed)
	return p, gate, err
}

// agreement is how well the student finds the teacher's labels of pairs, of the frames that have a partner. Where several
// fixed cameras saw a take, the teacher's probabilities are averaged over them.
func agreement(teacher, student *method.Model, pairs []method.Pair, hold holding) (*tas.Scores, error) {
	var exo, ego []method.Sequence
	for _, p := range pairs {
		exo, ego = append(exo, p.Exo...), append(ego, p.Ego)
	}
	want, err := teacher.Judge(exo)
	if err != nil {
		return nil, err
	}
	got, err := student.Judge(ego)
	if err != nil {
		return nil, err
	}
	k := teacher.Labels.Len()
	var videos []tas.Video
	for i, p := range pairs {
		v := tas.Video{Name: p.Name}
		classes := hold.apply(got[i].Classes)
		for t := range p.Ego.Len() {
			row := make([]float32, k)
			for j, x := range p.Exo {
				for c := range row {
					row[c] += weight(x, t) * want[j].Probs[t*k+c]
				}
			}
			best := 0
			for c := range row {
				if row[c] > row[best] {
					best = c
				}
			}
			if row[best] > 0 && weight(p.Ego, t) > 0 {
				v.GT, v.Pred = append(v.GT, teacher.Labels.Name(best)), append(v.Pred, teacher.Labels.Name(classes[t]))
			}
		}
		want = want[len(p.Exo):]
		if len(v.GT) > 0 {
			videos = append(videos, v)
		}
	}
	s, err := tas.Score(videos, teacher.Background...)
	return &s, err
}

func weight(s method.Sequence, t int) float32 {
	if s.Weights == nil {
		return 1
	}
	return s.Weights[t]
}

// test scores a student on the fold's test takes.
func (u *unit) test(ctx context.Context, student *method.Model) (*TestScores, error) {
	right, err := dataset.NewOracle(dataset.Evaluation)
	if err != nil {
		return nil, err
	}
	ego, err := u.data.labelledEgo(ctx, u.fold.Test, right)
	if err != nil {
		return nil, err
	}
	t := &TestScores{Warning: "ego labels of the test takes were read for these figures; nothing may be chosen by them", Takes: slices.Clone(u.fold.Test)}
	if t.Ego, err = score(student, ego, u.hold); err != nil {
		return nil, err
	}
	exo, err := u.data.labelledExo(ctx, u.fold.Test)
	if errors.Is(err, dataset.ErrNoLabels) {
		return t, nil
	}
	if err == nil && len(exo) > 0 && student.Reads(exo[0].Sequence) {
		var s tas.Scores
		s, err = score(student, exo, u.hold)
		t.Exo = &s
	}
	return t, err
}
