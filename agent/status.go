package agent

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/sync/clock"
)

// status gathers what a device says of itself and publishes it.
type status struct {
	cfg       *Config
	conn      *bus.Conn
	publisher *bus.Publisher
	pipeline  *pipeline
	pairing   *pairing    // nil in the exo role
	live      func() bool // whether a live camera plays, or is configured
	count     *counters
	log       *slog.Logger

	instance uint64    // a random number of this agent
	started  time.Time // of this agent
	host     string

	mu       sync.Mutex
	assigned string
	update   string // why the assigned release does not run, "" when it does
	failed   string // why the last take failed, "" when it didn't
	take     string // that plays
	stopping bool
	namesake string // who else runs under this name, "" for nobody
}

func (s *status) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *status) assign(release string)    { s.set(func() { s.assigned = release }) }
func (s *status) updateFailed(text string) { s.set(func() { s.update = text }) }
func (s *status) playing(take string)      { s.set(func() { s.take = take }) }
func (s *status) stop()                    { s.set(func() { s.stopping = true }) }

// took is told how a take has ended.
func (s *status) took(err error) {
	s.set(func() {
		s.take, s.failed = "", ""
		if err != nil {
			s.failed = err.Error()
		}
	})
}

// run publishes the status every so often, until ctx ends.
func (s *status) run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.StatusEvery)
	defer tick.Stop()
	others := namesakes{status: s}
	for {
		if err := others.look(ctx); err != nil {
			return err
		}
		s.publish()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// publish sends the present status. It has no message id and is never waited for: the next one says all that it says.
func (s *status) publish() {
	if !s.conn.Stats().Connected {
		return
	}
	data, err := wire.Encode(s.message())
	if err == nil {
		err = s.conn.NATS().Publish(s.cfg.subject(bus.Status).String(), data)
	}
	if err != nil {
		s.log.Warn("status not published", "error", err)
	}
}

func (s *status) message() *wire.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &wire.Status{
		Device: s.cfg.Device, Role: s.cfg.Role, SiteNs: time.Now().UnixNano(), ReleaseAssigned: s.assigned,
		Counters: s.count.snapshot(), Versions: map[string]string{"onnxruntime": ort.Version()},
		Host: s.host, Instance: s.instance, StartedNs: s.started.UnixNano(), EveryNs: int64(s.cfg.StatusEvery),
	}
	if now := s.siteTime(m); now != 0 {
		m.SiteNs = now
	}
	p, c := s.publisher.Stats(), s.conn.Stats()
	m.Counters["published"], m.Counters["published_twice"] = p.Acked, p.Duplicate
	m.Counters["disconnects"] = c.Disconnects
	for reason, n := range p.Dropped {
		m.Counters["dropped_"+reason] += n
	}
	m.Gauges = map[string]float64{"backlog": float64(p.Backlog), "backlog_bytes": float64(p.BacklogBytes)}
	if now := s.pipeline.running.Load(); now != nil {
		now.show(m)
	}
	trouble := ""
	if s.pairing != nil {
		m.Pairs, trouble = s.pairing.tally(), s.pairing.trouble()
	}
	m.Error = wire.OneLine(cmp.Or(s.namesake, s.pipeline.health.trouble(), s.update, s.failed, s.timeless(m), trouble))
	m.State = s.state(m)
	return m
}

// siteTime says in m how well the site's time is known, and returns it; 0 if it isn't known.
func (s *status) siteTime(m *wire.Status) int64 {
	base := s.pipeline.time.base
	switch {
	case base != nil:
		st := base.status()
		m.Clock = clockStatus(st, time.Now())
		if st.Known {
			return st.Time
		}
	case s.live():
		m.Clock = &wire.ClockStatus{State: wire.ClockState_CLOCK_STATE_ASSUMED, BoundNs: int64(s.cfg.Camera.clockBound())}
	default:
		m.Clock = &wire.ClockStatus{State: wire.ClockState_CLOCK_STATE_RECORDED, BoundNs: int64(s.cfg.Camera.clockBound())}
	}
	return 0
}

// timeless says that nothing can be paired for lack of site time, "" when it can.
func (s *status) timeless(m *wire.Status) string {
	if m.Clock.State != wire.ClockState_CLOCK_STATE_UNSYNCHRONIZED || !s.live() {
		return ""
	}
	return "the site's time is not known, nothing is paired: " + cmp.Or(m.Clock.Problem, "no source has answered yet")
}

// clockStatus is what a clock says of itself, as it travels.
func clockStatus(st clock.Status, now time.Time) *wire.ClockStatus {
	k := &wire.ClockStatus{
		State: clockStates[st.State], Source: wire.OneLine(st.Source), OffsetNs: int64(st.SystemOffset),
		BoundNs: sum(int64(st.Bound())), Problem: wire.OneLine(st.Problem()),
	}
	for _, x := range st.Sources {
		heard := int64(-1)
		if !x.Heard.IsZero() {
			heard = max(int64(now.Sub(x.Heard)), 0)
		}
		k.Sources = append(k.Sources, &wire.TimeSource{
			Name: wire.OneLine(x.Name), State: clockStates[x.State], OffsetNs: int64(x.Offset), BoundNs: int64(x.Bound),
			SkewPpm: x.SkewPPM, SkewErrorPpm: x.SkewError, RoundTripNs: int64(x.RoundTrip), HeardNs: heard,
			Steps: uint64(x.Stats.Steps), Problems: uint64(x.Problems), Problem: wire.OneLine(x.Problem),
		})
	}
	return k
}

var clockStates = map[clock.State]wire.ClockState{
	clock.Unsynchronized: wire.ClockState_CLOCK_STATE_UNSYNCHRONIZED,
	clock.Converging:     wire.ClockState_CLOCK_STATE_CONVERGING,
	clock.Holdover:       wire.ClockState_CLOCK_STATE_HOLDOVER,
	clock.Locked:         wire.ClockState_CLOCK_STATE_LOCKED,
}

func (s *status) state(m *wire.Status) wire.DeviceState {
	switch {
	case s.stopping:
		return wire.DeviceState_DEVICE_STATE_STOPPING
	case m.Error != "":
		return wire.DeviceState_DEVICE_STATE_DEGRADED
	case m.ReleaseRunning == "" || s.take == "":
		return wire.DeviceState_DEVICE_STATE_WAITING
	case m.ReleaseAssigned != "" && m.ReleaseAssigned != m.ReleaseRunning:
		return wire.DeviceState_DEVICE_STATE_UPDATING
	}
	return wire.DeviceState_DEVICE_STATE_RUNNING
}
