package agent

import (
	"strings"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// Of two agents under one name the one that began later ends with an error that says where the other is; the other goes on and
// says so, too, until it is alone again.
func TestTwoAgentsUnderOneName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	first := s.run(statusConfig(s, "exo1"))
	s.lastStatus("exo1", "the first one", func(*wire.Status) bool { return true })
	second := s.run(statusConfig(s, "exo1"))
	<-second.ended
	if err := second.err; err == nil || !strings.Contains(err.Error(), "device: another agent runs under the name exo1 in cell cell-1, on ") ||
		!strings.Contains(err.Error(), "give one of them another name") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("the second agent ended with %v", err)
	}
	s.lastStatus("exo1", "nobody else any more", func(m *wire.Status) bool { return m.Error == "" })
	other := s.run(statusConfig(s, "exo2")) // another name is no problem
	s.lastStatus("exo2", "the other name", func(m *wire.Status) bool { return m.Error == "" })
	must(t, other.finish())
	must(t, first.finish())
}

// A status of another agent that was on its way when this one began is no sign that the other one runs.
func TestAgentThatFollowsAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		d := s.run(statusConfig(s, "exo1"))
		s.lastStatus("exo1", "a second status", func() func(*wire.Status) bool {
			n := 0
			return func(m *wire.Status) bool { n++; return n > 3 && m.Error == "" }
		}())
		must(t, d.finish())
	}
}

// The agent that was there first shows in its status that another one has come.
func TestFirstAgentSaysThatAnotherHasCome(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.run(statusConfig(s, "exo1"))
	own := s.lastStatus("exo1", "the agent", func(*wire.Status) bool { return true })
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			m := &wire.Status{
				Device: "exo1", Role: "exo", SiteNs: 1, State: wire.DeviceState_DEVICE_STATE_RUNNING, Host: "elsewhere",
				Instance: own.Instance + 1, StartedNs: own.StartedNs + 1,
			}
			data, err := wire.Encode(m)
			if err == nil {
				err = s.conn.NATS().Publish(bus.Subject{Site: "plant", Cell: "cell-1", Device: "exo1", Kind: bus.Status}.String(), data)
			}
			if err != nil {
				t.Error(err)
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	m := s.lastStatus("exo1", "the clash", func(m *wire.Status) bool { return strings.Contains(m.Error, "another agent runs under the name exo1") })
	if m.Instance != own.Instance || m.State != wire.DeviceState_DEVICE_STATE_DEGRADED || !strings.Contains(m.Error, "on elsewhere since ") {
		t.Errorf("%v", m)
	}
	close(stop)
	<-done
	must(t, d.finish())
}
