package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

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
	// events takes segment events, and the bounds of the take's samples; both are valid during the call.
	events(ctx context.Context, src *Source, m *model.Model, list []segment.Event, b *bounds) error
}

// pipeline is one camera's way from pictures to segments. take, ready and adopt are called by one goroutine; swap by one
// other.
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

	// Owned by the camera's goroutine.
	model    *model.Model
	sampler  *frame.Sampler
	time     siteTime
	bounds   bounds
	batcher  batcher
	features []float32
	logits   []float32
	seq      int64 // newest sample of the take, -1 before the first
	filled   int64 // the history reaches to this sample
	sees     int64 // the network has seen every sample from here on
	warn     throttle
	patience time.Duration // how long the first take waits for site time

	clock   func() time.Duration // of a Bench; nil elsewhere
	began   int64                // when it was made, on its cameras' clock
	observe func(*FrameTimes)    // may be nil
	times   FrameTimes           // of the present frame
}

func newPipeline(cfg *Config, count *counters, log *slog.Logger, adopted func(string)) *pipeline {
	return &pipeline{
		scores: cfg.Role == RoleExo, count: count, log: log, adopted: adopted, offered: make(chan struct{}, 1),
		batcher: batcher{device: cfg.Device}, warn: throttle{log: log},
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
		p.count.watch(nil)
	}()
	live := cam.Info().Live
	p.begin(src, live)
	p.log.Info("take begins", "take", src.Take, "source", cam.Info().Source, "live", live)
	for parts := 1; ; {
		f, err := cam.Next(next)
		if errors.Is(err, io.EOF) || err != nil && next.Err() != nil && reading.Err() == nil {
			return p.end(ctx, src)
		}
		if err != nil {
			if reading.Err() != nil {
				return join(reading.Err(), p.end(ctx, src))
			}
			return join(fmt.Errorf("take %s: %w", src.Take, err), p.end(ctx, src))
		}
		at, ok := p.time.place(f)
		if !ok {
			parts++
			if src, err = p.split(ctx, src, parts); err == nil {
				at, _ = p.time.place(f)
			}
		}
		if err == nil {
			err = p.frame(ctx, src, f, at)
		}
		cam.Release(f)
		if err != nil {
			return fmt.Errorf("take %s: %w", src.Take, err)
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

// split ends a take and begins its n-th part, because site time would go back otherwise.
func (p *pipeline) split(ctx context.Context, src *Source, n int) (*Source, error) {
	if err := p.end(ctx, src); err != nil {
		return src, err
	}
	next := *src
	next.Take = part(src.Take, n)
	p.log.Warn("the site's time lies behind what was taken for it: another take begins", "take", next.Take, "before", src.Take)
	p.begin(&next, true)
	return &next, nil
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

// begin forgets the take before, even one that broke off.
func (p *pipeline) begin(src *Source, live bool) {
	p.model.Segmenter.Finish(segment.EndOfTake)
	p.sampler.Reset()
	p.history.clear()
	from := camera{live: live, start: src.Capture.Start != 0}
	p.time.begin(from)
	p.bounds.clear()
	p.batcher.begin(src.Take, from)
	p.seq, p.filled, p.sees = -1, -1, 0
	p.out.begin(src, live)
}

// frame takes one frame of the camera and its place on site time. What is wrong with a single frame is counted, and the
// stream goes on; errors are the output's. Ticks are counted on the device's clock, which is as steady as any: what is
// found out about site time moves samples, and neither loses nor doubles any.
func (p *pipeline) frame(ctx context.Context, src *Source, f *frame.Frame, at placement) error {
	p.count.add("frames", 1)
	p.times = FrameTimes{Captured: p.since(f.Arrival), Taken: p.now()}
	o := p.offer()
	back := p.sampler.Stats().Back
	seq, skipped, ok := p.sampler.Take(f.Time)
	if !ok {
		if p.sampler.Stats().Back > back {
			p.lose("time_went_back", 1)
		} else {
			p.count.add("frames_surplus", 1)
		}
		return nil
	}
	if skipped > 0 {
		p.lose("no_frame_for_tick", uint64(skipped))
	}
	p.bridge(seq)
	if o != nil && p.next.CompareAndSwap(o, nil) {
		if err := p.change(ctx, src, o, seq, at.at); err != nil {
			return err
		}
	}
	p.times.BeganPrepare = p.now()
	p.times.Prepared, p.times.BeganExtract = p.times.BeganPrepare, p.times.BeganPrepare
	if err := p.model.Extractor.Extract(f.Mat, p.features); err != nil {
		p.lose("extractor", 1)
		p.warn.log1("frame dropped: the extractor fails", src.Take, err)
		return nil
	}
	p.times.Seq, p.times.Extracted = seq, p.now()
	p.times.BeganSegment = p.times.Extracted
	events, err := p.model.Segmenter.Push(seq, at.at, p.features)
	if err != nil {
		p.lose("segmenter", 1)
		p.warn.log1("sample dropped: the segmenter fails", src.Take, err)
		return nil
	}
	p.history.add(p.features)
	p.bounds.add(seq, at.bound)
	p.seq, p.filled = seq, seq
	p.count.add("samples", 1)
	p.times.Segmented = p.now()
	p.times.BeganHand, p.times.Events = p.times.Segmented, len(events)
	if len(events) > 0 {
		if err := p.out.events(ctx, src, p.model, events, &p.bounds); err != nil {
			return err
		}
	}
	s := sample{seq: seq, raw: f.Raw, site: at.at, bound: at.bound, kind: f.RawKind, source: at.source, features: p.features}
	if p.scores {
		p.score(&s)
	}
	done, overflow := p.batcher.add(&s)
	if overflow {
		p.lose("fp16_overflow", 1)
		p.warn.log1("sample dropped: a feature is too large for fp16", src.Take, nil)
	}
	if done != nil {
		p.times.Batches++
		if err := p.out.batch(ctx, src, done); err != nil {
			return err
		}
	}
	p.times.HandedOn = p.now()
	if p.observe != nil {
		p.observe(&p.times)
	}
	return nil
}

// now is the time of a Bench, 0 elsewhere.
func (p *pipeline) now() time.Duration {
	if p.clock == nil {
		return 0
	}
	return p.clock()
}

// since brings a camera's time to that of a Bench.
func (p *pipeline) since(arrival int64) time.Duration {
	if p.clock == nil {
		return 0
	}
	return time.Duration(arrival - p.began)
}

// lose counts what the take loses.
func (p *pipeline) lose(reason string, n uint64) {
	p.count.drop(reason, n)
	p.batcher.skip(reason, n)
}

// bridge keeps the history what the segmenter sees: before the sample seq, lost samples are filled in, and a gap that is
// too long forgets what was before.
func (p *pipeline) bridge(seq int64) {
	if p.seq < 0 {
		return
	}
	if seq-p.seq-1 > p.model.Segmenter.Bridge() {
		p.history.clear()
		p.sees = seq
	} else {
		p.history.repeat(seq - p.filled - 1)
	}
	p.filled = seq - 1
}

// score adds the teacher's scores of the sample that the committed head has just seen the future of, if the network has
// seen that sample.
func (p *pipeline) score(s *sample) {
	lag := int64(p.model.Segmenter.Lag())
	if s.seq-lag < p.sees {
		return
	}
	for i, v := range p.model.Segmenter.Scores(len(p.model.Bundle.Segmenter.Heads) - 1) {
		p.logits[i] = float32(math.Log(math.Max(float64(v), 1e-12)))
	}
	s.scores, s.scoreSeq = p.logits, s.seq-lag
}

// end closes the take.
func (p *pipeline) end(ctx context.Context, src *Source) error {
	events := p.model.Segmenter.Finish(segment.EndOfTake)
	if len(events) > 0 {
		if err := p.out.events(ctx, src, p.model, events, &p.bounds); err != nil {
			return err
		}
	}
	p.log.Info("take ends", "take", src.Take, "samples", p.seq+1)
	return p.out.batch(ctx, src, p.batcher.end(p.seq+1))
}

// close frees the running model.
func (p *pipeline) close() error {
	if p.model == nil {
		return nil
	}
	return p.model.Close()
}
