// Package pair joins a rig's stream of samples with the streams of fixed cameras: for each ego sample the exo sample of
// the same instant, with the time between them, a bound on it and a grade, and a counted reason where there is none.
//
// The result is a function of the streams, not of when they come: however two streams are interleaved, live or hours
// later from what the hub retained, and however a stream is disordered within Config.Lateness, the pairs are the same.
// Only what a caller decides by the clock on the wall is not: Expire, and buffers that are smaller than the disorder.
package pair

import "time"

// Grade is a pair's quality by the bound on |Δt|, the time between its two samples.
type Grade uint8

// Grades, best first. Rejected pairs carry no exo sample.
const (
	Gold     Grade = iota + 1 // bound ≤ 5 ms
	Silver                    // bound ≤ 20 ms
	Bronze                    // bound ≤ 100 ms
	Rejected                  // wider, or nothing to pair with
)

// Upper ends of the grades.
const (
	goldBound   = int64(5 * time.Millisecond)
	silverBound = int64(20 * time.Millisecond)
	bronzeBound = int64(100 * time.Millisecond)
)

// GradeOf returns the grade of a pair whose |Δt| is at most bound nanoseconds.
func GradeOf(bound int64) Grade {
	switch {
	case bound <= goldBound:
		return Gold
	case bound <= silverBound:
		return Silver
	case bound <= bronzeBound:
		return Bronze
	}
	return Rejected
}

// String returns the grade's lower-case name.
func (g Grade) String() string {
	switch g {
	case Gold:
		return "gold"
	case Silver:
		return "silver"
	case Bronze:
		return "bronze"
	}
	return "rejected"
}

// Reason says why an ego sample has no partner on a camera.
type Reason string

// Reasons of rejection.
const (
	TooFar  Reason = "too_far" // the nearest exo sample is further than MaxDt
	TooWide Reason = "bound"   // the clocks' bounds make it worse than bronze
	NoExo   Reason = "no_exo"  // the camera sent nothing of that time before the wait ran out
)

// Sample is one sample of a camera as the joiner needs it.
type Sample struct {
	Take     string
	Seq      int64
	Raw      int64 // raw stamp, ns
	Time     int64 // site time, ns since the Unix epoch, within ±2^62
	Bound    int64 // ≥ 0, half-width of the interval around Time that holds the true time, ns: the clock's, the stamp's and the latency's
	Features []byte
	Origin   any // carried through to the match: what the caller has to know of where the sample comes from
}

// Match is an exo camera's answer to one ego sample.
type Match struct {
	Exo    *Sample // the nearest; nil when rejected; valid until the joiner's next call
	Dt     int64   // ego time minus exo time, ns; 0 when interpolated
	Bound  int64   // half-width of the interval around Dt that holds the true difference, ns: ego's and exo's bounds added
	Grade  Grade   // of |Dt| + Bound
	Reason Reason  // of a rejection
	// Other is the sample on the other side of the ego sample, where Config.Interpolate is set and one is there, else nil.
	// The exo camera at the ego sample's time is (1−Weight)·Exo + Weight·Other, 0 ≤ Weight ≤ 1/2: see Blend.
	Other  *Sample
	Weight float64
}

// Row is an ego sample with one match for each exo camera, in the order of Config.Exo.
type Row struct {
	Ego     Sample
	Matches []Match
	// Spare are the samples of each camera that are nobody's partner, see Config.Spare; nil without. They are older than the
	// ego sample, and no later row brings them again.
	Spare [][]Sample
}

// Counts is what became of the ego samples on one camera, and of the camera's own samples.
type Counts struct {
	Gold    uint64 `json:"gold"`
	Silver  uint64 `json:"silver"`
	Bronze  uint64 `json:"bronze"`
	TooFar  uint64 `json:"too_far"`
	TooWide uint64 `json:"bound"`
	NoExo   uint64 `json:"no_exo"`

	Back    uint64 `json:"back"`    // samples refused: later than Config.Lateness allows
	Doubled uint64 `json:"doubled"` // samples that came twice
	Overrun uint64 `json:"overrun"` // times that a full buffer cut the wait for late samples short
	Unkept  uint64 `json:"unkept"`  // spare samples that were not handed out: too many at once
}

// Pairs returns how many pairs were made.
func (c *Counts) Pairs() uint64 { return c.Gold + c.Silver + c.Bronze }

func (c *Counts) count(m *Match) {
	switch m.Grade {
	case Gold:
		c.Gold++
	case Silver:
		c.Silver++
	case Bronze:
		c.Bronze++
	case Rejected:
		switch m.Reason {
		case TooFar:
			c.TooFar++
		case TooWide:
			c.TooWide++
		case NoExo:
			c.NoExo++
		}
	}
}
