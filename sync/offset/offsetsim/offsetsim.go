// Package offsetsim measures how well offsets are told from content: on rendered takes of the simulated cell, whose clocks are
// put wrong by a known offset, on takes of different sessions, which must be refused, and on feature streams that are shifted.
package offsetsim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/sim"
	"tandem/sync/offset"
	"tandem/sync/offset/motion"
)

// Targets of the figures.
const (
	TargetMedian  = 0.5  // frames of error
	TargetP95     = 1    // frames
	TargetRefused = 0.99 // share of takes of different sessions
)

// Config says how much is measured. The zero value is the full measurement.
type Config struct {
	Seed     uint64        // of the takes; 0 is 2027
	Takes    int           // of each scene; 0 is 6, at least 2
	Length   time.Duration // of a take; 0 is a minute
	Scenes   int           // how many of the kinds of sites; 0 is all
	Threads  int           // 0 is two
	Progress func(done, total int)

	search offset.Search // of tests, for which a minute is too long
}

// farthest is the largest offset that takes are given, on either side.
func (c Config) farthest() time.Duration {
	if c.search.Band > 0 {
		return c.search.Band / 2
	}
	return 3 * time.Second
}

// Report is what was found.
type Report struct {
	Scenes   []Scene   `json:"scenes"`
	Features *Features `json:"features,omitempty"` // if there were any
}

// Scene is what was found of one kind of site. Frames are those of the slowest camera.
type Scene struct {
	Scene    string  `json:"scene"`
	Takes    int     `json:"takes"`
	Seconds  float64 `json:"seconds"` // of a take
	FrameMS  float64 `json:"frame_ms"`
	Single   Errors  `json:"single"`      // of each fixed camera
	Joint    Errors  `json:"joint"`       // of both together, whose clock is one
	MsSecond float64 `json:"ms_a_second"` // of reading and measuring a second of one camera's video, on this machine
}

// Errors are those of offsets between cameras of one take, and how many of different takes were refused.
type Errors struct {
	Offsets   int     `json:"offsets"`
	Claimed   int     `json:"claimed"`
	MedianMS  float64 `json:"median_ms"` // of all, claimed or not
	P95MS     float64 `json:"p95_ms"`
	WorstMS   float64 `json:"worst_ms"`
	BoundMS   float64 `json:"bound_ms"` // median
	Exceeded  int     `json:"exceeded"` // claimed offsets that are off by more than their bound
	Unrelated int     `json:"unrelated"`
	Refused   int     `json:"refused"`
	Called    int     `json:"called_unrelated"` // of the refused
}

// scene is a kind of site.
type scene struct {
	name    string
	cameras []sim.Camera
	slowest float64 // fps
}

func scenes() []scene {
	clock := sim.Clock{Jitter: 2 * time.Millisecond, Drop: 0.01, Double: 0.005}
	return []scene{
		{"15 fps", []sim.Camera{{ID: "exo1", FPS: 15, Clock: clock}, {ID: "exo2", FPS: 15, Clock: clock}, {ID: "ego", FPS: 15, Clock: clock}}, 15},
		{"15, 25 and 30 fps", []sim.Camera{
			{ID: "exo1", FPS: 25, Clock: clock, Width: 256, Height: 192}, {ID: "exo2", FPS: 15, Clock: clock, Width: 480, Height: 270},
			{ID: "ego", FPS: 30, Clock: clock, Width: 240, Height: 240},
		}, 15},
	}
}

// take is a rendered and measured take. Its times begin with the take.
type take struct {
	ego  offset.Activity
	exo  []offset.Activity
	own  []float64 // seconds by which each exo camera is late
	same []offset.Activity
	// shared is the offset of same, the exo cameras on one clock.
	shared float64
}

// Measure renders the takes into a temporary directory, which it removes, and compares their cameras.
func Measure(ctx context.Context, cfg Config) (_ *Report, err error) {
	if cfg.Seed == 0 {
		cfg.Seed = 2027
	}
	if cfg.Takes == 0 {
		cfg.Takes = 6
	}
	if cfg.Length == 0 {
		cfg.Length = time.Minute
	}
	if cfg.Threads == 0 {
		cfg.Threads = 2
	}
	if cfg.Takes < 2 {
		return nil, fmt.Errorf("%d takes of a scene, expected at least 2", cfg.Takes)
	}
	dir, err := os.MkdirTemp("", "tandem-offset-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list := scenes()
	if cfg.Scenes > 0 {
		list = list[:min(cfg.Scenes, len(list))]
	}
	steps := make(chan struct{})
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		done := 0
		for range steps {
			done++
			if cfg.Progress != nil {
				cfg.Progress(done, 2*cfg.Takes*len(list))
			}
		}
	}()
	step := func() { steps <- struct{}{} }
	r := &Report{}
	for i, sc := range list {
		s, err := cfg.scene(ctx, filepath.Join(dir, fmt.Sprint(i)), sc, step)
		if err != nil {
			close(steps)
			<-reported
			return nil, fmt.Errorf("%s: %w", sc.name, err)
		}
		r.Scenes = append(r.Scenes, s)
	}
	close(steps)
	<-reported
	return r, nil
}

func (c Config) scene(ctx context.Context, dir string, sc scene, step func()) (Scene, error) {
	takes := make([]*take, c.Takes)
	spent := make([]float64, c.Takes)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Threads)
	for i := range takes {
		g.Go(func() (err error) {
			takes[i], spent[i], err = c.take(gctx, filepath.Join(dir, fmt.Sprint(i)), sc, i)
			step()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Scene{}, err
	}
	found := make([]comparison, c.Takes)
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(c.Threads)
	for i := range takes {
		g.Go(func() (err error) {
			found[i], err = c.compare(gctx, takes, i)
			step()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Scene{}, err
	}
	var all comparison
	var secs float64
	for i, f := range found {
		all.single.add(f.single)
		all.joint.add(f.joint)
		secs += spent[i]
	}
	cameras := float64(len(sc.cameras))
	return Scene{
		Scene: sc.name, Takes: c.Takes, Seconds: c.Length.Seconds(), FrameMS: 1000 / sc.slowest, Single: all.single.errors(), Joint: all.joint.errors(),
		MsSecond: 1000 * secs / (float64(c.Takes) * cameras * c.Length.Seconds()),
	}, nil
}

// take renders a take whose exo cameras are late by offsets of their own, and measures it.
func (c Config) take(ctx context.Context, dir string, sc scene, index int) (*take, float64, error) {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(index)))
	cfg := sim.Config{Seed: c.Seed, Length: c.Length, FPS: sc.slowest, Cameras: slices.Clone(sc.cameras)}
	late := func() time.Duration { return time.Duration((2*rng.Float64() - 1) * float64(c.farthest())) }
	t := &take{shared: late().Seconds()}
	for i := range cfg.Cameras {
		if cfg.Cameras[i].ID != "ego" {
			cfg.Cameras[i].Offset = late()
			t.own = append(t.own, cfg.Cameras[i].Offset.Seconds())
		}
	}
	truth, err := sim.Render(ctx, cfg, sim.TakeSpec{Index: index}, dir, nil)
	if err != nil {
		return nil, 0, err
	}
	var spent time.Duration
	for i, cam := range truth.Cameras {
		video := motion.VideoConfig{Source: filepath.Join(dir, cam.Video), Stamps: true}
		if cam.Kind == "ego" {
			video.Mount = motion.Head
		}
		began := time.Now()
		v, err := motion.ReadVideo(ctx, video)
		if err != nil {
			return nil, 0, err
		}
		spent += time.Since(began)
		// Takes follow one another in site time; those of different sessions are compared as if they had begun together.
		a := moved(v.Activity, -truth.StartNS)
		if cam.Kind == "ego" {
			t.ego = a
			continue
		}
		t.exo = append(t.exo, a)
		t.same = append(t.same, moved(a, int64(1e9*(t.shared-t.own[i]))))
	}
	return t, spent.Seconds(), os.RemoveAll(dir)
}

// moved is an activity on a clock that is by later.
func moved(a offset.Activity, by int64) offset.Activity {
	times := make([]int64, len(a.Times))
	for i, t := range a.Times {
		times[i] = t + by
	}
	a.Times = times
	return a
}

// comparison is what was found of some takes.
type comparison struct{ single, joint tally }

// compare compares the cameras of a take with each other, and with those of all others.
func (c Config) compare(ctx context.Context, takes []*take, i int) (comparison, error) {
	var found comparison
	one := takes[i]
	for j, other := range takes {
		if err := ctx.Err(); err != nil {
			return found, err
		}
		for k, exo := range other.exo {
			m, err := offset.Compare(one.ego, exo, c.search)
			if err := found.single.note(m, err, i == j, one.own[k]); err != nil {
				return found, err
			}
		}
		m, err := offset.Joint(one.ego, other.same, c.search)
		if err := found.joint.note(m, err, i == j, one.shared); err != nil {
			return found, err
		}
	}
	return found, nil
}

// tally collects matches.
type tally struct {
	wrong, bounds     []float64
	claimed, exceeded int
	unrelated         int
	refused, called   int
}

// note takes a match of one take, or of two.
func (t *tally) note(m offset.Match, err error, related bool, truth float64) error {
	if err != nil && !errors.Is(err, offset.ErrUnsure) {
		return err
	}
	if !related {
		t.unrelated++
		if err != nil {
			t.refused++
		}
		if errors.Is(err, offset.ErrUnrelated) {
			t.called++
		}
		return nil
	}
	wrong := math.Abs(m.Offset - truth)
	t.wrong = append(t.wrong, wrong)
	t.bounds = append(t.bounds, m.Bound())
	if err == nil {
		t.claimed++
		if wrong > m.Bound() {
			t.exceeded++
		}
	}
	return nil
}

func (t *tally) add(o tally) {
	t.wrong, t.bounds = append(t.wrong, o.wrong...), append(t.bounds, o.bounds...)
	t.claimed, t.exceeded, t.unrelated = t.claimed+o.claimed, t.exceeded+o.exceeded, t.unrelated+o.unrelated
	t.refused, t.called = t.refused+o.refused, t.called+o.called
}

func (t *tally) errors() Errors {
	slices.Sort(t.wrong)
	slices.Sort(t.bounds)
	n := len(t.wrong)
	return Errors{
		Offsets: n, Claimed: t.claimed, MedianMS: 1e3 * t.wrong[n/2], P95MS: 1e3 * t.wrong[min(n-1, n*95/100)], WorstMS: 1e3 * t.wrong[n-1],
		BoundMS: 1e3 * t.bounds[n/2], Exceeded: t.exceeded, Unrelated: t.unrelated, Refused: t.refused, Called: t.called,
	}
}

// Missed returns each target that is missed, with what was found and what was expected.
func (r *Report) Missed() []string {
	var missed []string
	for _, s := range r.Scenes {
		for _, e := range []struct {
			name string
			Errors
		}{{"each camera", s.Single}, {"both cameras", s.Joint}} {
			say := func(format string, args ...any) {
				missed = append(missed, fmt.Sprintf("%s, %s: ", s.Scene, e.name)+fmt.Sprintf(format, args...))
			}
			if v := e.MedianMS / s.FrameMS; !(v <= TargetMedian) {
				say("the median error is %.2f frames, expected at most %g", v, TargetMedian)
			}
			if v := e.P95MS / s.FrameMS; !(v <= TargetP95) {
				say("95 %% of the errors are at most %.2f frames, expected at most %d", v, TargetP95)
			}
			if v := float64(e.Refused) / float64(max(e.Unrelated, 1)); !(v >= TargetRefused) {
				say("%.1f %% of other sessions' takes are refused, expected at least %g %%", 100*v, 100*TargetRefused)
			}
		}
	}
	if r.Features != nil {
		missed = append(missed, r.Features.missed()...)
	}
	return missed
}
