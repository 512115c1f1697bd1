package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Summary is what a data set holds.
type Summary struct {
	Name       string        `json:"name"`
	Format     string        `json:"format"`
	RateHz     float64       `json:"rate_hz"` // 0 if it isn't known
	Classes    []string      `json:"classes"`
	Background []string      `json:"background"`
	Views      []ViewSummary `json:"views"`
	Takes      int           `json:"takes"`
	Labelled   int           `json:"labelled"`     // takes with labels of the exo views
	EgoLabels  int           `json:"ego_labelled"` // takes with labels of the ego view
	Samples    int64         `json:"samples"`      // of the takes' timelines
	Shortest   int           `json:"shortest"`     // take, in samples
	Longest    int           `json:"longest"`
	Bytes      int64         `json:"bytes"` // of all features as float32
	Folds      []FoldSummary `json:"folds"`
	Notes      []string      `json:"notes"`
	Problems   []string      `json:"problems"` // what Check found
	// More is the number of problems beyond those that are listed.
	More int `json:"more_problems"`
}

// ViewSummary is what a view holds.
type ViewSummary struct {
	View
	Takes int `json:"takes"`
}

// FoldSummary counts the takes of a fold.
type FoldSummary struct {
	Name  string `json:"name"`
	Train int    `json:"train"`
	Test  int    `json:"test"`
	Pairs int    `json:"pairs"`
}

// Progress is told how far a long work has come; note names what is at work.
type Progress func(done, total int, note string)

// Summary returns what is known of the data set without reading it.
func (d *Dataset) Summary() Summary {
	s := Summary{
		Name: d.Name, Format: d.Format, RateHz: d.RateHz, Classes: d.Labels.Names(), Background: slices.Clone(d.Background),
		Takes: len(d.takes), Notes: slices.Clone(d.Notes), Problems: []string{}, Folds: []FoldSummary{},
	}
	for i, v := range d.store.views {
		vs := ViewSummary{View: v}
		for _, t := range d.takes {
			if d.store.takes[t.index].views[i] {
				vs.Takes++
				s.Bytes += 4 * int64(t.Samples) * int64(v.Dim)
			}
		}
		s.Views = append(s.Views, vs)
	}
	for i, t := range d.takes {
		s.Samples += int64(t.Samples)
		s.Longest = max(s.Longest, t.Samples)
		if i == 0 || t.Samples < s.Shortest {
			s.Shortest = t.Samples
		}
		if t.Labelled {
			s.Labelled++
		}
		if t.EgoLabelled {
			s.EgoLabels++
		}
	}
	for _, f := range d.store.folds {
		s.Folds = append(s.Folds, FoldSummary{f.Name, len(f.Train), len(f.Test), len(f.Pairs)})
	}
	return s
}

// maxProblems bounds the problems that are listed.
const maxProblems = 50

// Check reads all features and labels and returns what the data set holds and what is wrong with it: one problem for
// each view of a take and for its labels. The error is only of what breaks the check off. Ego labels are read too, but
// nobody is told what they are. No more than some megabytes of features are in memory at a time.
func (d *Dataset) Check(ctx context.Context, progress Progress) (Summary, error) {
	s := d.Summary()
	frames := make([]int64, d.Labels.Len()) // of each class
	for i, t := range d.takes {
		if progress != nil {
			progress(i, len(d.takes), t.Name)
		}
		for _, err := range d.checkTake(ctx, t, frames) {
			if ctx.Err() != nil {
				return s, ctx.Err()
			}
			if len(s.Problems) < maxProblems {
				s.Problems = append(s.Problems, err.Error())
			} else {
				s.More++
			}
		}
	}
	if progress != nil {
		progress(len(d.takes), len(d.takes), d.Name)
	}
	if s.Labelled > 0 && len(s.Problems) == 0 {
		s.Notes = append(s.Notes, d.unusedClasses(frames)...)
	}
	return s, nil
}

// checkTake returns what is wrong with a take and counts the frames of each class.
func (d *Dataset) checkTake(ctx context.Context, t *Take, frames []int64) []error {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("take %s: %w", t.Name, err))
		}
	}
	for v, seen := range d.store.takes[t.index].views {
		if seen {
			_, _, err := d.store.scan(ctx, t.index, v, func(int, []float32, int) error { return nil })
			add(err)
		}
	}
	if t.Labelled {
		labels, err := d.exoLabels(ctx, t.index)
		add(err)
		for _, c := range labels {
			frames[c]++
		}
	}
	if t.EgoLabelled && d.egoLabels != nil {
		_, err := d.egoLabels(ctx, t.index)
		// Where both views have the same labels, their problem is told once.
		if err != nil && !slices.ContainsFunc(problems, func(p error) bool { return errors.Unwrap(p).Error() == err.Error() }) {
			add(err)
		}
	}
	if d.store.verify != nil {
		add(d.store.verify(ctx, t.index))
	}
	return problems
}

func (d *Dataset) unusedClasses(frames []int64) []string {
	var names []string
	for c, n := range frames {
		if n == 0 {
			names = append(names, d.Labels.Name(c))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d classes never occur (%s)", len(names), d.Labels.Len(), few(names))}
}
