package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// BenchConfig says what a Bench runs.
type BenchConfig struct {
	Bundle  string        // directory of the bundle that all cameras run
	Role    string        // RoleEgo (default) or RoleExo
	Runtime RuntimeConfig // as in an agent's configuration
	Cameras []BenchCamera // at least one
	// Observe is told of each sample once all that was made of it has been handed on, by one goroutine a camera. t is valid
	// during the call.
	Observe func(camera int, t *FrameTimes)
	// Segment is told of each segment event, before the sample's Observe or at the end of a take. e is valid during the call.
	Segment func(camera int, release string, e *segment.Event)
	Log     *slog.Logger // by default nothing is logged
}

// BenchCamera is one camera of a Bench.
type BenchCamera struct {
	Device  string           // default cam-1, cam-2, …
	Sources []capture.Config // its takes, one after another
}

// FrameTimes is when what happened to one sample, by Bench.Now. What lies between the end of a step and the beginning of the next
// has been spent waiting.
type FrameTimes struct {
	Seq      int64
	Captured time.Duration // the picture was decoded; where a recording is paced, handed over
	Taken    time.Duration // it came out of the camera's ring

	BeganPrepare, Prepared  time.Duration // picture to input of the extractor
	BeganExtract, Extracted time.Duration
	BeganSegment, Segmented time.Duration // the provisional label is known
	BeganHand, HandedOn     time.Duration // events and batch were encoded and given to the sink

	Events, Batches int // that the sample has brought about
}

// Bench runs the pipeline of one or several cameras of one agent without a hub: what it makes is encoded as for the hub and
// let go. It is how the pipeline is measured.
type Bench struct {
	cfg     BenchConfig
	start   time.Time
	models  *model.Shelf
	cameras []*benchCamera
}

type benchCamera struct {
	BenchCamera
	*pipeline
	sink  benchSink
	takes int
	busy  chan struct{} // capacity 1: full while its takes play
}

// NewBench opens the bundle. The caller closes the bench.
func NewBench(cfg BenchConfig) (_ *Bench, err error) {
	cfg.Role = cmp.Or(cfg.Role, RoleEgo)
	switch {
	case cfg.Role != RoleExo && cfg.Role != RoleEgo:
		return nil, fmt.Errorf("bench: %w", bad("role", fmt.Sprintf("%q", cfg.Role), "exo or ego"))
	case len(cfg.Cameras) == 0:
		return nil, errors.New("bench: there is no camera, expected at least one")
	}
	if err := cfg.Runtime.validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bench{cfg: cfg, start: time.Now(), models: &model.Shelf{
		Selector: &model.Selector{Options: cfg.Runtime.options(), Log: cfg.Log}, Cameras: len(cfg.Cameras), Log: cfg.Log,
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	dir, err := bundle.Read(cfg.Bundle)
	if err != nil {
		return nil, err
	}
	for i, c := range cfg.Cameras {
		c.Device = cmp.Or(c.Device, fmt.Sprintf("cam-%d", i+1))
		if err := wire.CheckToken("device", c.Device); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		x := &benchCamera{BenchCamera: c, busy: make(chan struct{}, 1)}
		conf := &Config{Site: "bench", Cell: "bench", Device: c.Device, Role: cfg.Role}
		x.pipeline = newPipeline(conf, newCounters(), cfg.Log.With("device", c.Device), nil)
		x.sink = benchSink{publishing: publishing{
			cfg: conf, publisher: discard{x.count}, count: x.count, log: cfg.Log, warn: throttle{log: cfg.Log},
		}, ego: cfg.Role == RoleEgo}
		if told := cfg.Segment; told != nil {
			x.sink.told = func(release string, e *segment.Event) { told(i, release, e) }
		}
		x.out = &x.sink
		x.clock, x.began = b.Now, b.start.UnixNano()
		if told := cfg.Observe; told != nil {
			x.observe = func(t *FrameTimes) { told(i, t) }
		}
		b.cameras = append(b.cameras, x)
		m, err := open(dir, b.models)
		if err != nil {
			return nil, err
		}
		o := &offer{m: m, done: make(chan error, 1)}
		x.next.Store(o)
		x.adopt()
		if err := <-o.done; err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return b, nil
}

// Now is the time since the bench was made.
func (b *Bench) Now() time.Duration { return time.Since(b.start) }

// Run plays the takes of all cameras at once, each camera's one after another, and returns when all have ended. It may be called
// again. When ctx ends, the takes are ended as if their cameras had, and the error is ctx's.
func (b *Bench) Run(ctx context.Context) error {
	errs := make([]error, len(b.cameras))
	var group sync.WaitGroup
	for i, c := range b.cameras {
		group.Go(func() { errs[i] = b.play(ctx, c) })
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return join(err, without(join(errs...), err))
	}
	return join(errs...)
}

func (b *Bench) play(ctx context.Context, c *benchCamera) error {
	c.busy <- struct{}{}
	defer func() { <-c.busy }()
	var errs []error
	for _, source := range c.Sources {
		c.takes++
		if source.Clock == nil {
			source.Clock = &benchClock{b: b}
		}
		if source.Log == nil {
			source.Log = b.cfg.Log
		}
		src := &Source{Take: fmt.Sprintf("take-%d", c.takes), Capture: source}
		errs = append(errs, c.take(ctx, context.WithoutCancel(ctx), src))
	}
	return join(errs...)
}

// Swap changes all cameras to another bundle, each between two frames.
func (b *Bench) Swap(ctx context.Context, dir string) error {
	d, err := bundle.Read(dir)
	if err != nil {
		return err
	}
	for _, c := range b.cameras {
		m, err := open(d, b.models)
		if err != nil {
			return err
		}
		if err := c.accept(ctx, m); err != nil {
			return errors.Join(err, m.Close())
		}
	}
	return nil
}

// accept hands a model to the camera's pipeline, or makes it run if nothing plays.
func (c *benchCamera) accept(ctx context.Context, m *model.Model) error {
	o, err := c.offerOf(m, "")
	if err != nil {
		return err
	}
	select {
	case err := <-o.done:
		return err
	case c.busy <- struct{}{}:
		c.adopt()
		<-c.busy
		return <-o.done
	case <-ctx.Done():
		return c.withdraw(ctx, o)
	}
}

// Counters returns what has been counted of a camera; bytes_encoded is the size of all messages.
func (b *Bench) Counters(camera int) map[string]uint64 {
	return maps.Clone(b.cameras[camera].count.snapshot())
}

// Bundle returns the bundle that runs on the first camera.
func (b *Bench) Bundle() *bundle.Dir { return b.cameras[0].running.Load().bundle }

// Selection returns what the first camera's models run on, and why.
func (b *Bench) Selection() *model.Selection { return b.cameras[0].running.Load().selected }

// Close frees the models.
func (b *Bench) Close() error {
	var errs []error
	for _, c := range b.cameras {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// benchClock is the clock of a bench's cameras: nanoseconds since the bench was made, placed where the host's clock stood then.
type benchClock struct {
	b     *Bench
	timer *time.Timer // reused
}

func (c *benchClock) Now() int64 { return c.b.start.UnixNano() + int64(c.b.Now()) }

func (c *benchClock) WaitUntil(ctx context.Context, t int64) error {
	left := time.Duration(t - c.Now())
	if left <= 0 {
		return ctx.Err()
	}
	if c.timer == nil {
		c.timer = time.NewTimer(left)
	} else {
		c.timer.Reset(left)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-ctx.Done():
		c.timer.Stop()
		return ctx.Err()
	}
}

// benchSink encodes what a device would send.
type benchSink struct {
	publishing
	ego  bool
	told func(release string, e *segment.Event) // may be nil
}

func (s *benchSink) batch(ctx context.Context, src *Source, b *wire.SampleBatch) error {
	if !s.ego {
		return s.publishing.batch(ctx, src, b)
	}
	p := &wire.PairBatch{Ego: b, Last: b.Last}
	s.count.add("pair_batches", 1)
	return s.publish(ctx, bus.Pairs, p.ID(), p)
}

func (s *benchSink) events(ctx context.Context, src *Source, b *bundle.Dir, list []segment.Event, bounds []int64) error {
	if s.told != nil {
		for i := range list {
			s.told(b.Release, &list[i])
		}
	}
	return s.publishing.events(ctx, src, b, list, bounds)
}

// discard lets messages go.
type discard struct{ count *counters }

func (d discard) Publish(_ context.Context, _, _ string, data []byte) error {
	d.count.add("bytes_encoded", uint64(len(data)))
	return nil
}
