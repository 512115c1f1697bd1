package agent

import (
	"math/rand/v2"
	"testing"

	"tandem/stream/capture"
)

var _ capture.Stamper = (*stamper)(nil)

// A camera whose frames come with noise is stamped far better than by arrival, within the bound that is told.
func TestStamper(t *testing.T) {
	s, err := newStamper()
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	const start, latency = 1_772_434_800_000_000_000, 40e6
	worst, arrivals := 0.0, 0.0
	for k := range 3000 {
		if k == 1500 {
			s.Restart()
		}
		truth := start + int64(k)*33_333_333
		delay := latency + rng.NormFloat64()*2e6
		at, bound := s.Stamp(truth + int64(delay))
		off := max(at-truth-latency, truth+latency-at)
		if off > bound {
			t.Fatalf("frame %d is off by %d ns, more than its bound of %d", k, off, bound)
		}
		if learning := k%1500 < 150; !learning {
			worst, arrivals = max(worst, float64(off)), max(arrivals, max(delay-latency, latency-delay))
		} else if k%1500 < 30 && bound < 100e6 {
			t.Errorf("frame %d has a bound of %d ns before the rate is known", k, bound)
		}
	}
	if worst > arrivals/4 {
		t.Errorf("stamps are off by up to %.2f ms, arrivals by %.2f ms", worst/1e6, arrivals/1e6)
	}
}
