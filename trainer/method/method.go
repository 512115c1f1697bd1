package method

import (
	"context"
	"fmt"
	"strings"
)

// Method is a way to make a student.
type Method struct {
	Name    string
	Summary string // one line
	Source  string // paper and section

	oracle bool // it learns from ego labels
	// alike says that ego and exo features must be of one width, since one network reads both.
	alike bool
	// pairless says that the method doesn't look at the problem's pairs.
	pairless bool
	train    func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error)
}

// methods in the order of the table.
func methods() []Method {
	return []Method{exoOnly(), egoOracle(), tasMSE(), feature(), featureExtractor(), both(), tandem(), softDTW(), tcc(), coral(), mmd(), dann()}
}

// Names returns the names of the methods.
func Names() []string {
	var list []string
	for _, m := range methods() {
		list = append(list, m.Name)
	}
	return list
}

// Get returns a method by name.
func Get(name string) (Method, error) {
	for _, m := range methods() {
		if m.Name == name {
			return m, nil
		}
	}
	return Method{}, fmt.Errorf("there is no method %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// UsesOracle tells whether the method learns from ego labels.
func (m Method) UsesOracle() bool { return m.oracle }

// Train makes a student. What is wrong with the problem is an error that names take and frame, before anything is
// trained. On an error, the end of ctx included, there is no model.
func (m Method) Train(ctx context.Context, p Problem, o Options) (*Model, error) {
	o = o.defaults()
	model, err := m.run(ctx, p, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	return model, nil
}

func (m Method) run(ctx context.Context, p Problem, o Options) (*Model, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	switch {
	case m.oracle && p.Oracle == nil:
		return nil, fmt.Errorf("%w are missing: the method learns from an Oracle", ErrOracle)
	case !m.oracle && p.Oracle != nil:
		return nil, fmt.Errorf("%w were given to a method that learns without them; leave the Oracle out", ErrOracle)
	}
	return m.apply(ctx, p, o)
}

// apply is run without the question whether ego labels are allowed.
func (m Method) apply(ctx context.Context, p Problem, o Options) (*Model, error) {
	if m.oracle {
		return m.train(ctx, p, nil, o)
	}
	teacher, err := o.teacher(ctx, p)
	if err != nil {
		return nil, err
	}
	if !m.pairless || len(p.Pairs) > 0 {
		if err := p.checkPairs(teacher.Dim()); err != nil {
			return nil, err
		}
		if ego := p.Pairs[0].Ego.Dim; m.alike && ego != teacher.Dim() {
			return nil, &WidthError{Ego: ego, Exo: teacher.Dim()}
		}
	}
	return m.train(ctx, p, teacher, o)
}

// WidthError says that a method can't be applied, because it reads ego and exo features with one network and they are
// of different widths.
type WidthError struct{ Ego, Exo int }

func (e *WidthError) Error() string {
	return fmt.Sprintf("one network reads ego and exo features, so they must be of one width, and they have %d and %d", e.Ego, e.Exo)
}

// teacher returns the given teacher, or trains one.
func (o Options) teacher(ctx context.Context, p Problem) (*Model, error) {
	if o.Teacher == nil {
		return Teacher(ctx, p, o)
	}
	if have, want := o.Teacher.Labels.Names(), p.Labels.Names(); strings.Join(have, "\n") != strings.Join(want, "\n") {
		return nil, fmt.Errorf("the teacher's classes are %q, the problem's %q", have, want)
	}
	return o.Teacher, nil
}
