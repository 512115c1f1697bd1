package dejitter

import (
	"math"
	"math/rand/v2"
	"testing"
)

// stamped plays n frames of a camera with 1 ms of driver resolution, whose arrivals are noisy, and returns the largest
// error of the stamps after the first 200.
func stamped(t *testing.T, d *Dejitter, n int, stamp func(k int, truth int64) int64) (worst float64, used int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(4, 4))
	last, lastAt := int64(math.MinInt64), int64(math.MinInt64)
	for k := range n {
		truth := epoch + int64(k)*33_333_333
		at := max(truth+30e6+int64(rng.ExpFloat64()*5e6), lastAt+1000)
		lastAt = at
		s := d.Driver(at, stamp(k, truth-epoch))
		if s.Time < last {
			t.Fatalf("frame %d: %d is before %d", k, s.Time, last)
		}
		last = s.Time
		if s.Driver {
			used++
		}
		if k > 200 {
			worst = max(worst, math.Abs(float64(s.Time-truth)-35e6)-float64(s.Doubt))
		}
	}
	return worst, used
}

func TestGoodDriverStampsAreUsed(t *testing.T) {
	d := newDejitter(t, 0)
	worst, used := stamped(t, d, 5000, func(_ int, truth int64) int64 { return (truth + 77e9) / 1e6 * 1e6 })
	if worst > 2.5e6 || used < 4900 || d.Stats().DriverLost != 0 {
		t.Errorf("off by %.2f ms, used for %d frames, %+v", worst/1e6, used, d.Stats())
	}
}

// A camera of no steady rate has no numbers to count by: only its driver knows.
func TestDriverStampsOfAnUnsteadyCamera(t *testing.T) {
	d := newDejitter(t, 0)
	rng := rand.New(rand.NewPCG(5, 5))
	truth, used := int64(epoch), 0
	for k := range 5000 {
		truth += 10e6 + rng.Int64N(60e6)
		s := d.Driver(truth+30e6+int64(rng.ExpFloat64()*2e6), truth-epoch)
		if s.Driver {
			used++
			if off := math.Abs(float64(s.Time-truth) - 32e6); k > 500 && off > 2e6 {
				t.Fatalf("frame %d is off by %.2f ms: %+v", k, off/1e6, s)
			}
		}
	}
	if used < 4800 {
		t.Errorf("driver stamps are used for %d of 5000 frames", used)
	}
}

func TestBadDriverStampsAreNotBelieved(t *testing.T) {
	for name, stamp := range map[string]func(k int, truth int64) int64{
		"always zero": func(int, int64) int64 { return 0 },
		"go back":     func(_ int, truth int64) int64 { return -truth },
		"another rate": func(_ int, truth int64) int64 {
			return truth * 9 / 10
		},
		"noise": func(k int, _ int64) int64 { return int64(uint64(k+1) * 0x9E3779B97F4A7C15) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDejitter(t, 0)
			worst, used := stamped(t, d, 5000, stamp)
			if worst > 3e6 || used > 0 {
				t.Errorf("off by %.2f ms, driver stamps used for %d frames", worst/1e6, used)
			}
		})
	}
}

// As OpenCV gives them of an RTSP stream: zero and equal ones at the start, and a jump later on.
func TestDriverStampsThatGoWrong(t *testing.T) {
	for name, wrong := range map[string]func(k int, truth int64) int64{
		"the start": func(k int, truth int64) int64 {
			if k < 20 {
				return int64(k / 5)
			}
			return truth
		},
		"a jump ahead": func(k int, truth int64) int64 {
			if k > 2000 {
				truth += 7e9
			}
			return truth
		},
		"a small jump": func(k int, truth int64) int64 {
			if k > 2000 {
				truth += 400e6
			}
			return truth
		},
		"a jump back": func(k int, truth int64) int64 {
			if k > 2000 {
				truth -= 7e9
			}
			return truth
		},
		"it stops": func(k int, truth int64) int64 {
			if k > 2000 {
				return 2000 * 33_333_333
			}
			return truth
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDejitter(t, 0)
			if worst, used := stamped(t, d, 5000, wrong); worst > 3e6+2*33.4e6*b2f(name == "it stops") || used < 1900 {
				t.Errorf("off by %.2f ms, used %d times, %+v", worst/1e6, used, d.Stats())
			}
		})
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
