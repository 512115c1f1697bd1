package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/sync/pair"
)

// Agent runs one device. Make it with New, run it once with Run.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	count    *counters
	pipeline *pipeline
	takeDone func(Source, error)
}

// Options are what a caller may know better than the configuration file.
type Options struct {
	Log *slog.Logger // default slog.Default
	// TakeDone is told of each take that has ended, from Run's goroutine, once its pairs are decided and its messages
	// stored. err is what broke it off.
	TakeDone func(s Source, err error)
	// Adopted is told of each release that begins to run, from the goroutine of the camera, which waits for it to return.
	Adopted func(release string)
}

// New makes an agent of a valid configuration.
func New(cfg Config, opts Options) (*Agent, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, log: opts.Log, count: newCounters(), takeDone: opts.TakeDone}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.log = a.log.With("device", cfg.Device)
	a.pipeline = &pipeline{
		device: cfg.Device, scores: cfg.Role == RoleExo, count: a.count, log: a.log, offered: make(chan offer, 1), adopted: opts.Adopted,
		batcher: batcher{device: cfg.Device, bound: int64(cfg.Camera.ClockBound)},
	}
	return a, nil
}

// Counters returns what has been counted so far, by name. Names of losses begin with dropped_.
func (a *Agent) Counters() map[string]uint64 { return a.count.snapshot() }

// Release returns the release that runs, or "" before the first.
func (a *Agent) Release() string {
	if now := a.pipeline.running.Load(); now != nil {
		return now.release
	}
	return ""
}

// Run connects, plays the sources until the channel is closed or ctx ends, and returns when everything that it started
// has ended and what was made is stored at the hub. A recording that cannot be read does not stop the ones after it; its
// error is among those returned at the end.
func (a *Agent) Run(ctx context.Context, sources <-chan Source) (err error) {
	conn, err := bus.Connect(ctx, a.cfg.bus(a.log))
	if err != nil {
		return err
	}
	defer conn.Close()
	// On an external server nobody else may have made the streams yet; existing ones are left as they are.
	if err := bus.EnsureStreams(ctx, conn.JetStream(), bus.StreamsConfig{}); err != nil {
		return err
	}
	publisher, err := bus.NewPublisher(conn, bus.PublisherConfig{Logger: a.log})
	if err != nil {
		return err
	}
	defer func() {
		if e := publisher.Close(); err == nil {
			err = e
		}
	}()
	defer func() {
		if e := a.pipeline.close(); err == nil {
			err = e
		}
	}()
	out := &publishing{cfg: &a.cfg, publisher: publisher, count: a.count, log: a.log}
	a.pipeline.out = out
	st := &status{cfg: &a.cfg, conn: conn, publisher: publisher, pipeline: a.pipeline, count: a.count, log: a.log}

	// The helpers run until the last take is done; then they are told to stop and waited for.
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, groupCtx := errgroup.WithContext(running)
	group.Go(func() error { return st.run(groupCtx) })
	if a.cfg.Role == RoleEgo {
		if err := a.startPairing(groupCtx, group, conn, out); err != nil {
			stop()
			return errors.Join(err, group.Wait())
		}
	}
	if err := a.startModels(groupCtx, group, conn, st); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	err = a.play(groupCtx, sources, out, st)
	st.publish(ctx)
	stop()
	if e := group.Wait(); err == nil || errors.Is(err, context.Canceled) && e != nil {
		err = e
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // asked to stop, and stopped
	}
	return err
}

// startPairing begins to read the exo cameras' streams.
func (a *Agent) startPairing(ctx context.Context, group *errgroup.Group, conn *bus.Conn, out *publishing) error {
	p := a.cfg.Pair
	join, err := newPairing(pair.Config{Exo: p.Exo, MaxDt: p.MaxDt, Buffer: p.Buffer}, p.Wait, out.pairs, a.count, a.log)
	if err != nil {
		return err
	}
	out.pairing = join
	group.Go(func() error { return join.run(ctx) })
	for i, exo := range p.Exo {
		consumer, err := bus.NewConsumer(ctx, conn.JetStream(), bus.ConsumerConfig{
			Stream:  bus.StreamTeacher,
			Durable: wire.Token(a.cfg.Cell + "-" + a.cfg.Device + "-" + exo),
			Filters: []bus.Subject{{Site: a.cfg.Site, Cell: a.cfg.Cell, Device: exo, Kind: bus.Teacher}},
			Logger:  a.log,
		})
		if err != nil {
			return err
		}
		group.Go(func() error {
			return consumer.Run(ctx, func(ctx context.Context, m *bus.Message) error {
				b, err := wire.DecodeSampleBatch(m.Data)
				if err != nil {
					a.count.drop("exo_batch_invalid", 1)
					return err
				}
				return join.exo(ctx, i, b)
			})
		})
	}
	return nil
}

// startModels opens the bundle to begin with, and begins to follow assignments.
func (a *Agent) startModels(ctx context.Context, group *errgroup.Group, conn *bus.Conn, st *status) error {
	opts := a.cfg.Runtime.options()
	if dir := a.cfg.Bundle.Dir; dir != "" {
		b, err := bundle.Read(dir)
		if err != nil {
			return err
		}
		m, err := model.OpenProbed(b, opts)
		if err != nil {
			return err
		}
		if err := a.pipeline.adopt(ctx, nil, offer{m: m, taken: make(chan struct{})}); err != nil {
			return errors.Join(err, m.Close())
		}
	}
	if !a.cfg.follow() {
		return nil
	}
	releases, err := bus.OpenReleases(ctx, conn.JetStream())
	if err != nil {
		return err
	}
	u := &updater{
		device: a.cfg.Device, dir: filepath.Join(a.cfg.Store, "releases"), opts: opts, releases: releases,
		pipeline: a.pipeline, status: st, count: a.count, log: a.log,
	}
	group.Go(func() error { return u.run(ctx) })
	return nil
}

// storeWait bounds how long a take's messages may take to be stored before the next take goes on.
const storeWait = 5 * time.Minute

// play runs the sources one after another.
func (a *Agent) play(ctx context.Context, sources <-chan Source, out *publishing, st *status) error {
	var failed []error
	for {
		st.playing("")
		var src Source
		var ok bool
		select {
		case src, ok = <-sources:
		case <-ctx.Done():
			return errors.Join(append(failed, ctx.Err())...)
		}
		if !ok {
			return errors.Join(failed...)
		}
		if err := wire.CheckToken("take", src.Take); err != nil {
			return fmt.Errorf("source %s: %w", src.Capture.Source, err)
		}
		src.Capture.Log = a.log
		st.playing(src.Take)
		err := a.pipeline.take(ctx, &src)
		if err == nil {
			err = a.settle(ctx, out)
		}
		if a.takeDone != nil {
			a.takeDone(src, err)
		}
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
		if err != nil {
			a.log.Error("take failed", "take", src.Take, "error", err)
			failed = append(failed, err)
		}
	}
}

// settle waits until the take's pairs are decided and everything is stored at the hub.
func (a *Agent) settle(ctx context.Context, out *publishing) error {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	if out.pairing != nil {
		if err := out.pairing.settle(ctx); err != nil {
			return err
		}
	}
	return out.publisher.Flush(ctx)
}
