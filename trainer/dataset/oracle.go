package dataset

import (
	"context"
	"errors"
	"fmt"
)

// Purpose is what ego labels are read for.
type Purpose string

// The purposes there are.
const (
	Evaluation Purpose = "evaluation" // scoring predictions
	Supervised Purpose = "ego-oracle" // training the oracle that methods are measured against
)

// Oracle is the right to read ego labels. Only code that holds one can: evaluation, and the supervised oracle. What trains
// without labels is handed none, and a blind data set besides.
type Oracle struct{ purpose Purpose }

// NewOracle returns the right to read ego labels for a purpose.
func NewOracle(p Purpose) (Oracle, error) {
	if p != Evaluation && p != Supervised {
		return Oracle{}, fmt.Errorf("ego labels for %q: expected %q or %q", p, Evaluation, Supervised)
	}
	return Oracle{p}, nil
}

// ErrEgoLabels is wrapped by refusals to give ego labels to a method that must not see them.
var ErrEgoLabels = errors.New("ego labels are not for methods that train without them")

// EgoLabels returns the class of each sample of the take's ego view. It refuses with ErrEgoLabels without an Oracle that
// NewOracle made, and on a blind data set. The error about a take without ego labels wraps ErrNoLabels.
func (d *Dataset) EgoLabels(ctx context.Context, take string, o Oracle) ([]int, error) {
	t, ok := d.byName[take]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no take %q in %s", take, d.Name)
	case o.purpose == "":
		return nil, fmt.Errorf("take %s: %w: an Oracle is needed", take, ErrEgoLabels)
	case d.egoLabels == nil:
		return nil, fmt.Errorf("take %s: %w: the data set is blind", take, ErrEgoLabels)
	case !t.EgoLabelled:
		return nil, fmt.Errorf("take %s: %w of the ego view", take, ErrNoLabels)
	}
	labels, err := d.egoLabels(ctx, t.index)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", take, err)
	}
	return labels, nil
}

// Blind returns the data set as a method may see it that trains without ego labels: it has no ego labels at all, and exo
// labels of the named takes only, since exo labels of a synchronized pair are labels of the ego view too. It shares
// files and cache with d.
func (d *Dataset) Blind(labelled []string) (*Dataset, error) {
	b := *d
	b.egoLabels = nil
	b.takes = make([]*Take, len(d.takes))
	b.byName = make(map[string]*Take, len(d.takes))
	for i, t := range d.takes {
		c := *t
		c.set, c.Labelled, c.EgoLabelled = &b, false, false
		b.takes[i], b.byName[c.Name] = &c, &c
	}
	keep := make([]bool, len(d.takes))
	for _, name := range labelled {
		t, ok := b.byName[name]
		if !ok {
			return nil, fmt.Errorf("there is no take %q in %s", name, d.Name)
		}
		t.Labelled = d.byName[name].Labelled
		keep[t.index] = true
	}
	b.exoLabels = func(ctx context.Context, take int) ([]int, error) {
		if !keep[take] {
			return nil, ErrNoLabels
		}
		return d.exoLabels(ctx, take)
	}
	return &b, nil
}
