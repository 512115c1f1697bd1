package agent

import (
	"maps"
	"sync"

	"tandem/stream/capture"
)

// counters count what happened since the agent began. Names of drops start with "dropped_", so that every loss is seen
// with its reason in the status. docs/agent.md explains each name.
type counters struct {
	mu     sync.Mutex
	m      map[string]uint64
	camera func() capture.Stats // of the take that runs, nil between takes
}

func newCounters() *counters { return &counters{m: map[string]uint64{}} }

func (c *counters) add(name string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name] += n
}

// drop counts n lost things by reason.
func (c *counters) drop(reason string, n uint64) { c.add("dropped_"+reason, n) }

func (c *counters) get(name string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[name]
}

// snapshot returns the counts so far, those of the running camera included.
func (c *counters) snapshot() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := maps.Clone(c.m)
	if c.camera != nil {
		addCapture(m, c.camera())
	}
	return m
}

// watch includes a camera's own counts until it is called with nil, when they are taken over for good.
func (c *counters) watch(camera func() capture.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.camera != nil {
		addCapture(c.m, c.camera())
	}
	c.camera = camera
}

// addCapture adds what a camera counted during a take.
func addCapture(m map[string]uint64, s capture.Stats) {
	m["frames_read"] += uint64(s.Read)
	for _, n := range []struct {
		name  string
		count int64
	}{
		{"dropped_capture_overflow", s.DroppedOverflow}, {"dropped_stamp_went_back", s.DroppedBack},
		{"dropped_not_decoded", s.DecodeErrors}, {"dropped_missing_in_source", s.Missing},
		{"size_changes", s.SizeChanges}, {"source_lost", s.Disconnects}, {"reconnects", s.Reconnects},
		{"recordings_truncated", s.Truncated},
	} {
		if n.count > 0 {
			m[n.name] += uint64(n.count)
		}
	}
}
