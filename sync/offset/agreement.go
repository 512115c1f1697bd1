package offset

import "math"

// agreement is how well two signals agree at each lag, for the whole of their common time, for each half of it, and without
// each block of it. Place reach is lag 0.
type agreement struct {
	reach int
	all   []float64
	half  [2][]float64
	less  [blocks][]float64    // without block b
	only  [2][blocks][]float64 // of half h without block b of it
}

func newAgreement(reach int) *agreement {
	n := 2*reach + 1
	g := &agreement{reach: reach, all: make([]float64, n)}
	for h := range g.half {
		g.half[h] = make([]float64, n)
		for b := range blocks {
			g.only[h][b] = make([]float64, n)
		}
	}
	for b := range g.less {
		g.less[b] = make([]float64, n)
	}
	return g
}

// add adds Σ r² over the pairs of channels of a and of b. At each lag it takes the instants that both have, cut into
// blocks; less than half of what they have at best is no agreement. Between mixtures of channels the sign of r means nothing;
// of one channel each, r < 0 counts against the lag.
func (g *agreement) add(a, b signal) {
	square := square
	if len(a.v) == 1 && len(b.v) == 1 {
		square = func(x float64) float64 { return x * math.Abs(x) }
	}
	least := (min(a.end(), b.end()) - max(a.first, b.first)) / 2
	for i := range g.all {
		lag := i - g.reach
		lo, hi := max(a.first, b.first-lag), min(a.end(), b.end()-lag)
		n := hi - lo
		if n < max(least, 2*blocks) {
			continue
		}
		for _, x := range a.v {
			for _, y := range b.v {
				var part [blocks]float64
				var sum float64
				var halves [2]float64
				for k := range part {
					from, to := lo+n*k/blocks, lo+n*(k+1)/blocks
					part[k] = dot(x[from-a.first:to-a.first], y[from+lag-b.first:to+lag-b.first])
					sum += part[k]
					halves[2*k/blocks] += part[k]
				}
				g.all[i] += square(sum / float64(n))
				for h := range halves {
					g.half[h][i] += square(halves[h] / float64(n) * 2)
				}
				for k := range part {
					g.less[k][i] += square((sum - part[k]) / float64(n) * blocks / (blocks - 1))
					h := 2 * k / blocks
					g.only[h][k][i] += square((halves[h] - part[k]) / float64(n) * blocks / (blocks/2 - 1))
				}
			}
		}
	}
}

func square(x float64) float64 { return x * x }

// spread is the jackknife's standard error of a peak's place, from how it moves when blocks lo to hi are left out one at a
// time (Efron and Stein 1981). It is the whole's for all blocks, a half's for its own.
func (g *agreement) spread(at float64, apart, lo, hi int) float64 {
	places := make([]float64, 0, blocks)
	var mean float64
	for b := lo; b < hi; b++ {
		curve := g.less[b]
		if hi-lo < blocks {
			curve = g.only[2*b/blocks][b]
		}
		best := max(0, min(len(curve)-1, int(math.Round(at))))
		for i := max(0, best-apart); i <= min(len(curve)-1, int(math.Round(at))+apart); i++ {
			if curve[i] > curve[best] {
				best = i
			}
		}
		p := float64(best) + vertex(curve, best)
		places = append(places, p)
		mean += p
	}
	n := float64(len(places))
	mean /= n
	var sum float64
	for _, p := range places {
		sum += square(p - mean)
	}
	return math.Sqrt((n - 1) / n * sum)
}
