package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Group runs the cameras of one configuration in one process, each as a device of its own. They share the connection to the hub, the
// site's clock, and what is loaded of the models that they run. Make it with NewGroup, run it once with Run.
type Group struct {
	cfg    Config
	log    *slog.Logger
	clock  timebase // nil where no camera asks for the site's time
	agents []*Agent
	ran    atomic.Bool
}

// NewGroup makes the agents of a valid configuration, of one camera or several. options are those of each device; they are called in
// the order of Config.Devices.
func NewGroup(cfg Config, log *slog.Logger, options func(device string) Options) (*Group, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.Default()
	}
	g := &Group{cfg: cfg, log: log}
	for _, d := range cfg.Devices() {
		opts := options(d.Device)
		if opts.Log == nil {
			opts.Log = log
		}
		a := newAgent(d, opts)
		if _, asked := a.cfg.SiteClock(); asked {
			// Cameras that ask ask the same: what is asked stands outside of the list.
			if g.clock == nil {
				clock, err := newTimebase(&a.cfg, log)
				if err != nil {
					return nil, fmt.Errorf("%w: clock: %w", ErrConfig, err)
				}
				g.clock = clock
			}
			a.use(g.clock)
		}
		g.agents = append(g.agents, a)
	}
	return g, nil
}

// Agents returns the devices' agents, in the order of Config.Devices, to ask them. They are run by the group.
func (g *Group) Agents() []*Agent { return g.agents }

// Device returns the device's name.
func (a *Agent) Device() string { return a.cfg.Device }

// Run connects, and runs all devices as Agent.Run does, each with its own sources, in the order of Agents. A device that fails does
// not end the others; its error is among those returned at the end. Run may be called once.
func (g *Group) Run(ctx context.Context, sources []<-chan Source) error {
	if len(sources) != len(g.agents) {
		return fmt.Errorf("agent: sources for %d devices, there are %d", len(sources), len(g.agents))
	}
	if g.ran.Swap(true) {
		return errors.New("agent: Run was called before: make another group")
	}
	return quietly(ctx, g.run(ctx, sources))
}

func (g *Group) run(ctx context.Context, sources []<-chan Source) error {
	name := g.agents[0].cfg.Device
	if n := len(g.agents) - 1; n > 0 {
		name = fmt.Sprintf("%s and %d more", name, n)
	}
	conn, err := connect(ctx, &g.cfg, name, g.log)
	if err != nil {
		return err
	}
	defer conn.Close()

	// The clock goes on until the last device has ended.
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	clock, _ := errgroup.WithContext(asking)
	if g.clock != nil {
		clock.Go(func() error { return g.clock.run(asking) })
	}
	shelf := newShelf(&g.cfg, g.agents[0].cfg.Device, len(g.agents), g.log)
	errs := make([]error, len(g.agents))
	var devices sync.WaitGroup
	for i, a := range g.agents {
		devices.Go(func() {
			err := a.runOn(ctx, conn, shelf, nil, sources[i])
			if err == nil || quietly(ctx, err) == nil {
				return
			}
			errs[i] = fmt.Errorf("device %s: %w", a.cfg.Device, err)
			if len(g.agents) > 1 {
				g.log.Error("a device has ended, the others go on", "device", a.cfg.Device, "error", err)
			}
		})
	}
	devices.Wait()
	stop()
	failed := without(clock.Wait(), context.Canceled)
	if len(g.agents) == 1 {
		return join(errors.Unwrap(errs[0]), failed)
	}
	return join(append(errs, failed)...)
}
