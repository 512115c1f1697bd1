package clock

import (
	"errors"
	"fmt"
	"time"
)

// Sample is one exchange with a server of time.
type Sample struct {
	T1, T4 int64 // request sent and answer received, on the local monotonic clock, ns
	T2, T3 int64 // request received and answer sent, on the server's clock, ns since the Unix epoch
	// Distance is how far the server says it may be from its own reference, ns: half its root delay plus its root dispersion
	// (RFC 5905, section 11.1). The hub is the reference itself and says 0.
	Distance int64
}

// errOutOfOrder is a sample that was taken before the last one.
var errOutOfOrder = errors.New("the sample is older than the last one")

// ErrImpossible is a sample that no clocks and no network can produce.
var ErrImpossible = errors.New("impossible time stamps")

// RoundTrip is the time on the way, there and back, ns.
func (s Sample) RoundTrip() int64 { return s.T4 - s.T1 - (s.T3 - s.T2) }

// maxServerTime bounds how long a server may keep a request: more is a clock that was set in between.
const maxServerTime = int64(5 * time.Second)

// Check returns an error that wraps ErrImpossible and says what is wrong with the stamps.
func (s Sample) Check() error {
	switch {
	case s.T4 < s.T1:
		return fmt.Errorf("%w: the answer came %v before the request was sent", ErrImpossible, time.Duration(s.T1-s.T4))
	case s.T3 < s.T2:
		return fmt.Errorf("%w: the server answered %v before it was asked; was its clock set back?", ErrImpossible, time.Duration(s.T2-s.T3))
	case s.T3-s.T2 > maxServerTime:
		return fmt.Errorf("%w: the server says that it kept the request for %v; was its clock set?", ErrImpossible, time.Duration(s.T3-s.T2))
	case s.RoundTrip() < -stampError:
		return fmt.Errorf("%w: a round trip of %v; was a clock set in between?", ErrImpossible, time.Duration(s.RoundTrip()))
	case s.Distance < 0:
		return fmt.Errorf("%w: a negative root distance", ErrImpossible)
	}
	return nil
}

// Best returns the sample of a burst with the smallest round trip; false if there is none.
func Best(burst []Sample) (best Sample, ok bool) {
	for _, s := range burst {
		if !ok || s.RoundTrip()+2*s.Distance < best.RoundTrip()+2*best.Distance {
			best, ok = s, true
		}
	}
	return best, ok
}

// stampError is what the resolution of stamps and their rounding may amount to, ns.
const stampError = 1000

// hi and lo enclose the offset: θ(T1) ≤ hi, θ(T4) ≥ lo.
func (s Sample) hi() int64 { return s.T2 - s.T1 + s.Distance + stampError }
func (s Sample) lo() int64 { return s.T3 - s.T4 - s.Distance - stampError }

// mid is the offset if both ways took the same time (RFC 5905, section 8), at instant.
func (s Sample) mid() int64 { return (s.T2-s.T1)/2 + (s.T3-s.T4)/2 }

// instant is the local instant in the middle of the exchange.
func (s Sample) instant() int64 { return s.T1 + (s.T4-s.T1)/2 }
