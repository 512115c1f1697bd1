package clock

import (
	"fmt"
	"slices"
	"time"
)

// vote is what one source says at an instant.
type vote struct {
	name string
	Estimate
}

// decide finds out whom to believe. Votes stand in the order of preference; they are overwritten. The largest set of sources
// that have a common instant is right if it is more than half of them (Marzullo and Owicki, 1983; RFC 5905, section 11.2.1);
// of it, the one in the best state speaks, the first of several. Without a majority nobody is believed: the interval covers
// all, and dispute says who differs. ok is false if nobody knows anything.
func decide(votes []vote) (winner vote, dispute error, ok bool) {
	known := votes[:0]
	for _, v := range votes {
		if !v.Known {
			continue
		}
		if !ok {
			winner, ok = v, true // an unusable bound is still more than none
		}
		if v.State != Unsynchronized {
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return winner, nil, ok
	}
	point, inside := overlap(known)
	if 2*inside <= len(known) && len(known) > 1 {
		first := known[0]
		other := known[slices.IndexFunc(known, func(v vote) bool { return v.Lo > first.Hi || v.Hi < first.Lo })]
		for _, v := range known[1:] {
			first.Estimate = first.hull(v.Estimate)
		}
		first.State = Converging
		return first, fmt.Errorf("%s and %s differ by %v, more than both bounds allow, and no majority says which is right",
			first.name, other.name, time.Duration(other.Offset-first.Offset).Abs()), true
	}
	winner.State, ok = Unsynchronized, false
	for _, v := range known {
		if v.holds(point) && (!ok || v.State > winner.State) {
			winner, ok = v, true
		}
	}
	for _, v := range known {
		if !v.holds(point) {
			return winner, fmt.Errorf("%s is %v off the other sources, more than the bounds allow; it is not believed",
				v.name, time.Duration(v.Offset-winner.Offset).Abs()), true
		}
	}
	return winner, nil, true
}

// holds says whether an offset is in the interval.
func (e Estimate) holds(offset int64) bool { return e.Lo <= offset && offset <= e.Hi }

// overlap finds an offset that lies in the most intervals, and in how many.
func overlap(votes []vote) (point int64, inside int) {
	for _, v := range votes { // it may be taken to be the lower end of one of them
		n := 0
		for _, o := range votes {
			if o.holds(v.Lo) {
				n++
			}
		}
		if n > inside {
			point, inside = v.Lo, n
		}
	}
	return point, inside
}
