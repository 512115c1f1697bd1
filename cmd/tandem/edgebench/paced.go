package edgebench

import (
	"context"
	"errors"
	"time"

	"tandem/agent"
	"tandem/stream/capture"
)

// Paced is the pipeline on cameras that give their frames at their own pace and wait for nobody.
type Paced struct {
	FPS     float64 `json:"fps"` // of each camera
	RateHz  float64 `json:"rate_hz"`
	Cameras int     `json:"cameras"`
	Seconds float64 `json:"seconds"`
	Samples int     `json:"samples"`
	Due     int     `json:"due"` // samples that there would be if none were skipped
	// Lost are frames and samples that were skipped, by reason.
	Lost map[string]uint64 `json:"lost,omitempty"`
	// Decode is how long the camera's pictures took to be decoded, which the delays contain.
	Decode Times `json:"decode"`
	// Label is from the capture of a frame, before it is decoded, until its provisional label is known, and Published until its
	// segment events have been handed on.
	Label     Times  `json:"label"`
	Published Times  `json:"published"`
	Stages    Stages `json:"stages"`
}

// paced runs the pipeline at the video's pace, at each rate, and with more cameras if that is asked for.
func (in *inputs) paced(ctx context.Context, r *Report) error {
	if in.c.Paced == 0 {
		return nil
	}
	rates, counts := in.rates(), []int{1}
	if in.c.Cameras > 1 {
		counts = append(counts, in.c.Cameras)
	}
	done := 0
	for _, cameras := range counts {
		for _, rate := range rates {
			in.c.progress("paced", done, len(counts)*len(rates))
			p, err := in.pace(ctx, rate, cameras)
			if err != nil {
				return err
			}
			r.Paced = append(r.Paced, p)
			done++
		}
	}
	in.c.progress("paced", done, done)
	return nil
}

func (in *inputs) pace(ctx context.Context, rate float64, cameras int) (_ Paced, err error) {
	p := Paced{FPS: in.video.FPS, RateHz: rate, Cameras: cameras}
	d, err := in.atRate(rate)
	if err != nil {
		return p, err
	}
	list := make([]*camera, cameras)
	b, err := newBench(in.c, d, cameras, func(i int) capture.Config {
		list[i] = newCamera()
		c := in.fast()
		c.Pace, c.Overflow, c.Clock = capture.ByStamps, capture.DropOldest, list[i]
		return c
	})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	b.watch = func(i int, t *agent.FrameTimes) time.Duration {
		// The capture hands a frame over right after its wait.
		at, ok := list[i].capturedBefore(b.start.Add(t.Captured + time.Millisecond/10))
		if !ok {
			return t.Captured
		}
		return at.Sub(b.start)
	}
	if err := b.run(ctx, in.c.Paced); err != nil {
		return p, err
	}
	var label, published, decoding []time.Duration
	var all []agent.FrameTimes
	for i, o := range b.seen {
		n, took := o.count()
		p.Samples += n
		p.Seconds = max(p.Seconds, took.Seconds())
		if n > 1 {
			p.Due += int(took.Seconds()*rate + 0.5)
		}
		for j, t := range o.kept() {
			label = append(label, t.Segmented-o.captured[j])
			published = append(published, t.HandedOn-o.captured[j])
		}
		all = append(all, o.kept()...)
		decoding = append(decoding, list[i].decoding...)
	}
	p.Label, p.Published, p.Decode, p.Stages, p.Lost = timesOf(label), timesOf(published), timesOf(decoding), stages(all), b.lost()
	return p, nil
}
