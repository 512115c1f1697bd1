package optim

import (
	"fmt"
	"math"
)

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
	if err := checkRanges(cfg.Decayed, n); err != nil {
		return nil, fmt.Errorf("adam: %w", err)
	}
	return &Adam{cfg: cfg, m: make([]float32, n), v: make([]float32, n)}, nil
}

// Step moves weights against grads with the given learning rate. It allocates nothing.
func (a *Adam) Step(weights, grads []float32, rate float64) error {
	if len(weights) != len(a.m) || len(grads) != len(a.m) {
		return fmt.Errorf("adam: %w", lengthError(weights, grads, a.m))
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
	at := 0
	for _, r := range a.cfg.Decayed {
		a.run(weights, grads, at, r.Lo, c, 0)
		a.run(weights, grads, r.Lo, r.Hi, c, rate*a.cfg.Decay)
		at = r.Hi
	}
	rest := 0.0
	if a.cfg.Decayed == nil {
		rest = rate * a.cfg.Decay
	}
	a.run(weights, grads, at, len(weights), c, rest)
	return nil
}

func (a *Adam) run(weights, grads []float32, lo, hi int, c coefficients, shrink float64) {
	c.keep = float32(1 - shrink)
	adam(weights[lo:hi], grads[lo:hi], a.m[lo:hi], a.v[lo:hi], c)
}

// Reset forgets the moments and the step count.
func (a *Adam) Reset() {
	clear(a.m)
	clear(a.v)
	a.step = 0
}

// State returns the vectors that a checkpoint must hold to resume exactly, besides the number of steps; not copies.
func (a *Adam) State() []Vector { return []Vector{{"adam.m", a.m}, {"adam.v", a.v}} }

// Steps returns the number of steps taken.
func (a *Adam) Steps() int { return a.step }

// Moments returns the first and second moment vectors, not copies, and the number of steps taken.
func (a *Adam) Moments() (m, v []float32, step int) { return a.m, a.v, a.step }

// SetStep sets the number of steps taken, after the moments have been restored.
func (a *Adam) SetStep(step int) { a.step = step }

// coefficients are the constants of one step. The assembly reads them by their offsets.
type coefficients struct {
	beta1, beta2  float32 // 1-β₁, 1-β₂
	rate          float32 // learning rate over the bias correction of m
	unbias        float32 // one over the bias correction of v
	epsilon, keep float32 // keep is 1 - rate·decay
}
