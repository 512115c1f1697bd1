package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// lost reports whether a message was dropped because the backlog was full.
func lost(err error) bool { return errors.Is(err, bus.ErrBacklogFull) }

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
	failure  string
	take     string
}

func (s *status) assign(release string) { s.mu.Lock(); s.assigned = release; s.mu.Unlock() }
func (s *status) fail(text string)      { s.mu.Lock(); s.failure = wire.OneLine(text); s.mu.Unlock() }
func (s *status) clear()                { s.mu.Lock(); s.failure = ""; s.mu.Unlock() }
func (s *status) playing(take string)   { s.mu.Lock(); s.take = take; s.mu.Unlock() }

// run publishes the status every so often and once more at the end.
func (s *status) run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.StatusEvery)
	defer tick.Stop()
	for {
		s.publish(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// publish sends the present status. It has no message id and is never waited for: the next one says all that it says.
func (s *status) publish(ctx context.Context) {
	if ctx.Err() != nil || !s.conn.Stats().Connected {
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
		Counters: s.count.snapshot(), Error: s.failure,
		Versions: map[string]string{"onnxruntime": ort.Version()},
		State:    wire.DeviceState_DEVICE_STATE_RUNNING,
	}
	if now := s.pipeline.running.Load(); now != nil {
		m.ReleaseRunning = now.release
		m.Versions["provider"] = now.provider
	}
	p, c := s.publisher.Stats(), s.conn.Stats()
	m.Counters["published"], m.Counters["published_twice"] = p.Acked, p.Duplicate
	m.Counters["disconnects"] = c.Disconnects
	for reason, n := range p.Dropped {
		m.Counters["dropped_"+reason] = n
	}
	m.Gauges = map[string]float64{"backlog": float64(p.Backlog), "backlog_bytes": float64(p.BacklogBytes)}
	switch {
	case m.ReleaseRunning == "" || s.take == "":
		m.State = wire.DeviceState_DEVICE_STATE_WAITING
	case s.failure != "":
		m.State = wire.DeviceState_DEVICE_STATE_DEGRADED
	case m.ReleaseAssigned != "" && m.ReleaseAssigned != m.ReleaseRunning:
		m.State = wire.DeviceState_DEVICE_STATE_UPDATING
	}
	return m
}
