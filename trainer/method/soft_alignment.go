package method

import "math"

// never is the exponent below which a path doesn't count: e^-40 is less than rounding.
const never = 40

// softAlign aligns two sequences by soft dynamic time warping (Cuturi & Blondel, ICML 2017, section 2.2, algorithms 1 and
// 2): cost [n, m] holds the price of matching row i with column j, a path goes from the first match to the last in steps of
// one row, one column or both, and
//
//	value = -γ log Σ over paths exp(-Σ of the path's costs / γ)
//
// e [n, m] is its gradient with respect to cost: how probable it is that a path goes through a match. It takes n·m steps
// and 5·n·m numbers of memory.
func softAlign(cost []float64, n, m int, gamma float64) (value float64, e []float64) {
	r := make([]float64, (n+1)*(m+1))
	for i := range r {
		r[i] = math.Inf(1)
	}
	r[0] = 0
	// from holds how probable it is that a path comes to a match along both, from the row before, from the column before.
	from := make([][3]float64, n*m)
	wide := m + 1
	for i := range n {
		for j := range m {
			before := [3]float64{r[i*wide+j], r[i*wide+j+1], r[(i+1)*wide+j]}
			least := min(before[0], before[1], before[2])
			p := &from[i*m+j]
			var sum float64
			for d, v := range before {
				switch part := (least - v) / gamma; {
				case part == 0:
					p[d] = 1
				case part > -never:
					p[d] = math.Exp(part)
				}
				sum += p[d]
			}
			r[(i+1)*wide+j+1] = cost[i*m+j] + least
			if sum == 1 {
				continue
			}
			for d := range p {
				p[d] /= sum
			}
			r[(i+1)*wide+j+1] -= gamma * math.Log(sum)
		}
	}
	e = make([]float64, n*m)
	e[n*m-1] = 1
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			at := i*m + j
			if e[at] == 0 {
				continue
			}
			if i > 0 && j > 0 {
				e[at-m-1] += e[at] * from[at][0]
			}
			if i > 0 {
				e[at-m] += e[at] * from[at][1]
			}
			if j > 0 {
				e[at-1] += e[at] * from[at][2]
			}
		}
	}
	return r[n*wide+m], e
}

// squaredCosts are the mean squared differences of the rows of y [n, k] and z [m, k], added to cost [n, m] with a weight.
func squaredCosts(cost, y, z []float64, k int, weight float64) {
	n, m := len(y)/k, len(z)/k
	for i := range n {
		for j := range m {
			var sum float64
			for c := range k {
				d := y[i*k+c] - z[j*k+c]
				sum += d * d
			}
			cost[i*m+j] += weight * sum / float64(k)
		}
	}
}

// windows averages the seen rows of x [T, k] over windows of equally many, at most so many windows. at[t] is the window of
// row t, -1 of one that was not seen.
func windows(x []float32, k, most int, seen func(t int) bool) (mean []float64, at []int) {
	frames, n := len(x)/k, 0
	for t := range frames {
		if seen(t) {
			n++
		}
	}
	each := max(1, (n+most-1)/most)
	at = make([]int, frames)
	mean = make([]float64, (n+each-1)/each*k)
	n = 0
	for t := range frames {
		at[t] = -1
		if seen(t) {
			at[t] = n / each
			n++
			for c := range k {
				mean[at[t]*k+c] += float64(x[t*k+c])
			}
		}
	}
	for i := range mean {
		mean[i] /= float64(min(each, n-i/k*each))
	}
	return mean, at
}
