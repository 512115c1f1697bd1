package dejitter

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// TestStampsOfANoisyCamera is the case of the figures in docs/sync.md, for each kind of noise.
func TestStampsOfANoisyCamera(t *testing.T) {
	for name, c := range map[string]scene{
		"gaussian":             {noise: gaussian(5e6)},
		"exponential":          {noise: exponential(5e6)},
		"exponential, queued":  {noise: exponential(5e6), queue: true},
		"gaussian, queued":     {noise: gaussian(5e6), queue: true},
		"doubled, queued":      {noise: gaussian(3e6), queue: true, double: 0.01},
		"clean, never doubled": {noise: gaussian(1e5), queue: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.period, c.outliers, c.drop = 1e9/30*(1+20e-6), 0.01, 0.02
			d := newDejitter(t, 0)
			o := run(t, d, c.frames(50_000, epoch, 1))
			off := math.Abs(o.rate*c.period/1e9 - 1)
			t.Logf("%v, rate off by %.2g, %+v", o, off, d.Stats())
			if o.p99 > 2e6 {
				t.Errorf("p99 of the stamps' error is %.3f ms, want at most 2 ms", o.p99/1e6)
			}
			if off > 1e-6 {
				t.Errorf("the rate is off by %.3g, want at most 1e-6", off)
			}
			if o.beyond > 0 {
				t.Errorf("%d stamps are off by more than their bound", o.beyond)
			}
			if o.normalized > 1.5 {
				t.Errorf("errors are %.2f times their standard error", o.normalized)
			}
			if most := 0.2 * 50_000; float64(o.doubtful) > most {
				t.Errorf("%d stamps are doubtful", o.doubtful)
			}
		})
	}
}

func TestLatencyIsPartOfTheStamp(t *testing.T) {
	c := scene{period: 4e7, noise: gaussian(1e6)}
	o := run(t, newDejitter(t, 30*time.Millisecond), c.frames(2000, epoch, 1))
	if math.Abs(o.centre) > 2e5 {
		t.Errorf("stamps are %.3f ms after the capture, want 0", o.centre/1e6)
	}
	for _, bad := range []time.Duration{-1, time.Minute} {
		if _, err := New(Config{Latency: bad}); err == nil || !strings.Contains(err.Error(), "expected 0 to 10s") {
			t.Errorf("latency %v: %v", bad, err)
		}
	}
}

// afterwards checks stamps of a camera once it has been through something.
func afterwards(t *testing.T, d *Dejitter, list []arrival, settle int) {
	t.Helper()
	for i, a := range list {
		s := d.Next(a.at)
		if i < settle {
			continue
		}
		if e := s.Time - a.truth - 30e6; float64(max(e, -e)) > 2e6+float64(s.Doubt) || !s.Learned {
			t.Fatalf("frame %d of %d: off by %.2f ms: %+v", i, len(list), float64(e)/1e6, s)
		}
	}
}

func TestRateChanges(t *testing.T) {
	for _, c := range []struct{ from, to float64 }{{30, 25}, {30, 15}, {15, 30}, {30, 60}, {25, 30}, {30, 20}, {30, 29.97}, {60, 59}} {
		t.Run(fmt.Sprintf("%g to %g", c.from, c.to), func(t *testing.T) {
			d := newDejitter(t, 0)
			before := scene{period: 1e9 / c.from, noise: gaussian(1e6), drop: 0.01, queue: true}.frames(3000, epoch, 1)
			afterwards(t, d, before, 200)
			last := before[len(before)-1].truth
			after := scene{period: 1e9 / c.to, noise: gaussian(1e6), drop: 0.01, queue: true}.frames(5000, last+int64(1e9/c.to), 2)
			afterwards(t, d, after, 1000)
			if off := math.Abs(d.Rate()/c.to - 1); off > 1e-5 {
				t.Errorf("the rate is %g, want %g", d.Rate(), c.to)
			}
		})
	}
}

func TestCameraRestarts(t *testing.T) {
	d := newDejitter(t, 0)
	c := scene{period: 1e9 / 30, noise: exponential(1e6), drop: 0.01, queue: true}
	at := int64(epoch)
	for round := range 5 {
		list := c.frames(1000, at, uint64(round))
		settle := 100
		for i, a := range list {
			s := d.Next(a.at)
			if e := s.Time - a.truth - 31e6; i > settle && float64(max(e, -e)) > 2e6+float64(s.Doubt) {
				t.Fatalf("round %d, frame %d: off by %.2f ms: %+v", round, i, float64(e)/1e6, s)
			}
		}
		at = list[len(list)-1].truth + 5_123_456_789
	}
	if n := d.Stats().Restarts; n != 4 {
		t.Errorf("%d restarts are counted, want 4", n)
	}
}

// A network that stalls delivers at once what has gathered; a camera that hangs has lost it. Both in the same gap.
func TestStallIsNotLoss(t *testing.T) {
	const period = int64(33_333_333)
	for _, lost := range []bool{false, true} {
		d := newDejitter(t, 0)
		for k := range int64(3000) {
			at := epoch + k*period
			truth := at
			if k >= 2000 && k < 2010 {
				if lost {
					continue
				}
				at = epoch + 2010*period - 1000*(2010-k)
			}
			s := d.Next(at)
			if e := max(s.Time-truth, truth-s.Time); e > 100_000+s.Doubt || k > 2015 && (s.Doubt > 0 || e > 100_000) {
				t.Fatalf("lost %v: frame %d is off by %d ns: %+v", lost, k, e, s)
			}
		}
		if st := d.Stats(); lost && st.Missed != 10 || !lost && st.Missed != 0 {
			t.Errorf("lost %v: %+v", lost, st)
		}
	}
}

func TestALatencyThatStepsIsFollowed(t *testing.T) {
	c := scene{period: 1e9 / 30, noise: gaussian(2e6), queue: true}
	d := newDejitter(t, 0)
	for i, a := range c.frames(9000, epoch, 3) {
		at := a.at
		if i > 3000 {
			at += 5e6
		}
		if i > 6000 {
			at += 60e6
		}
		s := d.Next(at)
		if off := s.Time - a.truth - 30e6; i > 4000 && i < 6000 && max(off-5e6, 5e6-off) > 1e6 || i > 7000 && max(off-65e6, 65e6-off) > 1e6+34e6 {
			t.Fatalf("frame %d: %.2f ms: %+v", i, float64(off)/1e6, s)
		}
	}
}

func TestNothingIsAllocatedAFrame(t *testing.T) {
	d := newDejitter(t, 0)
	at := int64(epoch)
	if n := testing.AllocsPerRun(5000, func() {
		at += 33_333_333
		d.Driver(at, at-epoch)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkNext(b *testing.B) {
	d, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	list := scene{period: 1e9 / 30, noise: exponential(5e6), outliers: 0.01, drop: 0.02, queue: true}.frames(100_000, 0, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == len(list) {
			i = 0
			d, _ = New(Config{})
		}
		d.Next(list[i].at)
	}
}
