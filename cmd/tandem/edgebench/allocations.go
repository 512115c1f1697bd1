package edgebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"tandem/agent"
	"tandem/runtime/bundle"
	"tandem/stream/capture"
)

// Allocations are Go's on the way of a sample through the whole pipeline once it is warm, in any goroutine: reading the video and
// encoding messages included, opening the video not. Of several passes over the video, the one with the fewest a frame.
type Allocations struct {
	RateHz  float64 `json:"rate_hz"`
	Samples int     `json:"samples"`
	// Of samples that are far from any that brought about something to send. At low rates there are none: messages come every
	// second.
	Quiet    int     `json:"quiet_samples"`
	PerFrame float64 `json:"per_frame"` // mean of these
	Most     uint64  `json:"most"`
	// A segment event is a message, and so is a batch of about a second of samples: what the rest allocates is theirs.
	Messages   int     `json:"messages"`
	PerMessage float64 `json:"per_message"`
	Mean       float64 `json:"mean"` // a sample, messages included
}

// mallocs counts allocations from one sample to the next. It does not allocate.
type mallocs struct {
	stats runtime.MemStats
	last  uint64
	list  []counted
}

type counted struct {
	mallocs  uint64
	messages int
}

func (m *mallocs) observe(_ int, t *agent.FrameTimes) {
	runtime.ReadMemStats(&m.stats)
	if len(m.list) < cap(m.list) {
		m.list = append(m.list, counted{m.stats.Mallocs - m.last, t.Events + t.Batches})
	}
	m.last = m.stats.Mallocs
}

// sum fills in what was counted after the warm-up.
func (a *Allocations) sum(list []counted) {
	a.Samples = len(list)
	var all, quiet uint64
	for i, x := range list {
		all += x.mallocs
		a.Messages += x.messages
		near := list[max(0, i-inFlight):min(len(list), i+inFlight+1)]
		if slices.ContainsFunc(near, func(x counted) bool { return x.messages > 0 }) {
			continue
		}
		a.Quiet++
		quiet += x.mallocs
		a.Most = max(a.Most, x.mallocs)
	}
	a.PerFrame = float64(quiet) / float64(max(a.Quiet, 1))
	a.Mean = float64(all) / float64(max(a.Samples, 1))
	a.PerMessage = (float64(all) - a.PerFrame*float64(a.Samples)) / float64(max(a.Messages, 1))
}

// quietEnough is how many quiet samples there must be to judge by.
const quietEnough = 20

// inFlight is how many samples are in the pipeline at most: what is allocated for a message may be counted at one of the others.
const inFlight = 8

// Samples that are looked at at most, and those that warm up.
const (
	mallocSamples = 2000
	mallocWarmUp  = 200
	countedPasses = 3
)

// allocations counts what a pipeline allocates while it plays a video.
func allocations(ctx context.Context, c *Config, d *bundle.Dir, source capture.Config, samples int64) (_ Allocations, err error) {
	m := &mallocs{list: make([]counted, 0, mallocSamples)}
	a := Allocations{RateHz: d.RateHz}
	b, err := agent.NewBench(agent.BenchConfig{
		Bundle: d.Path, Role: agent.RoleEgo, Runtime: c.runtime(), Cameras: []agent.BenchCamera{{Sources: []capture.Config{source}}}, Log: c.Log,
		Observe: m.observe,
	})
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	// What Go's runtime keeps to let goroutines wait with, for each processor, it makes anew until each has its share, some hundred
	// altogether, and after each garbage collection: the video is played once before it counts, and then some times. What a frame's
	// work allocates shows each time.
	for pass := range 1 + countedPasses {
		m.list = m.list[:0]
		if err := b.Run(ctx); err != nil && !errors.Is(err, io.EOF) {
			return a, err
		}
		warm := int(min(mallocWarmUp, samples/3))
		if len(m.list) <= warm {
			return a, fmt.Errorf("allocations: the video has %d samples, which is too few to warm up and count; give a longer one", len(m.list))
		}
		counted := Allocations{RateHz: d.RateHz}
		counted.sum(m.list[warm:])
		if pass == 1 || pass > 1 && counted.PerFrame < a.PerFrame {
			a = counted
		}
	}
	return a, nil
}
