package agent

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"tandem/stream/frame"
	"tandem/stream/wire"
	"tandem/sync/clock"
)

// placement is when a frame was captured, on site time.
type placement struct {
	at     int64 // ns; later than the frame before of the same take
	bound  int64 // half-width of the interval around at that holds the capture, ns; wire.UnknownBound when nothing is known
	source wire.ClockSource
}

// siteTime brings the stamps of a take's frames to site time.
type siteTime struct {
	base    timebase // nil: stamps are site time already
	bound   int64    // of such stamps, ns
	latency int64    // what the configured latency may be off, ns

	camera camera
	begun  bool
	last   int64 // site time of the newest frame
	ahead  int64 // what the site's time was ahead of the device's when it was last known
}

// begin starts a take.
func (s *siteTime) begin(c camera) { s.camera, s.begun = c, false }

// mostBack is how far the site's time may turn out to lie behind what was taken for it before another take is begun.
const mostBack = int64(time.Second)

// place returns when a frame was captured. Site time never goes back within a take: a frame that would is placed right
// after the one before, and its bound holds the difference. It reports false if that were more than a second, as when the
// site's time becomes known of a device whose own clock is ahead: the take has to end.
func (s *siteTime) place(f *frame.Frame) (p placement, ok bool) {
	p = placement{at: f.Time, source: s.camera.clockSource(f.RawKind)}
	switch {
	case s.base == nil || !s.camera.live:
		p.bound = sum(f.Bound, s.bound, s.latency)
	default:
		if r := s.base.site(f.Time); r.Known {
			s.ahead = r.Time - f.Time
			p.bound, p.source = sum(f.Bound, int64(r.Bound()), s.latency), clockSource(r.Source)
		} else {
			p.bound = wire.UnknownBound
		}
		p.at += s.ahead
	}
	if s.begun && p.at <= s.last {
		back := s.last + 1 - p.at
		if s.camera.live && s.base != nil && back > mostBack {
			return p, false
		}
		p.at += back
		p.bound = sum(p.bound, back)
	}
	s.begun, s.last = true, p.at
	return p, true
}

// sum adds bounds; beyond wire.UnknownBound nothing is known.
func sum(bounds ...int64) int64 {
	var total int64
	for _, b := range bounds {
		if total += min(b, wire.UnknownBound); total >= wire.UnknownBound {
			return wire.UnknownBound
		}
	}
	return total
}

// ready waits until the site's time is known, or for so long: the first frames of a camera would have no partners without.
func (s *siteTime) ready(ctx context.Context, most time.Duration) error {
	if s.base == nil {
		return nil
	}
	end := time.NewTimer(most)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.base.site(s.base.Now()).Known {
		select {
		case <-tick.C:
		case <-end.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// clockSource tells the kind of a source by its name.
func clockSource(name string) wire.ClockSource {
	kind, _, _ := strings.Cut(name, " ")
	switch kind {
	case clock.SourcePHC:
		return wire.ClockSource_CLOCK_SOURCE_PTP
	case clock.SourceChrony:
		return wire.ClockSource_CLOCK_SOURCE_CHRONY
	case clock.SourceAdjtimex:
		return wire.ClockSource_CLOCK_SOURCE_SYSTEM
	case clock.SourceNTP:
		return wire.ClockSource_CLOCK_SOURCE_NTP
	}
	return wire.ClockSource_CLOCK_SOURCE_NONE
}

// part names the n-th part of a take whose time had to go back, n ≥ 2.
func part(take string, n int) string { return wire.Token(take + "/" + strconv.Itoa(n)) }

// bounds remembers the bounds of a take's newest samples, so that segments can tell theirs.
type bounds struct {
	ring  [boundsKept]seqBound
	next  int
	n     int
	worst int64 // of those that have been forgotten
}

type seqBound struct{ seq, bound int64 }

// boundsKept is some minutes of samples. A segment that began before them has the worst bound of what was forgotten.
const boundsKept = 1 << 13

func (b *bounds) clear() { b.next, b.n, b.worst = 0, 0, 0 }

func (b *bounds) add(seq, bound int64) {
	if b.n == boundsKept {
		b.worst = max(b.worst, b.ring[b.next].bound)
	} else {
		b.n++
	}
	b.ring[b.next] = seqBound{seq, bound}
	b.next = (b.next + 1) % boundsKept
}

// at returns the bound of a sample; of one that was lost, that of its worse neighbour.
func (b *bounds) at(seq int64) int64 {
	after := int64(math.MinInt64)
	for i := range b.n {
		x := b.ring[(b.next-1-i+2*boundsKept)%boundsKept]
		switch {
		case x.seq == seq:
			return x.bound
		case x.seq < seq:
			return max(x.bound, after)
		}
		after = x.bound
	}
	return max(b.worst, after, 0)
}
