package edgebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/agent"
	"tandem/runtime/bundle"
	"tandem/stream/capture"
)

// Throughput is how fast the whole pipeline was, with recordings read as fast as they can be.
type Throughput struct {
	RateHz  float64 `json:"rate_hz"` // of the bundle: how many of the video's frames a second are samples
	Cameras int     `json:"cameras"`
	// Frames and samples a second, of all cameras together: medians of the rounds.
	FPS     float64   `json:"fps"`
	Samples float64   `json:"samples_per_s"`
	Round   []float64 `json:"rounds"`
	// Floor is what bare decoding and bare models allow at this rate, and Ratio the pipeline's share of it: the median of the
	// rounds, each compared with the floor that was measured right before and after it.
	Floor  float64           `json:"floor_fps"`
	Floors []float64         `json:"floors"`
	Ratio  float64           `json:"ratio"`
	Ratios []float64         `json:"ratios"`
	Lost   map[string]uint64 `json:"lost,omitempty"` // frames and samples that were dropped in the last round, by reason
	Stages Stages            `json:"stages"`         // of the first camera's samples in the last round
}

// Stages are the times of single samples in the parts of the pipeline, and from the camera to the segment.
type Stages struct {
	Prepare Times `json:"prepare"`
	Extract Times `json:"extract"`
	Segment Times `json:"segment"`
	HandOn  Times `json:"hand_on"`
}

// observer keeps the times of samples of one camera. It does not allocate.
type observer struct {
	mu       sync.Mutex
	samples  []agent.FrameTimes // the newest ones once it is full
	captured []time.Duration    // of the same samples, where somebody tells
	seen     int
	first    time.Duration // when the warm-up had ended
	last     time.Duration
	warm     int // samples that warm up
}

func newObserver(warm int) *observer {
	return &observer{samples: make([]agent.FrameTimes, mostSteps/4), captured: make([]time.Duration, mostSteps/4), warm: warm}
}

func (o *observer) observe(t *agent.FrameTimes, captured time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen++; o.seen < o.warm {
		return
	}
	if o.seen == o.warm {
		o.first = t.HandedOn
		return
	}
	o.last = t.HandedOn
	at := (o.seen - o.warm - 1) % len(o.samples)
	o.samples[at], o.captured[at] = *t, captured
}

// kept are the samples after the warm-up.
func (o *observer) kept() []agent.FrameTimes {
	return o.samples[:min(max(o.seen-o.warm, 0), len(o.samples))]
}

// count is how many samples came after the warm-up, and in what time.
func (o *observer) count() (int, time.Duration) { return max(o.seen-o.warm, 0), o.last - o.first }

// enough tells whether a rate can be told.
func (o *observer) enough() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen > o.warm+10
}

// reset forgets.
func (o *observer) reset() { o.seen, o.first, o.last = 0, 0, 0 }

// warmUp is how many samples the pipeline is run on before it is timed.
const warmUp = 30

// bench is a whole pipeline that can be run several times.
type bench struct {
	*agent.Bench
	seen    []*observer
	cameras int
	start   time.Time                                                // the zero of its clock
	watch   func(camera int, t *agent.FrameTimes) (at time.Duration) // when a sample was captured; may be nil
	before  map[string]uint64                                        // counts at the beginning of the run
}

// newBench opens the pipeline on a bundle. source makes the capture of each camera.
func newBench(c *Config, d *bundle.Dir, cameras int, source func(camera int) capture.Config) (*bench, error) {
	b := &bench{cameras: cameras}
	cfg := agent.BenchConfig{
		Bundle: d.Path, Role: agent.RoleEgo, Runtime: c.runtime(), Log: c.Log,
		Observe: func(camera int, t *agent.FrameTimes) {
			at := t.Captured
			if b.watch != nil {
				at = b.watch(camera, t)
			}
			b.seen[camera].observe(t, at)
		},
	}
	for i := range cameras {
		b.seen = append(b.seen, newObserver(warmUp))
		cfg.Cameras = append(cfg.Cameras, agent.BenchCamera{Sources: []capture.Config{source(i)}})
	}
	var err error
	if b.Bench, err = agent.NewBench(cfg); err != nil {
		return nil, err
	}
	b.start = time.Now().Add(-b.Now())
	return b, nil
}

// run runs the pipeline for so long, and longer until each camera has come to as many samples as a rate can be told from.
func (b *bench) run(ctx context.Context, length time.Duration) error {
	for _, o := range b.seen {
		o.reset()
	}
	b.before = b.counts()
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	var timer sync.WaitGroup
	timer.Go(func() {
		for wait := length; ; wait = length/10 + time.Millisecond {
			select {
			case <-time.After(wait):
			case <-limited.Done():
				return
			}
			if !slices.ContainsFunc(b.seen, func(o *observer) bool { return !o.enough() }) {
				cancel()
				return
			}
		}
	})
	err := b.Run(limited)
	cancel()
	timer.Wait()
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// rate is how many samples a second all cameras together came to in the last run.
func (b *bench) rate() (float64, error) {
	total := 0.0
	for i, o := range b.seen {
		n, took := o.count()
		if n < 2 || took <= 0 {
			return 0, fmt.Errorf("camera %d came to %d samples", i+1, n)
		}
		total += float64(n) / took.Seconds()
	}
	return total, nil
}

// counts adds the counters of all cameras up.
func (b *bench) counts() map[string]uint64 {
	sum := map[string]uint64{}
	for i := range b.cameras {
		for name, v := range b.Counters(i) {
			sum[name] += v
		}
	}
	return sum
}

// counted is what was counted in the last run.
func (b *bench) counted() map[string]uint64 {
	sum := b.counts()
	for name, v := range b.before {
		if sum[name] -= v; sum[name] == 0 {
			delete(sum, name)
		}
	}
	return sum
}

// share is how many samples there were for each frame in the last run.
func (b *bench) share() float64 {
	n := b.counted()
	return float64(n["samples"]) / float64(max(n["frames"], 1))
}

// lost are the losses of the last run by reason.
func (b *bench) lost() map[string]uint64 {
	list := map[string]uint64{}
	for name, v := range b.counted() {
		if isLoss(name) {
			list[name] = v
		}
	}
	return list
}

// isLoss tells whether a counter counts what was lost.
func isLoss(name string) bool { return strings.HasPrefix(name, "dropped_") }

// stages sums up the times of samples.
func stages(list []agent.FrameTimes) Stages {
	of := func(d func(*agent.FrameTimes) time.Duration) Times {
		times := make([]time.Duration, len(list))
		for i := range list {
			times[i] = d(&list[i])
		}
		return timesOf(times)
	}
	return Stages{
		Prepare: of(func(t *agent.FrameTimes) time.Duration { return t.Prepared - t.BeganPrepare }),
		Extract: of(func(t *agent.FrameTimes) time.Duration { return t.Extracted - t.BeganExtract }),
		Segment: of(func(t *agent.FrameTimes) time.Duration { return t.Segmented - t.BeganSegment }),
		HandOn:  of(func(t *agent.FrameTimes) time.Duration { return t.HandedOn - t.BeganHand }),
	}
}
