package graph

// Softmax returns e^x divided by its sum over the last axis.
func (g *Graph) Softmax(x *Tensor) *Tensor {
	if !g.okFloat("Softmax", x) {
		return g.dummy(x)
	}
	y := g.emit("Softmax", []*Tensor{x}, x.shape, attribute{"axis", -1})
	return g.diff("Softmax", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		p := g.Mul(dy, y)
		return []*Tensor{g.Sub(p, g.Mul(y, g.Sum(p, -1)))}
	})
}

// LogSoftmax returns the logarithm of Softmax, without the loss of precision that taking it afterwards would mean.
func (g *Graph) LogSoftmax(x *Tensor) *Tensor {
	if !g.okFloat("LogSoftmax", x) {
		return g.dummy(x)
	}
	y := g.emit("LogSoftmax", []*Tensor{x}, x.shape, attribute{"axis", -1})
	return g.diff("LogSoftmax", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Sub(dy, g.Mul(g.Exp(y), g.Sum(dy, -1)))}
	})
}
