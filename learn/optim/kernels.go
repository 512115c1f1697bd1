package optim

import "math"

// The kernels below are variables so that a machine's own versions can take their place. Those give the same bits: every
// product is rounded before it is added, here by the conversions to float32, which forbid the compiler to fuse the two.

var (
	// adam is a step of Adam. All vectors have the same length.
	adam = adamGo
	// momentum is a step of SGD, likewise.
	momentum = momentumGo
	// approach sets average to values + keep·(average - values), likewise.
	approach = approachGo
	// squares returns the sum of squares of each eighth element, starting from each of the first eight.
	squares = squaresGo
)

func adamGo(w, g, m, v []float32, c coefficients) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, gi := range g {
		mi := m[i] + float32(c.beta1*(gi-m[i]))
		vi := v[i] + float32(c.beta2*(float32(gi*gi)-v[i]))
		m[i], v[i] = mi, vi
		root := float32(math.Sqrt(float64(vi * c.unbias)))
		w[i] = float32(c.keep*w[i]) - float32(c.rate*mi)/(root+c.epsilon)
	}
}

func momentumGo(w, g, v []float32, c descent) {
	g, v = g[:len(w)], v[:len(w)]
	for i, gi := range g {
		gi += float32(c.decay * w[i])
		vi := float32(c.momentum*v[i]) + gi
		v[i] = vi
		w[i] -= float32(c.rate * (float32(c.ahead*vi) + float32(c.now*gi)))
	}
}

func approachGo(average, values []float32, keep float32) {
	values = values[:len(average)]
	for i, v := range values {
		average[i] = v + float32(keep*(average[i]-v))
	}
}

// lanes is the number of partial sums of a norm.
const lanes = 8

// squaresGo adds in float64, in which the square of a float32 is exact.
func squaresGo(g []float32) (sum [lanes]float64) {
	for len(g) >= lanes {
		for j := range lanes {
			sum[j] += float64(g[j]) * float64(g[j])
		}
		g = g[lanes:]
	}
	for j, v := range g {
		sum[j] += float64(v) * float64(v)
	}
	return sum
}
