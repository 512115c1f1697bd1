package offset

import (
	"fmt"
	"math"
)

// PoolPair is a take of a Pool: two streams of features at one frame rate, frame by frame, [T, dim] each.
type PoolPair struct{ One, Other []float32 }

// PoolConfig says how the takes of a Pool are compared. The zero value of a field gives its default.
type PoolConfig struct {
	// Dim is how many features a frame has, of One and of Other. Required.
	Dim [2]int
	// Band is the largest offset that is looked for, in frames; default 20.
	Band int
	// Detail is the standard deviation, in frames, of the Gaussian mean whose difference from the features is compared beside the
	// features themselves: it tells when they change. Default 2.
	Detail float64
	// Passes over all takes; default 6.
	Passes int
}

func (c PoolConfig) defaults() PoolConfig {
	if c.Band == 0 {
		c.Band = 20
	}
	if c.Detail == 0 {
		c.Detail = 2
	}
	if c.Passes == 0 {
		c.Passes = 6
	}
	return c
}

// Pool estimates the offset of each of many takes of the same two streams, in frames: frame t of One is of the instant of
// frame t + offset of Other. It needs no labels. What one stream shows of the other is the same in all takes, so it is learned:
// beginning with the lags at which each take's channels correlate most in any way, the mean of the correlations of the other
// takes is the pattern by which a take is compared again. A pool of one take has only the beginning.
//
// The result has a confidence for each take (peak to next, Result.Confidence) but claims all: compare it with a threshold.
func Pool(takes []PoolPair, cfg PoolConfig) ([]Result, error) {
	cfg = cfg.defaults()
	if cfg.Dim[0] < 1 || cfg.Dim[1] < 1 || cfg.Band < 1 || !(cfg.Detail > 0) || cfg.Passes < 0 {
		return nil, fmt.Errorf("offset: a pool of %v features with a band of %d frames, detail %g, %d passes", cfg.Dim, cfg.Band, cfg.Detail, cfg.Passes)
	}
	var sides [2][][][]float64
	for i, take := range takes {
		for side, features := range [2][]float32{take.One, take.Other} {
			v, err := cfg.channels(features, cfg.Dim[side])
			if err != nil {
				return nil, fmt.Errorf("offset: take %d of the pool: %w", i, err)
			}
			sides[side] = append(sides[side], v)
		}
	}
	if len(takes) == 0 {
		return nil, nil
	}
	for side := range sides {
		sides[side] = whitenAll(sides[side])
	}
	p := pool{cfg: cfg}
	for i := range takes {
		p.add(sides[0][i], sides[1][i])
	}
	return p.estimate(), nil
}

// channels are a take's features and their details, of mean 0 in the take.
func (c PoolConfig) channels(features []float32, dim int) ([][]float64, error) {
	n := len(features) / dim
	switch {
	case len(features)%dim != 0:
		return nil, fmt.Errorf("%d values, expected a multiple of %d", len(features), dim)
	case n < 4*c.Band:
		return nil, fmt.Errorf("%w: %d frames, expected at least four times the band of %d", ErrUnsure, n, c.Band)
	}
	list := make([][]float64, 2*dim)
	for d := range dim {
		v := make([]float64, n)
		var sum float64
		for t := range v {
			v[t] = float64(features[t*dim+d])
			sum += v[t]
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			return nil, fmt.Errorf("feature %d is not finite", d)
		}
		slow := gaussian(v, c.Detail)
		for t := range v {
			slow[t] = v[t] - slow[t]
			v[t] -= sum / float64(n)
		}
		list[d], list[dim+d] = v, slow
	}
	return list, nil
}

// whitenAll whitens the channels of all takes by their common correlation.
func whitenAll(takes [][][]float64) [][][]float64 {
	joined := make([][]float64, len(takes[0]))
	for c := range joined {
		for _, v := range takes {
			joined[c] = append(joined[c], v[c]...)
		}
		standardize(joined[c])
	}
	joined = whiten(joined, 0.01)
	out := make([][][]float64, len(takes))
	at := 0
	for i, v := range takes {
		n := len(v[0])
		for _, x := range joined {
			out[i] = append(out[i], x[at:at+n])
		}
		at += n
	}
	return out
}

// pool holds, of each take and lag, the correlation of each pair of channels.
type pool struct {
	cfg   PoolConfig
	takes [][][]float64 // [take][lag][pair]
}

func (p *pool) add(a, b [][]float64) {
	band := p.cfg.Band
	lags := make([][]float64, 2*band+1)
	for i := range lags {
		k := i - band
		lo, hi := max(0, -k), min(len(a[0]), len(b[0])-k)
		lags[i] = make([]float64, 0, len(a)*len(b))
		for _, x := range a {
			for _, y := range b {
				r := 0.0
				if hi > lo {
					r = dot(x[lo:hi], y[lo+k:hi+k]) / float64(hi-lo)
				}
				lags[i] = append(lags[i], r)
			}
		}
	}
	p.takes = append(p.takes, lags)
}

func (p *pool) estimate() []Result {
	at := make([]int, len(p.takes))
	results := make([]Result, len(p.takes))
	for i, lags := range p.takes {
		results[i] = p.read(lags, nil)
		at[i] = results[i].peak
	}
	if len(p.takes) == 1 {
		return results
	}
	sum, pattern := make([]float64, len(p.takes[0][0])), make([]float64, len(p.takes[0][0]))
	for range p.cfg.Passes {
		clear(sum)
		for i, lags := range p.takes {
			for c, r := range lags[at[i]] {
				sum[c] += r
			}
		}
		changed := false
		for i, lags := range p.takes {
			for c, r := range lags[at[i]] {
				pattern[c] = sum[c] - r // a take doesn't confirm itself
			}
			results[i] = p.read(lags, pattern)
		}
		for i, r := range results {
			changed = changed || at[i] != r.peak
			at[i] = r.peak
		}
		if !changed {
			break
		}
	}
	return results
}

// read finds the lag whose correlations fit the pattern best; without one, those with the largest sum of squares.
func (p *pool) read(lags [][]float64, pattern []float64) Result {
	r := Result{Band: p.cfg.Band, Curve: make([]float64, len(lags))}
	size := math.Sqrt(dot(pattern, pattern))
	for i, c := range lags {
		if pattern == nil {
			r.Curve[i] = dot(c, c)
			continue
		}
		if size > 0 {
			r.Curve[i] = dot(c, pattern) / size
		}
	}
	r.find(Config{}.defaults().Exclude)
	return r
}
