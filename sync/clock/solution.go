package clock

import "math"

// solution is what a set of samples says of offset and skew.
type solution struct {
	limits Limits
	base   int64 // reference instant, local ns: the newest sample's
	origin int64 // offsets are relative to this one, ns, so that floats hold them
	proof  polygon
	line   line

	misfit float64 // how far the last samples are off the line together, beyond what their round trips explain, ns

	minTrip, tripSpread float64 // the smallest round trip, and how far the third smallest is from it: what is known of the floor
}

// seconds from base to a local instant.
func (s *solution) age(m int64) float64 { return float64(m-s.base) / 1e9 }

// solver keeps the memory that solving needs.
type solver struct {
	a, b, c polygon // a is the set so far
	fit     fitter
}

// solve finds the set of offsets and skews that no sample contradicts, and the line that fits best. Samples are in their
// order of time, at least one. If older ones contradict newer ones, which means that a clock wandered more than Limits
// allow, they are left out; used counts those that agree.
func (v *solver) solve(limits Limits, samples []Sample, dst *solution) (used int) {
	newest := samples[len(samples)-1]
	dst.limits, dst.base, dst.origin = limits, newest.T4, newest.mid()
	skew := limits.MaxSkew * 1e3
	half := float64(newest.hi()-newest.lo())/2 + skew*float64(newest.T4-newest.T1)/1e9 + stampError
	v.a = append(v.a[:0], rectangle(-half, half, skew)...)
	for used < len(samples) {
		s := samples[len(samples)-1-used]
		t1, t4 := dst.age(s.T1), dst.age(s.T4)
		v.b = v.a.clip(v.b[:0], t1, float64(s.hi()-dst.origin)+limits.bend(t1), 1)
		v.c = v.b.clip(v.c[:0], t4, float64(s.lo()-dst.origin)-limits.bend(t4), -1)
		if len(v.c) == 0 {
			break
		}
		v.a, v.c = v.c, v.a
		used++
	}
	if used == 0 { // the newest contradicts itself, which Check doesn't let through but for rounding
		v.a, used = append(v.a[:0], rectangle(-half, half, skew)...), 1
	}
	dst.proof = append(dst.proof[:0], v.a...)
	samples = samples[len(samples)-used:]

	dst.measureTrips(samples)
	dst.line = v.fit.fit(dst, samples)
	lo, hi := dst.proof.skews()
	dst.line.b = min(max(dst.line.b, lo), hi)
	dst.misfit = v.fit.misfit(dst.line)
	return used
}

// measureTrips finds the three smallest round trips.
func (s *solution) measureTrips(samples []Sample) {
	least := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	for _, x := range samples {
		trip := float64(x.RoundTrip() + 2*x.Distance)
		for i, l := range least {
			if trip < l {
				copy(least[i+1:], least[i:])
				least[i] = trip
				break
			}
		}
	}
	s.minTrip, s.tripSpread = least[0], least[min(len(samples), len(least))-1]-least[0]
}

// interval is the range of offsets at a local instant, ns, and the fitted one within it. Its ends are what round trips and
// age prove, and on top of it twice the misfit: where the last samples leave the line, a clock wanders faster than Limits allow.
func (s *solution) interval(m int64) Estimate {
	dt := s.age(m)
	lo, hi := s.proof.at(dt)
	bend := s.limits.bend(dt) + 2*s.misfit
	lo, hi = math.Floor(lo-bend), math.Ceil(hi+bend)
	x := min(max(s.line.a+s.line.b*dt, lo), hi)
	return Estimate{Offset: s.origin + int64(math.Round(x)), Lo: s.origin + int64(lo), Hi: s.origin + int64(hi), Known: true}
}

// contradicts says whether a sample can't be right together with the solution.
func (s *solution) contradicts(x Sample) bool {
	at1, at4 := s.interval(x.T1), s.interval(x.T4)
	return x.hi() < at1.Lo || x.lo() > at4.Hi
}

// strays says whether a sample is farther from the fitted line than its round trip explains, if the way is the same as before:
// what it took longer than the quickest can have been all on one side. A small step of a clock shows here before it
// contradicts anything. off is the distance from the line, ns.
func (s *solution) strays(x Sample) (off float64, strays bool) {
	dt := s.age(x.instant())
	off = float64(x.mid()-s.origin) - (s.line.a + s.line.b*dt)
	excess := max(0, float64(x.RoundTrip()+2*x.Distance)-s.minTrip)
	tolerance := excess/2 + s.tripSpread + 4*s.line.errorAt(dt) + s.limits.bend(dt) + strayFloor
	return off, math.Abs(off) > tolerance
}

// strayFloor is what stamps taken by busy machines may be off, ns.
const strayFloor = 50_000
