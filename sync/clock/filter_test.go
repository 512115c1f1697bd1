package clock

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

const (
	epoch = int64(1_700_000_000) * 1e9
	ms    = int64(time.Millisecond)
	sec   = int64(time.Second)
)

// exchange is a sample taken at a local instant of a server that is offset ahead, with delays of the two ways.
func exchange(at, offset, there, back int64) Sample {
	return Sample{T1: at, T2: at + there + offset, T3: at + there + offset, T4: at + there + back}
}

// locked is a filter that was given n seconds of samples of a server at epoch with 1 ms each way; m is the instant after them.
func locked(t *testing.T, n int64) (f *Filter, m int64) {
	t.Helper()
	f = NewFilter(Limits{})
	for m = sec; m <= n*sec; m += sec {
		if e, err := f.Add(exchange(m, epoch, ms, ms)); e != Taken || err != nil {
			t.Fatalf("at %d: %v, %v", m, e, err)
		}
	}
	if e := f.At(m); e.State != Locked {
		t.Fatalf("state %v", e.State)
	}
	return f, m
}

func TestFilterKnowsNothingBeforeASample(t *testing.T) {
	e := NewFilter(Limits{}).At(5)
	if e.Known || e.State != Unsynchronized {
		t.Errorf("%+v", e)
	}
	var p Pacer
	if r := p.Read(5, e); r.Known || r.Bound() != math.MaxInt64 {
		t.Errorf("%+v", r)
	}
}

func TestFilterBoundIsHalfTheRoundTrip(t *testing.T) {
	f, m := locked(t, 60)
	e := f.At(m)
	if e.Lo > epoch || e.Hi < epoch || e.Hi-e.Lo > 2*ms+400_000 || e.Hi-e.Lo < 2*ms {
		t.Errorf("interval %d to %d around the truth, expected ±1 ms and a little", e.Lo-epoch, e.Hi-epoch)
	}
	if d := e.Offset - epoch; d < -1000 || d > 1000 {
		t.Errorf("offset is %d ns off", d)
	}
	if ppm, pm := f.Skew(); math.Abs(ppm) > 0.1 || pm <= math.Abs(ppm) {
		t.Errorf("skew %g ± %g", ppm, pm)
	}
}

// However lopsided the ways are, the truth stays inside: all of the round trip may be on one of them.
func TestFilterHoldsTheTruthOnAWayWithoutReturn(t *testing.T) {
	for _, d := range [][2]int64{{0, 20 * ms}, {20 * ms, 0}} {
		f := NewFilter(Limits{})
		for m := sec; m < 60*sec; m += sec {
			if _, err := f.Add(exchange(m, epoch, d[0], d[1])); err != nil {
				t.Fatal(err)
			}
			if e := f.At(m + sec/2); e.Lo > epoch || e.Hi < epoch {
				t.Fatalf("ways %v at %d: %d to %d", d, m, e.Lo-epoch, e.Hi-epoch)
			}
		}
	}
}

func TestFilterHoldoverGrowsWithTheSkewsUncertainty(t *testing.T) {
	f, m := locked(t, 60)
	width := func(at int64) int64 { e := f.At(at); return e.Hi - e.Lo }
	if s := f.At(m + 10*sec).State; s != Holdover {
		t.Errorf("state %v after 10 s of silence", s)
	}
	w1, w2 := width(m+60*sec), width(m+120*sec)
	if width(m) >= w1 || w1 >= w2 {
		t.Errorf("widths %d, %d, %d", width(m), w1, w2)
	}
	if s := f.At(m + 1e6*sec).State; s != Unsynchronized {
		t.Errorf("state %v after 11 days of silence", s)
	}
}

func TestFilterNoticesAStepAtOnceAndBelievesItsRepetition(t *testing.T) {
	for _, step := range []int64{-3 * sec, -10 * ms, 10 * ms, 3 * sec} {
		f, m := locked(t, 30)
		if e, _ := f.Add(exchange(m, epoch+step, ms, ms)); e != Suspect {
			t.Fatalf("step of %v: event %v", time.Duration(step), e)
		}
		e := f.At(m + sec/2)
		if e.State == Locked || e.Lo > min(epoch, epoch+step) || e.Hi < max(epoch, epoch+step) {
			t.Errorf("step of %v: %v, %d to %d; expected both times inside", time.Duration(step), e.State, e.Lo-epoch, e.Hi-epoch)
		}
		if e, _ := f.Add(exchange(m+sec, epoch+step, ms, ms)); e != Stepped {
			t.Errorf("step of %v: event %v after its repetition", time.Duration(step), e)
		}
		if e := f.At(m + sec); e.Lo > epoch+step || e.Hi < epoch+step || e.Hi-e.Lo > 5*ms {
			t.Errorf("step of %v: %d to %d after its repetition", time.Duration(step), e.Lo-epoch, e.Hi-epoch)
		}
		if s := f.Stats(); s.Steps != 1 || s.Outliers != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A step smaller than the round trip contradicts nothing; it shows in the distance from the line.
func TestFilterNoticesAStepWithinTheRoundTrip(t *testing.T) {
	f, m := locked(t, 30)
	const step = 3 * ms / 2
	for n := range int64(3) {
		e, _ := f.Add(exchange(m+n*sec, epoch+step, ms, ms))
		if want := []Event{Suspect, Suspect, Stepped}[n]; e != want {
			t.Errorf("sample %d: event %v, expected %v", n, e, want)
		}
		if e := f.At(m + n*sec + 1); e.Hi < epoch+step {
			t.Errorf("sample %d: %d to %d, and the truth is %d", n, e.Lo-epoch, e.Hi-epoch, step)
		}
	}
}

func TestFilterForgetsALie(t *testing.T) {
	f, m := locked(t, 30)
	for n := range int64(20) {
		lie := (n%2)*(7*sec+n*sec) - 0
		if e, _ := f.Add(exchange(m+n*sec, epoch+lie, ms, ms)); e == Stepped {
			t.Fatalf("lie %d was believed", n)
		}
		if e := f.At(m + n*sec); e.Lo > epoch || e.Hi < epoch {
			t.Fatalf("lie %d: the truth left the interval", n)
		}
	}
	if s := f.Stats(); s.Outliers < 9 || s.Steps != 0 {
		t.Errorf("%+v", s)
	}
}

// An answer that took long says little, and what it says is right.
func TestFilterUsesLateAnswersForWhatTheyAre(t *testing.T) {
	f, m := locked(t, 30)
	before := f.At(m + 2*sec)
	if e, err := f.Add(exchange(m, epoch, 900*ms, ms)); e != Taken || err != nil {
		t.Fatalf("%v, %v", e, err)
	}
	after := f.At(m + 2*sec)
	if after.Hi-after.Lo > before.Hi-before.Lo+100_000 || after.State != Locked {
		t.Errorf("%+v, before %+v", after, before)
	}
}

func TestFilterFollowsAClockThatWandersTooFast(t *testing.T) {
	f := NewFilter(Limits{})
	offset := float64(epoch)
	for n := range int64(300) {
		skew := 10e-6 * math.Sin(float64(n)/20) // 0.5 ppm/s, 25 times what Limits allow
		offset += skew * 1e9
		if _, err := f.Add(exchange((n+1)*sec, int64(offset), ms/10, ms/10)); err != nil {
			t.Fatal(err)
		}
		if e := f.At((n+1)*sec + ms); e.Lo > int64(offset)+200 || e.Hi < int64(offset)-200 {
			t.Errorf("at %d: %d to %d", n, e.Lo-int64(offset), e.Hi-int64(offset))
		}
	}
}

func TestFilterRefusesImpossibleStamps(t *testing.T) {
	for want, s := range map[string]Sample{
		"before the request was sent": {T1: 10, T2: epoch, T3: epoch, T4: 5},
		"before it was asked":         {T1: 10, T2: epoch + 5*sec, T3: epoch, T4: 20},
		"kept the request":            {T1: 10, T2: epoch, T3: epoch + 6*sec, T4: 20},
		"a round trip of":             {T1: 10, T2: epoch, T3: epoch + ms, T4: 20},
		"root distance":               {T1: 10, T2: epoch, T3: epoch, T4: 20, Distance: -1},
	} {
		f := NewFilter(Limits{})
		e, err := f.Add(s)
		if e != Refused || !errors.Is(err, ErrImpossible) || !strings.Contains(err.Error(), want) || f.At(30).Known {
			t.Errorf("%+v: %v, %v, expected %q", s, e, err, want)
		}
	}
	f, _ := locked(t, 30)
	if e, err := f.Add(exchange(sec, epoch, ms, ms)); e != Refused || err == nil {
		t.Errorf("a sample of long ago: %v, %v", e, err)
	}
}

func TestFilterResetKnowsNothing(t *testing.T) {
	f, m := locked(t, 30)
	f.Reset()
	if f.At(m).Known {
		t.Error("something is known")
	}
	if _, pm := f.Skew(); pm != 500 || f.RoundTrip() != 0 {
		t.Errorf("skew ± %g, round trip %v", pm, f.RoundTrip())
	}
}

func TestPacerNeverRunsBackwards(t *testing.T) {
	var p Pacer
	at := func(m, offset int64) Reading {
		return p.Read(m, Estimate{Offset: offset, Lo: offset - ms, Hi: offset + ms, Known: true, State: Locked})
	}
	if r := at(sec, epoch); r.Time != sec+epoch || r.Bound() != time.Millisecond {
		t.Fatalf("%+v", r)
	}
	// The clock is set back by 3 s: time slows down until it is right again, and says how wrong it is.
	last := sec + epoch
	for m := sec; m <= 10*sec; m += 10 * ms {
		r := at(m, epoch-3*sec)
		if r.Time < last {
			t.Fatalf("at %d time went back by %d", m, last-r.Time)
		}
		if truth := m + epoch - 3*sec; r.Earliest > truth || r.Latest < truth || r.Time > r.Latest {
			t.Fatalf("at %d: %+v, and it is %d", m, r, truth)
		}
		last = r.Time
	}
	if want := 10*sec + epoch - 3*sec; last != want {
		t.Errorf("after 9 s time is %d off", last-want)
	}
	// Set forward, it jumps; small differences are made good slowly.
	if r := at(11*sec, epoch); r.Time != 11*sec+epoch {
		t.Errorf("after a step ahead time is %d off", r.Time-11*sec-epoch)
	}
	if r := at(12*sec, epoch+ms); r.Time != 12*sec+epoch+ms/2 {
		t.Errorf("a difference of 1 ms: %d", r.Time-12*sec-epoch)
	}
	if r := at(11*sec, epoch+ms); r.Time != 11*sec+epoch+ms/2 {
		t.Errorf("an earlier instant: %d", r.Time-11*sec-epoch)
	}
}

func TestLimitsRefuseNonsense(t *testing.T) {
	for want, l := range map[string]Limits{
		"max_skew":   {MaxSkew: -1},
		"max_drift":  {MaxDrift: math.NaN()},
		"max_wander": {MaxWander: math.Inf(1)},
		"window":     {Window: 4},
		"min_span":   {MinSpan: -1},
	} {
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected it to name %s", l, err, want)
		}
	}
	if err := (Limits{}).Check(); err != nil {
		t.Error(err)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(int64(1), int64(2), int64(3), int64(4), int64(5))
	f.Add(sec, epoch, epoch, sec+ms, int64(0))
	f.Fuzz(func(t *testing.T, t1, t2, t3, t4, distance int64) {
		g, m := locked(t, 10)
		_, _ = g.Add(Sample{T1: t1, T2: t2, T3: t3, T4: t4, Distance: distance})
		_, _ = g.Add(Sample{T1: m + t1%sec, T2: t2, T3: t3, T4: m + t4%sec, Distance: distance % sec})
		if e := g.At(m + 3*sec); e.Lo > e.Offset || e.Offset > e.Hi {
			t.Errorf("%+v", e)
		}
	})
}
