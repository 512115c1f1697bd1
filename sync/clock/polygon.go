package clock

import "math"

// vertex is an offset a (ns) and a skew b (ns/s) at a reference instant.
type vertex struct{ a, b float64 }

// polygon is the set of (a, b) that nothing contradicts: convex, its corners in order.
type polygon []vertex

// rectangle is the polygon of all a in [a0, a1] and b in [-b, b].
func rectangle(a0, a1, b float64) polygon {
	return polygon{{a0, -b}, {a1, -b}, {a1, b}, {a0, b}}
}

// clip appends to dst the part of p where sign·(a + b·dt − limit) ≤ 0, by Sutherland and Hodgman's algorithm; it is empty if
// nothing is left. sign is +1 for an upper limit at the instant dt seconds from the reference, −1 for a lower one.
func (p polygon) clip(dst polygon, dt, limit, sign float64) polygon {
	if len(p) == 0 {
		return dst
	}
	prev := p[len(p)-1]
	dPrev := sign * (prev.a + prev.b*dt - limit)
	for _, v := range p {
		d := sign * (v.a + v.b*dt - limit)
		if (d <= 0) != (dPrev <= 0) {
			f := dPrev / (dPrev - d)
			dst = append(dst, vertex{prev.a + f*(v.a-prev.a), prev.b + f*(v.b-prev.b)})
		}
		if d <= 0 {
			dst = append(dst, v)
		}
		prev, dPrev = v, d
	}
	return dst
}

// at returns the range of a + b·dt.
func (p polygon) at(dt float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range p {
		x := v.a + v.b*dt
		lo, hi = min(lo, x), max(hi, x)
	}
	return lo, hi
}

// skews returns the range of b.
func (p polygon) skews() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range p {
		lo, hi = min(lo, v.b), max(hi, v.b)
	}
	return lo, hi
}
