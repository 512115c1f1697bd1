package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/tas"
)

// Role says which side of the transfer a view is on.
type Role string

// The roles of views.
const (
	Exo Role = "exo" // a fixed camera
	Ego Role = "ego" // the head-mounted camera
)

// View is a camera of a data set.
type View struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	Dim  int    `json:"dim"` // features a sample
}

// Fold is a division of the takes. Train and Test are not empty and have no take in common.
type Fold struct {
	Name  string   `json:"name"`
	Train []string `json:"train"` // whose exo labels may be used
	Test  []string `json:"test"`  // what is reported on
	// Pairs are the takes whose exo and ego features are adapted on, without labels. They have both. Where the data set
	// says nothing else they are the takes of Train.
	Pairs []string `json:"pairs"`
}

// Dataset is an opened data set. Its methods may be called by several goroutines; its fields are not changed.
type Dataset struct {
	Name       string
	Format     string     // the name of the Format that it was opened as
	Labels     tas.Labels // the classes; none in a data set without labels
	Background []string   // those of Labels that mean that nothing is done
	RateHz     float64    // samples a second; 0 if the files don't say
	// Notes say what a reader of the data set should know: what was left out, trimmed, filled in.
	Notes []string
	// Digest is the SHA-256 of the manifest of a data set in Tandem's own layout, which covers all files; "" otherwise.
	Digest string

	store  *store
	takes  []*Take
	byName map[string]*Take
	// Which takes have labels here: a blind data set has fewer than its files.
	exoLabels, egoLabels func(ctx context.Context, take int) ([]int, error)
}

// Take is a take of a data set.
type Take struct {
	Name string
	// Samples is the length of the take's timeline, at least 2. Sample t of every view is of the same instant, as far as
	// the clocks of the cameras were right.
	Samples int
	// Labelled tells whether Labels has something to read, EgoLabelled whether Dataset.EgoLabels has.
	Labelled, EgoLabelled bool

	set   *Dataset
	index int
}

// ErrNoLabels is wrapped by the error about a take without labels.
var ErrNoLabels = errors.New("there are no labels")

// Views returns the exo views and then the ego view, if there is one.
func (d *Dataset) Views() []View { return slices.Clone(d.store.views) }

// ExoViews returns the views of fixed cameras, at least one.
func (d *Dataset) ExoViews() []View {
	return slices.DeleteFunc(d.Views(), func(v View) bool { return v.Role != Exo })
}

// EgoView returns the view of the head-mounted camera; false if there is none.
func (d *Dataset) EgoView() (View, bool) {
	for _, v := range d.store.views {
		if v.Role == Ego {
			return v, true
		}
	}
	return View{}, false
}

// Takes returns the takes in the order of their names.
func (d *Dataset) Takes() []*Take { return slices.Clone(d.takes) }

// Take returns the take of a name; false if there is none.
func (d *Dataset) Take(name string) (*Take, bool) {
	t, ok := d.byName[name]
	return t, ok
}

// Folds returns the divisions that the data set comes with, or those that Options.Folds asked for.
func (d *Dataset) Folds() []Fold { return slices.Clone(d.store.folds) }

// Close closes the files. It is called once, on the data set that Open returned; blind copies end with it.
func (d *Dataset) Close() error { return d.store.close() }

// Has tells whether the take was seen by a view.
func (t *Take) Has(view string) bool {
	v, err := t.set.store.view(view)
	return err == nil && t.set.store.takes[t.index].views[v]
}

// Views returns the names of the views that saw the take, exo views first.
func (t *Take) Views() []string {
	var names []string
	for i, v := range t.set.store.views {
		if t.set.store.takes[t.index].views[i] {
			names = append(names, v.Name)
		}
	}
	return names
}

// Features returns the take's features of a view. They are shared with others and must not be changed. Reading them again
// is cheap while they are in the cache.
func (t *Take) Features(ctx context.Context, view string) (*Features, error) {
	v, err := t.set.store.view(view)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", t.Name, err)
	}
	f, err := t.set.store.features(ctx, t.index, v)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", t.Name, err)
	}
	return f, nil
}

// Labels returns the class of each sample of the exo views. The error about a take without labels wraps ErrNoLabels.
func (t *Take) Labels(ctx context.Context) ([]int, error) {
	if !t.Labelled {
		return nil, fmt.Errorf("take %s: %w of the exo views here", t.Name, ErrNoLabels)
	}
	labels, err := t.set.exoLabels(ctx, t.index)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", t.Name, err)
	}
	return labels, nil
}
