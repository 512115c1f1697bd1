package offset

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrUnsure is wrapped by the refusal to name an offset: the streams are too short, or no peak stands out.
var ErrUnsure = errors.New("the offset can't be told")

// ErrUnrelated is wrapped, beside ErrUnsure, where two activities have nothing in common within the band.
var ErrUnrelated = errors.New("nothing in common was found")

// TooShort is the refusal of activities that last too short a time together.
type TooShort struct{ Common, Need time.Duration }

func (e *TooShort) Error() string {
	return fmt.Sprintf("%v: %.1f s are common to both, expected at least %.1f s (four times the band, and ten seconds)", ErrUnsure, e.Common.Seconds(), e.Need.Seconds())
}

// Unwrap makes it an ErrUnsure.
func (e *TooShort) Unwrap() error { return ErrUnsure }

// Config says how offsets are estimated. The zero value of a field gives its default.
type Config struct {
	// Band is the largest offset that is looked for, in frames; default 20.
	Band int
	// Exclude is the number of frames around the peak in which no next peak is looked for, since a peak is as wide as the
	// windows of the curves; default 4.
	Exclude int
	// Sure is the smallest confidence at which an offset is claimed; default 1.1.
	Sure float64
	// Floor is the smallest correlation at which an offset is claimed; default 0.35. Curves that have nothing to do with
	// one another have a highest peak, too.
	Floor float64
}

func (c Config) defaults() Config {
	if c.Band == 0 {
		c.Band = 20
	}
	if c.Exclude == 0 {
		c.Exclude = 4
	}
	if c.Sure == 0 {
		c.Sure = 1.1
	}
	if c.Floor == 0 {
		c.Floor = 0.35
	}
	return c
}

// Result is an estimated offset.
type Result struct {
	// Frames is the offset: frame t of the one curve is of the instant of frame t+Frames of the other.
	Frames float64
	// Confidence is the ratio of the peak to the next one, at least 1; +Inf where no other lag correlates at all.
	Confidence float64
	// Correlation is the height of the peak, at most 1.
	Correlation float64
	// Band is the largest lag that was looked at, and Curve[Band+k] the correlation at lag k.
	Band  int
	Curve []float64

	peak int // of Curve
}

// find reads peak, correlation and confidence from the curve.
func (r *Result) find(exclude int) {
	r.peak = 0
	for i, v := range r.Curve {
		if v > r.Curve[r.peak] {
			r.peak = i
		}
	}
	r.Correlation = r.Curve[r.peak]
	r.Frames = float64(r.peak-r.Band) + vertex(r.Curve, r.peak)
	next := 0.0
	for i, v := range r.Curve {
		if (i < r.peak-exclude || i > r.peak+exclude) && v > next {
			next = v
		}
	}
	r.Confidence = math.Inf(1)
	if next > 0 {
		r.Confidence = r.Correlation / next
	}
}

// Estimate finds by how many frames the curve other is behind the curve one. Both are novelty curves over the same
// number of frames. The correlation at a lag is that of the frames that both have, scaled as the cosine of the angle
// between them. A result below the configured confidence comes with an error that wraps ErrUnsure and says why; the
// result is what was found nevertheless, for diagnosis.
func Estimate(one, other []float64, cfg Config) (Result, error) {
	cfg = cfg.defaults()
	n := len(one)
	switch {
	case len(other) != n:
		return Result{}, fmt.Errorf("offset: curves of %d and %d frames, expected equal lengths", n, len(other))
	case cfg.Band < 1 || cfg.Exclude < 0:
		return Result{}, fmt.Errorf("offset: a band of %d frames and an exclusion of %d, expected at least 1 and 0", cfg.Band, cfg.Exclude)
	case n < 4*cfg.Band:
		return Result{}, fmt.Errorf("%w: %d frames, expected at least four times the band of %d", ErrUnsure, n, cfg.Band)
	}
	for i := range n {
		if v := one[i] + other[i]; math.IsNaN(v) || math.IsInf(v, 0) {
			return Result{}, fmt.Errorf("offset: frame %d of a curve is not finite", i)
		}
	}
	r := Result{Band: cfg.Band, Curve: make([]float64, 2*cfg.Band+1)}
	for k := -cfg.Band; k <= cfg.Band; k++ {
		r.Curve[k+cfg.Band] = correlation(one, other, k)
	}
	r.find(cfg.Exclude)
	peak := r.peak
	switch {
	case !(r.Correlation >= cfg.Floor):
		return r, fmt.Errorf("%w: the highest correlation is %.2f, expected at least %.2f", ErrUnsure, r.Correlation, cfg.Floor)
	case r.Confidence < cfg.Sure:
		return r, fmt.Errorf("%w: the peak is %.2f times the next one, expected at least %.2f", ErrUnsure, r.Confidence, cfg.Sure)
	case peak == 0 || peak == len(r.Curve)-1:
		return r, fmt.Errorf("%w: the peak lies at the end of the band of %d frames; take a wider one", ErrUnsure, cfg.Band)
	}
	return r, nil
}

// correlation of one with other shifted by k, over the frames that both have.
func correlation(one, other []float64, k int) float64 {
	lo, hi := max(0, -k), min(len(one), len(one)-k)
	var ab, aa, bb float64
	for t := lo; t < hi; t++ {
		a, b := one[t], other[t+k]
		ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
	}
	if aa*bb <= 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// vertex returns where the parabola through the three points around i has its top, from i, in [-0.5, 0.5].
func vertex(y []float64, i int) float64 {
	if i == 0 || i == len(y)-1 {
		return 0
	}
	bend := y[i-1] - 2*y[i] + y[i+1]
	if bend >= 0 {
		return 0
	}
	return max(-0.5, min(0.5, (y[i-1]-y[i+1])/(2*bend)))
}

// Posterior returns the probabilities of the lags within reach frames of the estimated offset, rounded, and the first of
// these lags: softmax(sharpness · correlation). What is left of the error after the estimate can be averaged over with
// it. The greater the sharpness, the more peaked it is.
func (r Result) Posterior(reach int, sharpness float64) (first int, p []float64) {
	at := int(math.Round(r.Frames))
	lo, hi := max(at-reach, -r.Band), min(at+reach, r.Band)
	var sum float64
	for k := lo; k <= hi; k++ {
		v := math.Exp(sharpness * (r.Curve[k+r.Band] - r.Correlation))
		p = append(p, v)
		sum += v
	}
	for i := range p {
		p[i] /= sum
	}
	return lo, p
}
