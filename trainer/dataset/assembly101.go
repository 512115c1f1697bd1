package dataset

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Assembly101 (Sener et al., CVPR 2022) as it is published: coarse annotations and per-frame features, both at 30 Hz.
//
//	coarse-annotations/actions.csv                         classes: columns action_id and action_cls
//	coarse-annotations/coarse_labels/TYPE_TAKE.txt         first frame, end frame (exclusive), label; tabs between
//	coarse-annotations/coarse_splits/SPLIT_coarse_TYPE.txt TYPE_TAKE.txt and more columns; SPLIT is train, val or test
//	TSM_features/CAMERA/data.mdb                           LMDB: TAKE/CAMERA/CAMERA_%010d.jpg -> 2048 float32
//
// TYPE is assembly or disassembly; both of a recording are takes of their own, parts of the same features. Cameras have
// short names, v1 to v8 for the fixed ones and e1 to e4 for those on the head, of which each stands for two devices; the
// default is to go from v4 to e4. The labels of the test split are withheld, so the fold is train and val. A take begins
// with its first label; where features end before its last label it is trimmed, as in the published code, and noted.
const (
	assembly101Hz  = 30
	annotationsDir = "coarse-annotations"
	actionsFile    = "actions.csv"
)

var (
	annotationRoots = []string{annotationsDir, "annotations/" + annotationsDir, "data/" + annotationsDir, "."}
	featureRoots    = []string{"TSM_features", "features", "."}
	splitTypes      = []string{"assembly", "disassembly"}
)

// assembly101Cameras are the devices behind the short names.
var assembly101Cameras = map[string][]string{
	"v1": {"C10095_rgb"}, "v2": {"C10115_rgb"}, "v3": {"C10118_rgb"}, "v4": {"C10119_rgb"},
	"v5": {"C10379_rgb"}, "v6": {"C10390_rgb"}, "v7": {"C10395_rgb"}, "v8": {"C10404_rgb"},
	"e1": {"HMC_84346135_mono10bit", "HMC_21176875_mono10bit"},
	"e2": {"HMC_84347414_mono10bit", "HMC_21176623_mono10bit"},
	"e3": {"HMC_84355350_mono10bit", "HMC_21110305_mono10bit"},
	"e4": {"HMC_84358933_mono10bit", "HMC_21179183_mono10bit"},
}

// underRoots returns the first of some places below dir that holds a file or directory.
func underRoots(dir string, roots []string, name string) (string, bool) {
	for _, r := range roots {
		path := filepath.Join(dir, filepath.FromSlash(r))
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

func isAssembly101(dir string) bool {
	_, ok := underRoots(dir, annotationRoots, "coarse_labels")
	return ok
}

// assembly101 is the data set while it is open.
type assembly101 struct {
	annotations string
	stores      map[string]*frameStore // by device
	views       []View
	labels      map[string]int
	takes       []takeInfo
	parts       []assemblyTake // of the takes
	trimmed     []string       // takes that end before their labels
	left        []string       // takes that no view saw
}

// assemblyTake is where a take lies.
type assemblyTake struct {
	recording string
	devices   []string // of the views; "" where the view did not see the take
	first     int      // frame of sample 0
	spans     []labelSpan
}

// labelSpan is a label on the frames [start, end).
type labelSpan struct{ start, end, class int }

func openAssembly101(ctx context.Context, dir string, o Options) (_ *contents, err error) {
	a := &assembly101{stores: map[string]*frameStore{}, labels: map[string]int{}}
	var ok bool
	if a.annotations, ok = underRoots(dir, annotationRoots, "coarse_labels"); !ok {
		return nil, fmt.Errorf("%s holds no %s with coarse_labels", dir, annotationsDir)
	}
	names, err := readActions(filepath.Join(a.annotations, actionsFile))
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		a.labels[name] = i
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if err := a.openViews(dir, o); err != nil {
		return nil, err
	}
	fold := Fold{Name: "1"}
	if fold.Train, err = a.readSplit(ctx, "train"); err != nil {
		return nil, err
	}
	if fold.Test, err = a.readSplit(ctx, "val"); err != nil {
		return nil, err
	}
	a.sort()
	c := &contents{
		name: "assembly101", classes: names, background: []string{}, rateHz: assembly101Hz, views: a.views, takes: a.takes,
		folds: []Fold{fold}, notes: a.notes(), pool: Max,
		open: a.open, exoLabels: a.readLabels, egoLabels: a.readLabels, close: a.close,
	}
	return c, nil
}

func (a *assembly101) close() error {
	var errs []error
	for _, s := range a.stores {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

func (a *assembly101) notes() []string {
	var notes []string
	if len(a.trimmed) > 0 {
		notes = append(notes, fmt.Sprintf("%s trimmed where the features end before the labels (%s)", wasWere(len(a.trimmed), "take"), few(a.trimmed)))
	}
	if len(a.left) > 0 {
		notes = append(notes, fmt.Sprintf("%s left out: no features of %s (%s)", wasWere(len(a.left), "take"), viewNames(a.views), few(a.left)))
	}
	return notes
}

// wasWere spells a number of things that something was done to.
func wasWere(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " was"
	}
	return fmt.Sprintf("%d %ss were", n, thing)
}

// openViews opens the databases of the views that are asked for.
func (a *assembly101) openViews(dir string, o Options) error {
	exo := o.Exo
	if len(exo) == 0 {
		exo = []string{"v4"}
	}
	for _, name := range exo {
		a.views = append(a.views, View{Name: name, Role: Exo})
	}
	a.views = append(a.views, View{Name: cmp.Or(o.Ego, "e4"), Role: Ego})
	for _, v := range a.views {
		devices, ok := assembly101Cameras[v.Name]
		if !ok {
			return fmt.Errorf("there is no view %q, there are v1 to v8 and e1 to e4", v.Name)
		}
		found := false
		for _, device := range devices {
			if a.stores[device] != nil {
				return fmt.Errorf("view %s is asked for twice", v.Name)
			}
			path, ok := featureStore(dir, device)
			if !ok {
				continue
			}
			s, err := openFrameStore(path)
			if err != nil {
				return err
			}
			a.stores[device] = s
			found = true
		}
		if !found {
			return fmt.Errorf("%s holds no features of view %s, expected TSM_features/%s/data.mdb", dir, v.Name, strings.Join(devices, "/data.mdb or TSM_features/"))
		}
	}
	return nil
}

// featureStore finds the database of a device: a directory or a file, perhaps with the ending .lmdb.
func featureStore(dir, device string) (string, bool) {
	for _, name := range []string{device, device + ".lmdb"} {
		if root, ok := underRoots(dir, featureRoots, name); ok {
			return filepath.Join(root, name), true
		}
	}
	return "", false
}

// readActions reads actions.csv: the classes in the order of their ids.
func readActions(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	names, err := parseActions(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return names, nil
}

func parseActions(r io.Reader) ([]string, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = 0 // as the first
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	id, name := slices.Index(head, "action_id"), slices.Index(head, "action_cls")
	if id < 0 || name < 0 {
		return nil, fmt.Errorf("the columns are %.200q, expected action_id and action_cls among them", strings.Join(head, ","))
	}
	byID := map[int]string{}
	seen := map[string]bool{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err // says the line
		}
		at, _ := in.FieldPos(id)
		n, err := strconv.Atoi(row[id])
		label := strings.TrimSpace(row[name])
		_, taken := byID[n]
		switch {
		case err != nil || n < 0:
			return nil, fmt.Errorf("line %d: action_id is %.40q, expected a whole number from 0", at, row[id])
		case taken:
			return nil, fmt.Errorf("line %d: action_id %d is there already", at, n)
		case label == "" || seen[label]:
			return nil, fmt.Errorf("line %d: action_cls is %.60q, expected each action once", at, label)
		}
		byID[n], seen[label] = label, true
	}
	names := make([]string, len(byID))
	for i := range names {
		var ok bool
		if names[i], ok = byID[i]; !ok {
			return nil, fmt.Errorf("there are %d actions and none has id %d, expected 0 to %d", len(byID), i, len(byID)-1)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("there are no actions")
	}
	return names, nil
}

// readSplit reads the takes of a split and returns the names of those that a view saw.
func (a *assembly101) readSplit(ctx context.Context, split string) ([]string, error) {
	var names []string
	for _, typ := range splitTypes {
		path := filepath.Join(a.annotations, "coarse_splits", split+"_coarse_"+typ+".txt")
		err := readLines(path, func(l line) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			file, _, _ := strings.Cut(l.text, "\t")
			name := strings.TrimSuffix(strings.TrimSpace(file), ".txt")
			saw, err := a.addTake(name, typ)
			if saw {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the %s split is empty: %s holds no take with features of %s", split, filepath.Join(a.annotations, "coarse_splits"), viewNames(a.views))
	}
	return names, nil
}

// addTake adds a take; false if no view saw it.
func (a *assembly101) addTake(name, typ string) (bool, error) {
	recording, ok := strings.CutPrefix(name, typ+"_")
	if !ok {
		return false, fmt.Errorf("take %.100q: expected a name that begins with %s_", name, typ)
	}
	if slices.ContainsFunc(a.takes, func(t takeInfo) bool { return t.name == name }) {
		return false, fmt.Errorf("take %s is there twice", name)
	}
	spans, err := a.readSpans(name)
	if err != nil {
		return false, err
	}
	t := assemblyTake{recording: recording, devices: make([]string, len(a.views)), spans: spans, first: spans[0].start}
	info := takeInfo{name: name, views: make([]bool, len(a.views)), exo: true}
	end := spans[len(spans)-1].end
	whole := end
	for v := range a.views {
		first, last, err := a.locate(&t, v)
		switch {
		case err != nil:
			return false, err
		case t.devices[v] == "":
			continue
		case first > t.first:
			return false, fmt.Errorf("%s: the features of view %s begin with frame %d, the labels with frame %d", name, a.views[v].Name, first, t.first)
		case last <= t.first: // preparation only
			t.devices[v] = ""
			continue
		}
		info.views[v] = true
		end = min(end, last)
	}
	if !slices.Contains(info.views, true) {
		a.left = append(a.left, name)
		return false, nil
	}
	if end < whole {
		a.trimmed = append(a.trimmed, name)
	}
	info.samples, info.ego = end-t.first, info.views[len(a.views)-1]
	a.takes, a.parts = append(a.takes, info), append(a.parts, t)
	return true, nil
}

// locate finds the device that saw a take as view v, and the range of its frames.
func (a *assembly101) locate(t *assemblyTake, v int) (first, end int, err error) {
	for _, device := range assembly101Cameras[a.views[v].Name] {
		s := a.stores[device]
		if s == nil {
			continue
		}
		first, end, ok, err := s.frames(t.recording, device)
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			continue
		}
		t.devices[v] = device
		dim, err := s.dim(t.recording, device, first)
		if err == nil && a.views[v].Dim == 0 {
			a.views[v].Dim = dim
		}
		return first, end, err
	}
	return 0, 0, nil
}

// readSpans reads a label file. The spans are in order and leave no frame between them out.
func (a *assembly101) readSpans(name string) ([]labelSpan, error) {
	path := filepath.Join(a.annotations, "coarse_labels", name+".txt")
	if !isFile(path) { // some files are spelt so
		if other := strings.Replace(path, "disassembly_", "disassebly_", 1); isFile(other) {
			path = other
		}
	}
	var spans []labelSpan
	err := readLines(path, func(l line) error {
		s, err := a.parseSpan(l.text)
		if err != nil {
			return err
		}
		if len(spans) > 0 && s.start != spans[len(spans)-1].end {
			return fmt.Errorf("the segment begins with frame %d, the one before ends at %d; expected no gap and no overlap", s.start, spans[len(spans)-1].end)
		}
		spans = append(spans, s)
		return nil
	})
	if err == nil && len(spans) == 0 {
		err = fmt.Errorf("%s holds no segments", path)
	}
	return spans, err
}

// maxFrames bounds frame numbers: 38 days at 30 Hz.
const maxFrames = 100_000_000

// parseSpan reads first frame, end frame and label with tabs between; columns after that are not read.
func (a *assembly101) parseSpan(text string) (labelSpan, error) {
	cells := strings.Split(text, "\t")
	if len(cells) < 3 {
		return labelSpan{}, fmt.Errorf("found %.80q, expected start frame, end frame and label with tabs between", text)
	}
	start, err1 := strconv.Atoi(strings.TrimSpace(cells[0]))
	end, err2 := strconv.Atoi(strings.TrimSpace(cells[1]))
	if err1 != nil || err2 != nil || start < 0 || end <= start || end > maxFrames {
		return labelSpan{}, fmt.Errorf("the frames are %.20q to %.20q, expected two rising whole numbers", cells[0], cells[1])
	}
	label := strings.TrimSpace(cells[2])
	class, ok := a.labels[label]
	if !ok {
		return labelSpan{}, fmt.Errorf("the label %.60q is none of the %d actions of %s", label, len(a.labels), actionsFile)
	}
	return labelSpan{start, end, class}, nil
}

// sort brings the takes into the order of their names.
func (a *assembly101) sort() {
	order := make([]int, len(a.takes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(a.takes[i].name, a.takes[j].name) })
	takes, parts := make([]takeInfo, len(order)), make([]assemblyTake, len(order))
	for to, from := range order {
		takes[to], parts[to] = a.takes[from], a.parts[from]
	}
	a.takes, a.parts = takes, parts
}

func (a *assembly101) open(_ context.Context, take, view int) (*stored, error) {
	t := a.parts[take]
	s, dim := a.stores[t.devices[view]], a.views[view].Dim
	return &stored{
		name: fmt.Sprintf("%s: take %s", s.path, t.recording), samples: a.takes[take].samples, dim: dim, first: t.first,
		read: func(at int, dst []float32) error { return s.read(t.recording, t.devices[view], t.first+at, dim, dst) },
	}, nil
}

func (a *assembly101) readLabels(_ context.Context, take int) ([]int, error) {
	labels := make([]int, 0, a.takes[take].samples)
	for _, s := range a.parts[take].spans {
		for range min(s.end-s.start, cap(labels)-len(labels)) {
			labels = append(labels, s.class)
		}
	}
	return labels, nil
}
