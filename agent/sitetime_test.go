package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/stream/frame"
	"tandem/stream/wire"
	"tandem/sync/clock"
)

// scripted is a timebase that says what a test tells it to.
type scripted struct {
	now  func() int64
	read func(local int64) clock.Reading
}

func (s *scripted) Now() int64 { return s.now() }

func (s *scripted) WaitUntil(ctx context.Context, _ int64) error { return ctx.Err() }

func (s *scripted) site(local int64) clock.Reading { return s.read(local) }

func (s *scripted) status() clock.Status { return clock.Status{Reading: s.read(s.now())} }

func (s *scripted) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// ahead is a reading of a clock that is so far ahead of the device's.
func ahead(local, by, bound int64) clock.Reading {
	t := local + by
	return clock.Reading{Time: t, Earliest: t - bound, Latest: t + bound, State: clock.Locked, Source: "ntp hub:123", Known: true}
}

func TestStampsAreBroughtToSiteTime(t *testing.T) {
	const ns = int64(1e9)
	var reading func(local int64) clock.Reading
	s := siteTime{base: &scripted{read: func(m int64) clock.Reading { return reading(m) }}, bound: 5e6, latency: 2e6}
	place := func(local, stamp int64) string {
		t.Helper()
		p, ok := s.place(&frame.Frame{Time: local, Bound: stamp, RawKind: frame.Arrival})
		if !ok {
			return "another take"
		}
		bound := fmt.Sprint(p.bound)
		if p.bound >= wire.UnknownBound {
			bound = "?"
		}
		return fmt.Sprintf("%d±%s %s", p.at, bound, strings.TrimPrefix(p.source.String(), "CLOCK_SOURCE_"))
	}
	unknown := func(int64) clock.Reading { return clock.Reading{} }
	by := func(d, bound int64) func(int64) clock.Reading {
		return func(m int64) clock.Reading { return ahead(m, d, bound) }
	}
	s.begin(camera{live: true})
	for _, c := range []struct {
		reading func(int64) clock.Reading
		local   int64
		stamp   int64
		want    string
	}{
		{unknown, 10 * ns, 0, "10000000000±? NONE"}, // the device's own time, and nobody knows how wrong
		{by(3*ns, 1e6), 11 * ns, 1e5, "14000000000±3100000 NTP"},
		{by(3*ns, 1e6), 12 * ns, 1 << 62, "15000000000±? NTP"},
		{unknown, 13 * ns, 0, "16000000000±? NONE"},                     // goes on from what was known
		{by(3*ns-1e8, 1e6), 13*ns + 5e7, 0, "16000000001±53000001 NTP"}, // 50 ms and 1 ns back: placed behind the last one, and the bound says so
		{by(3*ns-1e8, 1e6), 13*ns + 2e8, 0, "16100000000±3000000 NTP"},  // has caught up
		{by(2*ns-2e8, 1e6), 13*ns + 25e7, 0, "another take"},            // more than a second back
		{by(2*ns+1e8, 1e6), 14 * ns, 0, "16100000001±3000001 NTP"},      // exactly as late as the last one
		{by(100*ns, 2*ns), 15 * ns, 1e6, "115000000000±2003000000 NTP"}, // forwards it may jump
		{func(int64) clock.Reading {
			return clock.Reading{Time: 116 * ns, Earliest: 116*ns - 1, Latest: 116*ns + 9, Source: "phc /dev/ptp0", Known: true}
		},
			16 * ns, 0, "116000000000±2000009 PTP"},
	} {
		reading = c.reading
		if got := place(c.local, c.stamp); got != c.want {
			t.Errorf("frame of %d ns: %s, want %s", c.local, got, c.want)
		}
	}
	s.begin(camera{live: true}) // another take may begin earlier
	reading = by(-5*ns, 1e6)
	if got := place(10*ns, 0); got != "5000000000±3000000 NTP" {
		t.Errorf("the next take: %s", got)
	}
	s.begin(camera{}) // a recording's stamps are site time
	if got := place(7*ns, 1e5); got != "7000000000±7100000 NONE" {
		t.Errorf("a recording: %s", got)
	}
	host := siteTime{bound: 5e6}
	host.begin(camera{live: true})
	if p, ok := host.place(&frame.Frame{Time: 9, Bound: 3}); !ok || p.at != 9 || p.bound != 5e6+3 || p.source != wire.ClockSource_CLOCK_SOURCE_NONE {
		t.Errorf("a camera on the device's own clock: %+v", p)
	}
}

// Whatever a clock does, the site time of a take's frames rises, and the truth is as near as it says.
func TestSiteTimeRisesWithinATake(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		wrong, known := rng.Int64N(8e9)-4e9, false
		var now placement
		s := siteTime{}
		local := int64(100e9)
		s.base = &scripted{read: func(m int64) clock.Reading {
			if !known {
				return clock.Reading{}
			}
			bound := rng.Int64N(30e6)
			r := ahead(m, wrong+rng.Int64N(2*bound+1)-bound, bound)
			return r
		}}
		s.begin(camera{live: true})
		last, parts := int64(-1), 0
		for range 2000 {
			local += 33e6
			if rng.IntN(100) == 0 {
				known = !known
			}
			var ok bool
			f := &frame.Frame{Time: local}
			if now, ok = s.place(f); !ok {
				parts++
				s.begin(camera{live: true})
				last = -1
				now, _ = s.place(f)
			}
			if now.at <= last {
				t.Fatalf("seed %d: %d after %d", seed, now.at, last)
			}
			if truth := local + wrong; now.bound < wire.UnknownBound && max(truth-now.at, now.at-truth) > now.bound {
				t.Fatalf("seed %d: %d, and it is %d, ± %d", seed, now.at, truth, now.bound)
			}
			last = now.at
		}
		if parts > 1 {
			t.Errorf("seed %d: %d takes were begun, one when the time became known would do", seed, parts)
		}
	}
}

func TestCameraWaitsForSiteTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Bool
		s := siteTime{base: &scripted{now: func() int64 { return 1 }, read: func(m int64) clock.Reading {
			if known.Load() {
				return ahead(m, 5, 1)
			}
			return clock.Reading{}
		}}}
		began := time.Now()
		must(t, s.ready(t.Context(), 10*time.Second))
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("waited %v for a time that nobody tells", d)
		}
		go func() {
			<-time.After(3 * time.Second)
			known.Store(true)
		}()
		began = time.Now()
		must(t, s.ready(t.Context(), 10*time.Second))
		if d := time.Since(began); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("waited %v for a time that is known after 3 s", d)
		}
		known.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s.ready(ctx, time.Hour) == nil {
			t.Error("waits on after its end")
		}
	})
}

// A device that is an hour ahead learns the site's time in the middle of a take: the rest is a take of its own.
func TestTakeIsSplitWhereTimeWouldGoBack(t *testing.T) {
	r := newRig(t, RoleExo, older)
	known := false
	r.time.base = &scripted{read: func(m int64) clock.Reading {
		if known {
			return ahead(m, -int64(time.Hour), 1e6)
		}
		return clock.Reading{}
	}}
	r.begin(r.src, true)
	r.out.takes, r.out.batches = nil, nil
	const n = 20
	for i := range int64(2 * n) {
		known = i >= n
		r.picture(i)
		f := &frame.Frame{Mat: r.pic, Width: 64, Height: 48, Index: i, Raw: i, RawKind: frame.Arrival, Time: clipStart + i*clipPeriod}
		at, ok := r.time.place(f)
		if !ok {
			var err error
			r.src, err = r.split(t.Context(), r.src, 2)
			must(t, err)
			at, _ = r.time.place(f)
		}
		must(t, r.frame(t.Context(), r.src, f, at))
	}
	must(t, r.end(t.Context(), r.src))
	if len(r.out.takes) != 1 || r.out.takes[0] == "t1" || !strings.HasPrefix(r.out.takes[0], "t1-2-") {
		t.Fatalf("takes %v", r.out.takes)
	}
	samples, ended := map[string]int{}, map[string]bool{}
	for _, b := range r.out.batches {
		samples[b.Take] += b.Len()
		ended[b.Take] = ended[b.Take] || b.Last
		for i, site := range wire.AppendValues(nil, b.SiteNs) {
			if guess := b.Take == "t1"; guess != (b.Bounds(nil)[i] >= wire.UnknownBound) || guess != (site >= clipStart) || guess != (b.ClockSource == wire.ClockSource_CLOCK_SOURCE_NONE) {
				t.Errorf("take %s: sample at %d ± %d by %v", b.Take, site, b.Bounds(nil)[i], b.ClockSource)
			}
		}
	}
	if len(samples) != 2 || samples["t1"] != n || samples[r.out.takes[0]] != n || !ended["t1"] || !ended[r.out.takes[0]] {
		t.Errorf("samples %v, ended %v", samples, ended)
	}
}

func TestBoundsOfSegments(t *testing.T) {
	var b bounds
	if b.at(5) != 0 {
		t.Error("a bound of nothing")
	}
	for i := range int64(boundsKept + 10) {
		if i != 20 {
			b.add(i, 1000+i%100)
		}
	}
	for seq, want := range map[int64]int64{
		boundsKept + 9: 1000 + (boundsKept+9)%100, boundsKept + 50: 1000 + (boundsKept+9)%100, 50: 1050, 20: 1021, 3: 1009,
	} {
		if got := b.at(seq); got != want {
			t.Errorf("sample %d has a bound of %d, want %d", seq, got, want)
		}
	}
	b.clear()
	b.add(0, 7)
	if b.at(0) != 7 {
		t.Errorf("after another take began: %d", b.at(0))
	}
}
