package dejitter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// scene is a simulated camera: what arrives, and when it was captured.
type scene struct {
	period   float64 // ns
	noise    func(*rand.Rand) float64
	outliers float64 // share of frames later by up to 200 ms
	drop     float64
	double   float64
	queue    bool // frames never overtake: what is behind a late frame is late
}

type arrival struct {
	at, truth int64
	number    int
	again     bool
}

func gaussian(sd float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return r.NormFloat64() * sd }
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return r.ExpFloat64() * mean }
}

const epoch = 1_772_434_800_000_000_000

// frames returns n frames from instant start on.
func (c scene) frames(n int, start int64, seed uint64) []arrival {
	rng := rand.New(rand.NewPCG(seed, 1))
	var list []arrival
	last := int64(math.MinInt64)
	put := func(k int, truth int64, delay float64, again bool) {
		at := truth + int64(delay)
		if c.queue {
			at = max(at, last+1000)
			last = at
		}
		list = append(list, arrival{at, truth, k, again})
	}
	for k := range n {
		truth := start + int64(math.Round(float64(k)*c.period))
		delay := 30e6 + c.noise(rng)
		if rng.Float64() < c.outliers {
			delay += rng.Float64() * 200e6
		}
		if rng.Float64() < c.drop {
			continue
		}
		put(k, truth, delay, false)
		if rng.Float64() < c.double {
			put(k, truth, delay+c.period/3, true)
		}
	}
	return list
}

// outcome is what a run was like.
type outcome struct {
	errs       []float64 // Time − truth, ns
	centre     float64   // their median
	p50, p99   float64   // of |error − centre|
	beyond     int       // errors − centre beyond Bound
	doubtful   int
	rate       float64
	normalized float64 // rms of (error−centre)/Error of undoubted stamps
}

func run(t *testing.T, d *Dejitter, list []arrival) outcome {
	t.Helper()
	var o outcome
	stamps := make([]Stamp, len(list))
	last := int64(math.MinInt64)
	for i, a := range list {
		s := d.Next(a.at)
		if s.Time < last {
			t.Fatalf("frame %d: stamp %d is before the last one, %d", i, s.Time, last)
		}
		last, stamps[i] = s.Time, s
		o.errs = append(o.errs, float64(s.Time-a.truth))
		if s.Doubt > 0 {
			o.doubtful++
		}
	}
	sorted := slices.Sorted(slices.Values(o.errs))
	o.centre = sorted[len(sorted)/2]
	var abs []float64
	sum, n := 0.0, 0
	for i, e := range o.errs {
		e = math.Abs(e - o.centre)
		abs = append(abs, e)
		if e > float64(stamps[i].Bound()) {
			o.beyond++
		}
		if stamps[i].Doubt == 0 && stamps[i].Learned {
			x := e / float64(stamps[i].Error)
			sum += x * x
			n++
		}
	}
	slices.Sort(abs)
	o.p50, o.p99 = abs[len(abs)/2], abs[len(abs)*99/100]
	o.rate, o.normalized = d.Rate(), math.Sqrt(sum/float64(n))
	return o
}

func newDejitter(t *testing.T, latency time.Duration) *Dejitter {
	t.Helper()
	d, err := New(Config{Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (o outcome) String() string {
	return fmt.Sprintf("error p50 %.3f ms, p99 %.3f ms around %.3f ms, %d beyond their bound, %d doubtful, %.2f times the standard error",
		o.p50/1e6, o.p99/1e6, o.centre/1e6, o.beyond, o.doubtful, o.normalized)
}
