package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
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
	base     timebase // nil where nobody is asked for the site's time
	ran      atomic.Bool
	patience patience
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

// patience bounds how long things are waited for.
type patience struct {
	clock time.Duration // for the site's time, before a live camera is opened
	store time.Duration // for progress in storing a take's messages while the hub is there
	stop  time.Duration // for everything, once the agent has been told to stop
	// Between attempts at a release that could not be fetched, and at following assignments: the first wait, doubled each
	// time up to the last.
	firstRetry, lastRetry time.Duration
}

// New makes an agent of a valid configuration of one camera. Several make a Group.
func New(cfg Config, opts Options) (*Agent, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Cameras) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrConfig, bad("cameras", fmt.Sprintf("a list of %d", len(cfg.Cameras)), "one camera, or a group"))
	}
	a := newAgent(cfg, opts)
	base, err := newTimebase(&a.cfg, a.log)
	if err != nil {
		return nil, fmt.Errorf("%w: clock: %w", ErrConfig, err)
	}
	a.use(base)
	return a, nil
}

// newAgent makes an agent of a valid configuration, without a timebase.
func newAgent(cfg Config, opts Options) *Agent {
	a := &Agent{
		cfg: cfg, log: opts.Log, count: newCounters(), takeDone: opts.TakeDone,
		patience: patience{clock: 10 * time.Second, store: 5 * time.Minute, stop: 3 * time.Second, firstRetry: 500 * time.Millisecond, lastRetry: time.Minute},
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.log = a.log.With("device", cfg.Device)
	a.pipeline = newPipeline(&a.cfg, a.count, a.log, opts.Adopted)
	return a
}

// use gives the agent a timebase, which is nil where nobody is asked.
func (a *Agent) use(base timebase) { a.base, a.pipeline.time.base = base, base }

// Counters returns what has been counted so far, by name. Names of losses begin with dropped_.
func (a *Agent) Counters() map[string]uint64 { return a.count.snapshot() }

// Release returns the release that runs, or "" before the first.
func (a *Agent) Release() string {
	if now := a.pipeline.running.Load(); now != nil {
		return now.bundle.Release
	}
	return ""
}

// Run connects, plays the sources until the channel is closed or ctx ends, and returns when everything that it started
// has ended and what was made is stored at the hub. A recording that cannot be read does not stop the ones after it; its
// error is among those returned at the end, on one line.
//
// When ctx ends, the take that plays is ended as if its camera had, and what was made of it is stored if that takes no
// longer than some seconds; messages that could not be stored are an error, being asked to stop is none. Run may be called
// once.
func (a *Agent) Run(ctx context.Context, sources <-chan Source) error {
	if a.ran.Swap(true) {
		return errors.New("agent: Run was called before: make another agent")
	}
	return quietly(ctx, a.run(ctx, sources))
}

// quietly leaves out of an error what says no more than that ctx has ended.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return without(without(err, context.Canceled), ctx.Err())
	}
	return err
}

func (a *Agent) run(ctx context.Context, sources <-chan Source) error {
	conn, err := connect(ctx, &a.cfg, a.cfg.Device, a.log)
	if err != nil {
		return err
	}
	defer conn.Close()
	return a.runOn(ctx, conn, newShelf(&a.cfg, a.cfg.Device, 1, a.log), a.base, sources)
}

// connect connects to the hub.
func connect(ctx context.Context, cfg *Config, name string, log *slog.Logger) (*bus.Conn, error) {
	conn, err := bus.Connect(ctx, cfg.NATS.Config(name, log))
	if err != nil {
		return nil, err
	}
	// On an external server nobody else may have made the streams yet; existing ones are left as they are.
	if err := bus.EnsureStreams(ctx, conn.JetStream(), bus.StreamsConfig{}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// newShelf opens the models of a process's cameras. What is found out about the hardware is remembered with the first device.
func newShelf(cfg *Config, device string, cameras int, log *slog.Logger) *model.Shelf {
	s := &model.Selector{Options: cfg.Runtime.options(), Cache: filepath.Join(cfg.Store, device, "probes"), Log: log}
	return &model.Shelf{Selector: s, Cameras: cameras, Log: log}
}

// runOn is Run on a connection. The clock is run besides, unless it is nil.
func (a *Agent) runOn(ctx context.Context, conn *bus.Conn, shelf *model.Shelf, clock timebase, sources <-chan Source) (err error) {
	// What a model fails on is told by the log once a second, not by the library for each sample.
	_ = ort.Quiet() // a library that is missing is told of with the first model
	publisher, err := bus.NewPublisher(conn, bus.PublisherConfig{Logger: a.log})
	if err != nil {
		return err
	}
	defer func() { err = join(err, publisher.Close()) }()
	defer func() { err = join(err, a.pipeline.close()) }()
	out := &publishing{cfg: &a.cfg, publisher: publisher, count: a.count, log: a.log, warn: throttle{log: a.log}}
	a.pipeline.out = out
	st := &status{
		cfg: &a.cfg, conn: conn, publisher: publisher, pipeline: a.pipeline, count: a.count, log: a.log,
		live: func() bool { return out.live.Load() || a.cfg.live() }, instance: rand.Uint64(), started: time.Now(),
	}
	if host, err := os.Hostname(); err == nil {
		st.host = wire.OneLine(host)
	}
	pairing, err := a.newPairing(conn, out)
	if err != nil {
		return err
	}
	st.pairing = pairing

	// The helpers go on after ctx has ended, until the last take is done; then they are told to stop and waited for.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, work := errgroup.WithContext(working)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	defer context.AfterFunc(work, stopReading)() // a helper that fails ends the take, too
	group.Go(func() error {
		a.hurry(ctx, work, stop)
		return nil
	})
	group.Go(func() error { return st.run(work) })
	a.pipeline.patience = a.patience.clock
	if clock != nil {
		group.Go(func() error { return clock.run(work) })
	}

	p := &player{
		patience: a.patience, conn: conn, out: out, publisher: publisher, status: st, pipeline: a.pipeline, log: a.log, takeDone: a.takeDone,
		played: map[string]bool{},
	}
	err = a.startPairing(work, group, conn, pairing)
	if err == nil {
		err = a.startModels(ctx, work, group, conn, st, shelf)
	}
	if err == nil {
		err = p.play(reading, work, sources)
	}
	st.stop()
	st.publish()
	stop()
	if failed := without(group.Wait(), context.Canceled); failed != nil {
		err = join(failed, without(err, context.Canceled)) // the helper's failure is why the takes ended
	}
	return err
}

// hurry stops the work some time after ctx has ended.
func (a *Agent) hurry(ctx, work context.Context, stop context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-work.Done():
		return
	}
	timer := time.NewTimer(a.patience.stop)
	defer timer.Stop()
	select {
	case <-timer.C:
		stop()
	case <-work.Done():
	}
}

// sinceMargin is how much of the teacher's stream before its start a live rig reads.
const sinceMargin = 10 * time.Minute

// spare is how far from the rig's samples exo samples are uploaded that are nobody's partner: as far may an archive be
// re-aligned without losing any.
const spare = 5 * time.Second

// newPairing makes the pairing of the ego role; nil in the other.
func (a *Agent) newPairing(conn *bus.Conn, out *publishing) (*pairing, error) {
	if a.cfg.Role != RoleEgo {
		return nil, nil //nolint:nilnil // there is none
	}
	p := a.cfg.Pair
	join := pair.Config{Exo: p.Exo, MaxDt: p.MaxDt, Buffer: p.Buffer, Lateness: p.Lateness, Interpolate: p.Interpolate, Spare: spare}
	pairing, err := newPairing(join, p.Wait, out.pairs, a.count, a.log)
	if err != nil {
		return nil, err
	}
	pairing.online = func() bool { return conn.Stats().Connected }
	pairing.content = newContent(p.Content, p.Exo, p.Buffer, a.count, a.log)
	out.pairing = pairing
	return pairing, nil
}

// startPairing begins to read the exo cameras' streams in the ego role.
func (a *Agent) startPairing(ctx context.Context, group *errgroup.Group, conn *bus.Conn, pairing *pairing) error {
	if pairing == nil {
		return nil
	}
	p := a.cfg.Pair
	group.Go(func() error { return pairing.run(ctx) })
	// What has been read and not paired is in memory only, so each run reads anew: recordings all that the hub keeps, since
	// their cameras may have played them before; a live camera what is of now.
	var since time.Time
	if a.cfg.live() {
		since = time.Now().Add(-sinceMargin)
	}
	// A message whose delivery or acknowledgement is lost holds up those behind it; that must not look like silence.
	ackWait := min(3*time.Second, max(p.Wait/4, 100*time.Millisecond))
	for i, exo := range p.Exo {
		// The parts may hold what joins them, so they are told apart by what can't be in them.
		durable := wire.Token(a.cfg.Cell + "/" + a.cfg.Device + "/" + exo)
		if err := bus.RemoveConsumer(ctx, conn.JetStream(), bus.StreamTeacher, durable); err != nil {
			return err
		}
		consumer, err := bus.NewConsumer(ctx, conn.JetStream(), bus.ConsumerConfig{
			Stream: bus.StreamTeacher, Durable: durable, Since: since, InOrder: true, AckWait: ackWait,
			Filters: []bus.Subject{{Site: a.cfg.Site, Cell: a.cfg.Cell, Device: exo, Kind: bus.Teacher}},
			Logger:  a.log,
		})
		if err != nil {
			return err
		}
		last := uint64(0)
		group.Go(func() error {
			return consumer.Run(ctx, func(ctx context.Context, m *bus.Message) error {
				if m.Sequence <= last {
					return nil // its acknowledgement was lost
				}
				b, err := wire.DecodeSampleBatch(m.Data)
				if err != nil {
					a.count.drop("exo_batch_invalid", 1)
					return err
				}
				if err := pairing.exo(ctx, i, b); err != nil {
					return err
				}
				last = m.Sequence
				return nil
			})
		})
	}
	return nil
}

// startModels opens the bundle to begin with, and begins to follow assignments.
func (a *Agent) startModels(ctx, work context.Context, group *errgroup.Group, conn *bus.Conn, st *status, shelf *model.Shelf) error {
	if dir := a.cfg.Bundle.Dir; dir != "" {
		b, err := bundle.Read(dir)
		if err != nil {
			return err
		}
		m, err := open(b, shelf)
		if err != nil {
			return err
		}
		o := &offer{m: m, done: make(chan error, 1)}
		a.pipeline.next.Store(o)
		a.pipeline.adopt()
		if err := <-o.done; err != nil {
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
		device: a.cfg.Device, models: shelf, releases: releases, pipeline: a.pipeline, status: st, count: a.count, log: a.log,
		patience: a.patience,
		// Devices that share a disk have stores of their own.
		store: &store{dir: filepath.Join(a.cfg.Store, a.cfg.Device, "releases"), releases: releases, log: a.log},
	}
	group.Go(func() error { return u.run(work) })
	return nil
}
