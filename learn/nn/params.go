package nn

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// ErrParams is wrapped by errors about parameters: unknown, of another shape, not finite.
var ErrParams = errors.New("parameters")

// Param is a named tensor in one of the two flat vectors of a Params.
type Param struct {
	Name    string
	Shape   []int
	Trained bool // it lies in Weights and has a gradient; otherwise it lies in Buffers
	Decay   bool // weight decay applies to it

	offset, size int
	init         Init
}

// Range returns the half-open range of the parameter in Weights or Buffers.
func (p Param) Range() (lo, hi int) { return p.offset, p.offset + p.size }

// Init fills a new parameter.
type Init func(rng *rand.Rand, dst []float32)

// Zeros fills with 0.
func Zeros(_ *rand.Rand, dst []float32) { clear(dst) }

// Ones fills with 1.
func Ones(_ *rand.Rand, dst []float32) {
	for i := range dst {
		dst[i] = 1
	}
}

// FanIn fills uniformly from ±1/√n, n the number of inputs of a unit, the customary choice for linear and
// convolutional layers (LeCun et al., Efficient BackProp, 1998).
func FanIn(n int) Init {
	bound := 1 / math.Sqrt(float64(max(n, 1)))
	return func(rng *rand.Rand, dst []float32) {
		for i := range dst {
			dst[i] = float32((2*rng.Float64() - 1) * bound)
		}
	}
}

// Params are the parameters of one network. Weights are trained, Buffers (standardisation constants, running
// statistics) are not. The vectors may be read and written in place; they are never reallocated, so that sessions can
// alias them. A Params is not safe for concurrent use.
type Params struct {
	Weights []float32
	Buffers []float32

	list  []Param
	index map[string]int
}

// declareFrames is the length that Declare traces with: long enough for any network's pooling.
const declareFrames = 1024

// Declare traces define once to learn which parameters the network has, and returns them filled with zeros.
func Declare(define func(b *Build)) (*Params, error) {
	p := &Params{index: map[string]int{}}
	b := NewTrain(p, 1, declareFrames)
	b.declare = true
	define(b)
	if err := b.Err(); err != nil {
		return nil, fmt.Errorf("declare parameters: %w", err)
	}
	var weights, buffers int
	for i := range p.list {
		q := &p.list[i]
		n := &buffers
		if q.Trained {
			n = &weights
		}
		q.offset = *n
		*n += q.size
	}
	p.Weights, p.Buffers = make([]float32, weights), make([]float32, buffers)
	return p, nil
}

// Init fills all parameters. Each has a random stream of its own, drawn from the seed and its name, so that adding a
// layer leaves the others' values as they were.
func (p *Params) Init(seed uint64) {
	for _, q := range p.list {
		h := fnv.New64a()
		_, _ = h.Write([]byte(q.Name)) // never fails
		q.init(rand.New(rand.NewPCG(seed, h.Sum64())), p.data(q))
	}
}

// List returns the parameters in the order of declaration.
func (p *Params) List() []Param { return slices.Clone(p.list) }

// Get returns the values of a parameter, not a copy.
func (p *Params) Get(name string) ([]float32, error) {
	i, ok := p.index[name]
	if !ok {
		return nil, fmt.Errorf("%w: there is no %q", ErrParams, name)
	}
	return p.data(p.list[i]), nil
}

// Set copies values into a parameter. Their number must be right and all must be finite.
func (p *Params) Set(name string, values []float32) error {
	dst, err := p.Get(name)
	if err != nil {
		return err
	}
	if len(dst) != len(values) {
		return fmt.Errorf("%w: %q has %d values, got %d", ErrParams, name, len(dst), len(values))
	}
	for i, v := range values {
		if !finite(v) {
			return fmt.Errorf("%w: value %d for %q is %g", ErrParams, i, name, v)
		}
	}
	copy(dst, values)
	return nil
}

// Clone returns an independent copy.
func (p *Params) Clone() *Params {
	return &Params{Weights: slices.Clone(p.Weights), Buffers: slices.Clone(p.Buffers), list: p.list, index: p.index}
}

// CopyFrom copies the values of q, which must have the same parameters.
func (p *Params) CopyFrom(q *Params) error {
	if len(p.list) != len(q.list) {
		return fmt.Errorf("%w: copy %d parameters into %d", ErrParams, len(q.list), len(p.list))
	}
	for i, a := range p.list {
		if b := q.list[i]; a.Name != b.Name || !slices.Equal(a.Shape, b.Shape) || a.Trained != b.Trained {
			return fmt.Errorf("%w: copy %q %v into %q %v", ErrParams, b.Name, b.Shape, a.Name, a.Shape)
		}
	}
	copy(p.Weights, q.Weights)
	copy(p.Buffers, q.Buffers)
	return nil
}

func (p *Params) data(q Param) []float32 {
	v := p.Buffers
	if q.Trained {
		v = p.Weights
	}
	return v[q.offset : q.offset+q.size : q.offset+q.size]
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
