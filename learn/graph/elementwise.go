package graph

import (
	"math"
	"slices"
)

// broadcast returns the shape that two shapes have together by ONNX's multidirectional rule.
func (g *Graph) broadcast(op string, a, b []int) ([]int, bool) {
	n := max(len(a), len(b))
	shape := make([]int, n)
	at := func(s []int, i int) int {
		if i -= n - len(s); i >= 0 {
			return s[i]
		}
		return 1
	}
	for i := range shape {
		x, y := at(a, i), at(b, i)
		switch {
		case x == y || y == 1:
			shape[i] = x
		case x == 1:
			shape[i] = y
		default:
			g.failf(op, "shapes %s and %s do not broadcast", g.ShapeString(a), g.ShapeString(b))
			return a, false
		}
	}
	return shape, true
}

// unbroadcast sums a gradient down to the shape of an operand that was broadcast.
func (g *Graph) unbroadcast(dy *Tensor, shape []int) *Tensor {
	if slices.Equal(dy.shape, shape) {
		return dy
	}
	lead := len(dy.shape) - len(shape)
	var axes []int
	for i := range dy.shape {
		if i < lead || (shape[i-lead] == 1 && dy.shape[i] != 1) {
			axes = append(axes, i)
		}
	}
	if len(axes) == lead {
		return g.reduceSum(dy, axes, false) // only leading axes vanish: no reshape needed
	}
	return g.Reshape(g.reduceSum(dy, axes, true), shape...)
}

func (g *Graph) binary(op string, a, b *Tensor, back func(y, dy *Tensor) (da, db *Tensor)) *Tensor {
	if !g.okFloat(op, a, b) {
		return g.dummy(a)
	}
	shape, ok := g.broadcast(op, a.shape, b.shape)
	if !ok {
		return g.dummy(a)
	}
	y := g.emit(op, []*Tensor{a, b}, shape)
	return g.diff(op, y, []*Tensor{a, b}, func(dy *Tensor) []*Tensor {
		da, db := back(y, dy)
		return []*Tensor{g.unbroadcast(da, a.shape), g.unbroadcast(db, b.shape)}
	})
}

// Add returns a + b, broadcasting.
func (g *Graph) Add(a, b *Tensor) *Tensor {
	return g.binary("Add", a, b, func(_, dy *Tensor) (*Tensor, *Tensor) { return dy, dy })
}

// Sub returns a - b, broadcasting.
func (g *Graph) Sub(a, b *Tensor) *Tensor {
	return g.binary("Sub", a, b, func(_, dy *Tensor) (*Tensor, *Tensor) { return dy, g.Neg(dy) })
}

// Mul returns a · b element by element, broadcasting.
func (g *Graph) Mul(a, b *Tensor) *Tensor {
	return g.binary("Mul", a, b, func(_, dy *Tensor) (*Tensor, *Tensor) { return g.Mul(dy, b), g.Mul(dy, a) })
}

// Div returns a / b element by element, broadcasting.
func (g *Graph) Div(a, b *Tensor) *Tensor {
	return g.binary("Div", a, b, func(y, dy *Tensor) (*Tensor, *Tensor) {
		da := g.Div(dy, b)
		return da, g.Neg(g.Mul(da, y))
	})
}

// Scale returns c · x.
func (g *Graph) Scale(x *Tensor, c float64) *Tensor {
	if c == 1 {
		return x
	}
	return g.Mul(x, g.Scalar(c))
}

// Shift returns x + c.
func (g *Graph) Shift(x *Tensor, c float64) *Tensor { return g.Add(x, g.Scalar(c)) }

func (g *Graph) unary(op string, x *Tensor, back func(y, dy *Tensor) *Tensor) *Tensor {
	if !g.okFloat(op, x) {
		return g.dummy(x)
	}
	y := g.emit(op, []*Tensor{x}, x.shape)
	return g.diff(op, y, []*Tensor{x}, func(dy *Tensor) []*Tensor { return []*Tensor{back(y, dy)} })
}

// Neg returns -x.
func (g *Graph) Neg(x *Tensor) *Tensor {
	return g.unary("Neg", x, func(_, dy *Tensor) *Tensor { return g.Neg(dy) })
}

// Exp returns e to the x.
func (g *Graph) Exp(x *Tensor) *Tensor {
	return g.unary("Exp", x, func(y, dy *Tensor) *Tensor { return g.Mul(dy, y) })
}

// Log returns the natural logarithm of x > 0.
func (g *Graph) Log(x *Tensor) *Tensor {
	return g.unary("Log", x, func(_, dy *Tensor) *Tensor { return g.Div(dy, x) })
}

// Sqrt returns the square root of x; its gradient is infinite at 0.
func (g *Graph) Sqrt(x *Tensor) *Tensor {
	return g.unary("Sqrt", x, func(y, dy *Tensor) *Tensor { return g.Div(g.Scale(dy, 0.5), y) })
}

// Abs returns |x|; its gradient at 0 is 0.
func (g *Graph) Abs(x *Tensor) *Tensor {
	return g.unary("Abs", x, func(_, dy *Tensor) *Tensor {
		return g.Mul(dy, g.emit("Sign", []*Tensor{x}, x.shape))
	})
}

// Tanh returns the hyperbolic tangent of x.
func (g *Graph) Tanh(x *Tensor) *Tensor {
	return g.unary("Tanh", x, func(y, dy *Tensor) *Tensor {
		return g.Mul(dy, g.Sub(g.Scalar(1), g.Mul(y, y)))
	})
}

// Sigmoid returns 1 / (1 + e^-x).
func (g *Graph) Sigmoid(x *Tensor) *Tensor {
	return g.unary("Sigmoid", x, func(y, dy *Tensor) *Tensor {
		return g.Mul(dy, g.Mul(y, g.Sub(g.Scalar(1), y)))
	})
}

// Relu returns max(x, 0); its gradient at 0 is 0.
func (g *Graph) Relu(x *Tensor) *Tensor {
	return g.unary("Relu", x, func(y, dy *Tensor) *Tensor { return g.Mul(dy, g.step(y)) })
}

// step returns 1 where y > 0 and 0 where it is 0, for y >= 0. In float32 it is one pass over the memory, a hard sigmoid so
// steep that it is 1 from the smallest normal number on; a comparison and a cast are two, a Where takes longer still.
func (g *Graph) step(y *Tensor) *Tensor {
	if g.float == Float64 {
		return g.mask("Greater", y, g.Scalar(0))
	}
	return g.emit("HardSigmoid", []*Tensor{y}, y.shape, attribute{"alpha", float32(math.MaxFloat32)}, attribute{"beta", float32(0)})
}

// Gelu returns x · Φ(x) with Φ the standard normal distribution (Hendrycks & Gimpel, arXiv 1606.08415, the exact form
// with erf).
func (g *Graph) Gelu(x *Tensor) *Tensor {
	if !g.okFloat("Gelu", x) {
		return g.dummy(x)
	}
	var cdf *Tensor
	y := g.compose(func() *Tensor {
		cdf = g.Shift(g.Scale(g.erf(g.Scale(x, 1/math.Sqrt2)), 0.5), 0.5)
		return g.Mul(x, cdf)
	})
	return g.diff("Gelu", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		pdf := g.Scale(g.Exp(g.Scale(g.Mul(x, x), -0.5)), 1/math.Sqrt(2*math.Pi))
		return []*Tensor{g.Mul(dy, g.Add(cdf, g.Mul(x, pdf)))}
	})
}

// Silu returns x / (1 + e^-x) (Elfwing et al., arXiv 1702.03118), also called swish.
func (g *Graph) Silu(x *Tensor) *Tensor {
	if !g.okFloat("Silu", x) {
		return g.dummy(x)
	}
	var gate *Tensor
	y := g.compose(func() *Tensor {
		gate = g.Sigmoid(x)
		return g.Mul(x, gate)
	})
	return g.diff("Silu", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		// σ + x·σ·(1-σ), with x·σ at hand
		return []*Tensor{g.Mul(dy, g.Add(gate, g.Mul(y, g.Sub(g.Scalar(1), gate))))}
	})
}

// AtMost returns min(x, limit); where x exceeds the limit no gradient flows.
func (g *Graph) AtMost(x *Tensor, limit float64) *Tensor {
	if !g.okFloat("AtMost", x) {
		return g.dummy(x)
	}
	bound := g.Scalar(limit)
	y := g.emit("Min", []*Tensor{x, bound}, x.shape)
	return g.diff("AtMost", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Mul(dy, g.mask("Less", x, bound))}
	})
}

// AtLeast returns max(x, limit); where x is below the limit no gradient flows.
func (g *Graph) AtLeast(x *Tensor, limit float64) *Tensor {
	if !g.okFloat("AtLeast", x) {
		return g.dummy(x)
	}
	bound := g.Scalar(limit)
	y := g.emit("Max", []*Tensor{x, bound}, x.shape)
	return g.diff("AtLeast", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Mul(dy, g.mask("Greater", x, bound))}
	})
}

// mask returns 1 where the comparison of a and b holds and 0 elsewhere, as floats without a gradient.
func (g *Graph) mask(compare string, a, b *Tensor) *Tensor {
	shape, ok := g.broadcast(compare, a.shape, b.shape)
	if !ok {
		return g.dummy(a)
	}
	return g.cast(g.emitTyped(compare, Bool, []*Tensor{a, b}, shape), g.float)
}

// Positive returns 1 where x > 0 and 0 elsewhere. No gradient flows through it.
func (g *Graph) Positive(x *Tensor) *Tensor {
	if !g.okFloat("Positive", x) {
		return g.dummy(x)
	}
	return g.mask("Greater", x, g.Scalar(0))
}

func (g *Graph) cast(x *Tensor, to DType) *Tensor {
	if x.dtype == to {
		return x
	}
	return g.emitTyped("Cast", to, []*Tensor{x}, x.shape, attribute{"to", int(to)})
}
