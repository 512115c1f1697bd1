package wire

import (
	"fmt"
	"math"
)

// checkTime checks what a status says of time and pairs.
func (s *Status) checkTime(c *checker) {
	if k := s.GetClock(); k != nil {
		k.check(c)
	}
	c.count("pairs", len(s.GetPairs()), 0, MaxExo)
	for i, p := range s.GetPairs() {
		field := fmt.Sprintf("pairs[%d].", i)
		c.token(field+"exo", p.GetExo())
		names(c, field+"rejected", p.GetRejected())
		p.GetContent().check(c, field+"content")
	}
	c.text("host", s.GetHost(), MaxText)
	c.stamps("started_ns", []int64{s.GetStartedNs()}, false)
	c.bound("every_ns", s.GetEveryNs())
}

func (k *ClockStatus) check(c *checker) {
	c.enum("clock.state", int32(k.GetState()), ClockState_name)
	c.text("clock.source", k.GetSource(), MaxText)
	c.stamps("clock.offset_ns", []int64{k.GetOffsetNs()}, false)
	c.bound("clock.bound_ns", k.GetBoundNs())
	c.text("clock.problem", k.GetProblem(), MaxText)
	c.count("clock.sources", len(k.GetSources()), 0, MaxExo)
	for i, s := range k.GetSources() {
		field := fmt.Sprintf("clock.sources[%d].", i)
		c.text(field+"name", s.GetName(), MaxText)
		c.enum(field+"state", int32(s.GetState()), ClockState_name)
		c.stamps(field+"offset_ns", []int64{s.GetOffsetNs()}, false)
		c.bound(field+"bound_ns", s.GetBoundNs())
		c.bound(field+"round_trip_ns", s.GetRoundTripNs())
		if s.GetHeardNs() != -1 {
			c.bound(field+"heard_ns", s.GetHeardNs())
		}
		for _, v := range []float64{s.GetSkewPpm(), s.GetSkewErrorPpm()} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				c.failf(field+"skew_ppm", "%g is not a number", v)
			}
		}
		c.text(field+"problem", s.GetProblem(), MaxText)
	}
}

// Bounds appends each sample's bound to dst, ns; UnknownBound and beyond is none.
func (b *SampleBatch) Bounds(dst []int64) []int64 {
	if own := b.GetSampleBoundNs(); len(own) > 0 {
		return AppendValues(dst, own)
	}
	for range b.Len() {
		dst = append(dst, b.GetBoundNs())
	}
	return dst
}
