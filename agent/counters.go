package agent

import (
	"maps"
	"sync"

	"tandem/stream/capture"
)

// counters count what happened since the agent began. Names of drops start with "dropped_", so that every loss is seen
// with its reason in the status.
type counters struct {
	mu sync.Mutex
	m  map[string]uint64
}

func newCounters() *counters { return &counters{m: map[string]uint64{}} }

func (c *counters) add(name string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name] += n
}

// drop counts n lost things by reason.
func (c *counters) drop(reason string, n uint64) { c.add("dropped_"+reason, n) }

func (c *counters) snapshot() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.m)
}

// capture adds what a camera counted during a take.
func (c *counters) capture(s capture.Stats) {
	c.add("frames_read", uint64(s.Read))
	for reason, n := range map[string]int64{
		"capture_overflow": s.DroppedOverflow, "stamp_went_back": s.DroppedBack, "not_decoded": s.DecodeErrors,
		"missing_in_source": s.Missing,
	} {
		if n > 0 {
			c.drop(reason, uint64(n))
		}
	}
	for name, n := range map[string]int64{
		"size_changes": s.SizeChanges, "source_lost": s.Disconnects, "reconnects": s.Reconnects, "recordings_truncated": s.Truncated,
	} {
		if n > 0 {
			c.add(name, uint64(n))
		}
	}
}
