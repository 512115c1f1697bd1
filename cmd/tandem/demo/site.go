package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/agent"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer"
)

// Names on the demo's site.
const (
	siteName = "demo"
	cellName = "cell-1"
	exo1     = "exo1"
	exo2     = "exo2"
	rig      = "rig-1"
	lineName = "line"
)

// site is a hub, a trainer, exo cameras and a rig, running.
type site struct {
	ctx    context.Context // ends with the first part that fails
	hub    *bus.Server
	conn   *bus.Conn
	group  *errgroup.Group
	stop   context.CancelFunc
	camera map[string]*device

	mu        sync.Mutex
	released  []released
	rejected  *trainer.Distillation
	changed   chan struct{}
	rigAdopts chan string
	trainer   *trainer.Trainer
}

// released is a release of the trainer's; d is nil for the teacher's.
type released struct {
	name string
	d    *trainer.Distillation
}

// device is an agent and the channel that gives it takes.
type device struct {
	agent   *agent.Agent
	sources chan agent.Source
	done    chan takeDone
}

type takeDone struct {
	take string
	err  error
}

// startHub starts the site's hub, which listens where the configuration says. The caller closes the site.
func startHub(ctx context.Context, c *Config, dir string) (_ *site, err error) {
	ctx, stop := context.WithCancel(ctx)
	s := &site{stop: stop, camera: map[string]*device{}, changed: make(chan struct{}), rigAdopts: make(chan string, 16)}
	s.group, s.ctx = errgroup.WithContext(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.hub, err = bus.StartServer(s.ctx, bus.ServerConfig{
		Name: "hub", StoreDir: filepath.Join(dir, "hub"), Listen: c.Listen, Logger: c.Log,
	})
	if err != nil {
		return nil, err
	}
	if s.conn, err = bus.Connect(s.ctx, bus.Config{URLs: []string{s.hub.URL()}, Name: "demo", Logger: c.Log}); err != nil {
		return nil, err
	}
	return s, bus.EnsureStreams(s.ctx, s.conn.JetStream(), bus.StreamsConfig{Store: s.hub.MaxStore()})
}

// start starts the rig, the exo cameras and the trainer.
func (s *site) start(c *Config, dir string, exo []string, labelled string, distilAt int, seed uint64) error {
	ctx := s.ctx
	for _, name := range append([]string{rig}, exo...) {
		if err := s.startDevice(ctx, c, dir, name, exo); err != nil {
			return err
		}
	}
	recipe := c.Recipe
	recipe.Seed = seed
	var err error
	s.trainer, err = trainer.New(trainer.Config{
		Site: siteName, Cell: cellName, Name: lineName, Store: filepath.Join(dir, "trainer"),
		NATS:     bus.Client{URLs: []string{s.hub.URL()}},
		Labelled: trainer.LabelledConfig{Dir: labelled},
		Distil:   trainer.DistilConfig{Takes: distilAt},
		Gate:     trainer.GateConfig{Seeds: 1}, // one: the demo is to be short
		Recipe:   recipe,
	}, trainer.Options{Log: c.Log, Progress: c.Progress,
		Released: func(info *wire.ReleaseInfo, d *trainer.Distillation) {
			s.note(func() { s.released = append(s.released, released{info.Release, d}) })
		},
		Rejected: func(d *trainer.Distillation) { s.note(func() { s.rejected = d }) },
	})
	if err != nil {
		return err
	}
	s.group.Go(func() error { return s.trainer.Run(ctx) })
	return nil
}

func (s *site) startDevice(ctx context.Context, c *Config, dir, name string, exo []string) error {
	cfg := agent.Config{
		Site: siteName, Cell: cellName, Device: name, Role: agent.RoleExo, Store: filepath.Join(dir, name),
		NATS: bus.Client{URLs: []string{s.hub.URL()}},
		// The takes come through the channel; the configuration wants to know of some camera.
		Camera: agent.CameraConfig{Source: "recordings"},
	}
	d := &device{sources: make(chan agent.Source), done: make(chan takeDone, 1024)}
	opts := agent.Options{Log: c.Log, TakeDone: func(src agent.Source, err error) { d.done <- takeDone{src.Take, err} }}
	if name == rig {
		cfg.Role = agent.RoleEgo
		// Recordings are read as fast as they can be, so a camera that is slower must be waited for.
		cfg.Pair = agent.PairConfig{Exo: exo, Wait: time.Minute}
		opts.Adopted = func(release string) { s.rigAdopts <- release }
	}
	var err error
	if d.agent, err = agent.New(cfg, opts); err != nil {
		return err
	}
	s.camera[name] = d
	s.group.Go(func() error {
		if err := d.agent.Run(ctx, d.sources); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return nil
}

// note changes what is known of releases and wakes those who wait for it.
func (s *site) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns once ok says so of the releases, or with the error that ended the site.
func (s *site) wait(ok func() bool) error {
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// play gives a device takes, one after another, and waits until the last is done.
func (d *device) play(ctx context.Context, list []agent.Source) error {
	for _, src := range list {
		select {
		case d.sources <- src:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range list {
		select {
		case done := <-d.done:
			if done.err != nil {
				return done.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close stops everything and waits for it.
func (s *site) close() error {
	s.stop()
	err := s.group.Wait()
	if s.conn != nil {
		s.conn.Close()
	}
	if s.hub != nil {
		err = errors.Join(err, s.hub.Close())
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
