package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"tandem/trainer/dataset/torch"
)

// Ego-Exo4D (Grauman et al., CVPR 2024) as it is published: key steps of takes and features of each camera's video.
//
//	takes.json                          a list: take_uid, take_name, duration_sec, capture.cameras with cam_id and is_ego
//	annotations/keystep_train.json      annotations.UID.segments: start_time, end_time (s), step_unique_id; vocabulary: id -> name
//	annotations/keystep_val.json        the same; the test split is withheld, so the fold is train and val
//	features/omnivore_video/UID_CAMERA_STREAM.pt    a tensor [T, D]; or in features/maws_clip_2b/, or in features/
//
// STREAM is rgb for the head-mounted Aria and 0 for GoPros. Omnivore's sample i is of the window of 32/30 s that begins
// at 16/30 s times i, the last one of the window that ends with the video; MAWS's is of frame i at 30 Hz. A sample's
// label is that of the middle of its window: the key step there, of several the one that began last, and "background"
// between them.
//
// The views are the cameras by their names (cam01 and so on; which place that is differs between sites) and "ego", the
// take's first camera with is_ego. Takes and views without features are left out, which is noted.
const (
	takesFile       = "takes.json"
	egoExoFeatures  = "features"
	egoExoEgo       = "ego"
	keystepTrain    = "keystep_train.json"
	keystepVal      = "keystep_val.json"
	backgroundClass = "background"
)

// egoExoKind is a kind of features.
type egoExoKind struct {
	dir    string
	rateHz float64
	window float64 // seconds
}

var egoExoKinds = []egoExoKind{
	{"features/omnivore_video", 30.0 / 16, 32.0 / 30},
	{"features/maws_clip_2b", 30, 1.0 / 30},
	{"features", 30.0 / 16, 32.0 / 30}, // as the documentation has it: of Omnivore
}

func isEgoExo4D(dir string) bool {
	return isFile(dir, takesFile) && (isFile(dir, "annotations", keystepTrain) || isFile(dir, "annotations", keystepVal))
}

// egoExo4D is the data set while it is open.
type egoExo4D struct {
	dir    string // of the features
	kind   egoExoKind
	views  []View
	takes  []takeInfo
	files  [][]string // of the takes, by view
	marks  [][]stepMark
	end    []float64 // of the takes, s
	labels []string
	class  map[int]int // by step id
	notes  []string
}

// stepMark is a key step on [start, end) in seconds.
type stepMark struct {
	start, end float64
	class      int
}

func openEgoExo4D(ctx context.Context, dir string, o Options) (*contents, error) {
	x := &egoExo4D{}
	var have map[string]bool
	for _, k := range egoExoKinds {
		names, err := filesWith(filepath.Join(dir, filepath.FromSlash(k.dir)), ".pt")
		if err != nil {
			return nil, err
		}
		if len(names) > 0 {
			x.kind, x.dir = k, filepath.Join(dir, filepath.FromSlash(k.dir))
			have = make(map[string]bool, len(names))
			for _, n := range names {
				have[n] = true
			}
			break
		}
	}
	if have == nil {
		return nil, fmt.Errorf("%s holds no UID_CAMERA_STREAM.pt, nor do omnivore_video and maws_clip_2b in it; download a part features/…", filepath.Join(dir, egoExoFeatures))
	}
	train, err := readKeysteps(filepath.Join(dir, "annotations", keystepTrain))
	if err != nil {
		return nil, err
	}
	val, err := readKeysteps(filepath.Join(dir, "annotations", keystepVal))
	if err != nil {
		return nil, err
	}
	annotated, err := x.merge(train, val, o.Scenarios)
	if err != nil {
		return nil, err
	}
	found, err := readTakes(filepath.Join(dir, takesFile), annotated)
	if err != nil {
		return nil, err
	}
	if err := x.findViews(found, have, o); err != nil {
		return nil, err
	}
	if err := x.addTakes(ctx, annotated, found, have); err != nil {
		return nil, err
	}
	fold := Fold{Name: "1"}
	for _, t := range x.takes {
		uid := found[t.name].UID
		if _, ok := train.takes[uid]; ok {
			fold.Train = append(fold.Train, t.name)
		} else {
			fold.Test = append(fold.Test, t.name)
		}
	}
	return &contents{
		name: "ego-exo4d", classes: x.labels, background: []string{backgroundClass}, rateHz: x.kind.rateHz,
		views: x.views, takes: x.takes, folds: []Fold{fold}, notes: x.notes,
		open: x.open, exoLabels: x.readLabels, egoLabels: x.readLabels,
	}, nil
}

// merge chooses the takes of the scenarios and makes the classes of the key steps that occur in them.
func (x *egoExo4D) merge(train, val *keysteps, scenarios []string) (map[string]keystepTake, error) {
	names := maps.Clone(train.vocabulary)
	for id, name := range val.vocabulary {
		if before, ok := names[id]; ok && before != name {
			return nil, fmt.Errorf("key step %d is %q in %s and %q in %s", id, before, keystepTrain, name, keystepVal)
		}
		names[id] = name
	}
	takes := map[string]keystepTake{}
	used := map[int]bool{}
	there := map[string]bool{}
	for i, part := range []*keysteps{train, val} {
		file := []string{keystepTrain, keystepVal}[i]
		for _, uid := range slices.Sorted(maps.Keys(part.takes)) {
			t := part.takes[uid]
			if _, ok := takes[uid]; ok {
				return nil, fmt.Errorf("take %s stands in %s and in %s", uid, keystepTrain, keystepVal)
			}
			there[t.Scenario] = true
			if len(scenarios) > 0 && !slices.Contains(scenarios, t.Scenario) {
				continue
			}
			for _, s := range t.Segments {
				if _, ok := names[s.Step]; !ok {
					return nil, fmt.Errorf("%s: take %s has key step %d, which is not in the vocabulary", file, uid, s.Step)
				}
				used[s.Step] = true
			}
			takes[uid] = t
		}
	}
	for _, s := range scenarios {
		if !there[s] {
			return nil, fmt.Errorf("there is no scenario %q, there are %s", s, strings.Join(slices.Sorted(maps.Keys(there)), ", "))
		}
	}
	x.labels, x.class = []string{backgroundClass}, map[int]int{}
	at := map[string]int{backgroundClass: 0}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		name := names[id]
		if _, ok := at[name]; !ok { // the same step may have two ids
			at[name] = len(x.labels)
			x.labels = append(x.labels, name)
		}
		x.class[id] = at[name]
	}
	return takes, nil
}

// streams are the ends of the names of feature files.
var streams = []string{"rgb", "0"}

// feature returns the file of a camera, without its ending.
func (t egoExoTake) feature(camera string, have map[string]bool) (string, bool) {
	for _, s := range streams {
		if name := t.UID + "_" + camera + "_" + s; have[name] {
			return name, true
		}
	}
	return "", false
}

// cameras returns the take's feature files by view.
func (t egoExoTake) cameras(have map[string]bool) map[string]string {
	files := map[string]string{}
	for _, c := range t.Capture.Cameras {
		name, ok := t.feature(c.ID, have)
		if !ok {
			continue
		}
		view := c.ID
		if c.IsEgo {
			view = egoExoEgo
		}
		if _, taken := files[view]; !taken {
			files[view] = name
		}
	}
	return files
}

// findViews makes the views of the cameras that have features.
func (x *egoExo4D) findViews(takes map[string]egoExoTake, have map[string]bool, o Options) error {
	seen := map[string]bool{}
	for _, t := range takes {
		for view := range t.cameras(have) {
			seen[view] = true
		}
	}
	var there []View
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		role := Exo
		if name == egoExoEgo {
			role = Ego
		}
		there = append(there, View{Name: name, Role: role})
	}
	if len(there) == 0 {
		return fmt.Errorf("%s holds features of none of the annotated takes", x.dir)
	}
	var err error
	x.views, err = chooseViews(there, o)
	return err
}

func (x *egoExo4D) addTakes(ctx context.Context, annotated map[string]keystepTake, takes map[string]egoExoTake, have map[string]bool) error {
	without := 0
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := takes[name]
		cameras := t.cameras(have)
		info := takeInfo{name: name, views: make([]bool, len(x.views)), exo: true}
		files := make([]string, len(x.views))
		for v, view := range x.views {
			file, ok := cameras[view.Name]
			if !ok {
				continue
			}
			files[v], info.views[v] = file, true
			info.ego = info.ego || view.Role == Ego
			if err := x.readShape(&info, v, file, files); err != nil {
				return err
			}
		}
		if !slices.Contains(info.views, true) {
			without++
			continue
		}
		marks, err := x.readMarks(annotated[t.UID])
		if err != nil {
			return fmt.Errorf("take %s: %w", name, err)
		}
		x.takes, x.files, x.marks, x.end = append(x.takes, info), append(x.files, files), append(x.marks, marks), append(x.end, t.Duration)
	}
	if n := without + len(annotated) - len(takes); n > 0 {
		x.notes = append(x.notes, fmt.Sprintf("%s left out: no features in %s", wasWere(n, "annotated take"), x.kind.dir))
	}
	return nil
}

// readShape reads the length and the number of features of a file.
func (x *egoExo4D) readShape(info *takeInfo, v int, file string, files []string) error {
	f, err := x.openTensor(file)
	if err != nil {
		return err
	}
	if err := f.close(); err != nil {
		return err
	}
	switch dim := x.views[v].Dim; {
	case dim == 0:
		x.views[v].Dim = f.dim
	case dim != f.dim:
		return fmt.Errorf("%s has %d features a sample, others of view %s have %d", f.name, f.dim, x.views[v].Name, dim)
	}
	switch {
	case info.samples == 0:
		info.samples = f.samples
	case info.samples != f.samples:
		other := files[slices.Index(info.views, true)]
		return fmt.Errorf("%s has %d samples, %s has %d; the views of a take must have the same length", f.name, f.samples, x.path(other), info.samples)
	}
	return nil
}

func (x *egoExo4D) path(file string) string { return filepath.Join(x.dir, file+".pt") }

// openTensor opens a file of features, [T, D] or [T, 1, D].
func (x *egoExo4D) openTensor(file string) (*stored, error) {
	path := x.path(file)
	f, err := torch.Open(path)
	if err != nil {
		return nil, err
	}
	shape := f.Shape
	if len(shape) == 3 && shape[1] == 1 {
		shape = []int{shape[0], shape[2]}
	}
	if len(shape) != 2 || shape[0] < 1 || shape[1] < 1 {
		return nil, errors.Join(fmt.Errorf("%s is of shape %v, expected [T, D]", path, f.Shape), f.Close())
	}
	dim := int64(shape[1])
	return &stored{
		name: path, samples: shape[0], dim: shape[1], close: f.Close,
		read: func(at int, dst []float32) error { return f.Floats(int64(at)*dim, dst) },
	}, nil
}

func (x *egoExo4D) open(_ context.Context, take, view int) (*stored, error) {
	return x.openTensor(x.files[take][view])
}

func (x *egoExo4D) readMarks(k keystepTake) ([]stepMark, error) {
	var marks []stepMark
	for i, s := range k.Segments {
		if !(s.Start >= 0 && s.End >= s.Start && s.End < maxFrames) {
			return nil, fmt.Errorf("segments[%d] goes from %g s to %g s, expected 0 or more and rising", i, s.Start, s.End)
		}
		marks = append(marks, stepMark{s.Start, s.End, x.class[s.Step]})
	}
	slices.SortStableFunc(marks, func(a, b stepMark) int { return cmp.Compare(a.start, b.start) })
	return marks, nil
}

// readLabels gives each sample the label of the middle of its window.
func (x *egoExo4D) readLabels(_ context.Context, take int) ([]int, error) {
	labels := make([]int, x.takes[take].samples)
	for i := range labels {
		begin := float64(i) / x.kind.rateHz
		if x.end[take] > x.kind.window {
			begin = math.Min(begin, x.end[take]-x.kind.window)
		}
		at := begin + x.kind.window/2
		for _, m := range x.marks[take] {
			if m.start > at {
				break
			}
			if at < m.end {
				labels[i] = m.class
			}
		}
	}
	return labels, nil
}
