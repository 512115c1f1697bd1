package method

import (
	"math"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// Constants of the cycle-back regression: softmax temperature and weight of the variance, both as published.
const (
	cycleTemperature = 0.1
	cycleVariance    = 0.001
)

// cycleBack is the cycle-back regression of temporal cycle consistency (Dwibedi et al., CVPR 2019, section 3.2) from rows u
// [n, d] over rows v [m, d] and back: with softmax over squared distances, divided by d and the temperature,
//
//	ṽ_i = Σ_k softmax_k(-‖u_i - v_k‖²) v_k,  β_i = softmax_k(-‖ṽ_i - u_k‖²),  μ_i = Σ_k β_ik k/n,  σ_i² = Σ_k β_ik (k/n - μ_i)²
//	L = mean over i of (i/n - μ_i)² / σ_i² + 0.001 log σ_i²
//
// and anchor, the mean over i and d of (u_i - ṽ_i)² with ṽ held fixed. σ² has 1/n² added, a row's own width, which keeps it
// from 0.
func cycleBack(b *nn.Build, u, v *graph.Tensor) (loss, anchor *graph.Tensor) {
	n, d := u.Dim(0), float64(u.Dim(1))
	near := b.Gemm(nearness(b, u, v), v, nil, false, false)
	back := nearness(b, near, u)
	places := make([]float64, n)
	for i := range places {
		places[i] = float64(i) / float64(n)
	}
	column, row := b.Const(places, n, 1), b.Const(places, 1, n)
	mean := b.Gemm(back, column, nil, false, false)
	apart := b.Sub(row, mean) // [n, n]
	variance := b.Shift(b.Sum(b.Mul(back, b.Mul(apart, apart)), 1), 1/float64(n*n))
	miss := b.Sub(column, mean)
	loss = b.Mean(b.Add(b.Div(b.Mul(miss, miss), variance), b.Scale(b.Log(variance), cycleVariance)))
	off := b.Sub(u, b.Detach(near))
	return loss, b.Scale(b.Sum(b.Mul(off, off)), 1/(float64(n)*d))
}

// nearness is the softmax over the rows of v of their distance to each row of u, [n, m].
func nearness(b *nn.Build, u, v *graph.Tensor) *graph.Tensor {
	square := func(x *graph.Tensor) *graph.Tensor { return b.Sum(b.Mul(x, x), 1) }
	d := b.Sub(b.Scale(b.Gemm(u, v, nil, false, true), 2), b.Transpose(square(v), 1, 0)) // what is the same for a row falls out
	return b.Softmax(b.Scale(d, 1/(cycleTemperature*float64(u.Dim(1)))))
}

// cycleLoss is cycleBack in Go: the loss and the anchor of rows u and v of d values.
func cycleLoss(u, v []float64, d int) (loss, anchor float64) {
	n := len(u) / d
	for i := range n {
		near := make([]float64, d)
		for k, p := range rowNearness(u[i*d:(i+1)*d], v) {
			for c := range d {
				near[c] += p * v[k*d+c]
			}
		}
		var mean, variance float64
		back := rowNearness(near, u)
		for k, p := range back {
			mean += p * float64(k) / float64(n)
		}
		for k, p := range back {
			apart := float64(k)/float64(n) - mean
			variance += p * apart * apart
		}
		variance += 1 / float64(n*n)
		miss := float64(i)/float64(n) - mean
		loss += (miss*miss/variance + cycleVariance*math.Log(variance)) / float64(n)
		for c := range d {
			off := u[i*d+c] - near[c]
			anchor += off * off / float64(n*d)
		}
	}
	return loss, anchor
}

func rowNearness(x, rows []float64) []float64 {
	d := len(x)
	p := make([]float64, len(rows)/d)
	top := math.Inf(-1)
	for k := range p {
		for c := range d {
			off := x[c] - rows[k*d+c]
			p[k] -= off * off / (cycleTemperature * float64(d))
		}
		top = max(top, p[k])
	}
	var sum float64
	for k := range p {
		p[k] = math.Exp(p[k] - top)
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return p
}
