package optim

import "fmt"

// SGDConfig holds the constants of SGD.
type SGDConfig struct {
	Momentum float64 // in [0, 1); 0 means none
	// Nesterov looks ahead along the momentum (Nesterov, 1983, in the form of Sutskever et al., ICML 2013).
	Nesterov bool
	// Decay is the weight decay λ, which adds λ·w to the gradient. Default 0.
	Decay float64
	// Decayed are the ranges that Decay applies to, ascending and apart from each other; nil means everywhere.
	Decayed []Range
}

// SGD is gradient descent with momentum: v = μ·v + g, w = w - rate·v. It is not safe for concurrent use.
type SGD struct {
	cfg  SGDConfig
	v    []float32
	step int
}

// NewSGD returns the optimizer of a vector of n parameters.
func NewSGD(n int, cfg SGDConfig) (*SGD, error) {
	if !(cfg.Momentum >= 0 && cfg.Momentum < 1 && cfg.Decay >= 0) {
		return nil, fmt.Errorf("sgd: momentum %g, decay %g; expected momentum in [0, 1), decay >= 0", cfg.Momentum, cfg.Decay)
	}
	if cfg.Nesterov && cfg.Momentum == 0 {
		return nil, fmt.Errorf("sgd: Nesterov's form needs a momentum")
	}
	if err := checkRanges(cfg.Decayed, n); err != nil {
		return nil, fmt.Errorf("sgd: %w", err)
	}
	return &SGD{cfg: cfg, v: make([]float32, n)}, nil
}

// Step moves weights against grads with the given learning rate. It allocates nothing.
func (s *SGD) Step(weights, grads []float32, rate float64) error {
	if len(weights) != len(s.v) || len(grads) != len(s.v) {
		return fmt.Errorf("sgd: %w", lengthError(weights, grads, s.v))
	}
	s.step++
	at := 0
	for _, r := range s.cfg.Decayed {
		s.run(weights, grads, at, r.Lo, rate, 0)
		s.run(weights, grads, r.Lo, r.Hi, rate, s.cfg.Decay)
		at = r.Hi
	}
	rest := 0.0
	if s.cfg.Decayed == nil {
		rest = s.cfg.Decay
	}
	s.run(weights, grads, at, len(weights), rate, rest)
	return nil
}

func (s *SGD) run(weights, grads []float32, lo, hi int, rate, decay float64) {
	c := descent{rate: float32(rate), momentum: float32(s.cfg.Momentum), decay: float32(decay)}
	if s.cfg.Nesterov {
		c.ahead, c.now = float32(s.cfg.Momentum), 1
	} else {
		c.ahead = 1
	}
	momentum(weights[lo:hi], grads[lo:hi], s.v[lo:hi], c)
}

// Reset forgets the momentum and the step count.
func (s *SGD) Reset() {
	clear(s.v)
	s.step = 0
}

// State returns the vectors that a checkpoint must hold to resume exactly, besides the number of steps; not copies.
func (s *SGD) State() []Vector { return []Vector{{"sgd.v", s.v}} }

// Steps returns the number of steps taken.
func (s *SGD) Steps() int { return s.step }

// SetStep sets the number of steps taken, after the vectors have been restored.
func (s *SGD) SetStep(step int) { s.step = step }

// descent are the constants of one step: v = momentum·v + (g + decay·w), w -= rate·(ahead·v + now·(g + decay·w)). The
// assembly reads them by their offsets.
type descent struct {
	rate, momentum, decay float32
	ahead, now            float32
}
