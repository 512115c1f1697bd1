package compare

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// Run measures what the store doesn't have yet and returns the table of all that the plan asks for. On an error, the end
// of ctx included, what was measured is in the store. report is called after each measurement, by one goroutine at a time;
// it may be nil.
func Run(ctx context.Context, set *dataset.Dataset, plan Plan, store *Store, report func(Progress)) (Table, error) {
	if err := plan.Check(); err != nil {
		return Table{}, err
	}
	d, err := openData(set)
	if err != nil {
		return Table{}, err
	}
	folds, err := chosen(set, plan.Folds)
	if err != nil {
		return Table{}, err
	}
	r := &run{data: d, plan: plan, store: store, cells: plan.cells(), meter: newMeter(report, min(plan.Workers, len(folds)*plan.Seeds))}
	for _, seed := range plan.seeds() {
		for _, f := range folds {
			r.expect(f, seed)
		}
	}
	r.meter.begin()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, plan.Workers))
	for _, seed := range plan.seeds() {
		for _, f := range folds {
			g.Go(func() error { return r.unit(ctx, f, seed) })
		}
	}
	if err := g.Wait(); err != nil {
		return Table{}, err
	}
	return r.table(folds)
}

// chosen returns the folds of the given names.
func chosen(set *dataset.Dataset, names []string) ([]dataset.Fold, error) {
	all := set.Folds()
	if len(all) == 0 {
		return nil, fmt.Errorf("data set %s has no folds; say how many to make", set.Name)
	}
	if len(names) == 0 {
		return all, nil
	}
	var list []dataset.Fold
	var have []string
	for _, f := range all {
		have = append(have, f.Name)
		if slices.Contains(names, f.Name) {
			list = append(list, f)
		}
	}
	for _, n := range names {
		if !slices.Contains(have, n) {
			return nil, fmt.Errorf("data set %s has no fold %q, expected one of %q", set.Name, n, have)
		}
	}
	return list, nil
}

type run struct {
	data  data
	plan  Plan
	store *Store
	cells []cell
	meter *meter
}

func (r *run) key(c cell, fold string, seed uint64) key {
	return key{r.data.set.Name, r.plan.recipe(), c.method, seed, fold, c.jitter, c.pairs}
}

// expect tells the meter what is to be done of a fold and seed.
func (r *run) expect(fold dataset.Fold, seed uint64) {
	networks := map[bool]bool{}
	for _, c := range r.cells {
		if x, ok := r.store.get(r.key(c, fold.Name, seed)); ok {
			r.meter.had(c, x.Seconds)
			continue
		}
		r.meter.expect(c)
		if own := r.ownTeacher(c.method); !networks[own] {
			networks[own] = true
			r.meter.expect(training)
		}
	}
}

// asTeacher lists the methods whose student is the teacher, or ends in it as it is.
var asTeacher = []string{"exo-only", "feature", "feature-extractor"}

// ownTeacher tells whether a method needs a teacher of the student's network where the others have another one.
func (r *run) ownTeacher(method string) bool {
	return r.plan.apart() && slices.Contains(asTeacher, method)
}

// unit measures what is missing of one fold and seed. All methods share its teacher.
func (r *run) unit(ctx context.Context, fold dataset.Fold, seed uint64) error {
	u := &unit{run: r, fold: fold, seed: seed, options: r.plan.Options}
	u.options.Seed = seed
	for _, c := range r.cells {
		name := fmt.Sprintf("%s, fold %s, seed %d, jitter %g, pairs %g", c.method, fold.Name, seed, c.jitter, c.pairs)
		k := r.key(c, fold.Name, seed)
		if _, ok := r.store.get(k); ok {
			continue
		}
		u.options.Progress = func(p method.Progress) {
			r.meter.busy(fmt.Sprintf("%s: %s, epoch %d of %d", name, p.Stage, p.Epoch, p.Epochs))
		}
		if err := u.prepare(ctx, c.method); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		began := time.Now()
		result := Result{Data: k.data, Recipe: k.recipe, Method: c.method, Seed: seed, Fold: fold.Name, Jitter: c.jitter, Pairs: c.pairs}
		err := u.measure(ctx, c, &result)
		if why := notApplicable(err); why != "" {
			result.NotApplicable, err = why, nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		result.Seconds = time.Since(began).Seconds()
		if err := r.store.put(result); err != nil {
			return err
		}
		r.meter.took(c, result.Seconds, name)
	}
	return nil
}

// unit is one fold with one seed.
type unit struct {
	*run
	fold    dataset.Fold
	seed    uint64
	options method.Options
	base    method.Problem // labels and labelled exo sequences
	hold    holding
	teacher *method.Model
	// student is trained on the teacher's labels in the student's network: the teacher itself, unless the networks differ.
	student *method.Model
}

// prepare trains the teacher that a method needs, once.
func (u *unit) prepare(ctx context.Context, name string) error {
	if u.base.Exo == nil {
		exo, err := u.data.labelledExo(ctx, u.fold.Train)
		if err != nil {
			return err
		}
		u.base = method.Problem{Labels: u.data.set.Labels, Background: u.data.set.Background, Exo: exo}
		u.hold = u.plan.holding(exo, u.data.set.Labels.Len())
	}
	model, network := &u.teacher, u.plan.teacherNetwork()
	if u.ownTeacher(name) {
		model, network = &u.student, u.plan.Options.Network
	}
	if *model == nil {
		o := u.options
		o.Network, o.Teacher = network, nil
		began := time.Now()
		var err error
		if *model, err = method.Teacher(ctx, u.base, o); err != nil {
			return err
		}
		u.meter.took(training, time.Since(began).Seconds(), "")
	}
	u.options.Teacher = *model
	return nil
}

func (u *unit) measure(ctx context.Context, c cell, result *Result) error {
	if c.method == Teacher {
		exo, err := u.data.labelledExo(ctx, u.fold.Test)
		if err != nil {
			return err
		}
		result.Scores, err = u.teacher.Score(exo)
		return err
	}
	m, err := method.Get(c.method)
	if err != nil {
		return err
	}
	p, err := u.problem(ctx, m, c)
	if err != nil {
		return err
	}
	student, err := m.Train(ctx, p, u.options)
	if err != nil {
		return err
	}
	if len(student.Offsets) > 0 {
		result.OffsetError = u.offsetError(student.Offsets, c)
	}
	test, err := u.test(ctx, student)
	if err != nil {
		return err
	}
	result.Scores, result.Exo, result.Hold = test.Ego, test.Exo, u.hold.frames
	return nil
}

// problem is what a method is given: of a blind data set, unless it learns from ego labels.
func (u *unit) problem(ctx context.Context, m method.Method, c cell) (method.Problem, error) {
	p := u.base
	takes, _ := some(u.fold.Pairs, c.pairs, u.seed)
	if m.UsesOracle() {
		right, err := dataset.NewOracle(dataset.Supervised)
		if err != nil {
			return p, err
		}
		labelled, err := u.data.labelledEgo(ctx, takes, right)
		p.Oracle = method.NewOracle(labelled)
		return p, err
	}
	set, err := u.data.set.Blind(u.fold.Train)
	if err != nil {
		return p, err
	}
	blind := data{set, u.data.ego}
	if u.plan.Choose > 0 {
		if len(takes) < 2 {
			return p, fmt.Errorf("%d pairs, expected at least 2 to hold out some to choose by", len(takes))
		}
		held, rest := some(takes, u.plan.Choose, u.seed+1)
		takes = rest
		if p.Choose, err = blind.pairs(ctx, held, c.jitter, u.seed); err != nil {
			return p, err
		}
	}
	p.Pairs, err = blind.pairs(ctx, takes, c.jitter, u.seed)
	return p, err
}

// offsetError is the mean distance of the estimates from the clock errors: exo frames of t+d are at t, so the instant of
// ego frame t is at exo frame t-d.
func (u *unit) offsetError(list []method.Offset, c cell) *float64 {
	var sum float64
	for _, o := range list {
		sum += math.Abs(o.Frames + float64(clockError(o.Pair, c.jitter, u.seed)))
	}
	sum /= float64(len(list))
	return &sum
}
