package optim

import "math"

// Norm returns the Euclidean norm of g, accumulated in float64: NaN or infinite if an element is.
func Norm(g []float32) float64 {
	part := squares(g)
	return math.Sqrt(((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])))
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
