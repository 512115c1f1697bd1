package optim

import "golang.org/x/sys/cpu"

// The assembly works on whole groups of 8 elements; n must be a multiple of 8.

//go:noescape
func adamAVX2(w, d, m, v *float32, n int, c *coefficients)

//go:noescape
func momentumAVX2(w, d, v *float32, n int, c *descent)

//go:noescape
func approachAVX2(average, values *float32, n int, keep float32)

//go:noescape
func squaresAVX2(d *float32, n int, sum *[lanes]float64)

func init() {
	if cpu.X86.HasAVX2 {
		adam, momentum, approach, squares = adamWide, momentumWide, approachWide, squaresWide
	}
}

func adamWide(w, g, m, v []float32, c coefficients) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	n := len(w) &^ (lanes - 1)
	if n > 0 {
		adamAVX2(&w[0], &g[0], &m[0], &v[0], n, &c)
	}
	adamGo(w[n:], g[n:], m[n:], v[n:], c)
}

func momentumWide(w, g, v []float32, c descent) {
	g, v = g[:len(w)], v[:len(w)]
	n := len(w) &^ (lanes - 1)
	if n > 0 {
		momentumAVX2(&w[0], &g[0], &v[0], n, &c)
	}
	momentumGo(w[n:], g[n:], v[n:], c)
}

func approachWide(average, values []float32, keep float32) {
	values = values[:len(average)]
	n := len(average) &^ (lanes - 1)
	if n > 0 {
		approachAVX2(&average[0], &values[0], n, keep)
	}
	approachGo(average[n:], values[n:], keep)
}

func squaresWide(g []float32) (sum [lanes]float64) {
	n := len(g) &^ (lanes - 1)
	if n > 0 {
		squaresAVX2(&g[0], n, &sum)
	}
	for j, v := range squaresGo(g[n:]) {
		sum[j] += v
	}
	return sum
}
