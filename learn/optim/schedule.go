package optim

import "math"

// Cosine returns the learning rate of a step, counted from 0: a linear warm-up to base over the first warm steps, then
// half a cosine down to floor at the last of total steps (Loshchilov & Hutter, SGDR, ICLR 2017, one period).
func Cosine(base, floor float64, warm, total, step int) float64 {
	if step < warm {
		return base * float64(step+1) / float64(warm)
	}
	span := max(total-warm-1, 1)
	x := min(float64(step-warm)/float64(span), 1)
	return floor + (base-floor)*(1+math.Cos(math.Pi*x))/2
}

// Norm returns the Euclidean norm of g, accumulated in float64: NaN or infinite if an element is.
func Norm(g []float32) float64 {
	var sum float64
	for _, v := range g {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// Clip scales g down to the norm limit if its norm is larger, and returns the norm it had. A limit <= 0 only measures.
func Clip(g []float32, limit float64) float64 {
	norm := Norm(g)
	if limit > 0 && norm > limit && !math.IsInf(norm, 0) {
		scale := float32(limit / norm)
		for i := range g {
			g[i] *= scale
		}
	}
	return norm
}
