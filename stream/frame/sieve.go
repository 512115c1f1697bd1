package frame

import "sync/atomic"

// Sieve tells which frames of a recording a Sampler is going to take, before their pictures are made: it is asked about the same
// frames in the same order. Once the sampler's rate is to change, it can't know any more, and wants all.
type Sieve struct {
	sampler *Sampler
	rate    float64
	open    atomic.Bool
}

// NewSieve returns a sieve for a Sampler of rate ticks a second, 0 < rate ≤ MaxRate, that is at the beginning of a take.
func NewSieve(rate float64) (*Sieve, error) {
	s, err := NewSampler(rate)
	if err != nil {
		return nil, err
	}
	return &Sieve{sampler: s, rate: rate}, nil
}

// Wants tells whether the frame stamped t nanoseconds is one that the sampler takes. Not safe for concurrent use.
func (s *Sieve) Wants(t int64) bool {
	if s.open.Load() {
		return true
	}
	_, _, ok := s.sampler.Take(t)
	return ok
}

// Rate tells the sieve that the sampler's next rate is this, in ticks a second. If it is another one, the sieve wants all frames from
// now on; those that it was asked about before may be wanted all the same. Safe for concurrent use.
func (s *Sieve) Rate(rate float64) {
	if rate != s.rate {
		s.open.Store(true)
	}
}
