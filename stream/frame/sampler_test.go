package frame

import (
	"math"
	"math/rand/v2"
	"testing"
)

const second = int64(1e9)

func TestSamplerRule(t *testing.T) {
	type take struct {
		t, seq, skipped int64
		ok              bool
	}
	const start = 1_700_000_000 * second
	for name, c := range map[string]struct {
		rate  float64
		takes []take
	}{
		"camera at the rate": {10, []take{
			{0, 0, 0, true}, {100e6, 1, 0, true}, {200e6, 2, 0, true}}},
		"camera three times as fast": {10, []take{
			{0, 0, 0, true}, {33e6, 0, 0, false}, {67e6, 1, 0, true}, {100e6, 1, 0, false}, {133e6, 1, 0, false}, {167e6, 2, 0, true}}},
		"camera half as fast": {10, []take{
			{0, 0, 0, true}, {200e6, 2, 1, true}, {400e6, 4, 1, true}}},
		"half a period rounds up": {10, []take{
			{0, 0, 0, true}, {49_999_999, 0, 0, false}, {50e6, 1, 0, true}, {150e6, 2, 0, true}}},
		"a gap": {10, []take{
			{0, 0, 0, true}, {100e6, 1, 0, true}, {1_000e6, 10, 8, true}, {1_100e6, 11, 0, true}}},
		"back and equal": {10, []take{
			{0, 0, 0, true}, {200e6, 2, 1, true}, {190e6, 2, 0, false}, {200e6, 2, 0, false}, {300e6, 3, 0, true}}},
		"before the first": {10, []take{
			{0, 0, 0, true}, {-1, 0, 0, false}, {100e6, 1, 0, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustSampler(t, c.rate)
			for _, w := range c.takes {
				seq, skipped, ok := s.Take(start + w.t)
				if got := (take{w.t, seq, skipped, ok}); got != w {
					t.Fatalf("got %+v, want %+v", got, w)
				}
			}
		})
	}
}

// A jittering camera at 29.97 Hz sampled at 15 Hz for an hour: every number once, in order, each near its tick.
func TestSamplerDoesNotDrift(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := mustSampler(t, 15)
	var taken, skipped, last int64 = 0, 0, -1
	for i := range int64(107_892) {
		jitter := int64(rng.NormFloat64() * 2e6)
		if i == 0 {
			jitter = 0
		}
		stamp := i*1001*second/30_000 + jitter
		seq, miss, ok := s.Take(stamp)
		if !ok {
			continue
		}
		if seq != last+1+miss {
			t.Fatalf("number %d after %d with %d skipped", seq, last, miss)
		}
		if off := stamp - s.Due(seq); off < -second/30 || off > second/30 {
			t.Fatalf("tick %d is off by %d ns", seq, off)
		}
		taken, skipped, last = taken+1, skipped+miss, seq
	}
	if st := s.Stats(); st.Taken != taken || st.Skipped != skipped || st.Taken+st.Surplus+st.Back != 107_892 {
		t.Fatalf("stats %+v, counted %d taken and %d skipped", st, taken, skipped)
	}
	if last != 53_999 && last != 54_000 || skipped > 5 {
		t.Fatalf("an hour at 15 Hz ended with number %d, %d skipped", last, skipped)
	}
}

func TestSamplerChangesRateWithoutRepeatingNumbers(t *testing.T) {
	s := mustSampler(t, 10)
	mustTake(t, s, 0, 0)
	mustTake(t, s, 100e6, 1)
	if err := s.SetRate(20); err != nil {
		t.Fatal(err)
	}
	if s.Rate() != 10 {
		t.Fatalf("the new rate held before a frame was taken")
	}
	if _, _, ok := s.Take(130e6); ok {
		t.Fatal("surplus on the old grid was taken")
	}
	mustTake(t, s, 210e6, 2) // taken on the old grid, origin of the new one
	mustTake(t, s, 260e6, 3)
	mustTake(t, s, 310e6, 4)
	if _, _, ok := s.Take(330e6); ok {
		t.Fatal("surplus on the new grid was taken")
	}
	if got := s.Due(6); got != 410e6 {
		t.Fatalf("Due(6) = %d, want 410e6", got)
	}
	s.Reset()
	mustTake(t, s, 5, 0)
	if st := s.Stats(); st != (SamplerStats{Taken: 6, Surplus: 2}) {
		t.Fatalf("stats %+v", st)
	}
}

func TestSamplerStandsTheEndsOfTheClock(t *testing.T) {
	s := mustSampler(t, MaxRate)
	mustTake(t, s, math.MinInt64, 0)
	seq, skipped, ok := s.Take(math.MaxInt64)
	if !ok || seq <= 0 || skipped != seq-1 {
		t.Fatalf("got %d, %d, %v", seq, skipped, ok)
	}
}

func TestSamplerRefusesNonsenseRates(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1), 2 * MaxRate} {
		if _, err := NewSampler(rate); err == nil {
			t.Errorf("NewSampler(%g) made a sampler", rate)
		}
	}
}

func TestSamplerDoesNotAllocate(t *testing.T) {
	s, now := mustSampler(t, 15), int64(0)
	if n := testing.AllocsPerRun(1000, func() { now += 33e6; s.Take(now) }); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

func mustSampler(t *testing.T, rate float64) *Sampler {
	t.Helper()
	s, err := NewSampler(rate)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustTake(t *testing.T, s *Sampler, stamp, want int64) {
	t.Helper()
	if seq, _, ok := s.Take(stamp); !ok || seq != want {
		t.Fatalf("Take(%d) = %d, %v; want %d taken", stamp, seq, ok, want)
	}
}
