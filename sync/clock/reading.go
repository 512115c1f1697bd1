package clock

import (
	"fmt"
	"math"
	"time"
)

// State says how far a source's time can be relied on.
type State uint8

// States, worst first.
const (
	// Unsynchronized: nothing is known, or the bound is beyond Limits.MaxBound.
	Unsynchronized State = iota
	// Converging: the interval holds, but it is new, or it was widened because something contradicts it.
	Converging
	// Holdover: nothing was heard for some time; the interval grows with the uncertainty of the skew.
	Holdover
	// Locked: fresh, and consistent for a while.
	Locked
)

// String returns the state's lower-case name.
func (s State) String() string {
	switch s {
	case Converging:
		return "converging"
	case Holdover:
		return "holdover"
	case Locked:
		return "locked"
	}
	return "unsynchronized"
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's name.
func (s *State) UnmarshalText(text []byte) error {
	for c := Unsynchronized; c <= Locked; c++ {
		if c.String() == string(text) {
			*s = c
			return nil
		}
	}
	return fmt.Errorf("no state of a clock is called %q", text)
}

// Reading is the site's time at an instant: nanoseconds since the Unix epoch. Without Known there is no time in it.
type Reading struct {
	Earliest, Latest int64 // the interval that holds the site's time
	Time             int64 // the best estimate, within the interval; of later instants never earlier
	State            State
	Source           string // name of the source it comes from
	Known            bool   // false: no source has answered yet, or none since the local clock was interrupted
}

// Bound is how far the site's time can be from Time: the larger part of the interval, math.MaxInt64 if nothing is known.
func (r Reading) Bound() time.Duration {
	if !r.Known {
		return math.MaxInt64
	}
	return time.Duration(max(r.Latest-r.Time, r.Time-r.Earliest))
}

// Estimate is what a source says of an instant of the local clock: the offset to add to the instant, and the interval that
// holds the true one, in nanoseconds.
type Estimate struct {
	Offset, Lo, Hi int64
	State          State
	Known          bool
}

// hull is the smallest estimate that holds both; the offset is e's.
func (e Estimate) hull(o Estimate) Estimate {
	e.Lo, e.Hi = min(e.Lo, o.Lo), max(e.Hi, o.Hi)
	return e
}
