package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/stream/capture"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// Source is one take of a camera.
type Source struct {
	Take    string // token, unique for the device
	Capture capture.Config
	// NoPairs keeps the take's samples on the rig: it is segmented, not paired.
	NoPairs bool
	// Stop ends the take before its source does, when it is closed. Nil never does.
	Stop <-chan struct{}
}

// output receives what the pipeline makes. Its methods are called by the pipeline's goroutine and may block: that is how
// a recording is read no faster than it can be used.
type output interface {
	// begin is told of a take before anything of it comes, and whether its camera is live.
	begin(src *Source, live bool)
	// batch takes a finished batch of samples of the running take.
	batch(ctx context.Context, src *Source, b *wire.SampleBatch) error
	// events takes segment events of a bundle, and the bound of each; both are valid during the call.
	events(ctx context.Context, src *Source, b *bundle.Dir, list []segment.Event, bounds []int64) error
}

// pipeline is one camera's way from pictures to segments. take, ready and adopt are called by one goroutine; swap by one
// other. Within a take, the stages have the fields to themselves that are said to be theirs.
type pipeline struct {
	scores bool // teacher: batches carry class scores
	out    output
	count  *counters
	log    *slog.Logger

	next    atomic.Pointer[offer] // the model to change to; whoever sets it to nil owns it
	offered chan struct{}         // capacity 1: next was set
	history history
	running atomic.Pointer[running]
	adopted func(release string) // may be nil
	health  health
	rings   *rings

	// Of see.
	sampler  *frame.Sampler
	sieve    *frame.Sieve // of the capture, a take's own; nil for none
	time     siteTime
	patience time.Duration // how long the first take waits for site time

	// Of judge. see looks at the model, which changes only while it waits for that.
	model   *model.Model
	bounds  bounds
	batcher batcher
	logits  []float32
	seq     int64 // newest sample of the take, -1 before the first
	filled  int64 // the history reaches to this sample
	sees    int64 // the network has seen every sample from here on
	warn    throttle

	clock   func() time.Duration // of a Bench; nil elsewhere
	began   int64                // when it was made, on its cameras' clock
	observe func(*FrameTimes)    // may be nil
}

func newPipeline(cfg *Config, count *counters, log *slog.Logger, adopted func(string)) *pipeline {
	return &pipeline{
		scores: cfg.Role == RoleExo, count: count, log: log, adopted: adopted, offered: make(chan struct{}, 1),
		health: health{sick: make(chan struct{}, 1)}, rings: newRings(), batcher: batcher{device: cfg.Device}, warn: throttle{log: log},
		time: siteTime{bound: int64(cfg.Camera.clockBound()), latency: int64(cfg.Camera.LatencyError)},
	}
}

// take runs one take from its first frame to its last; it ends early, with reading's error, when reading does. Whatever
// has been made until then is handed on under ctx, the end of the take included. A source that cannot be opened or breaks
// is an error.
func (p *pipeline) take(reading, ctx context.Context, src *Source) (err error) {
	next, done := until(reading, src.Stop)
	defer done()
	if err := p.ready(next); err != nil {
		return reading.Err() // nil: stopped before it began
	}
	opened, err := p.prepare(next, src.Capture)
	if err == nil {
		err = p.sift(&opened)
	}
	if err != nil {
		if next.Err() != nil {
			return reading.Err()
		}
		return fmt.Errorf("take %s: %w", src.Take, err)
	}
	cam, err := capture.Open(reading, opened)
	if err != nil {
		return fmt.Errorf("take %s: %w", src.Take, err)
	}
	p.count.watch(cam.Stats)
	defer func() {
		err = join(err, cam.Close())
		trim()
		p.count.watch(nil)
	}()
	next, stop := context.WithCancel(next)
	defer stop()
	w := p.start(ctx, stop)
	live := cam.Info().Live
	w.begin(src, live)
	p.log.Info("take begins", "take", src.Take, "source", cam.Info().Source, "live", live)
	last, err := p.play(next, w, cam, src)
	w.end(last)
	switch {
	case err != nil && next.Err() == nil:
		err = fmt.Errorf("take %s: %w", last.Take, err)
	case err != nil:
		err = reading.Err() // nil: stopped
	}
	if failed := w.finish(); failed != nil {
		err = join(err, fmt.Errorf("take %s: %w", last.Take, failed))
	}
	return err
}

// play sees the camera's frames until there are no more (nil), it breaks, or next ends. It returns the part of the take that has
// not been ended.
func (p *pipeline) play(next context.Context, w *flow, cam *capture.Capture, src *Source) (*Source, error) {
	for parts := 1; ; {
		f, err := cam.Next(next)
		if errors.Is(err, io.EOF) {
			return src, nil
		}
		if err != nil {
			return src, err
		}
		at, ok := p.time.place(f)
		if !ok {
			parts++
			src = w.split(src, parts)
			at, _ = p.time.place(f)
		}
		ok = w.see(next, src, f, at)
		cam.Release(f)
		if !ok {
			return src, next.Err()
		}
	}
}

// prepare completes how a source is to be opened. A live camera waits a while for the site's time.
func (p *pipeline) prepare(ctx context.Context, c capture.Config) (_ capture.Config, err error) {
	if c.Stamper == nil {
		if c.Stamper, err = newStamper(); err != nil {
			return c, err
		}
	}
	if kind, err := capture.KindOf(c.Source); err != nil || !kind.Live() || p.time.base == nil {
		return c, nil //nolint:nilerr // opening it says more
	}
	c.Clock = p.time.base
	return c, p.time.ready(ctx, p.patience)
}

// sift has a recording's surplus frames come without their pictures. One that imitates a camera may lose frames after they were
// asked about, so that others are needed.
func (p *pipeline) sift(c *capture.Config) (err error) {
	p.sieve = nil
	if c.Overflow == capture.DropOldest {
		return nil
	}
	if p.sieve, err = frame.NewSieve(p.model.Bundle.RateHz); err == nil {
		c.Wants = p.sieve.Wants
	}
	return err
}

// split ends a take and begins its n-th part, because site time would go back otherwise.
func (w *flow) split(src *Source, n int) *Source {
	w.end(src)
	next := w.p.part(src, n)
	w.begin(next, true)
	return next
}

// part is the n-th part of a take.
func (p *pipeline) part(src *Source, n int) *Source {
	next := *src
	next.Take = part(src.Take, n)
	p.log.Warn("the site's time lies behind what was taken for it: another take begins", "take", next.Take, "before", src.Take)
	return &next
}

// until returns a context that ends with ctx or when stop is closed. done must be called.
func until(ctx context.Context, stop <-chan struct{}) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	if stop == nil {
		return ctx, cancel
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		wait.Wait()
	}
}

// close frees the running model and what the stages hold.
func (p *pipeline) close() error {
	err := p.rings.close()
	if p.model == nil {
		return err
	}
	return errors.Join(err, p.model.Close())
}
