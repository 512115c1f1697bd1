package frame

import (
	"math/rand/v2"
	"testing"
)

func TestASieveWantsWhatItsSamplerTakes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	sampler := mustSampler(t, 15)
	sieve, err := NewSieve(15)
	if err != nil {
		t.Fatal(err)
	}
	at, taken := int64(1_700_000_000)*second, 0
	for range 3000 {
		at += int64(33e6 + 4e6*rng.NormFloat64())
		switch rng.IntN(100) {
		case 0:
			at += 3 * second
		case 1:
			at -= second / 10
		}
		_, _, takes := sampler.Take(at)
		if sieve.Wants(at) != takes {
			t.Fatalf("at %d the sampler takes it: %v", at, takes)
		}
		if takes {
			taken++
		}
	}
	if taken < 1000 || taken > 2000 {
		t.Errorf("%d of 3000 were taken", taken)
	}
	sieve.Rate(15)
	if sieve.Wants(at) {
		t.Error("a frame of a tick that had one is wanted though the rate has not changed")
	}
	sieve.Rate(10)
	if !sieve.Wants(at) {
		t.Error("a frame is not wanted though the sampler is going to have another rate")
	}
	if _, err := NewSieve(0); err == nil {
		t.Error("a rate of 0 is accepted")
	}
}
