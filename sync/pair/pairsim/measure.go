package pairsim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"tandem/sim"
	"tandem/sync/pair"
)

// Targets of the figures.
const (
	TargetMade = 0.98 // share of the pairs that could be made
	TargetRate = 1e6  // pairs a second and core
)

// maxDt is how far apart the samples of a pair may be.
const maxDt = 50 * time.Millisecond

// Config says how much is measured. The zero value is the full measurement.
type Config struct {
	Takes    int           // of each scene; 0 is 4
	Length   time.Duration // of a take; 0 is ten minutes
	Progress func(done, total int)
}

// Report is what was found.
type Report struct {
	Scenes []Scene `json:"scenes"`
	Pairs  uint64  `json:"pairs"`
	// PairsPerSecond is how many pairs a core joins in a second of its time. It depends on the machine.
	PairsPerSecond float64 `json:"pairs_per_second"`
	BytesPerPair   float64 `json:"bytes_per_pair"` // allocated while it joins
}

// Scene is what was found of one kind of site. Times are in seconds.
type Scene struct {
	Scene     string      `json:"scene"`
	Clock     float64     `json:"clock"` // half-width of the site clock's interval
	Takes     int         `json:"takes"`
	Could     uint64      `json:"could"`     // pairs of frames that arrived, truly within max_dt of each other
	Made      uint64      `json:"made"`      // pairs that were made
	Share     float64     `json:"share"`     // of those that could be
	Exceeded  uint64      `json:"exceeded"`  // pairs whose true Δt lies outside Δt ± bound
	Worst     float64     `json:"worst"`     // largest distance of the true Δt from Δt
	WorstUse  float64     `json:"worst_use"` // the largest share of its bound that it used up
	MedianDt  float64     `json:"median_dt"` // of the true |Δt|
	Unlearned int         `json:"unlearned"` // frames before the rate was learned: their bound rejects them
	Counts    pair.Counts `json:"counts"`
	// CaughtUp says that a rig which was offline during the take and caught up has the same pairs.
	CaughtUp bool `json:"caught_up"`
}

// scene is a kind of site.
type scene struct {
	name   string
	clocks [3]sim.Clock // of exo1, exo2 and ego
	fps    [3]float64
	bound  time.Duration // half-width of the site clock's interval: package clock's targets for the link
	linear bool          // interpolated
}

func scenes() []scene {
	const ms = time.Millisecond
	clock := func(latency, offset time.Duration, ppm float64, jitter time.Duration) sim.Clock {
		return sim.Clock{Latency: latency, Offset: offset, SkewPPM: ppm, Jitter: jitter, Drop: 0.02, Double: 0.01}
	}
	wired := [3]sim.Clock{clock(30*ms, 1700*ms, 50, ms), clock(45*ms, -400*ms, -50, ms), clock(20*ms, 90*time.Second, 35, ms)}
	wireless := [3]sim.Clock{clock(60*ms, 700*ms, -50, 3*ms), clock(80*ms, -12*time.Second, 50, 3*ms), clock(25*ms, -3*time.Hour, -20, 3*ms)}
	same, mixed := [3]float64{30, 30, 30}, [3]float64{25, 30, 60}
	return []scene{
		{name: "wired", clocks: wired, fps: same, bound: ms / 2},
		{name: "wireless", clocks: wireless, fps: same, bound: 3 * ms},
		{name: "mixed rates", clocks: wired, fps: mixed, bound: ms / 2},
		{name: "wired, interpolated", clocks: wired, fps: same, bound: ms / 2, linear: true},
		{name: "wireless, interpolated", clocks: wireless, fps: same, bound: 3 * ms, linear: true},
	}
}

// Measure plays the takes of all scenes.
func Measure(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Takes == 0 {
		cfg.Takes = 4
	}
	if cfg.Length == 0 {
		cfg.Length = 10 * time.Minute
	}
	list := scenes()
	r := &Report{}
	for i := range list {
		s := Scene{Scene: list[i].name, Clock: list[i].bound.Seconds(), Takes: cfg.Takes, CaughtUp: true}
		tally := &tally{scene: &s}
		for take := range cfg.Takes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := list[i].play(uint64(i), take, cfg.Length, tally); err != nil {
				return nil, fmt.Errorf("scene %s: %w", list[i].name, err)
			}
			if cfg.Progress != nil {
				cfg.Progress(i*cfg.Takes+take+1, len(list)*cfg.Takes)
			}
		}
		tally.close()
		r.Scenes, r.Pairs = append(r.Scenes, s), r.Pairs+s.Made
	}
	var err error
	r.PairsPerSecond, r.BytesPerPair, err = speed()
	return r, err
}

// Missed returns each target that is missed.
func (r *Report) Missed() []string {
	var list []string
	for _, s := range r.Scenes {
		if s.Exceeded > 0 {
			list = append(list, fmt.Sprintf("%s: the true Δt of %d of %d pairs exceeds its bound, expected none", s.Scene, s.Exceeded, s.Made))
		}
		if !(s.Share >= TargetMade) {
			list = append(list, fmt.Sprintf("%s: %.2f %% of the pairs are made that could be, expected %g %%", s.Scene, 100*s.Share, 100*TargetMade))
		}
		if !s.CaughtUp {
			list = append(list, s.Scene+": a rig that catches up has other pairs")
		}
	}
	if !(r.PairsPerSecond >= TargetRate) {
		list = append(list, fmt.Sprintf("a core joins %.3g pairs a second, expected %g", r.PairsPerSecond, TargetRate))
	}
	if r.BytesPerPair > 0.1 {
		list = append(list, fmt.Sprintf("joining allocates %.1f bytes a pair, expected none", r.BytesPerPair))
	}
	return list
}

// play simulates one take and joins it.
func (sc *scene) play(seed uint64, index int, length time.Duration, to *tally) error {
	cfg := sim.Config{Seed: seed + 1, Length: length}
	for i, id := range sim.CameraIDs() {
		cfg.Cameras = append(cfg.Cameras, sim.Camera{ID: id, FPS: sc.fps[i], Clock: sc.clocks[i]})
	}
	planned, err := sim.NewScene(cfg, sim.TakeSpec{Index: index})
	if err != nil {
		return err
	}
	t := planned.Take()
	rng := rand.New(rand.NewPCG(seed, uint64(index)))
	var streams [3][]pair.Sample
	for i, id := range sim.CameraIDs() {
		c, ok := t.Camera(id)
		if !ok {
			return fmt.Errorf("the take has no camera %s", id)
		}
		var unlearned int
		if streams[i], unlearned, err = newDevice(t, c, sc.bound, rng).samples(t); err != nil {
			return err
		}
		to.scene.Unlearned += unlearned
		to.captures[i] = c.CaptureNS
	}
	return to.take(sc, streams)
}

// speed measures how fast one core joins, on a rig and a camera of 30 samples a second.
func speed() (pairs, bytes float64, err error) {
	const n = 1_000_000
	j, err := pair.New(pair.Config{Exo: []string{"exo1"}, MaxDt: maxDt, Buffer: 64})
	if err != nil {
		return 0, 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, made := threadTime(), 0
	for i := range int64(n) {
		at := i * 33_333_333
		if err := j.Exo(0, pair.Sample{Seq: i, Time: at}); err != nil {
			return 0, 0, err
		}
		if err := j.Ego(pair.Sample{Seq: i, Time: at + 1e6}); err != nil {
			return 0, 0, err
		}
		for _, ok := j.Next(); ok; _, ok = j.Next() {
			made++
		}
	}
	took := threadTime() - start
	runtime.ReadMemStats(&after)
	if took <= 0 || made < n/2 {
		return 0, 0, fmt.Errorf("%d pairs in %v", made, took)
	}
	return float64(made) / took.Seconds(), float64(after.TotalAlloc-before.TotalAlloc) / float64(made), nil
}
