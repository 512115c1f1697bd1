package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/tas"
	"tandem/trainer/dataset/npy"
)

// The layout that is usual for temporal action segmentation, of MS-TCN (Abu Farha and Gall, CVPR 2019) and those who
// came after, and its extension to several views, the format two-stream:
//
//	features/TAKE.npy         [D, T] floats, frame t in column t; features_VIEW/TAKE.npy with several views
//	groundTruth/TAKE.txt      T labels, one a line: of the exo views, and of the ego view
//	groundTruth_ego/TAKE.txt  of the ego view, where they are others
//	mapping.txt               id and label
//	splits/                   see readFolds
//
// A view whose name begins with "ego" is the ego view, the others are exo views. A take may lack views, and labels if it
// is in no train or test split. All views of a take have the same length. Neither the rate nor the background class is
// in the files.
const (
	featuresDir = "features"
	labelsDir   = "groundTruth"
	mappingFile = "mapping.txt"
	arrayEnding = ".npy"
	labelEnding = ".txt"
)

func isMSTCN(dir string) bool {
	names, err := filesWith(filepath.Join(dir, featuresDir), arrayEnding)
	return err == nil && len(names) > 0
}

func isTwoStream(dir string) bool {
	views, err := layoutViews(dir)
	return err == nil && len(views) > 0
}

func openMSTCN(ctx context.Context, dir string, o Options) (*contents, error) {
	l := &layout{root: dir, timeMajor: o.TimeMajor, views: []View{{Name: "exo", Role: Exo}}, dirs: []string{featuresDir}}
	return l.contents(ctx, o)
}

func openTwoStream(ctx context.Context, dir string, o Options) (*contents, error) {
	there, err := layoutViews(dir)
	if err != nil {
		return nil, err
	}
	if len(there) == 0 {
		return nil, fmt.Errorf("%s holds no directory %s_VIEW", dir, featuresDir)
	}
	views, err := chooseViews(there, o)
	if err != nil {
		return nil, err
	}
	l := &layout{root: dir, timeMajor: o.TimeMajor, views: views}
	for _, v := range views {
		l.dirs = append(l.dirs, featuresDir+"_"+v.Name)
	}
	return l.contents(ctx, o)
}

// layoutViews finds the views of a directory by the names of its subdirectories.
func layoutViews(dir string) ([]View, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var views []View
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), featuresDir+"_"); ok && e.IsDir() && name != "" {
			v := View{Name: name, Role: Exo}
			if strings.HasPrefix(name, "ego") {
				v.Role = Ego
			}
			views = append(views, v)
		}
	}
	return views, nil
}

// chooseViews picks the views that the options ask for, exo views first. Nothing asked for is all exo views, and the ego
// view.
func chooseViews(there []View, o Options) ([]View, error) {
	names := viewNames(there)
	find := func(name string) (View, error) {
		i := slices.IndexFunc(there, func(v View) bool { return v.Name == name })
		if i < 0 {
			return View{}, fmt.Errorf("there is no view %q, there are %s", name, names)
		}
		return there[i], nil
	}
	var views []View
	for _, name := range o.Exo {
		v, err := find(name)
		if err != nil {
			return nil, err
		}
		v.Role = Exo
		views = append(views, v)
	}
	for _, v := range there {
		if len(o.Exo) == 0 && v.Role == Exo && v.Name != o.Ego {
			views = append(views, v)
		}
	}
	if o.Ego != "" {
		v, err := find(o.Ego)
		if err != nil {
			return nil, err
		}
		v.Role = Ego
		return append(views, v), nil
	}
	for _, v := range there {
		if v.Role == Ego && !slices.ContainsFunc(views, func(x View) bool { return x.Name == v.Name }) {
			views = append(views, v)
		}
	}
	return views, nil
}

// layout is a data set in this layout that is being read.
type layout struct {
	root      string
	timeMajor bool
	views     []View
	dirs      []string // of the views
	labels    tas.Labels
	takes     []takeInfo
	notes     []string
	own       map[string]bool // takes with labels of their own for the ego view
}

func (l *layout) contents(ctx context.Context, o Options) (*contents, error) {
	if err := l.findTakes(); err != nil {
		return nil, err
	}
	if err := l.findLabels(); err != nil {
		return nil, err
	}
	if err := l.readHeaders(ctx); err != nil {
		return nil, err
	}
	c := &contents{
		classes: l.labels.Names(), rateHz: o.SourceHz, views: l.views, takes: l.takes, notes: l.notes,
		open: l.open, exoLabels: l.exoLabels, egoLabels: l.egoLabels,
	}
	var err error
	c.folds, err = readFolds(l.root, l.there)
	if errors.Is(err, fs.ErrNotExist) {
		if o.Folds > 0 {
			return c, nil
		}
		err = fmt.Errorf("%w; for a data set without splits, say how many folds to make", err)
	}
	if err != nil {
		return nil, err
	}
	return c, l.checkFoldLabels(c.folds)
}

// there tells whether a take of a split exists.
func (l *layout) there(name string) error {
	if l.take(name) < 0 {
		return fmt.Errorf("there is no take %q: %s is missing", name, l.array(0, name))
	}
	return nil
}

func (l *layout) take(name string) int {
	i, ok := slices.BinarySearchFunc(l.takes, name, func(t takeInfo, name string) int { return strings.Compare(t.name, name) })
	if !ok {
		return -1
	}
	return i
}

func (l *layout) array(view int, take string) string {
	return filepath.Join(l.root, l.dirs[view], take+arrayEnding)
}

func (l *layout) labelFile(take, suffix string) string {
	return filepath.Join(l.root, labelsDir+suffix, take+labelEnding)
}

// findTakes lists the takes by their files of features.
func (l *layout) findTakes() error {
	seen := map[string][]bool{}
	for v := range l.views {
		names, err := filesWith(filepath.Join(l.root, l.dirs[v]), arrayEnding)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("%s holds no features, expected TAKE%s", filepath.Join(l.root, l.dirs[v]), arrayEnding)
		}
		for _, name := range names {
			if seen[name] == nil {
				seen[name] = make([]bool, len(l.views))
			}
			seen[name][v] = true
		}
	}
	for name, views := range seen {
		l.takes = append(l.takes, takeInfo{name: name, views: views})
	}
	slices.SortFunc(l.takes, func(a, b takeInfo) int { return strings.Compare(a.name, b.name) })
	return nil
}

// egoSuffix is the end of the name of the directory with the ego view's own labels.
const egoSuffix = "_ego"

// findLabels reads the mapping and lists which takes have labels.
func (l *layout) findLabels() error {
	shared, err := filesWith(filepath.Join(l.root, labelsDir), labelEnding)
	if err != nil {
		return err
	}
	own, err := filesWith(filepath.Join(l.root, labelsDir+egoSuffix), labelEnding)
	if err != nil {
		return err
	}
	path := filepath.Join(l.root, mappingFile)
	if len(shared)+len(own) == 0 && !isFile(path) {
		return nil // a data set without labels
	}
	if l.labels, err = tas.ReadMapping(path); err != nil {
		return err
	}
	l.own = make(map[string]bool, len(own))
	var alone []string
	for _, name := range own {
		l.own[name] = true
		if l.take(name) < 0 {
			alone = append(alone, name)
		}
	}
	has := make(map[string]bool, len(shared))
	for _, name := range shared {
		has[name] = true
		if l.take(name) < 0 {
			alone = append(alone, name)
		}
	}
	for i := range l.takes {
		t := &l.takes[i]
		t.exo = has[t.name]
		for v, seen := range t.views {
			t.ego = t.ego || seen && l.views[v].Role == Ego && (has[t.name] || l.own[t.name])
		}
	}
	if len(alone) > 0 {
		l.notes = append(l.notes, fmt.Sprintf("%s labels without features (%s)", haveHas(len(alone), "take"), few(alone)))
	}
	return nil
}

// haveHas spells a number of things that have something.
func haveHas(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " has"
	}
	return fmt.Sprintf("%d %ss have", n, thing)
}

// readHeaders reads the shape of each file of features: one number of features for a view, one length for a take.
func (l *layout) readHeaders(ctx context.Context) error {
	first := make([]string, len(l.views)) // the file that a view's number of features is known from
	for i := range l.takes {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := &l.takes[i]
		from := ""
		for v := range l.views {
			if !t.views[v] {
				continue
			}
			path := l.array(v, t.name)
			f, err := l.openArray(path)
			if err != nil {
				return err
			}
			samples, dim := f.samples, f.dim
			if err := f.close(); err != nil {
				return err
			}
			switch {
			case l.views[v].Dim == 0:
				l.views[v].Dim, first[v] = dim, path
			case l.views[v].Dim != dim:
				return fmt.Errorf("%s has %d features a frame, %s has %d; is the array the other way round?", path, dim, first[v], l.views[v].Dim)
			}
			switch {
			case from == "":
				t.samples, from = samples, path
			case t.samples != samples:
				return fmt.Errorf("%s has %d frames, %s has %d; the views of a take must have the same length", path, samples, from, t.samples)
			}
		}
	}
	return nil
}

// openArray opens a file of features.
func (l *layout) openArray(path string) (*stored, error) {
	f, err := npy.Open(path)
	if err != nil {
		return nil, err
	}
	if len(f.Shape) != 2 || f.Shape[0] < 1 || f.Shape[1] < 1 || f.Type == npy.Int64 || f.Type == npy.Uint8 {
		return nil, errors.Join(fmt.Errorf("%s is an array of shape %v and type %s, expected floats [D, T]", path, f.Shape, f.Type), f.Close())
	}
	dim, samples := f.Shape[0], f.Shape[1]
	apart := !f.Fortran // a frame's features lie apart in the file
	if l.timeMajor {
		dim, samples, apart = samples, dim, f.Fortran
	}
	s := &stored{name: path, samples: samples, dim: dim, close: f.Close}
	s.read = func(at int, dst []float32) error { return f.Floats(int64(at)*int64(dim), dst) }
	if apart {
		s.read = columns(f.Array, dim, samples)
	}
	return s, nil
}

// columns reads samples of an array whose file has all samples of a feature together. Some features at a time are read and
// then written side by side, which the processor's cache likes.
func columns(f *npy.Array, dim, samples int) func(at int, dst []float32) error {
	const block = 16
	var buf []float32
	return func(at int, dst []float32) error {
		n := len(dst) / dim
		if cap(buf) < block*n {
			buf = make([]float32, block*n)
		}
		for d := 0; d < dim; d += block {
			k := min(block, dim-d)
			for i := range k {
				if err := f.Floats(int64(d+i)*int64(samples)+int64(at), buf[i*n:(i+1)*n]); err != nil {
					return err
				}
			}
			for t := range n {
				row := dst[t*dim+d : t*dim+d+k]
				for i := range row {
					row[i] = buf[i*n+t]
				}
			}
		}
		return nil
	}
}

func (l *layout) open(_ context.Context, take, view int) (*stored, error) {
	return l.openArray(l.array(view, l.takes[take].name))
}

func (l *layout) exoLabels(_ context.Context, take int) ([]int, error) { return l.readLabels(take, "") }

func (l *layout) egoLabels(_ context.Context, take int) ([]int, error) {
	if l.own[l.takes[take].name] {
		return l.readLabels(take, egoSuffix)
	}
	return l.readLabels(take, "")
}

// readLabels reads a file of labels.
func (l *layout) readLabels(take int, suffix string) ([]int, error) {
	t := l.takes[take]
	path := l.labelFile(t.name, suffix)
	names, err := tas.ReadFrames(path)
	if err != nil {
		return nil, err
	}
	classes := make([]int, len(names))
	for i, name := range names {
		c, ok := l.labels.Index(name)
		if !ok { // each line is a frame
			return nil, fmt.Errorf("%s:%d: the label %.60q is none of the %d classes of %s", path, i+1, name, l.labels.Len(), mappingFile)
		}
		classes[i] = c
	}
	if len(classes) != t.samples {
		view := slices.Index(t.views, true)
		hint := ""
		if l.views[view].Dim == len(classes) {
			hint = "; is the array [T, D]? Then say that it is time-major"
		}
		return nil, fmt.Errorf("%s has %s, %s has %s; they must be of the same length%s",
			path, count(len(classes), "label"), l.array(view, t.name), count(t.samples, "frame"), hint)
	}
	return classes, nil
}

// checkFoldLabels makes sure that the takes of the splits have labels.
func (l *layout) checkFoldLabels(folds []Fold) error {
	if l.labels.Len() == 0 {
		return nil
	}
	for _, f := range folds {
		for _, name := range slices.Concat(f.Train, f.Test) {
			if t := l.takes[l.take(name)]; !t.exo && !t.ego {
				return fmt.Errorf("%s is missing: take %s stands in the splits of fold %s", l.labelFile(name, ""), name, f.Name)
			}
		}
	}
	return nil
}
