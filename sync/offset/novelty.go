package offset

import (
	"fmt"
	"math"
	"slices"
)

// Novelty returns how much a stream changes at each frame, [T], in a curve of mean 0 and standard deviation 1. features
// are rows of dim values and must be finite; half >= 1 is the number of frames that are compared with as many before.
//
// It is the distance between the means of the two windows of half frames that meet between frame t-1 and frame t, each
// feature first divided by its standard deviation: the checkerboard novelty of Foote (ICME 2000) with a linear kernel,
// which looks for a change point at one scale. A curve of a stream that never changes is all 0.
func Novelty(features []float32, dim, half int) ([]float64, error) {
	switch {
	case dim < 1 || half < 1:
		return nil, fmt.Errorf("novelty: %d features a frame and windows of %d frames, expected at least 1 of each", dim, half)
	case len(features)%dim != 0:
		return nil, fmt.Errorf("novelty: %d values, expected a multiple of %d", len(features), dim)
	}
	frames := len(features) / dim
	curve := make([]float64, frames)
	sum := make([]float64, frames+1) // of one feature, up to a frame
	for d := range dim {
		var square float64
		origin := 0.0
		if frames > 0 {
			origin = float64(features[d])
		}
		for t := range frames {
			v := float64(features[t*dim+d])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("novelty: feature %d of frame %d is %g, expected a finite number", d, t, v)
			}
			v -= origin // features far from 0 would lose their deviation to rounding
			sum[t+1] = sum[t] + v
			square += v * v
		}
		n := float64(frames)
		variance := square/n - sum[frames]/n*sum[frames]/n
		if !(variance > 1e-12*square/n) {
			continue // constant
		}
		for t := 1; t < frames; t++ {
			lo, hi := max(t-half, 0), min(t+half, frames)
			step := (sum[hi]-sum[t])/float64(hi-t) - (sum[t]-sum[lo])/float64(t-lo)
			curve[t] += step * step / variance
		}
	}
	for t := range curve {
		// Windows that are cut short at the ends hold more noise, and a jump there is no change point.
		if t < half || t > frames-half {
			curve[t] = math.NaN()
			continue
		}
		curve[t] = math.Sqrt(curve[t])
	}
	normalize(curve)
	return curve, nil
}

// normalize brings the curve's known values to mean 0 and standard deviation 1, and those that are NaN to 0.
func normalize(curve []float64) {
	var n, sum, square float64
	for _, v := range curve {
		if !math.IsNaN(v) {
			n, sum = n+1, sum+v
		}
	}
	mean := sum / max(n, 1)
	for _, v := range curve {
		if !math.IsNaN(v) {
			square += (v - mean) * (v - mean)
		}
	}
	std := math.Sqrt(square / max(n, 1))
	for t, v := range curve {
		if math.IsNaN(v) || std < 1e-12 {
			curve[t] = 0
			continue
		}
		curve[t] = (v - mean) / std
	}
}

// Sum adds curves of equal length and normalises the result to standard deviation 1: of several exo cameras, or of one
// stream at several scales.
func Sum(curves ...[]float64) ([]float64, error) {
	if len(curves) == 0 {
		return nil, fmt.Errorf("novelty: no curves to add")
	}
	sum := slices.Clone(curves[0])
	for _, c := range curves[1:] {
		if len(c) != len(sum) {
			return nil, fmt.Errorf("novelty: curves of %d and %d frames, expected equal lengths", len(sum), len(c))
		}
		for t, v := range c {
			sum[t] += v
		}
	}
	normalize(sum)
	return sum, nil
}
