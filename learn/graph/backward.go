package graph

import "fmt"

// taped is one entry of the tape: how the gradient of out becomes gradients of in. A nil result of back means that no
// gradient flows to that operand. A nil back marks an operation that has no gradient.
type taped struct {
	op   string
	out  *Tensor
	in   []*Tensor
	back func(dy *Tensor) []*Tensor
}

// diff records how out is differentiated. A tensor that common-subexpression elimination returned is recorded once.
func (g *Graph) diff(op string, out *Tensor, in []*Tensor, back func(dy *Tensor) []*Tensor) *Tensor {
	if g.recorded && !out.taped && g.err == nil {
		out.taped = true
		g.tape = append(g.tape, taped{op, out, in, back})
	}
	return out
}

// compose runs f without recording gradients: the caller records one rule in closed form for the whole.
func (g *Graph) compose(f func() *Tensor) *Tensor {
	before := g.recorded
	g.recorded = false
	defer func() { g.recorded = before }()
	return f()
}

// Backward appends the gradient of loss, which holds one element, with respect to each tensor of wrt, and returns the
// gradients in that order, each of its tensor's shape. A tensor that the loss does not depend on gets zeros.
func (g *Graph) Backward(loss *Tensor, wrt []*Tensor) ([]*Tensor, error) {
	if !g.okFloat("Backward", append([]*Tensor{loss}, wrt...)...) {
		return nil, g.err
	}
	if n, ok := loss.size(); !ok || n != 1 {
		g.failf("Backward", "the loss has shape %s, expected one element", g.ShapeString(loss.shape))
		return nil, g.err
	}
	grads := make([]*Tensor, len(wrt))
	g.compose(func() *Tensor {
		sums := g.reverse(loss, wrt)
		for i, w := range wrt {
			if grads[i] = g.total(sums[w]); grads[i] == nil {
				grads[i] = g.zeros(w.shape)
			}
		}
		return nil
	})
	if g.err != nil {
		return nil, fmt.Errorf("differentiate: %w", g.err)
	}
	return grads, nil
}

// reverse walks the tape backwards and collects the contributions to each tensor's gradient.
func (g *Graph) reverse(loss *Tensor, wrt []*Tensor) map[*Tensor][]*Tensor {
	need := map[*Tensor]bool{}
	for _, w := range wrt {
		need[w] = true
	}
	for _, e := range g.tape {
		for _, t := range e.in {
			need[e.out] = need[e.out] || need[t]
		}
	}
	one := g.Scalar(1)
	if len(loss.shape) > 0 {
		one = g.Reshape(one, loss.shape...)
	}
	sums := map[*Tensor][]*Tensor{loss: {one}}
	for i := len(g.tape) - 1; i >= 0 && g.err == nil; i-- {
		e := g.tape[i]
		dy := g.total(sums[e.out])
		if !need[e.out] || dy == nil {
			continue
		}
		sums[e.out] = []*Tensor{dy}
		if e.back == nil {
			g.failf(e.op, "has no gradient, but one is asked for")
			break
		}
		for j, d := range e.back(dy) {
			if d != nil && need[e.in[j]] {
				sums[e.in[j]] = append(sums[e.in[j]], d)
			}
		}
	}
	return sums
}

// total adds up contributions; nil when there are none.
func (g *Graph) total(list []*Tensor) *Tensor {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return g.emit("Sum", list, list[0].shape)
}

func (g *Graph) zeros(shape []int) *Tensor {
	if len(shape) == 0 {
		return g.Scalar(0)
	}
	return g.expand(g.Scalar(0), shape)
}
