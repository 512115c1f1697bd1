package graph

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrGraph is wrapped by every error about how a graph was built.
var ErrGraph = errors.New("graph")

// Graph is a computation under construction. See the package comment.
type Graph struct {
	// float is the element type of constants and of what the operations compute.
	float DType
	err   error

	nodes    []*node
	inputs   []*Tensor
	outputs  []output
	consts   []*constant
	meta     []property
	dims     []dimension
	tape     []taped
	recorded bool // operations record their gradient rule

	ids      int
	names    map[string]bool
	computed map[string][]*Tensor // common subexpressions
	makers   map[*Tensor]*node
	shared   map[string]*Tensor // small constants by content
}

type node struct {
	op    string
	in    []*Tensor // nil where an optional input is left out
	out   []*Tensor
	attrs []attribute
}

type attribute struct {
	name  string
	value any // int, float32, string or []int
}

type output struct {
	name string
	t    *Tensor
}

type property struct{ key, value string }

// New returns an empty graph that computes in float, Float32 or Float64.
func New(float DType) *Graph {
	g := &Graph{
		float:    float,
		recorded: true,
		names:    map[string]bool{},
		computed: map[string][]*Tensor{},
		makers:   map[*Tensor]*node{},
		shared:   map[string]*Tensor{},
	}
	if !float.float() {
		g.failf("New", "element type %s, expected float32 or float64", float)
	}
	return g
}

// Float returns the element type that the graph computes in.
func (g *Graph) Float() DType { return g.float }

// Err returns the first mistake made in building the graph, or nil.
func (g *Graph) Err() error { return g.err }

// Fail records err as the graph's first mistake, unless there is one already. Layers built on the graph use it to
// report what they find wrong.
func (g *Graph) Fail(err error) {
	if g.err == nil && err != nil {
		g.err = fmt.Errorf("%w: %w", ErrGraph, err)
	}
}

func (g *Graph) failf(op, format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf("%w: %s: %s", ErrGraph, op, fmt.Sprintf(format, args...))
	}
}

// Input declares a model input. The shape may hold dimensions made with Dim.
func (g *Graph) Input(name string, dtype DType, shape ...int) *Tensor {
	if !g.validShape(shape) {
		g.failf("Input", "%q has shape %s, expected dimensions > 0", name, g.ShapeString(shape))
	}
	g.claim("Input", name)
	t := g.tensor(name, dtype, shape)
	g.inputs = append(g.inputs, t)
	return t
}

// Output makes t an output of the model under the given name.
func (g *Graph) Output(name string, t *Tensor) {
	if !g.ok("Output", t) {
		return
	}
	g.claim("Output", name)
	g.outputs = append(g.outputs, output{name, t})
}

// Inputs returns the model's inputs in order.
func (g *Graph) Inputs() []*Tensor { return slices.Clone(g.inputs) }

// OutputNames returns the names of the model's outputs in order.
func (g *Graph) OutputNames() []string {
	names := make([]string, len(g.outputs))
	for i, o := range g.outputs {
		names[i] = o.name
	}
	return names
}

// SetMeta adds a metadata property to the model, or replaces it.
func (g *Graph) SetMeta(key, value string) {
	for i := range g.meta {
		if g.meta[i].key == key {
			g.meta[i].value = value
			return
		}
	}
	g.meta = append(g.meta, property{key, value})
}

// Detach returns t as something that no gradient flows through.
func (g *Graph) Detach(t *Tensor) *Tensor {
	if !g.ok("Detach", t) {
		return g.dummy(t)
	}
	return g.tensor(t.name, t.dtype, t.shape)
}

// Reverse returns x, and multiplies the gradient that flows back through it by -strength: the gradient reversal layer of
// Ganin & Lempitsky (ICML 2015, section 3.2), whose λ strength is. strength broadcasts to x and gets no gradient.
func (g *Graph) Reverse(x, strength *Tensor) *Tensor {
	if !g.okFloat("Reverse", x, strength) {
		return g.dummy(x)
	}
	if shape, ok := g.broadcast("Reverse", x.shape, strength.shape); !ok || !slices.Equal(shape, x.shape) {
		g.failf("Reverse", "a strength of %s for %s", g.ShapeString(strength.shape), g.ShapeString(x.shape))
		return g.dummy(x)
	}
	y := g.tensor(x.name, x.dtype, x.shape)
	return g.diff("Reverse", y, []*Tensor{x}, func(dy *Tensor) []*Tensor {
		return []*Tensor{g.Neg(g.Mul(dy, strength))}
	})
}

func (g *Graph) claim(op, name string) {
	if name == "" || g.names[name] {
		g.failf(op, "the name %q is empty or taken already", name)
	}
	g.names[name] = true
}

func (g *Graph) fresh(op string) string {
	for i := len(g.names); ; i++ {
		name := op + "_" + strconv.Itoa(i)
		if !g.names[name] {
			g.names[name] = true
			return name
		}
	}
}

func (g *Graph) tensor(name string, dtype DType, shape []int) *Tensor {
	g.ids++
	return &Tensor{g: g, id: g.ids, name: name, shape: slices.Clone(shape), dtype: dtype}
}

// ok reports whether an operation may go on: nothing failed before, and its operands are tensors of this graph.
func (g *Graph) ok(op string, ts ...*Tensor) bool {
	for i, t := range ts {
		switch {
		case t == nil:
			g.failf(op, "operand %d is nil", i)
		case t.g != g:
			g.failf(op, "operand %d, %q, belongs to another graph", i, t.name)
		}
	}
	return g.err == nil
}

// okFloat is ok for operations that compute: the operands must share one float type.
func (g *Graph) okFloat(op string, ts ...*Tensor) bool {
	if !g.ok(op, ts...) {
		return false
	}
	for i, t := range ts {
		if t.dtype != g.float {
			g.failf(op, "operand %d, %q, is %s, expected %s", i, t.name, t.dtype, g.float)
			return false
		}
	}
	return true
}

// dummy stands in for the result of an operation that failed, so that tracing can go on to its end.
func (g *Graph) dummy(like *Tensor) *Tensor {
	if like == nil {
		return g.tensor("", g.float, nil)
	}
	return g.tensor("", like.dtype, like.shape)
}

func (g *Graph) dummyShape(shape ...int) *Tensor { return g.tensor("", g.float, shape) }

// emit appends a node with one result of the graph's float type, or finds the same one that is there already.
func (g *Graph) emit(op string, in []*Tensor, shape []int, attrs ...attribute) *Tensor {
	return g.emitN(op, in, g.float, [][]int{shape}, attrs...)[0]
}

func (g *Graph) emitTyped(op string, dtype DType, in []*Tensor, shape []int, attrs ...attribute) *Tensor {
	return g.emitN(op, in, dtype, [][]int{shape}, attrs...)[0]
}

// emitN appends a node with several results. Tensors are identified by id, not by name, so that a detached tensor
// doesn't share results, and with them gradients, with the one it was detached from.
func (g *Graph) emitN(op string, in []*Tensor, dtype DType, shapes [][]int, attrs ...attribute) []*Tensor {
	var key strings.Builder
	fmt.Fprint(&key, op, len(shapes), dtype)
	for _, t := range in {
		id := 0
		if t != nil {
			id = t.id
		}
		fmt.Fprint(&key, "|", id)
	}
	for _, a := range attrs {
		fmt.Fprint(&key, ";", a.name, "=", a.value)
	}
	if out, ok := g.computed[key.String()]; ok {
		return out
	}
	n := &node{op: op, in: slices.Clone(in), attrs: attrs}
	for _, s := range shapes {
		n.out = append(n.out, g.tensor(g.fresh(op), dtype, s))
	}
	for _, t := range n.out {
		g.makers[t] = n
	}
	g.nodes = append(g.nodes, n)
	g.computed[key.String()] = n.out
	return n.out
}
