package clock

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// hostReading is what a daemon or the kernel says of the system's clock.
type hostReading struct {
	local  int64   // instant
	wall   int64   // the system's time then
	bound  int64   // how far it may be from the reference, ns
	growth float64 // how much the bound grows a second, ns
}

// hostSource takes the system's clock for the site's, within a bound that somebody else keeps.
type hostSource struct {
	kind   string
	limits Limits
	read   func(ctx context.Context) (hostReading, error)

	mu    sync.Mutex
	known bool
	last  hostReading
	stats FilterStats
	// stepped says that the clock was set since the look before the last.
	stepped bool
}

func (s *hostSource) name() string         { return s.kind }
func (s *hostSource) every() time.Duration { return time.Second }

func (s *hostSource) poll(ctx context.Context) error {
	r, err := s.read(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.last, s.known
	s.known, s.last = true, r
	s.stats.Bursts++
	// Both clocks are turned by the same discipline, so their difference only changes when one is set.
	set := r.wall - r.local - (before.wall - before.local)
	if s.stepped = known && max(set, -set) > setFloor; !s.stepped {
		return nil
	}
	s.stats.Steps++
	s.last.bound += max(set, -set)
	return fmt.Errorf("%s: the system's clock was set by %v; until the next look the bound covers both", s.kind, time.Duration(set))
}

// setFloor is what reading two clocks one after the other may make of nothing, ns.
const setFloor = int64(2 * time.Millisecond)

func (s *hostSource) at(m int64) Estimate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return Estimate{}
	}
	age := m - s.last.local
	half := s.last.bound + int64(s.last.growth*float64(max(age, -age))/1e9)
	offset := s.last.wall - s.last.local
	e := Estimate{Offset: offset, Lo: offset - half, Hi: offset + half, State: Locked, Known: true}
	switch {
	case half > int64(s.limits.MaxBound):
		e.State = Unsynchronized
	case s.stepped:
		e.State = Converging
	case age > int64(s.limits.HoldoverAfter):
		e.State = Holdover
	}
	return e
}

func (s *hostSource) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

func (s *hostSource) describe(st *SourceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Stats = s.stats
}

// readWall reads both clocks of this machine; gap is how far apart the readings may be, ns.
func readWall() (local, wall, gap int64) {
	for try := range 5 {
		before := localNow()
		now := time.Now().UnixNano()
		after := localNow()
		if try == 0 || after-before < gap {
			local, wall, gap = before+(after-before)/2, now, after-before
		}
	}
	return local, wall, gap
}
