package graph

import (
	"encoding/binary"
	"math"
)

// constant is an initializer of the model.
type constant struct {
	t   *Tensor
	raw []byte // little endian
}

// shareBelow is the size in bytes up to which equal unnamed constants are stored once.
const shareBelow = 1 << 16

// Const returns a constant of the graph's float type. len(data) must be the product of shape.
func (g *Graph) Const(data []float64, shape ...int) *Tensor {
	return g.floats("", data, shape)
}

// NamedConst returns a constant from float32 data under a name of its own, for weights that a reader of the model
// shall find.
func (g *Graph) NamedConst(name string, data []float32, shape ...int) *Tensor {
	g.claim("NamedConst", name)
	wide := make([]float64, len(data))
	for i, v := range data {
		wide[i] = float64(v)
	}
	return g.floats(name, wide, shape)
}

// Scalar returns a constant of rank 0.
func (g *Graph) Scalar(v float64) *Tensor { return g.floats("", []float64{v}, nil) }

// Ints returns an int64 constant of rank 1.
func (g *Graph) Ints(data ...int) *Tensor {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return g.constant("", Int64, []int{len(data)}, raw)
}

func (g *Graph) intScalar(v int) *Tensor {
	return g.constant("", Int64, nil, binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

func (g *Graph) floats(name string, data []float64, shape []int) *Tensor {
	if n, ok := product(shape); !ok || n != len(data) || !g.validShape(shape) {
		g.failf("Const", "%d elements for the shape %s", len(data), g.ShapeString(shape))
		return g.dummyShape(shape...)
	}
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		if g.float == Float64 {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		} else {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
		}
	}
	return g.constant(name, g.float, shape, raw)
}

func (g *Graph) constant(name string, dtype DType, shape []int, raw []byte) *Tensor {
	if name != "" || len(raw) >= shareBelow {
		return g.addConstant(name, dtype, shape, raw)
	}
	key := dtype.String() + g.ShapeString(shape) + string(raw)
	t, ok := g.shared[key]
	if !ok {
		t = g.addConstant(name, dtype, shape, raw)
		g.shared[key] = t
	}
	return t
}

func (g *Graph) addConstant(name string, dtype DType, shape []int, raw []byte) *Tensor {
	if name == "" {
		name = g.fresh("Const")
	}
	t := g.tensor(name, dtype, shape)
	g.consts = append(g.consts, &constant{t, raw})
	return t
}
