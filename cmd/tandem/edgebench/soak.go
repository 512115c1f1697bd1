package edgebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"tandem/agent"
	"tandem/runtime/ort"
	"tandem/stream/capture"
)

// SoakConfig says what a soak is run on. The fields of Config that are about inputs and models count; the measurements' don't.
type SoakConfig struct {
	Config
	Frames int64 // to be decoded by all cameras together
	Swaps  int   // a release takes over in the middle of every so many takes; 0 for never
}

// SoakDefault is what `tandem bench soak` does without flags.
func SoakDefault() SoakConfig {
	c := SoakConfig{Config: Default(), Frames: 1_000_000, Swaps: 20}
	c.Width, c.Height, c.Length = 320, 240, 20*time.Second
	return c
}

// Soak is what a long run of the pipeline has left behind. The frames are decoded, of one recording played take after take as fast
// as can be.
type Soak struct {
	Video   Video   `json:"video"`
	Bundle  Release `json:"bundle"`
	Cameras int     `json:"cameras"`
	Frames  uint64  `json:"frames"`
	Samples uint64  `json:"samples"`
	Takes   int     `json:"takes"`
	Swaps   int     `json:"swaps"`
	Seconds float64 `json:"seconds"`
	Hours   float64 `json:"hours"` // that so many frames last at the video's rate and with so many cameras

	Start State `json:"start"` // after the warm-up, between two takes
	End   State `json:"end"`   // between two takes, too
	// Growth of the memory from Start to End, as a share of Start.
	Growth float64 `json:"growth"`
	// Curve is the memory over the run.
	Curve []Point `json:"curve"`

	Before State             `json:"before"` // before the pipeline was opened
	After  State             `json:"after"`  // once it is closed
	Left   []string          `json:"left"`   // what was not there before
	Losses map[string]uint64 `json:"lost,omitempty"`
}

// Point is the memory after so many frames.
type Point struct {
	Frames uint64 `json:"frames"`
	RSS    int64  `json:"rss_bytes"`
	Heap   uint64 `json:"heap_bytes"` // of Go, after a collection
}

// State is what a process holds.
type State struct {
	RSS        int64       `json:"rss_bytes"`
	Heap       uint64      `json:"heap_bytes"`
	Goroutines int         `json:"goroutines"`
	Files      int         `json:"files"`
	Mats       int         `json:"mats"` // -1: not counted, for want of the build tag matprofile
	ORT        ort.Handles `json:"onnxruntime"`

	files map[string]string
}

// targetGrowth is by what share the memory may grow.
const targetGrowth = 0.02

// Shares of a soak: how much of it warms up, and how many points its curve has.
const (
	soakWarmUp = 0.05
	soakPoints = 40
)

// hold looks at this process. What is garbage is collected before, and given back to the system, so that it isn't taken for a leak.
func hold() State {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := State{RSS: resident().RSS, Heap: m.HeapAlloc, Goroutines: runtime.NumGoroutine(), Mats: -1, ORT: ort.OpenHandles(), files: openFiles()}
	s.Files = len(s.files)
	if p := pprof.Lookup("gocv.io/x/gocv.Mat"); p != nil {
		s.Mats = p.Count()
	}
	return s
}

// RunSoak plays takes until there have been so many frames, and compares what the process holds then with what it held before.
func RunSoak(ctx context.Context, c SoakConfig) (_ *Soak, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	in, err := open(ctx, &c.Config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	if err := agent.AsBatch(true); err != nil { // as in an agent that plays such recordings
		return nil, err
	}
	defer func() { err = errors.Join(err, agent.AsBatch(false)) }()
	s := &Soak{Video: in.video, Bundle: in.rel, Cameras: c.Cameras}
	other, err := in.rel.renamed(filepath.Join(in.dir, "other"))
	if err != nil {
		return nil, err
	}
	k := &soaking{c: &c, soak: s, dirs: [2]string{in.rel.dir.Path, other.Path}, source: in.once()}
	// The first pipeline of a process makes what stays: the library's threads, tables, buffers.
	if err := k.open(); err != nil {
		return nil, err
	}
	if err := errors.Join(k.take(ctx, true), k.close()); err != nil {
		return nil, err
	}
	k.settle(ctx)
	s.Before = hold()
	if err := k.open(); err != nil {
		return nil, err
	}
	if err := errors.Join(k.run(ctx), k.close()); err != nil {
		return nil, err
	}
	k.settle(ctx)
	s.After = hold()
	s.Left = s.Before.left(&s.After)
	s.Growth = float64(s.End.RSS-s.Start.RSS) / float64(max(s.Start.RSS, 1))
	return s, nil
}

// once is the video as a recording that is read once, as fast as it can be.
func (in *inputs) once() capture.Config {
	c := in.fast()
	c.Loop = false
	return c
}

// soaking is a soak at work.
type soaking struct {
	c      *SoakConfig
	soak   *Soak
	dirs   [2]string // of the releases that take turns
	source capture.Config

	bench   *agent.Bench
	samples atomic.Int64 // of the take that plays
	middle  chan struct{}
}

func (k *soaking) open() (err error) {
	cfg := agent.BenchConfig{Bundle: k.dirs[0], Role: agent.RoleEgo, Runtime: k.c.runtime(), Log: k.c.Log, Observe: func(int, *agent.FrameTimes) {
		if k.samples.Add(1) == swapAfter {
			select {
			case k.middle <- struct{}{}:
			default:
			}
		}
	}}
	for range k.c.Cameras {
		cfg.Cameras = append(cfg.Cameras, agent.BenchCamera{Sources: []capture.Config{k.source}})
	}
	k.bench, err = agent.NewBench(cfg)
	return err
}

func (k *soaking) close() error { return k.bench.Close() }

// swapAfter is how many samples of a take come before another release takes over.
const swapAfter = 8

// take plays one take, in whose middle another release may take over.
func (k *soaking) take(ctx context.Context, swap bool) error {
	if !swap {
		return k.bench.Run(ctx)
	}
	k.samples.Store(0)
	k.middle = make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() { done <- k.bench.Run(ctx) }()
	select {
	case err := <-done:
		return err // it was shorter than that
	case <-k.middle:
	}
	k.soak.Swaps++
	err := k.bench.Swap(ctx, k.dirs[k.soak.Swaps%2])
	return errors.Join(<-done, err)
}

func (k *soaking) frames() (frames, samples uint64) {
	for i := range k.c.Cameras {
		n := k.bench.Counters(i)
		frames += n["frames_read"]
		samples += n["samples"]
	}
	return frames, samples
}

// run plays takes until there have been enough frames.
func (k *soaking) run(ctx context.Context) error {
	s, began := k.soak, time.Now()
	s.Swaps = 0
	all := uint64(k.c.Frames)
	warm := false
	for next := uint64(0); ; {
		if s.Frames, s.Samples = k.frames(); s.Frames >= next {
			now := hold()
			s.Curve = append(s.Curve, Point{s.Frames, now.RSS, now.Heap})
			next = s.Frames + max(all/soakPoints, 1)
			if !warm && float64(s.Frames) >= soakWarmUp*float64(all) && s.Takes > 0 {
				warm, s.Start = true, now
			}
		}
		k.c.progress("soak", int(min(s.Frames, all)), int(all))
		if s.Frames >= all && s.Takes > 1 {
			break
		}
		if err := k.take(ctx, k.c.Swaps > 0 && s.Takes%k.c.Swaps == k.c.Swaps-1); err != nil {
			return err
		}
		s.Takes++
	}
	s.End = hold()
	s.Curve = append(s.Curve, Point{s.Frames, s.End.RSS, s.End.Heap})
	s.Seconds = time.Since(began).Seconds()
	s.Hours = float64(s.Frames) / float64(k.c.Cameras) / s.Video.FPS / 3600
	s.Losses = map[string]uint64{}
	for i := range k.c.Cameras {
		for name, n := range k.bench.Counters(i) {
			if isLoss(name) {
				s.Losses[name] += n
			}
		}
	}
	return nil
}

// settle gives goroutines that were told to end the time to do so.
func (k *soaking) settle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n, same := runtime.NumGoroutine(), 0; same < 10; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := runtime.NumGoroutine(); now == n {
			same++
		} else {
			n, same = now, 0
		}
	}
}

// left lists what a later state has that this one had not.
func (s *State) left(after *State) []string {
	list := []string{}
	for _, x := range []struct {
		what          string
		before, after int
	}{
		{"goroutines", s.Goroutines, after.Goroutines}, {"Mats", s.Mats, after.Mats}, {"models of ONNX Runtime", int(s.ORT.Models), int(after.ORT.Models)},
		{"bindings", int(s.ORT.Bindings), int(after.ORT.Bindings)}, {"tensors", int(s.ORT.Tensors), int(after.ORT.Tensors)},
	} {
		if x.after > x.before {
			list = append(list, fmt.Sprintf("%d %s", x.after-x.before, x.what))
		}
	}
	if after.Files > s.Files {
		var names []string
		for fd, name := range after.files {
			if s.files[fd] != name {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		list = append(list, fmt.Sprintf("%d files, among them %q", after.Files-s.Files, names))
	}
	return list
}

// Missed lists the targets that are missed.
func (s *Soak) Missed() []string {
	list := []string{}
	if s.Growth > targetGrowth {
		list = append(list, fmt.Sprintf("memory grew by %.2f %%, want at most %g %%", 100*s.Growth, 100*targetGrowth))
	}
	for _, l := range s.Left {
		list = append(list, l+" are left over")
	}
	for name, n := range s.Losses {
		list = append(list, fmt.Sprintf("%s is %d, a recording loses nothing", name, n))
	}
	slices.Sort(list)
	return list
}

// Print writes the soak as tables.
func (s *Soak) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %dx%d at %g fps, %d frames, decoded take after take; bundle %s, %g Hz\n", s.Video.File, s.Video.Width, s.Video.Height, s.Video.FPS,
		s.Video.Frames, s.Bundle.Release, s.Bundle.RateHz)
	fmt.Fprintf(out, "%d frames (%.1f hours at the camera's pace), %d samples, %d takes, %d changes of release in %.0f s\n\n", s.Frames, s.Hours, s.Samples,
		s.Takes, s.Swaps, s.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\tmemory\tGo's heap\tgoroutines\tfiles\tMats\tmodels\tbindings\ttensors\t\n")
	for _, x := range []struct {
		when string
		State
	}{{"before", s.Before}, {"start", s.Start}, {"end", s.End}, {"closed", s.After}} {
		mats := "not counted"
		if x.Mats >= 0 {
			mats = fmt.Sprint(x.Mats)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%d\t\n", x.when, megabytes(x.RSS), megabytes(int64(x.Heap)), x.Goroutines, x.Files, mats,
			x.ORT.Models, x.ORT.Bindings, x.ORT.Tensors)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nmemory grew by %.2f %% from start to end (at most %g %% is wanted); left over: %v\n", 100*s.Growth, 100*targetGrowth, s.Left)
	return nil
}
