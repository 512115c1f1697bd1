package clock

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quick limits lock within a second of real time.
var quick = Limits{MinBursts: 2, MinSpan: 50 * time.Millisecond, HoldoverAfter: 300 * time.Millisecond}

// follow runs a clock that asks servers, until the test ends.
func follow(t *testing.T, servers ...string) *Clock {
	t.Helper()
	c, err := New(Config{Limits: quick, NTP: NTPConfig{Servers: servers, Poll: 100 * time.Millisecond, Burst: 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	return c
}

func run(t *testing.T, c *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until asks again and again until the condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited 20 s: %s", what)
		}
	}
}

func TestClockFollowsAHub(t *testing.T) {
	hub := serve(t, nil)
	c := follow(t, hub.Addr())
	until(t, "the clock locks", func() bool { return c.Now().State == Locked })
	var last int64
	for range 1000 {
		before := time.Now()
		r := c.Now()
		after := time.Now()
		if r.Latest < before.UnixNano() || r.Earliest > after.UnixNano() {
			t.Fatalf("%d to %d, and it is %d", r.Earliest, r.Latest, before.UnixNano())
		}
		if r.Time < last || r.Time < r.Earliest || r.Time > r.Latest {
			t.Fatalf("%+v after %d", r, last)
		}
		last = r.Time
	}
	then := time.Now()
	if r := c.At(then); r.Latest < then.UnixNano() || r.Earliest > then.UnixNano() || r.Source != "ntp "+hub.Addr() {
		t.Errorf("%+v, and it was %d", r, then.UnixNano())
	}
	st := c.Status()
	if len(st.Sources) != 1 || st.Sources[0].Stats.Bursts < 2 || st.Sources[0].RoundTrip <= 0 || st.Sources[0].Bound <= 0 || st.Sources[0].Heard.IsZero() {
		t.Errorf("%+v", st)
	}
	if st.SystemOffset.Abs() > st.Bound() {
		t.Errorf("the hub's clock is this machine's, and it is %v ahead, ± %v", st.SystemOffset, st.Bound())
	}
}

// The hub's clock is set back by 3 s: noticed, the time goes on, and in the end it is right again.
func TestClockNoticesThatTheHubIsSet(t *testing.T) {
	var ahead atomic.Int64
	hub := serve(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	c := follow(t, hub.Addr())
	until(t, "the clock locks", func() bool { return c.Now().State == Locked })
	last := c.Now().Time
	ahead.Store(-3e9)
	set := time.Now()
	until(t, "the bound grows", func() bool {
		r := c.Now()
		if r.Time < last {
			t.Fatalf("time ran back by %v", time.Duration(last-r.Time))
		}
		last = r.Time
		return r.Bound() > 2900*time.Millisecond && r.Earliest <= time.Now().Add(-3*time.Second).UnixNano()
	})
	if d := time.Since(set); d > 5*time.Second {
		t.Errorf("noticed after %v", d)
	}
	until(t, "the step is believed", func() bool { return c.Status().Sources[0].Stats.Steps == 1 })
	if r := c.Now(); r.Earliest > time.Now().Add(-3*time.Second).UnixNano() || r.Time < last {
		t.Errorf("%+v", r)
	}
}

func TestClockHoldsOverWhenTheHubGoesAway(t *testing.T) {
	hub, err := Listen(t.Context(), "127.0.0.1:0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- hub.Serve(t.Context()) }()
	c := follow(t, hub.Addr())
	until(t, "the clock locks", func() bool { return c.Now().State == Locked })
	if err := errors.Join(hub.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	until(t, "holdover", func() bool { return c.Now().State == Holdover })
	bound := c.Now().Bound()
	until(t, "the bound grows", func() bool { return c.Now().Bound() > bound })
	until(t, "the status says why", func() bool { return strings.Contains(c.Status().Problem(), "nothing answers NTP there") })
}

// Two hubs that differ by 3 s: nobody knows which is right, so the interval holds both. A third one decides.
func TestClockNamesTheServerThatLies(t *testing.T) {
	right, also := serve(t, nil), serve(t, nil)
	liar := serve(t, func() time.Time { return time.Now().Add(3 * time.Second) })
	two := follow(t, liar.Addr(), right.Addr())
	until(t, "the dispute", func() bool {
		st := two.Status()
		return st.State == Converging && st.Bound() > 2*time.Second && strings.Contains(st.Problem(), "no majority") &&
			strings.Contains(st.Problem(), "ntp "+liar.Addr()+" and ntp "+right.Addr()+" differ by")
	})
	three := follow(t, liar.Addr(), right.Addr(), also.Addr())
	until(t, "the majority", func() bool {
		st := three.Status()
		return st.State == Locked && st.SystemOffset.Abs() < time.Second && strings.Contains(st.Problem(), "ntp "+liar.Addr()+" is ") &&
			strings.Contains(st.Problem(), "it is not believed")
	})
}

func TestClockStartsAnewAfterASuspension(t *testing.T) {
	f, m := locked(t, 10)
	s := &ntpSource{server: "hub", filter: f}
	c := newClock([]source{s}, nil)
	if !c.AtLocal(m).Known {
		t.Fatal("nothing is known before")
	}
	c.slept -= int64(time.Minute) // as if the machine had slept since
	c.notice()
	if r := c.AtLocal(m); r.Known {
		t.Errorf("%+v", r)
	}
	c.notice()
	if _, err := f.Add(exchange(m, epoch, ms, ms)); err != nil || !c.AtLocal(m).Known {
		t.Errorf("nothing is known after a new sample: %v", err)
	}
}

// What is asked for each frame must not allocate.
func TestReadingDoesNotAllocate(t *testing.T) {
	f, m := locked(t, 60)
	g, _ := locked(t, 60)
	c := newClock([]source{&ntpSource{kind: SourceNTP, server: "a", filter: f}, &ntpSource{kind: SourceNTP, server: "b", filter: g}}, nil)
	if n := testing.AllocsPerRun(100, func() { m += sec / 30; c.AtLocal(m) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkReading(b *testing.B) {
	f := NewFilter(Limits{})
	for n := range int64(128) {
		if _, err := f.Add(exchange((n+1)*sec/2, epoch, ms+n%7*1000, ms+n%5*1000)); err != nil {
			b.Fatal(err)
		}
	}
	c := newClock([]source{&ntpSource{kind: SourceNTP, server: "hub", filter: f}}, nil)
	m := 64 * sec
	b.ReportAllocs()
	for b.Loop() {
		m += 1000
		c.AtLocal(m)
	}
}

func BenchmarkFilterAdd(b *testing.B) {
	f := NewFilter(Limits{})
	m := sec
	b.ReportAllocs()
	for b.Loop() {
		m += sec / 2
		if _, err := f.Add(exchange(m, epoch, ms+m%7919, ms+m%7907)); err != nil {
			b.Fatal(err)
		}
	}
}
