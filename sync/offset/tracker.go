package offset

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Side is one of the two streams that a Tracker compares.
type Side uint8

// The sides.
const (
	One   Side = iota // the head-mounted camera's stream
	Other             // the fixed camera's
)

// TrackerConfig describes the two streams of a Tracker.
type TrackerConfig struct {
	// Dim is how many values a sample has, of One and of Other: features of any number, or channels of activity.
	Dim [2]int
	// Hz is the largest number of samples a second; a stream that has more is remembered for less than Window. Default 30.
	Hz float64
	// Window is the time that an estimate is made from, sliding; default 3 min.
	Window time.Duration
	// Scales are those of the novelty that features are compared by (FromFeatures); default 200 ms, 500 ms and 1 s.
	Scales []time.Duration
	// Activity says that samples are activity already, not features: then there are no Scales.
	Activity bool
	// Search says how the streams are compared. Its Drop defaults to 5 s here: novelty is slower than motion.
	Search Search
}

// Tracker estimates the offset between two live streams again and again, over a sliding window. Add takes samples of either
// side as they come, in bounded memory and without allocating; Estimate compares what is there, and is meant to be called now and
// then: it takes as long as a Compare of the window. Both may be called at the same time.
//
//	t, err := offset.NewTracker(offset.TrackerConfig{Dim: [2]int{64, 128}})
//	t.Add(offset.One, egoTime, egoFeatures)
//	t.Add(offset.Other, exoTime, exoFeatures)
//	...
//	m, err := t.Estimate() // errors.Is(err, offset.ErrUnsure): nothing is claimed
//
// With times that are site time already, the offset is what the clocks miss: 0 if they are right. It contradicts a pair's
// bound where |m.Offset| is more than m.Bound() and the pair's bound together.
type Tracker struct {
	cfg TrackerConfig

	mu    sync.Mutex
	sides [2]history
}

// history is a ring of samples.
type history struct {
	times  []int64
	values []float32
	next   int // where the next one goes
	n      int
	late   uint64
}

// NewTracker returns a Tracker. It keeps Window·Hz samples of each side: 4 bytes a value, so 2.8 MB for 64 and 64 features.
func NewTracker(cfg TrackerConfig) (*Tracker, error) {
	if cfg.Hz == 0 {
		cfg.Hz = 30
	}
	if cfg.Window == 0 {
		cfg.Window = 3 * time.Minute
	}
	if cfg.Search.Drop == 0 && !cfg.Activity {
		cfg.Search.Drop = 5 * time.Second
	}
	if len(cfg.Scales) == 0 {
		cfg.Scales = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second}
	}
	cfg.Search = cfg.Search.defaults()
	if err := cfg.Search.check(); err != nil {
		return nil, err
	}
	samples := cfg.Hz * cfg.Window.Seconds()
	switch {
	case cfg.Dim[One] < 1 || cfg.Dim[Other] < 1:
		return nil, fmt.Errorf("offset: samples of %d and %d values, expected at least 1 of each", cfg.Dim[One], cfg.Dim[Other])
	case !(cfg.Hz > 0) || !(samples <= 1<<22):
		return nil, fmt.Errorf("offset: a window of %v at %g Hz, expected at most %d samples", cfg.Window, cfg.Hz, 1<<22)
	case cfg.Window < cfg.Search.Shortest():
		return nil, fmt.Errorf("offset: a window of %v for a band of %v, expected at least %v", cfg.Window, cfg.Search.Band, cfg.Search.Shortest())
	}
	t := &Tracker{cfg: cfg}
	for i := range t.sides {
		n := int(math.Ceil(samples))
		t.sides[i] = history{times: make([]int64, n), values: make([]float32, n*cfg.Dim[i])}
	}
	return t, nil
}

// Add takes a sample: its time in nanoseconds and its values, which are copied. One that is not later than the one before it on
// its side is left out and counted (Late): a tracker wants a stream in order, and can do without some of it. Values of
// another number, and values that are not finite, are errors.
func (t *Tracker) Add(side Side, at int64, values []float32) error {
	if side > Other || len(values) != t.cfg.Dim[side] {
		return fmt.Errorf("offset: a sample of %d values on side %d, expected %v", len(values), side, t.cfg.Dim)
	}
	for i, v := range values {
		if v-v != 0 {
			return fmt.Errorf("offset: value %d of a sample is %g, expected a finite number", i, v)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &t.sides[side]
	if last := (h.next + len(h.times) - 1) % len(h.times); h.n > 0 && at <= h.times[last] {
		h.late++
		return nil
	}
	h.times[h.next] = at
	copy(h.values[h.next*len(values):], values)
	h.next = (h.next + 1) % len(h.times)
	h.n = min(h.n+1, len(h.times))
	return nil
}

// Late returns how many samples of a side were left out because they were not later than the one before.
func (t *Tracker) Late(side Side) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sides[side].late
}

// Reset forgets all samples: of a device that started again, or whose clock was set.
func (t *Tracker) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.sides {
		t.sides[i].next, t.sides[i].n = 0, 0
	}
}

// Estimate compares the last Window of both sides. Its errors are those of Compare: one that wraps ErrUnsure says why nothing is
// claimed, which at first is that there is too little (TooShort).
func (t *Tracker) Estimate() (Match, error) {
	var list [2]Activity
	for side := range list {
		times, values := t.window(Side(side))
		if len(times) < 2 {
			return Match{}, &TooShort{Need: t.cfg.Search.Shortest()}
		}
		dim := t.cfg.Dim[side]
		if !t.cfg.Activity {
			a, err := FromFeatures(times, values, dim, t.cfg.Search.Hz, t.cfg.Scales...)
			if err != nil {
				return Match{}, err
			}
			list[side] = a
			continue
		}
		a := Activity{Times: times, Channels: make([][]float64, dim)}
		for c := range a.Channels {
			a.Channels[c] = make([]float64, len(times))
			for i := range times {
				a.Channels[c][i] = float64(values[i*dim+c])
			}
		}
		list[side] = a
	}
	return Compare(list[One], list[Other], t.cfg.Search)
}

// window copies the samples of a side that are no older than Window before the newest of both.
func (t *Tracker) window(side Side) (times []int64, values []float32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	newest := int64(math.MinInt64)
	for _, h := range t.sides {
		if h.n > 0 {
			newest = max(newest, h.times[(h.next+len(h.times)-1)%len(h.times)])
		}
	}
	h, dim := &t.sides[side], t.cfg.Dim[side]
	for k := range h.n {
		i := (h.next + len(h.times) - h.n + k) % len(h.times)
		if h.times[i] >= newest-int64(t.cfg.Window) {
			times = append(times, h.times[i])
			values = append(values, h.values[i*dim:(i+1)*dim]...)
		}
	}
	return times, values
}
