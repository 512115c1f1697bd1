package optim

import (
	"errors"
	"fmt"
	"math"
)

// Range is a half-open range of a flat vector.
type Range struct{ Lo, Hi int }

// AdamConfig holds the constants of Adam. The zero value of a field gives its default.
type AdamConfig struct {
	Beta1   float64 // of the first moment; default 0.9
	Beta2   float64 // of the second moment; default 0.999
	Epsilon float64 // default 1e-8
	// Decay is the decoupled weight decay λ: each step also subtracts rate·λ·w. Default 0.
	Decay float64
	// Decayed are the ranges that Decay applies to, ascending and apart from each other; nil means everywhere. Biases and
	// gains are best left out.
	Decayed []Range
}

// Adam is the optimizer of Kingma & Ba (ICLR 2015, algorithm 1) with the decoupled weight decay of Loshchilov & Hutter
// (ICLR 2019, algorithm 2). It is not safe for concurrent use.
type Adam struct {
	cfg  AdamConfig
	m, v []float32
	step int
}

// NewAdam returns the optimizer of a vector of n parameters.
func NewAdam(n int, cfg AdamConfig) (*Adam, error) {
	set := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	set(&cfg.Beta1, 0.9)
	set(&cfg.Beta2, 0.999)
	set(&cfg.Epsilon, 1e-8)
	if !(cfg.Beta1 > 0 && cfg.Beta1 < 1 && cfg.Beta2 > 0 && cfg.Beta2 < 1 && cfg.Epsilon > 0 && cfg.Decay >= 0) {
		return nil, fmt.Errorf("adam: β₁ %g, β₂ %g, ε %g, decay %g; expected β in (0, 1), ε > 0, decay >= 0", cfg.Beta1, cfg.Beta2,
			cfg.Epsilon, cfg.Decay)
	}
	at := 0
	for _, r := range cfg.Decayed {
		if r.Lo < at || r.Hi < r.Lo || r.Hi > n {
			return nil, fmt.Errorf("adam: decayed range [%d, %d) of %d parameters, expected ascending ranges inside", r.Lo, r.Hi, n)
		}
		at = r.Hi
	}
	return &Adam{cfg: cfg, m: make([]float32, n), v: make([]float32, n)}, nil
}

var errLength = errors.New("adam: vectors of different lengths")

// Step moves weights against grads with the given learning rate. It allocates nothing.
func (a *Adam) Step(weights, grads []float32, rate float64) error {
	if len(weights) != len(a.m) || len(grads) != len(a.m) {
		return fmt.Errorf("%w: %d weights, %d gradients, expected %d", errLength, len(weights), len(grads), len(a.m))
	}
	a.step++
	c := coefficients{
		beta1: float32(1 - a.cfg.Beta1),
		beta2: float32(1 - a.cfg.Beta2),
		rate:  float32(rate / (1 - math.Pow(a.cfg.Beta1, float64(a.step)))),
		// ε is added after the bias correction of v, as published.
		unbias:  float32(1 / (1 - math.Pow(a.cfg.Beta2, float64(a.step)))),
		epsilon: float32(a.cfg.Epsilon),
	}
	run := func(lo, hi int, decay float64) {
		c.keep = float32(1 - rate*decay)
		update(weights[lo:hi], grads[lo:hi], a.m[lo:hi], a.v[lo:hi], c)
	}
	if a.cfg.Decayed == nil {
		run(0, len(weights), a.cfg.Decay)
		return nil
	}
	at := 0
	for _, r := range a.cfg.Decayed {
		run(at, r.Lo, 0)
		run(r.Lo, r.Hi, a.cfg.Decay)
		at = r.Hi
	}
	run(at, len(weights), 0)
	return nil
}

// Reset forgets the moments and the step count.
func (a *Adam) Reset() {
	clear(a.m)
	clear(a.v)
	a.step = 0
}

// Moments returns the first and second moment vectors, not copies, and the number of steps taken: what a checkpoint
// must hold to resume exactly.
func (a *Adam) Moments() (m, v []float32, step int) { return a.m, a.v, a.step }

// SetStep sets the number of steps taken, after the moments have been restored.
func (a *Adam) SetStep(step int) { a.step = step }

// coefficients are the constants of one step.
type coefficients struct {
	beta1, beta2  float32 // 1-β₁, 1-β₂
	rate          float32 // learning rate over the bias correction of m
	unbias        float32 // one over the bias correction of v
	epsilon, keep float32 // keep is 1 - rate·decay
}

// update is the kernel of a step. A vectorised one replaces it by assigning to this variable in its init; all
// vectors have the same length.
var update = updateGo

func updateGo(w, g, m, v []float32, c coefficients) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, gi := range g {
		mi := m[i] + c.beta1*(gi-m[i])
		vi := v[i] + c.beta2*(gi*gi-v[i])
		m[i], v[i] = mi, vi
		w[i] = c.keep*w[i] - c.rate*mi/(float32(math.Sqrt(float64(vi*c.unbias)))+c.epsilon)
	}
}
