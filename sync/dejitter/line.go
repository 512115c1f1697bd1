package dejitter

import "math"

// Constants of the fit.
const (
	memory    = 8192 // frames after which an arrival counts 1/e: 4.5 min at 30 fps
	full      = 3.0  // residuals up to here, in standard deviations, count in full
	none      = 4.5  // beyond here they count nothing
	scaleOver = 256  // frames over which the noise's scale is averaged
	driftOver = 64   // frames over which a drift must show
	driftMost = 0.7  // mean residual over them, in standard deviations, that noise does not explain
	leastSD   = 1e3  // ns; clocks are read in steps
)

// line is a recursive robust fit of instants, in ns, over an abscissa that only grows. It knows the position at the newest
// abscissa and the slope.
type line struct {
	whole int64   // the position is whole + part, ns
	part  float64 // 0 ≤ part < 1 after advance
	slope float64 // ns for one unit of the abscissa

	// Covariance of position and slope, for noise of variance 1.
	p00, p01, p11 float64

	n      float64 // instants taken
	scale  float64 // mean distance of neighbouring residuals, clipped
	early  float64 // mean of |residual| of early ones, clipped
	serial float64 // mean of the product of neighbouring residuals over the variance
	before float64 // the last residual
	drift  float64 // mean of the newest residuals
	misfit float64 // share of the newest instants that counted nothing
}

// start begins a line at an instant. sd is what is thought of the noise, slopeErr of the slope's standard error.
func start(at int64, slope, sd, slopeErr float64) line {
	sd = max(sd, leastSD)
	e := slopeErr / sd
	return line{whole: at, slope: slope, p00: 1, p11: e * e, n: 1, scale: sd * math.Sqrt2 / 1.25, early: sd / 1.25}
}

// sd returns the standard deviation of the noise; 1.25 makes it that of a normal law (Geary 1935). It is taken from the
// residuals' differences (von Neumann 1941): a line that has gone wrong would hide behind residuals of its own making.
func (l *line) sd() float64 { return max(1.25/math.Sqrt2*l.scale, leastSD) }

// dependence returns by how much neighbouring residuals that resemble each other widen a standard error (Bartlett 1946).
func (l *line) dependence() float64 {
	r := min(max(l.serial, 0), 0.9)
	return math.Sqrt((1 + r) / (1 - r))
}

// stdErr returns the position's standard error, ns.
func (l *line) stdErr() float64 { return l.sd() * math.Sqrt(max(l.p00, 0)) * l.dependence() }

// residual returns by how much an instant is later than the line dx further on.
func (l *line) residual(at int64, dx float64) float64 {
	return float64(sub(at, l.whole)) - l.part - l.slope*dx
}

// spread returns the standard deviation of negative residuals at dx: queues delay, so that side is the narrower one.
func (l *line) spread(dx float64) float64 {
	return math.Hypot(1.25*l.early, l.sd()*math.Sqrt(max(l.p00+2*dx*l.p01+dx*dx*l.p11, 0)))
}

// advance moves the newest abscissa on by dx.
func (l *line) advance(dx float64) {
	l.move(l.slope * dx)
	l.p00 += 2*dx*l.p01 + dx*dx*l.p11
	l.p01 += dx * l.p11
}

func (l *line) move(by float64) {
	f := math.Floor(l.part + by)
	l.part += by - f
	l.whole = add(l.whole, toInt(f))
}

// correct takes the residual of an instant at the newest abscissa.
func (l *line) correct(r float64) {
	sd := l.sd()
	l.n++
	clipped := min(max(r, -full*sd), full*sd)
	l.scale += (math.Abs(clipped-l.before) - l.scale) / min(l.n+16, scaleOver)
	if r < 0 {
		l.early += (-clipped - l.early) / min(l.n/2+16, scaleOver)
	}
	serial := clipped * l.before / (sd * sd)
	l.before = clipped
	w := 1.0
	switch x := math.Abs(r) / sd; {
	case x > none:
		l.misfit += (1 - l.misfit) / 16
		return
	case x > full:
		w = full / x
	}
	l.misfit -= l.misfit / 16
	l.serial += (serial - l.serial) / scaleOver
	l.drift += (clipped - l.drift) / driftOver
	if l.n > 2*driftOver && math.Abs(l.drift) > driftMost*sd*min(l.dependence(), 2) {
		l.loosen()
	}
	const keep = 1 - 1.0/memory
	s := keep/w + l.p00
	g0, g1 := l.p00/s, l.p01/s
	l.move(g0 * r)
	l.slope += g1 * r
	p00, p01, p11 := l.p00, l.p01, l.p11
	l.p00, l.p01, l.p11 = (p00-g0*p00)/keep, (p01-g0*p01)/keep, (p11-g1*p01)/keep
}

// loosen forgets most of what was fitted: the camera's rate or latency has changed by a little.
func (l *line) loosen() {
	e := l.drift / l.sd() / (driftOver / 2)
	l.p00, l.p01, l.p11 = l.p00+1, 0, l.p11+e*e
	l.drift = 0
}

// sub returns a-b, the nearest int64 to it.
func sub(a, b int64) int64 {
	d := a - b
	switch {
	case a >= 0 && b < 0 && d < 0:
		return math.MaxInt64
	case a < 0 && b > 0 && d >= 0:
		return math.MinInt64
	}
	return d
}

// add returns a+b, the nearest int64 to it.
func add(a, b int64) int64 {
	s := a + b
	switch {
	case a > 0 && b > 0 && s < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && s >= 0:
		return math.MinInt64
	}
	return s
}

// toInt converts without the undefined corners.
func toInt(f float64) int64 {
	switch {
	case f >= 1<<63:
		return math.MaxInt64
	case f <= -1<<63:
		return math.MinInt64
	case f != f:
		return 0
	}
	return int64(f)
}
