package trainer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/gate"
)

// trial makes candidates of one recipe with different seeds and compares the chosen one with what runs on the rigs.
type trial struct {
	line     *line
	split    Split
	rivals   []rival // at least one
	seeds    int     // at least 1
	gate     gate.Config
	recipe   Recipe
	progress Progress
}

// rival is a release that runs, and on which devices. labels returns its committed labels of a take, as numbers of the
// teacher's classes.
type rival struct {
	release string
	devices []string
	labels  func(p *PairedTake) ([]int, error)
	close   func() error
}

// Comparison is the gate's verdict on a candidate against one running release.
type Comparison struct {
	Running string        `json:"running"` // the release
	Devices []string      `json:"devices"` // that run it
	Verdict *gate.Verdict `json:"verdict"`
}

// run trains the candidates. The one that agrees best with the teacher on the takes to choose by is the student; the takes of
// the gate have no part in that.
func (t trial) run(ctx context.Context) (_ *Distillation, err error) {
	defer func() {
		for _, r := range t.rivals {
			if r.close != nil {
				err = errors.Join(err, r.close())
			}
		}
	}()
	var all []*Distillation
	best := 0
	for i := range t.seeds {
		r := t.recipe
		r.Seed += uint64(i)
		d, err := Distil(ctx, t.line.teacher, t.split, r, t.progress)
		if err != nil {
			return nil, err
		}
		if d.Report.Chosen, err = t.agreement(d); err != nil {
			return nil, fmt.Errorf("distil: %w", err)
		}
		if all = append(all, d); d.Report.Chosen > all[best].Report.Chosen {
			best = i
		}
	}
	d := all[best]
	d.Report.Calibration = t.line.shared.Report.Calibration
	exams, err := t.line.teacher.examine(t.split.Gate, d.Report.Calibration, d.Report.Offset)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	answers := make([]gate.Answers, len(all))
	for i, x := range all {
		if answers[i], err = x.Student.answers(t.split.Gate); err != nil {
			return nil, fmt.Errorf("gate: %w", err)
		}
	}
	for _, r := range t.rivals {
		x, err := t.compare(r, exams, answers, best)
		if err != nil {
			return nil, err
		}
		d.Report.Gate = append(d.Report.Gate, *x)
		d.Report.Better = d.Report.Better || x.Verdict.Better
	}
	first := d.Report.Gate[0].Verdict
	d.Report.Before, d.Report.After = first.Running.Scores, first.Candidate.Scores
	return d, nil
}

// agreement is how well a student does on the takes to choose by.
func (t trial) agreement(d *Distillation) (float64, error) {
	n := t.line.teacher
	exams, err := n.examine(t.split.Choose, t.line.shared.Report.Calibration, d.Report.Offset)
	if err != nil {
		return 0, err
	}
	answers, err := d.Student.answers(t.split.Choose)
	if err != nil {
		return 0, err
	}
	s, err := gate.Mark(n.Labels, n.Background, exams, answers)
	return merit(s.Scores), err
}

// compare judges the candidates on the takes of the devices that run the rival, or on all where the gate has none of them.
func (t trial) compare(r rival, exams []gate.Exam, answers []gate.Answers, chosen int) (*Comparison, error) {
	mine := func(i int) bool { return slices.Contains(r.devices, t.split.Gate[i].ID.Device) }
	var which []int
	for i := range exams {
		if mine(i) {
			which = append(which, i)
		}
	}
	if len(which) == 0 {
		for i := range exams {
			which = append(which, i)
		}
	}
	n := t.line.teacher
	x := gate.Trial{Labels: n.Labels, Background: n.Background, Chosen: chosen, Candidates: make([]gate.Answers, len(answers))}
	for _, i := range which {
		labels, err := r.labels(t.split.Gate[i])
		if err != nil {
			return nil, fmt.Errorf("gate: release %s: %w", r.release, err)
		}
		x.Exams, x.Running = append(x.Exams, exams[i]), append(x.Running, labels)
		for j := range answers {
			x.Candidates[j] = append(x.Candidates[j], answers[j][i])
		}
	}
	v, err := gate.Judge(x, t.gate)
	if err != nil {
		return nil, err
	}
	return &Comparison{Running: r.release, Devices: r.devices, Verdict: v}, nil
}

// rivals opens the releases that run. Where none does, or one can't read these features or knows other classes, the teacher
// stands in for it: it is what a rig starts with.
func (t *Trainer) rivals(ctx context.Context, running map[string][]string) (_ []rival, err error) {
	var list []rival
	defer func() {
		if err != nil {
			for _, r := range list {
				err = errors.Join(err, r.close())
			}
		}
	}()
	if len(running) == 0 {
		running = map[string][]string{t.line.shared.Release: nil}
	}
	for release, devices := range running {
		b, err := t.releaser.fetch(ctx, release)
		if err != nil {
			return list, err
		}
		if why := t.line.unlike(b); why != "" {
			t.log.Warn("the running release can't be compared on these pairs, the teacher stands in for it", "release", release, "why", why)
			if b, err = t.releaser.fetch(ctx, t.line.shared.Release); err != nil {
				return list, err
			}
		}
		r, err := openRival(b, t.line.teacher.Labels, t.recipe.session())
		if err != nil {
			return list, err
		}
		r.release, r.devices = release, devices
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b rival) int { return slices.Compare([]string{a.release}, []string{b.release}) })
	return list, nil
}

// unlike says why a release can't be compared on the line's pairs; empty if it can.
func (l *line) unlike(b *bundle.Dir) string {
	for _, name := range b.Labels {
		if _, ok := l.teacher.Labels.Index(name); !ok {
			return fmt.Sprintf("it knows the class %q, the teacher doesn't", name)
		}
	}
	switch {
	case b.Extractor.SHA256 != l.digest:
		return "it has another extractor"
	case b.RateHz != l.teacher.RateHz:
		return fmt.Sprintf("it reads %g samples a second, the pairs have %g", b.RateHz, l.teacher.RateHz)
	}
	return ""
}

// openRival opens a release's segmenter, the code that runs on the rigs.
func openRival(b *bundle.Dir, labels tas.Labels, opts ort.Options) (rival, error) {
	s, err := segment.Open(b, opts)
	if err != nil {
		return rival{}, err
	}
	number := make([]int, len(b.Labels))
	for i, name := range b.Labels {
		number[i], _ = labels.Index(name) // unlike has looked
	}
	return rival{close: s.Close, labels: func(p *PairedTake) ([]int, error) {
		out := make([]int, p.Ego.Len())
		put := func(list []segment.Event) {
			for _, e := range list {
				for i := e.FirstSeq; e.Kind == segment.Committed && i <= e.LastSeq; i++ {
					out[i] = number[e.Label]
				}
			}
		}
		for i := range p.Ego.Len() {
			// The sample's number stands for its time: clocks may have been set in the take.
			events, err := s.Push(int64(i), int64(i+1), p.Ego.Row(i))
			if err != nil {
				return nil, fmt.Errorf("take %s: %w", p.ID, err)
			}
			put(events)
		}
		put(s.Finish(segment.EndOfTake))
		return out, nil
	}}, nil
}
