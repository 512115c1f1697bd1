// Package replay plays the takes of a data set through the segmenter of a bundle, sample by sample, as a device would, and scores both
// of its streams beside the same network over whole takes: what label hold, commit lag and transition prior are worth, and what of a
// network's score a device keeps.
//
// The labels of the takes are read for scores alone. Nothing is chosen by them.
package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/runtime/bundle"
	"tandem/tas"
	"tandem/trainer/dataset"
)

// Options say what is replayed.
type Options struct {
	Fold string  // whose test takes are replayed; "" is the only one, or all takes of a data set without folds
	View string  // "" is the ego view, or the only exo view
	Lag  float64 // seconds after which everything is committed, in the place of what the bundle says; 0 is what the bundle says
	// Window runs networks in windows otherwise than their bundles say; nil does as they say.
	Window *bundle.Windows
	// NoPrior leaves out the rows with the bundles' transition prior.
	NoPrior bool
	// Progress is told how many takes of all rows have been replayed.
	Progress func(done, total int)
}

// Student is what is replayed.
type Student struct {
	Path   string
	Bundle *bundle.Dir
	// Whole is the ONNX model of the network over whole sequences, with an output for each of the bundle's heads, in their order. It is
	// what the offline rows are of.
	// Without one, a causal network is run frame by frame for them, and one in windows over whole takes.
	Whole []byte
}

// Report is what came of it.
type Report struct {
	Data    string   `json:"data"`
	Fold    string   `json:"fold,omitempty"`
	View    string   `json:"view"`
	RateHz  float64  `json:"rate_hz"`
	Takes   []string `json:"takes"`
	Samples int      `json:"samples"`
	Warning string   `json:"warning"`
	Rows    []Row    `json:"rows"` // means over the students
	// Students are the results one by one.
	Students []Result `json:"students"`
}

// Result is what came of one student.
type Result struct {
	Path    string `json:"path"`
	Release string `json:"release"`
	Network string `json:"network"` // how it is run
	Rows    []Row  `json:"rows"`
	// Difference is the largest one between the class probabilities of the stream and those of the whole-sequence model; nil without that,
	// and for networks in windows, which differ because they see less.
	Difference *float64 `json:"largest_difference,omitempty"`
}

const warning = "the labels of these takes were read for these figures; nothing may be chosen by them"

// Run replays the students, all of the same labels, rate and number of features, and scores them. Errors name the student and what does
// not fit.
func Run(ctx context.Context, set *dataset.Dataset, students []Student, o Options) (*Report, error) {
	if len(students) == 0 {
		return nil, errors.New("there is no bundle to replay")
	}
	w, err := open(ctx, set, o)
	if err != nil {
		return nil, err
	}
	for _, s := range students {
		if err := w.check(s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
	}
	r := &Report{Data: set.Name, Fold: w.fold, View: w.view.Name, RateHz: set.RateHz, Warning: warning}
	for _, t := range w.takes {
		r.Takes = append(r.Takes, t.name)
		r.Samples += t.samples
	}
	for _, s := range students {
		w.total += len(w.takes) * (1 + len(o.variants(s.Bundle)))
	}
	for _, s := range students {
		one, err := w.student(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
		r.Students = append(r.Students, one)
	}
	r.Rows = mean(r.Students)
	return r, nil
}

// world is a data set's part that is replayed.
type world struct {
	o           Options
	set         *dataset.Dataset
	fold        string
	view        dataset.View
	takes       []take
	done, total int
}

// take is one view of a take and its labels.
type take struct {
	name    string
	samples int
	data    []float32 // [samples, D]
	weights []float32 // nil, or 0 where a sample was lost
	gt      []string
}

func (t *take) row(i, dim int) []float32 { return t.data[i*dim : (i+1)*dim] }

func (t *take) lost(i int) bool { return t.weights != nil && t.weights[i] == 0 }

// open reads the takes.
func open(ctx context.Context, set *dataset.Dataset, o Options) (*world, error) {
	w := &world{o: o, set: set, fold: o.Fold}
	if !(set.RateHz > 0) {
		return nil, fmt.Errorf("the rate of %s isn't known; import it with --source-rate", set.Name)
	}
	var err error
	if w.view, err = viewOf(set, o.View); err != nil {
		return nil, err
	}
	names, err := w.names()
	if err != nil {
		return nil, err
	}
	right, err := dataset.NewOracle(dataset.Evaluation)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, ok := set.Take(name)
		if !ok {
			return nil, fmt.Errorf("there is no take %q in %s", name, set.Name)
		}
		f, err := t.Features(ctx, w.view.Name)
		if err != nil {
			return nil, err
		}
		var classes []int
		if w.view.Role == dataset.Ego {
			classes, err = set.EgoLabels(ctx, name, right)
		} else {
			classes, err = t.Labels(ctx)
		}
		if err != nil {
			return nil, err
		}
		x := take{name: name, samples: f.Samples, data: f.Data, weights: f.Weights}
		if x.gt, err = set.Labels.Decode(classes); err != nil {
			return nil, fmt.Errorf("take %s: %w", name, err)
		}
		w.takes = append(w.takes, x)
	}
	return w, nil
}

// viewOf is the view of a name, or the one that is meant without one.
func viewOf(set *dataset.Dataset, name string) (dataset.View, error) {
	views := set.Views()
	if ego, ok := set.EgoView(); name == "" && ok {
		return ego, nil
	}
	if name == "" && len(views) == 1 {
		return views[0], nil
	}
	var have []string
	for _, v := range views {
		if v.Name == name {
			return v, nil
		}
		have = append(have, v.Name)
	}
	if name == "" {
		return dataset.View{}, fmt.Errorf("%s has no ego view and several others, %q: say which one", set.Name, have)
	}
	return dataset.View{}, fmt.Errorf("%s has no view %q, expected one of %q", set.Name, name, have)
}

// names are the takes that are replayed, and sets the fold.
func (w *world) names() ([]string, error) {
	folds := w.set.Folds()
	var have []string
	for _, f := range folds {
		if f.Name == w.fold || w.fold == "" && len(folds) == 1 {
			w.fold = f.Name
			return w.seen(f.Test)
		}
		have = append(have, f.Name)
	}
	switch {
	case w.fold != "":
		return nil, fmt.Errorf("data set %s has no fold %q, expected one of %q", w.set.Name, w.fold, have)
	case len(folds) > 0:
		return nil, fmt.Errorf("data set %s has the folds %q: say whose test takes", w.set.Name, have)
	}
	var all []string
	for _, t := range w.set.Takes() {
		all = append(all, t.Name)
	}
	return w.seen(all)
}

// seen are those of the takes that the view has seen.
func (w *world) seen(list []string) ([]string, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(name string) bool {
		t, ok := w.set.Take(name)
		return ok && !t.Has(w.view.Name)
	})
	if len(list) == 0 {
		return nil, fmt.Errorf("no take of %s that is to be replayed was seen by the view %s", w.set.Name, w.view.Name)
	}
	return list, nil
}

// check says why a student can't be replayed.
func (w *world) check(s Student) error {
	b := s.Bundle
	switch {
	case b.RateHz != w.set.RateHz:
		return fmt.Errorf("release %s is for %g samples a second, %s has %g", b.Release, b.RateHz, w.set.Name, w.set.RateHz)
	case b.Extractor.Dim != w.view.Dim:
		return fmt.Errorf("release %s wants %d features, the view %s of %s has %d; import it with the bundle's extractor", b.Release, b.Extractor.Dim,
			w.view.Name, w.set.Name, w.view.Dim)
	}
	for _, t := range w.takes {
		for _, l := range t.gt {
			if !slices.Contains(b.Labels, l) {
				return fmt.Errorf("release %s doesn't know the label %q of take %s in %s", b.Release, l, t.name, w.set.Name)
			}
		}
	}
	for _, v := range w.o.variants(b) {
		if _, err := w.bundleOf(b, v); err != nil {
			return err
		}
	}
	return nil
}

// tick tells the progress.
func (w *world) tick() {
	if w.done++; w.o.Progress != nil {
		w.o.Progress(w.done, w.total)
	}
}

// background are the labels that count as no action: the bundle's.
func background(b *bundle.Dir) []string { return b.Background }

// video is a take's truth beside what was said.
func (t *take) video(pred []string) tas.Video { return tas.Video{Name: t.name, GT: t.gt, Pred: pred} }
