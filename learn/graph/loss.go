package graph

import "slices"

// The losses below are weighted sums over frames, not means: a frame's weight is its share of the loss. Weights that
// add up to 1 make a mean; a weight of 0 takes a frame out, whatever stands in its other inputs as long as it is
// finite. This way several runs can share one mean, and padding costs nothing but time.

// CrossEntropy returns Σ wₙ · -log softmax(logitsₙ)[labelₙ] over frames n: logits [..., K], labels int64 [...],
// weights [...]. A label outside of [0, K) is only allowed where its weight is 0.
func (g *Graph) CrossEntropy(logits, labels, weights *Tensor) *Tensor {
	if !g.lossShapes("CrossEntropy", logits, weights) {
		return g.dummyShape()
	}
	if labels == nil || labels.g != g || labels.dtype != Int64 || !slices.Equal(labels.shape, weights.shape) {
		g.failf("CrossEntropy", "labels must be int64 %s", g.ShapeString(weights.shape))
		return g.dummyShape()
	}
	var logp, hot *Tensor
	loss := g.compose(func() *Tensor {
		logp = g.LogSoftmax(logits)
		hot = g.oneHot(labels, logits.Dim(-1))
		return g.Neg(g.frameSum(g.Mul(hot, logp), weights))
	})
	return g.diff("CrossEntropy", loss, []*Tensor{logits}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Mul(g.Sub(g.Exp(logp), hot), g.perFrame(g.Mul(weights, dy)))}
	})
}

// teacherFloor keeps the logarithm of a teacher probability finite. It lies just under fp16's smallest value, which is
// what probabilities travel as.
const teacherFloor = 5e-8

// Distill returns the distillation loss of Hinton, Vinyals & Dean (arXiv 1503.02531, section 2):
//
//	T² · Σ wₙ · KL(qₙ ‖ softmax(logitsₙ / T)),  q = teacher^(1/T) normalised
//
// with teacher [..., K] the teacher's probabilities at temperature 1, logits [..., K] the student's, weights [...] and
// T > 0 the temperature. No gradient flows to the teacher.
func (g *Graph) Distill(logits, teacher, weights *Tensor, temperature float64) *Tensor {
	if !g.lossShapes("Distill", logits, weights) || !g.okFloat("Distill", teacher) {
		return g.dummyShape()
	}
	if !slices.Equal(teacher.shape, logits.shape) || !(temperature > 0) {
		g.failf("Distill", "teacher %s, student %s, temperature %g; expected equal shapes and a temperature > 0",
			g.ShapeString(teacher.shape), g.ShapeString(logits.shape), temperature)
		return g.dummyShape()
	}
	var logp, q *Tensor
	loss := g.compose(func() *Tensor {
		logp = g.LogSoftmax(g.Scale(logits, 1/temperature))
		logq := g.LogSoftmax(g.Scale(g.Log(g.AtLeast(teacher, teacherFloor)), 1/temperature))
		q = g.Exp(logq)
		return g.Scale(g.frameSum(g.Mul(q, g.Sub(logq, logp)), weights), temperature*temperature)
	})
	return g.diff("Distill", loss, []*Tensor{logits}, func(dy *Tensor) []*Tensor {
		share := g.perFrame(g.Scale(g.Mul(weights, dy), temperature))
		return []*Tensor{g.Mul(g.Sub(g.Exp(logp), q), share)}
	})
}

// SquaredError returns Σ wₙ · mean over the last axis of (a - b)²: a, b [..., D], weights [...].
func (g *Graph) SquaredError(a, b, weights *Tensor) *Tensor {
	if !g.lossShapes("SquaredError", a, weights) || !g.okFloat("SquaredError", b) {
		return g.dummyShape()
	}
	if !slices.Equal(a.shape, b.shape) {
		g.failf("SquaredError", "shapes %s and %s, expected equal ones", g.ShapeString(a.shape), g.ShapeString(b.shape))
		return g.dummyShape()
	}
	var d *Tensor
	mean := 1 / float64(a.Dim(-1))
	loss := g.compose(func() *Tensor {
		d = g.Sub(a, b)
		return g.Scale(g.frameSum(g.Mul(d, d), weights), mean)
	})
	return g.diff("SquaredError", loss, []*Tensor{a, b}, func(dy *Tensor) []*Tensor {
		da := g.Mul(d, g.perFrame(g.Scale(g.Mul(weights, dy), 2*mean)))
		return []*Tensor{da, g.Neg(da)}
	})
}

// Smoothing returns the truncated smoothing loss of MS-TCN (Farha & Gall, CVPR 2019, section 3.3):
//
//	Σ wₜ · mean over classes of min(Δₜ², τ²),  Δₜ = |log pₜ - log pₜ₋₁|
//
// over t >= 1 of logits [B, T, K], weights [B, T]. A step counts only when both of its frames have a weight. As in the
// source, no gradient flows to the earlier frame of a step; τ is 4 there, and the loss is scaled by λ = 0.15.
func (g *Graph) Smoothing(logits, weights *Tensor, tau float64) *Tensor {
	if !g.lossShapes("Smoothing", logits, weights) {
		return g.dummyShape()
	}
	if len(logits.shape) != 3 || logits.shape[1] < 2 {
		g.failf("Smoothing", "logits %s, expected [B, T >= 2, K]", g.ShapeString(logits.shape))
		return g.dummyShape()
	}
	logp := g.LogSoftmax(logits)
	d := g.Sub(g.Crop(logp, 1, 1, 0), g.Detach(g.Crop(logp, 1, 0, 1)))
	w := g.Mul(g.Crop(weights, 1, 1, 0), g.Positive(g.Crop(weights, 1, 0, 1)))
	sum := g.Sum(g.Mul(g.AtMost(g.Mul(d, d), tau*tau), g.perFrame(w)))
	return g.Scale(sum, 1/float64(logits.Dim(-1)))
}

// lossShapes checks that x [..., K] has static dimensions and weights [...] are its frames'.
func (g *Graph) lossShapes(op string, x, weights *Tensor) bool {
	if !g.okFloat(op, x, weights) {
		return false
	}
	if n := len(x.shape); n < 2 || !static(x.shape) || !slices.Equal(weights.shape, x.shape[:n-1]) {
		g.failf(op, "weights %s for %s, expected one a frame and static shapes", g.ShapeString(weights.shape), g.ShapeString(x.shape))
		return false
	}
	return true
}

// perFrame gives per-frame values a last axis to broadcast over.
func (g *Graph) perFrame(w *Tensor) *Tensor { return g.Reshape(w, append(w.Shape(), 1)...) }

// frameSum sums x over the last axis, then over frames by weight, to a scalar.
func (g *Graph) frameSum(x, weights *Tensor) *Tensor {
	return g.Sum(g.Mul(g.Reshape(g.Sum(x, -1), weights.shape...), weights))
}

// oneHot returns labels [...] as [..., classes] of zeros and ones.
func (g *Graph) oneHot(labels *Tensor, classes int) *Tensor {
	shape := append(labels.Shape(), classes)
	if g.float == Float32 {
		in := []*Tensor{labels, g.Ints(classes), g.Const([]float64{0, 1}, 2)}
		return g.emit("OneHot", in, shape, attribute{"axis", -1})
	}
	// ONNX Runtime has no OneHot for float64.
	hot := g.emitTyped("OneHot", Int64, []*Tensor{labels, g.Ints(classes), g.Ints(0, 1)}, shape, attribute{"axis", -1})
	return g.cast(hot, g.float)
}
