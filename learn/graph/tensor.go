package graph

import (
	"fmt"
	"slices"
	"strconv"
)

// DType is the element type of a tensor; its value is ONNX's TensorProto.DataType.
type DType int

// The element types that graphs use.
const (
	Float32 DType = 1
	Int64   DType = 7
	Bool    DType = 9
	Float64 DType = 11
)

func (d DType) String() string {
	switch d {
	case Float32:
		return "float32"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Float64:
		return "float64"
	}
	return fmt.Sprintf("DType(%d)", int(d))
}

func (d DType) float() bool { return d == Float32 || d == Float64 }

// Tensor is the result of an operation, an input or a constant of one Graph. Its shape is static, apart from
// dimensions that were made with Graph.Dim.
type Tensor struct {
	g     *Graph
	id    int
	name  string
	shape []int
	dtype DType
	taped bool // a gradient rule has been recorded for it
}

// Name returns the tensor's name in the model. Outputs get the name that was given to Output when the model is written.
func (t *Tensor) Name() string { return t.name }

// Shape returns a copy of the dimensions; negative ones are dynamic and stand for what Graph.Dim named.
func (t *Tensor) Shape() []int { return slices.Clone(t.shape) }

// Rank returns the number of dimensions.
func (t *Tensor) Rank() int { return len(t.shape) }

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Dim returns the dimension of an axis; negative axes count from the last. An axis that is not there is recorded as an
// error on the graph and gives 1.
func (t *Tensor) Dim(axis int) int {
	a, ok := t.axis(axis)
	if !ok {
		t.g.failf("Dim", "axis %d of a tensor of shape %s", axis, t.g.ShapeString(t.shape))
		return 1
	}
	return t.shape[a]
}

func (t *Tensor) axis(a int) (int, bool) {
	if a < 0 {
		a += len(t.shape)
	}
	return a, a >= 0 && a < len(t.shape)
}

// size is the number of elements, false when a dimension is dynamic.
func (t *Tensor) size() (int, bool) { return product(t.shape) }

func product(shape []int) (int, bool) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		n *= d
	}
	return n, true
}

func static(shape []int) bool {
	_, ok := product(shape)
	return ok
}

// dimension describes a dynamic dimension: a named base plus a constant that padding and cropping moved it by.
type dimension struct {
	base   string
	offset int
}

func (d dimension) String() string {
	if d.offset == 0 {
		return d.base
	}
	return fmt.Sprintf("%s%+d", d.base, d.offset)
}

// firstSymbol keeps dynamic dimensions apart from slips such as -1.
const firstSymbol = -1000

// Dim returns a dynamic dimension with the given name, to be used in shapes. The same name gives the same dimension.
// Two dynamic dimensions fit each other only when they are the same one, moved by the same padding.
func (g *Graph) Dim(name string) int {
	if name == "" {
		g.failf("Dim", "a dynamic dimension needs a name")
	}
	return g.symbol(dimension{base: name})
}

func (g *Graph) symbol(d dimension) int {
	i := slices.Index(g.dims, d)
	if i < 0 {
		i = len(g.dims)
		g.dims = append(g.dims, d)
	}
	return firstSymbol - i
}

// shifted returns dimension d made longer by n; false when nothing would be left of it.
func (g *Graph) shifted(d, n int) (int, bool) {
	if d >= 0 {
		return d + n, d+n > 0
	}
	s, ok := g.dimension(d)
	if !ok {
		return d, false
	}
	s.offset += n
	return g.symbol(s), true
}

func (g *Graph) dimension(d int) (dimension, bool) {
	i := firstSymbol - d
	if i < 0 || i >= len(g.dims) {
		return dimension{}, false
	}
	return g.dims[i], true
}

// ShapeString writes a shape with the names of its dynamic dimensions, as in "[1 T 64]".
func (g *Graph) ShapeString(shape []int) string {
	words := make([]any, len(shape))
	for i, d := range shape {
		words[i] = d
		if s, ok := g.dimension(d); ok {
			words[i] = s.String()
		}
	}
	return fmt.Sprint(words)
}

func (g *Graph) dimString(d int) string {
	if s, ok := g.dimension(d); ok {
		return s.String()
	}
	return strconv.Itoa(d)
}

func (g *Graph) validShape(shape []int) bool {
	for _, d := range shape {
		if _, ok := g.dimension(d); d <= 0 && !ok {
			return false
		}
	}
	return true
}
