package clock

import (
	"math"
	"slices"
)

// line is an offset a (ns), a skew b (ns/s) at a reference instant, and their covariance.
type line struct {
	a, b          float64
	caa, cab, cbb float64
}

// errorAt is the standard error of the line dt seconds from the reference, ns.
func (l line) errorAt(dt float64) float64 {
	return math.Sqrt(max(0, l.caa+2*dt*l.cab+dt*dt*l.cbb))
}

// fitter keeps the memory that fitting needs.
type fitter struct{ x, y, w, r, sorted []float64 }

const (
	fitFloor   = 5_000.   // ns: no stamp is better
	fitSkew    = 100_000. // ns/s: what a skew is before anything is known
	huber      = 1.345    // 95 % efficiency with normal errors (Huber, "Robust Statistics", 1981)
	fitRounds  = 3
	madToSigma = 1.4826
)

// fit draws a line through the middles of the exchanges. The weight of each is 1/(floor + half of what it took longer than the
// quickest)², as the clock filter of RFC 5905, section 10, prefers short delays; what is still far off is weighted down by
// Huber's rule, over residuals scaled by their median.
func (f *fitter) fit(s *solution, samples []Sample) line {
	f.x, f.y, f.w, f.r = f.x[:0], f.y[:0], f.w[:0], f.r[:0]
	floor := fitFloor + s.tripSpread/2
	for _, p := range samples {
		excess := max(0, float64(p.RoundTrip()+2*p.Distance)-s.minTrip) / 2
		f.x = append(f.x, s.age(p.instant()))
		f.y = append(f.y, float64(p.mid()-s.origin))
		f.w = append(f.w, 1/(floor+excess))
		f.r = append(f.r, 0)
	}
	var l line
	for round := range fitRounds {
		scale := 1.0
		if round > 0 {
			f.sorted = f.sorted[:0]
			for i, x := range f.x {
				f.r[i] = math.Abs(f.y[i]-l.a-l.b*x) * f.w[i]
				f.sorted = append(f.sorted, f.r[i])
			}
			slices.Sort(f.sorted)
			scale = max(0.05, madToSigma*f.sorted[len(f.sorted)/2])
		}
		// Normal equations, with the skew drawn to 0 by what is known of clocks before.
		var sw, sx, sy, sxx, sxy float64
		for i, x := range f.x {
			w := f.w[i] * f.w[i]
			if u := f.r[i] / scale; round > 0 && u > huber {
				w *= huber / u
			}
			w /= scale * scale
			sw, sx, sy, sxx, sxy = sw+w, sx+w*x, sy+w*f.y[i], sxx+w*x*x, sxy+w*x*f.y[i]
		}
		sxx += 1 / (fitSkew * fitSkew)
		det := sw*sxx - sx*sx
		l = line{a: (sy*sxx - sx*sxy) / det, b: (sw*sxy - sx*sy) / det, caa: sxx / det, cab: -sx / det, cbb: sw / det}
	}
	return l
}

// misfitOf is over how many samples a misfit is taken.
const misfitOf = 5

// misfit is by how much the last samples that were fitted are off the line on average, beyond three times what their weights let
// expect, ns.
func (f *fitter) misfit(l line) float64 {
	var sum, weight float64
	for i := max(0, len(f.x)-misfitOf); i < len(f.x); i++ {
		w := f.w[i] * f.w[i]
		sum, weight = sum+w*(f.y[i]-l.a-l.b*f.x[i]), weight+w
	}
	return max(0, math.Abs(sum/weight)-3/math.Sqrt(weight))
}
