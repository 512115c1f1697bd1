package agent

import (
	"math"
	"slices"
	"time"

	"tandem/stream/wire"
	"tandem/sync/offset"
)

// contentScales are the half-widths, in samples, of the windows whose means a curve compares.
var contentScales = [...]int{1, 2, 4}

const (
	contentHalf   = 4                      // the largest of them
	contentGap    = int64(2 * time.Second) // a curve does not reach across longer silence
	contentBack   = int64(time.Minute)     // time that goes back further is another recording
	contentMemory = 1000                   // samples over which a feature's deviation is learned
)

// curve is how much a stream of features changes, at some scales, over the newest samples: offset.Novelty online, with
// each feature's deviation as it has been lately. Memory is allocated by reset; add allocates nothing.
type curve struct {
	extractor string
	dim       int
	n         uint64 // samples seen since reset
	run       int    // of them without a gap
	mean, dev []float64
	rows      [][]float32 // the newest samples, a ring
	times     []int64     // of rows
	last      int64

	at     []int64   // the curve's instants, a ring
	bounds []float64 // of the samples' times, ns
	values [len(contentScales)][]float64
	head   int // the oldest
	len    int
}

func newCurve(capacity int) *curve {
	c := &curve{at: make([]int64, capacity), bounds: make([]float64, capacity)}
	for k := range c.values {
		c.values[k] = make([]float64, capacity)
	}
	return c
}

// use tells which extractor the next samples' features are of. Those of two are not compared.
func (c *curve) use(extractor string, dim int) {
	if c.extractor == extractor && c.dim == dim {
		return
	}
	c.extractor, c.dim, c.n, c.run = extractor, dim, 0, 0
	c.mean, c.dev = make([]float64, dim), make([]float64, dim)
	c.rows, c.times = make([][]float32, 2*contentHalf), make([]int64, 2*contentHalf)
	for i := range c.rows {
		c.rows[i] = make([]float32, dim)
	}
}

// add takes the next sample. What comes again is ignored.
func (c *curve) add(at, bound int64, features []byte) {
	if c.n > 0 {
		switch step := at - c.last; {
		case step <= 0 && step > -contentBack:
			return
		case step <= 0 || step > contentGap:
			c.run, c.len = 0, 0
		}
	}
	c.last = at
	slot := int(c.n % uint64(len(c.rows)))
	wire.F16(c.rows[slot], features)
	c.times[slot] = at
	c.n++
	c.run++
	c.learn(c.rows[slot])
	if c.run >= len(c.rows) {
		c.emit(bound)
	}
}

// learn brings the features' means and deviations up to date.
func (c *curve) learn(row []float32) {
	weight := 1 / float64(min(c.n, contentMemory))
	for d, v := range row {
		diff := float64(v) - c.mean[d]
		c.mean[d] += weight * diff
		c.dev[d] += weight * (diff*(float64(v)-c.mean[d]) - c.dev[d])
	}
}

// row returns the k-th newest sample's place.
func (c *curve) row(k int) int { return int((c.n - 1 - uint64(k)) % uint64(len(c.rows))) }

// emit appends the curve's value between the two samples in the middle of those that are kept.
func (c *curve) emit(bound int64) {
	if c.len == len(c.at) {
		c.head = (c.head + 1) % len(c.at)
		c.len--
	}
	i := (c.head + c.len) % len(c.at)
	c.len++
	newer, older := c.times[c.row(contentHalf-1)], c.times[c.row(contentHalf)]
	c.at[i], c.bounds[i] = older+(newer-older)/2, float64(bound)
	for k, half := range contentScales {
		c.values[k][i] = c.novelty(half)
	}
}

// novelty is the distance between the means of half samples after the middle and of half before it, each feature in its
// deviations.
func (c *curve) novelty(half int) float64 {
	var sum float64
	for d := range c.dim {
		if !(c.dev[d] > 1e-12) {
			continue
		}
		var step float64
		for k := range half {
			step += float64(c.rows[c.row(contentHalf-1-k)][d]) - float64(c.rows[c.row(contentHalf+k)][d])
		}
		step /= float64(half)
		sum += step * step / c.dev[d]
	}
	return math.Sqrt(sum)
}

// reach returns the instants of the oldest and the newest value; false without any.
func (c *curve) reach() (first, last int64, ok bool) {
	if c.len == 0 {
		return 0, 0, false
	}
	return c.at[c.head], c.at[(c.head+c.len-1)%len(c.at)], true
}

// window copies the values from one instant to another into w and returns the median of the bounds there.
func (c *curve) window(from, to int64, w *offset.Activity, scratch []float64) (bound int64, sorted []float64) {
	w.Times = w.Times[:0]
	if w.Channels == nil {
		w.Channels = make([][]float64, len(contentScales))
	}
	for k := range w.Channels {
		w.Channels[k] = w.Channels[k][:0]
	}
	sorted = scratch[:0]
	for k := range c.len {
		i := (c.head + k) % len(c.at)
		if c.at[i] < from || c.at[i] > to {
			continue
		}
		w.Times = append(w.Times, c.at[i])
		sorted = append(sorted, c.bounds[i])
		for s := range w.Channels {
			w.Channels[s] = append(w.Channels[s], c.values[s][i])
		}
	}
	if len(sorted) == 0 {
		return 0, sorted
	}
	slices.Sort(sorted)
	return int64(sorted[len(sorted)/2]), sorted
}
