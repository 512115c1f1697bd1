package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/tas"
)

// assemble makes a data set of what a format found, after checking it. It closes the contents if they are not good.
func assemble(format string, c *contents, o Options) (_ *Dataset, err error) {
	defer func() {
		if err != nil && c.close != nil {
			err = errors.Join(err, c.close())
		}
	}()
	d := &Dataset{Format: format, Name: cmp.Or(o.Name, c.name), Notes: slices.Clone(c.notes), Digest: c.digest, byName: map[string]*Take{}}
	if err := c.checkViews(); err != nil {
		return nil, err
	}
	if d.Labels, err = tas.NewLabels(c.classes...); err != nil {
		return nil, err
	}
	if d.Background, err = background(d.Labels, o.Background, c.background); err != nil {
		return nil, err
	}
	group, err := o.group(c.rateHz)
	if err != nil {
		return nil, err
	}
	d.RateHz = c.rateHz / float64(group)
	d.store = &store{contents: *c, group: group, pool: cmp.Or(o.Pool, c.pool, First), cache: newCache(o.CacheBytes)}
	if d.store.close == nil {
		d.store.close = func() error { return nil }
	}
	if err := d.addTakes(); err != nil {
		return nil, err
	}
	d.noteMissing()
	if len(c.folds) == 0 && o.Folds > 0 {
		d.store.folds = d.roundRobin(o.Folds)
	}
	for i := range d.store.folds {
		if err := d.checkFold(&d.store.folds[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (c *contents) checkViews() error {
	exo, ego := 0, 0
	seen := map[string]bool{}
	for _, v := range c.views {
		if err := checkName("view", v.Name); err != nil {
			return err
		}
		if seen[v.Name] {
			return fmt.Errorf("view %s is there twice", v.Name)
		}
		seen[v.Name] = true
		if v.Role == Ego {
			ego++
		} else {
			exo++
		}
	}
	if exo == 0 || ego > 1 {
		return fmt.Errorf("there are %d exo views and %d ego views (%s), expected at least one exo view and at most one ego view",
			exo, ego, viewNames(c.views))
	}
	return nil
}

// maxName bounds the names of views and takes, which become names of files.
const maxName = 200

// checkName says what keeps a name of a take or a view from being the name of a file.
func checkName(what, name string) error {
	bad := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }
	switch {
	case name == "":
		return fmt.Errorf("a %s has no name", what)
	case len(name) > maxName || !utf8.ValidString(name) || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, bad) ||
		strings.TrimSpace(name) != name:
		return fmt.Errorf("the %s %.60q can't be the name of a file: expected at most %d bytes without slashes, not beginning with a dot",
			what, name, maxName)
	}
	return nil
}

// background returns the background classes: what was asked for, else what the format says, else the class "background".
func background(labels tas.Labels, asked, format []string) ([]string, error) {
	list := asked
	if list == nil {
		list = format
	}
	if list == nil {
		if _, ok := labels.Index("background"); ok {
			list = []string{"background"}
		}
	}
	for _, b := range list {
		if _, ok := labels.Index(b); !ok {
			return nil, fmt.Errorf("the background label %q is none of the %d classes", b, labels.Len())
		}
	}
	return slices.Clone(list), nil
}

func (d *Dataset) addTakes() error {
	s := d.store
	if len(s.takes) == 0 {
		return errors.New("there are no takes")
	}
	if !slices.IsSortedFunc(s.takes, func(a, b takeInfo) int { return strings.Compare(a.name, b.name) }) {
		return errors.New("the takes are not in the order of their names") // the format's mistake
	}
	for i, t := range s.takes {
		if err := checkName("take", t.name); err != nil {
			return err
		}
		if _, ok := d.byName[t.name]; ok {
			return fmt.Errorf("take %s is there twice", t.name)
		}
		take := &Take{Name: t.name, Samples: s.samples(i), Labelled: t.exo, EgoLabelled: t.ego, set: d, index: i}
		if take.Samples < 2 {
			return fmt.Errorf("take %s has %s, expected at least 2; take it out", t.name, count(take.Samples, "sample"))
		}
		if len(t.views) != len(s.views) || !slices.Contains(t.views, true) {
			return fmt.Errorf("take %s was seen by no view", t.name)
		}
		d.takes = append(d.takes, take)
		d.byName[t.name] = take
	}
	pooled := func(read func(context.Context, int) ([]int, error)) func(context.Context, int) ([]int, error) {
		return func(ctx context.Context, take int) ([]int, error) {
			labels, err := read(ctx, take)
			if err != nil {
				return nil, err
			}
			return s.pooledLabels(take, labels)
		}
	}
	d.exoLabels, d.egoLabels = pooled(s.exoLabels), pooled(s.egoLabels)
	return nil
}

// noteMissing notes which views did not see which takes.
func (d *Dataset) noteMissing() {
	for i, v := range d.store.views {
		var names []string
		for _, t := range d.store.takes {
			if !t.views[i] {
				names = append(names, t.name)
			}
		}
		note := fmt.Sprintf("view %s did not see %s (%s)", v.Name, count(len(names), "take"), few(names))
		if len(names) > 0 && !slices.Contains(d.Notes, note) {
			d.Notes = append(d.Notes, note)
		}
	}
}

// roundRobin divides the takes into k folds: those with labels, if there are labels at all.
func (d *Dataset) roundRobin(k int) []Fold {
	list := d.takes
	if d.Labels.Len() > 0 {
		list = slices.DeleteFunc(slices.Clone(list), func(t *Take) bool { return !t.Labelled && !t.EgoLabelled })
	}
	folds := make([]Fold, k)
	for i := range folds {
		folds[i].Name = fmt.Sprint(i + 1)
		for j, t := range list {
			if j%k == i {
				folds[i].Test = append(folds[i].Test, t.Name)
			} else {
				folds[i].Train = append(folds[i].Train, t.Name)
			}
		}
	}
	return folds
}

// checkFold checks a fold, and fills in its pairs where nothing is said of them.
func (d *Dataset) checkFold(f *Fold) error {
	place := map[string]string{}
	for _, part := range []struct {
		name  string
		takes []string
	}{{"train", f.Train}, {"test", f.Test}} {
		if len(part.takes) == 0 {
			return fmt.Errorf("the %s split of fold %s is empty", part.name, f.Name)
		}
		for _, name := range part.takes {
			if _, ok := d.byName[name]; !ok {
				return fmt.Errorf("the %s split of fold %s names the take %q, which is not there", part.name, f.Name, name)
			}
			if before, ok := place[name]; ok {
				return fmt.Errorf("take %s stands in the %s split of fold %s and in its %s split", name, before, f.Name, part.name)
			}
			place[name] = part.name
		}
	}
	ego, ok := d.EgoView()
	paired := func(name string) bool {
		return ok && d.byName[name].Has(ego.Name) && slices.ContainsFunc(d.ExoViews(), func(v View) bool { return d.byName[name].Has(v.Name) })
	}
	if len(f.Pairs) == 0 {
		for _, name := range f.Train {
			if paired(name) {
				f.Pairs = append(f.Pairs, name)
			}
		}
		return nil
	}
	seen := map[string]bool{}
	for _, name := range f.Pairs {
		switch {
		case d.byName[name] == nil:
			return fmt.Errorf("the pairs of fold %s name the take %q, which is not there", f.Name, name)
		case !paired(name):
			return fmt.Errorf("take %s stands in the pairs of fold %s, but was not seen by exo and ego views", name, f.Name)
		case place[name] == "test":
			return fmt.Errorf("take %s stands in the test split of fold %s and in its pairs", name, f.Name)
		case seen[name]:
			return fmt.Errorf("take %s stands twice in the pairs of fold %s", name, f.Name)
		}
		seen[name] = true
	}
	return nil
}

// count spells a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
