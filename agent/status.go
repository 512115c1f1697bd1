package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// status gathers what a device says of itself and publishes it.
type status struct {
	cfg       *Config
	conn      *bus.Conn
	publisher *bus.Publisher
	pipeline  *pipeline
	count     *counters
	log       *slog.Logger

	mu       sync.Mutex
	assigned string
	update   string // why the assigned release does not run, "" when it does
	failed   string // why the last take failed, "" when it didn't
	take     string // that plays
	stopping bool
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
	for {
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
	}
	if now := s.pipeline.running.Load(); now != nil {
		m.ReleaseRunning = now.bundle.Release
		m.Versions["provider"] = now.provider
	}
	p, c := s.publisher.Stats(), s.conn.Stats()
	m.Counters["published"], m.Counters["published_twice"] = p.Acked, p.Duplicate
	m.Counters["disconnects"] = c.Disconnects
	for reason, n := range p.Dropped {
		m.Counters["dropped_"+reason] += n
	}
	m.Gauges = map[string]float64{"backlog": float64(p.Backlog), "backlog_bytes": float64(p.BacklogBytes)}
	m.Error = wire.OneLine(s.update)
	if m.Error == "" {
		m.Error = wire.OneLine(s.failed)
	}
	m.State = s.state(m)
	return m
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
