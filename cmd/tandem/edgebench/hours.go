package edgebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// Hours is what a frame costs the segmenter in the first hour of a take, and in the last. Two segmenters are brought to the ends of
// these hours and then timed in turns, so that a machine whose speed drifts does not tell them apart.
type Hours struct {
	RateHz float64 `json:"rate_hz"`
	Frames int     `json:"frames"` // pushed into the older one before it was timed
	Hour   float64 `json:"hour"`   // at which the older one was timed
	First  Times   `json:"first"`  // after an hour
	Last   Times   `json:"last"`
	// Ratio is the last hour's median over the first's, the median over blocks of frames that were timed in turns.
	Ratio float64 `json:"ratio"`
	// Grown is what the process's memory has grown by from hour 1 to the last, where the system tells.
	Grown  int64 `json:"rss_grown_bytes"`
	Events int   `json:"events"` // in all these hours
}

// Timing of the two segmenters: blocks in turns, each of so many frames.
const (
	hourBlocks = 60
	hourBlock  = 100
)

// pusher pushes features of a real video, over and over, into a segmenter: one endless take.
type pusher struct {
	s        *segment.Segmenter
	features []float32
	dim      int
	period   int64
	n        int64
	events   int
}

func (p *pusher) push() error {
	row := int(p.n) % (len(p.features) / p.dim) * p.dim
	p.n++
	events, err := p.s.Push(p.n, p.n*p.period, p.features[row:row+p.dim])
	p.events += len(events)
	return err
}

// hours times the segmenter at the end of the first hour and of the last.
func hours(ctx context.Context, c *Config, b *bundle.Dir, features []float32) (_ Hours, err error) {
	h := Hours{RateHz: b.RateHz, Hour: c.Hours}
	var both [2]*pusher
	for i := range both {
		s, err := segment.Open(b, c.options())
		if err != nil {
			return h, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		both[i] = &pusher{s: s, features: features, dim: b.Extractor.Dim, period: int64(1e9 / b.RateHz)}
	}
	first := int64(min(1, c.Hours/2) * 3600 * b.RateHz)
	all := int64(c.Hours * 3600 * b.RateHz)
	until := func(p *pusher, n int64) error {
		for p.n < n {
			if p.n%4096 == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				c.progress("hours", int(both[0].n+both[1].n), int(first+all))
			}
			if err := p.push(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(until(both[0], first), until(both[1], first)); err != nil {
		return h, err
	}
	before := resident()
	if err := until(both[1], all); err != nil {
		return h, err
	}
	h.Grown = resident().RSS - before.RSS
	h.Frames = int(both[1].n)
	var took [2][]time.Duration
	var ratios []float64
	for range hourBlocks {
		var medians [2]float64
		for i, p := range both {
			block := make([]time.Duration, hourBlock)
			for j := range block {
				at := time.Now()
				if err := p.push(); err != nil {
					return h, err
				}
				block[j] = time.Since(at)
			}
			took[i] = append(took[i], block...)
			slices.Sort(block)
			medians[i] = float64(block[hourBlock/2])
		}
		ratios = append(ratios, medians[1]/medians[0])
	}
	c.progress("hours", int(first+all), int(first+all))
	h.First, h.Last, h.Ratio, h.Events = timesOf(took[0]), timesOf(took[1]), median(ratios), both[1].events
	return h, nil
}

// featuresOf extracts the features of a video's first frames.
func featuresOf(b *bundle.Dir, path string, most int, opts ort.Options) (_ []float32, err error) {
	e, err := feature.Open(b, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	d, err := newDecoding(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	list := make([]float32, 0, most*b.Extractor.Dim)
	row := make([]float32, b.Extractor.Dim)
	for i := range most {
		if err := d.step(); err != nil {
			return nil, err
		}
		if d.frames <= i {
			break // it began again
		}
		if err := e.Extract(d.picture, row); err != nil {
			return nil, fmt.Errorf("%s, frame %d: %w", path, i, err)
		}
		list = append(list, row...)
	}
	return list, nil
}
