package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gocv.io/x/gocv"

	"tandem/runtime/feature"
	"tandem/sim"
	"tandem/stream/capture"
)

// Takes of the simulated cell (package sim): directories with truth.json and videos, anywhere below the data set's. An
// extractor turns their frames into features while they are read, which is slow: Import does it once for all.
//
// Tick k of a take is k/RateHz after its start. A view's sample is the frame nearest to it by the clock that Options.Clock
// names; with none within one tick it is the sample before, at weight 0. Labels are those at the true instant of the
// frame: of the first exo view that saw the take, and of the ego view.
//
// Directories train (or labelled), test and pairs (or paired) directly below the data set's make a fold.

// Clock says by which clock frames are matched to ticks.
type Clock string

// The clocks.
const (
	Stamps Clock = "stamps" // what the devices stamped: with their offset, skew, latency and jitter
	Truth  Clock = "truth"  // the true instants of capture
)

func (c Clock) validate() error {
	switch c {
	case "", Stamps, Truth:
		return nil
	}
	return fmt.Errorf("clock %q: expected %q or %q", c, Stamps, Truth)
}

func isSim(dir string) bool {
	for _, pattern := range []string{"*", "*/*"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern, sim.TruthFile)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// simTakes are rendered takes while they are open.
type simTakes struct {
	views   []View
	list    []simTake
	classes map[string]int
	rateHz  float64
	clock   Clock

	mu        sync.Mutex // the extractor serves one at a time
	extractor *feature.Extractor
}

// simTake is a take.
type simTake struct {
	name, group, dir string
	truth            *sim.Take
}

func openSim(ctx context.Context, dir string, o Options) (*contents, error) {
	if o.Extractor == nil {
		return nil, fmt.Errorf("%s holds videos, not features; extract them first: tandem train import --from %s --out DIR", dir, dir)
	}
	if o.RateHz == 0 {
		return nil, errors.New("the rate of features to extract isn't said")
	}
	x := &simTakes{classes: map[string]int{}, rateHz: o.RateHz, clock: cmp.Or(o.Clock, Stamps), extractor: o.Extractor}
	if err := x.find(ctx, dir); err != nil {
		return nil, err
	}
	c := &contents{rateHz: o.RateHz, open: x.open}
	c.exoLabels = func(_ context.Context, take int) ([]int, error) { return x.readLabels(take, Exo) }
	c.egoLabels = func(_ context.Context, take int) ([]int, error) { return x.readLabels(take, Ego) }
	if err := x.findViews(o); err != nil {
		return nil, err
	}
	if o.Frames != nil {
		c.backbone = o.Frames
		c.shoot = func(ctx context.Context, take, view int, emit func(px []byte) error) error {
			return x.shoot(ctx, take, view, o.Frames.Contract, emit)
		}
	}
	groups := map[string][]string{}
	for _, t := range x.list {
		info := takeInfo{name: t.name, samples: x.ticks(t)}
		for _, v := range x.views {
			_, ok := t.truth.Camera(v.Name)
			info.views = append(info.views, ok)
			info.exo = info.exo || ok && v.Role == Exo
			info.ego = info.ego || ok && v.Role == Ego
		}
		c.takes = append(c.takes, info)
		groups[t.group] = append(groups[t.group], t.name)
		for _, name := range t.truth.Labels {
			if _, ok := x.classes[name]; !ok {
				x.classes[name] = len(c.classes)
				c.classes = append(c.classes, name)
			}
		}
	}
	c.views = x.views
	f := Fold{
		Name: "1", Train: append(groups["train"], groups["labelled"]...), Test: groups["test"],
		Pairs: append(groups["pairs"], groups["paired"]...),
	}
	if len(f.Train) > 0 && len(f.Test) > 0 {
		c.folds = []Fold{f}
	}
	return c, nil
}

// find reads the truth of all takes, in the order of their names.
func (x *simTakes) find(ctx context.Context, root string) error {
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root: // a take that was not finished
			return fs.SkipDir
		case e.IsDir() || e.Name() != sim.TruthFile:
			return nil
		}
		dir := filepath.Dir(path)
		truth, err := sim.ReadTake(dir)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		parts := strings.Split(filepath.ToSlash(rel), "/")
		t := simTake{name: strings.Join(parts, "_"), dir: dir, truth: truth}
		if len(parts) > 1 {
			t.group = parts[0]
		}
		x.list = append(x.list, t)
		return nil
	})
	slices.SortFunc(x.list, func(a, b simTake) int { return strings.Compare(a.name, b.name) })
	return err
}

func (x *simTakes) findViews(o Options) error {
	role := map[string]Role{}
	for _, t := range x.list {
		for _, c := range t.truth.Cameras {
			if before, ok := role[c.ID]; ok && before != Role(c.Kind) {
				return fmt.Errorf("take %s: camera %s is of kind %s, in other takes it is %s", t.name, c.ID, c.Kind, before)
			}
			role[c.ID] = Role(c.Kind)
		}
	}
	var there []View
	for name, r := range role {
		there = append(there, View{Name: name, Role: r, Dim: x.extractor.Dim()})
	}
	slices.SortFunc(there, func(a, b View) int { return strings.Compare(a.Name, b.Name) })
	var err error
	x.views, err = chooseViews(there, o)
	return err
}

// ticks is the number of samples of a take.
func (x *simTakes) ticks(t simTake) int {
	return int(math.Ceil(float64(t.truth.Frames)/t.truth.FPS*x.rateHz - 1e-9))
}

// pick chooses the frame of each tick; real tells where there was one near enough.
func (x *simTakes) pick(t simTake, c *sim.TakeCamera) (frames []int, real []bool, err error) {
	times := c.CaptureNS
	if x.clock == Stamps {
		times = t.truth.RawNS(c)
	}
	if !slices.IsSorted(times) {
		return nil, nil, fmt.Errorf("take %s: the stamps of %s go back", t.name, c.ID)
	}
	period := 1e9 / x.rateHz
	n := x.ticks(t)
	frames, real = make([]int, n), make([]bool, n)
	for k := range frames {
		tick := t.truth.StartNS + int64(math.Round(float64(k)*period))
		at, _ := slices.BinarySearch(times, tick)
		if at == len(times) || at > 0 && tick-times[at-1] <= times[at]-tick {
			at--
		}
		frames[k], real[k] = at, math.Abs(float64(times[at]-tick)) <= period
	}
	first := slices.Index(real, true)
	if first < 0 {
		return nil, nil, fmt.Errorf("take %s: no frame of %s lies within the take; is its clock that far off?", t.name, c.ID)
	}
	for k := range frames {
		switch {
		case k < first:
			frames[k] = frames[first]
		case !real[k]:
			frames[k] = frames[k-1]
		}
	}
	return frames, real, nil
}

// readLabels gives each tick the label at the true instant of the frame that stands for it. A tick without a frame has
// the label of its own instant.
func (x *simTakes) readLabels(take int, role Role) ([]int, error) {
	t := x.list[take]
	for _, v := range x.views {
		c, ok := t.truth.Camera(v.Name)
		if !ok || v.Role != role {
			continue
		}
		frames, real, err := x.pick(t, c)
		if err != nil {
			return nil, err
		}
		labels := make([]int, len(frames))
		for k, frame := range frames {
			at := c.CaptureNS[frame]
			if !real[k] {
				at = t.truth.StartNS + int64(math.Round(float64(k)*1e9/x.rateHz))
			}
			labels[k] = x.classes[t.truth.LabelAt(at)]
		}
		return labels, nil
	}
	return nil, ErrNoLabels
}

// open extracts the features of a take's camera.
func (x *simTakes) open(ctx context.Context, take, view int) (*stored, error) {
	t, v := x.list[take], x.views[view]
	c, _ := t.truth.Camera(v.Name)
	frames, real, err := x.pick(t, c)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(t.dir, c.Video)
	data, err := x.extract(ctx, path, frames)
	if err != nil {
		return nil, fmt.Errorf("extract %s: %w", path, err)
	}
	s := &stored{name: path, samples: len(frames), dim: x.extractor.Dim()}
	if slices.Contains(real, false) {
		s.weights = make([]float32, len(real))
		for k, ok := range real {
			if ok {
				s.weights[k] = 1
			}
		}
	}
	s.read = func(at int, dst []float32) error {
		copy(dst, data[at*s.dim:])
		return nil
	}
	return s, nil
}

// extract returns the features of the frames, which ascend.
func (x *simTakes) extract(ctx context.Context, path string, frames []int) (_ []float32, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	data := make([]float32, 0, len(frames)*x.extractor.Dim())
	row := make([]float32, x.extractor.Dim())
	err = eachFrame(ctx, path, frames, func(p *picture) error {
		if p.new {
			if err := x.extractor.Extract(p.mat, row); err != nil {
				return err
			}
		}
		data = append(data, row...)
		return nil
	})
	return data, err
}

// picture is a frame that was asked for.
type picture struct {
	mat gocv.Mat // until the visit ends
	new bool     // it is not the frame of the visit before
}

// eachFrame decodes the frames of those numbers, which ascend and may repeat, and visits them in turn.
func eachFrame(ctx context.Context, path string, frames []int, visit func(p *picture) error) (err error) {
	cam, err := capture.Open(ctx, capture.Config{Source: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cam.Close()) }()
	for k := 0; k < len(frames); {
		f, err := cam.Next(ctx)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it ends before frame %d, which %s tells of", frames[k], sim.TruthFile)
		}
		if err != nil {
			return err
		}
		at := int(f.Index)
		if at > frames[k] {
			err = fmt.Errorf("frame %d can't be decoded", frames[k])
		}
		for p := (picture{f.Mat, true}); err == nil && k < len(frames) && frames[k] == at; k++ {
			err = visit(&p)
			p.new = false
		}
		cam.Release(f)
		if err != nil {
			return fmt.Errorf("frame %d: %w", at, err)
		}
	}
	return nil
}
