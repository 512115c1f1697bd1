package trainer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer/jobs"
)

// Trainer is a central trainer. Several of them may share the work of a line (package jobs). Make it with New, run it once
// with Run.
type Trainer struct {
	cfg      Config
	recipe   Recipe
	log      *slog.Logger
	progress Progress
	hooks    Options

	collector *collector
	extractor Extractor // of a teacher that is yet to be made
	releaser  *releaser
	board     *jobs.Board
	line      *line // nil until the line has a teacher
	waiting   waiting
	changed   chan struct{} // capacity 1: there may be something to do
	abandon   bool          // for tests: when it is stopped, it leaves its job as a process does that is killed
}

// Options are what a caller may know better than the configuration file. All are optional.
type Options struct {
	Log      *slog.Logger
	Progress Progress
	// Extractor is the feature extractor of a new line; by default the configuration's.
	Extractor *Extractor
	// Released is told of each release after it has been assigned, by the trainer that made it. d is nil for the teacher's.
	Released func(info *wire.ReleaseInfo, d *Distillation)
	// Rejected is told of each student that the gate did not let pass.
	Rejected func(d *Distillation)
}

// New makes a trainer of a valid configuration.
func New(cfg Config, opts Options) (*Trainer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, recipe: cfg.recipe(), log: opts.Log, progress: opts.Progress, hooks: opts, changed: make(chan struct{}, 1)}
	if t.log == nil {
		t.log = slog.Default()
	}
	t.log = t.log.With("trainer", cfg.Name)
	return t, nil
}

// Run connects to the hub and stores pairs until ctx ends. Meanwhile it takes its share of the line's jobs: the teacher,
// where there is none yet, and a student for a cell whenever enough new takes of it are complete. A distillation that fails is
// reported and leaves the running release; the next takes start another. That the teacher can't be made is an error.
func (t *Trainer) Run(ctx context.Context) (err error) {
	if t.collector, err = openCollector(&t.cfg); err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	defer func() {
		if e := t.collector.close(); err == nil {
			err = e
		}
	}()
	conn, err := bus.Connect(ctx, t.cfg.NATS.Config(t.cfg.Name, t.log))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := t.open(ctx, conn); err != nil {
		return err
	}
	consumers, err := t.collector.consumers(ctx, conn, bus.ConsumerConfig{Logger: t.log})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range consumers {
		group.Go(func() error { return c.Run(ctx, t.collect) })
	}
	group.Go(func() error { return t.board.Watch(ctx, t.wake) })
	group.Go(func() error { return t.work(ctx) })
	err = group.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // asked to stop, and stopped
	}
	return err
}

// open finds what the hub holds for the trainers.
func (t *Trainer) open(ctx context.Context, conn *bus.Conn) error {
	// On an external server nobody else may have made the streams yet; existing ones are left as they are.
	if err := bus.EnsureStreams(ctx, conn.JetStream(), bus.StreamsConfig{}); err != nil {
		return err
	}
	releases, err := bus.OpenReleases(ctx, conn.JetStream())
	if err != nil {
		return err
	}
	t.releaser = &releaser{name: t.cfg.Line, dir: filepath.Join(t.cfg.Store, "bundles"), releases: releases, now: time.Now}
	t.board, err = jobs.Open(ctx, conn.JetStream(), jobs.Config{
		Site: t.cfg.Site, Line: t.cfg.Line, Owner: t.cfg.Name, AckWait: t.cfg.Jobs.AckWait, Attempts: t.cfg.Jobs.Attempts, Log: t.log,
	})
	if err != nil {
		return err
	}
	if t.hooks.Extractor != nil {
		t.extractor = *t.hooks.Extractor
		return nil
	}
	t.extractor, _, err = OpenExtractor(t.cfg.Extractor)
	return err
}

// Archived returns what the archives hold. Run must have begun.
func (t *Trainer) Archived() ArchiveStats { return t.collector.stats() }

// wake has the trainer look for work.
func (t *Trainer) wake() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}
