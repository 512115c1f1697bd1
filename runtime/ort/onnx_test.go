package ort

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// Element types of onnx.proto.
const (
	isFloat = 1
	isInt64 = 7
)

// testModel writes a model piece by piece, since the writer of learn/graph stands above this package.
type testModel struct {
	nodes, inputs, outputs [][]byte
}

func field(n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
}

func text(n protowire.Number, s string) []byte { return field(n, []byte(s)) }

func integer(n protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), uint64(v))
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// value describes a float32 input or output; a dimension is an int or the name of a dynamic one.
func value(name string, dims ...any) []byte {
	var shape []byte
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			shape = append(shape, field(1, integer(1, d))...)
		case string:
			shape = append(shape, field(1, text(2, d))...)
		}
	}
	return join(text(1, name), field(2, field(1, join(integer(1, isFloat), field(2, shape)))))
}

func (m *testModel) node(op string, in []string, out string) {
	var n []byte
	for _, i := range in {
		n = append(n, text(1, i)...)
	}
	m.nodes = append(m.nodes, join(n, text(2, out), text(4, op)))
}

func (m *testModel) in(v []byte)  { m.inputs = append(m.inputs, v) }
func (m *testModel) out(v []byte) { m.outputs = append(m.outputs, v) }

func (m *testModel) bytes() []byte {
	var graph []byte
	for _, n := range m.nodes {
		graph = append(graph, field(1, n)...)
	}
	graph = append(graph, text(2, "test")...)
	for _, v := range m.inputs {
		graph = append(graph, field(11, v)...)
	}
	for _, v := range m.outputs {
		graph = append(graph, field(12, v)...)
	}
	return join(integer(1, 8), field(7, graph), field(8, join(text(1, ""), integer(2, 18))))
}

// squares is y [N, 3] = x [N, 3] squared, and the scalar s = the sum of x times the scalar k.
func squares() []byte {
	var m testModel
	m.in(value("x", "N", 3))
	m.in(value("k"))
	m.node("Mul", []string{"x", "x"}, "y")
	m.node("ReduceSum", []string{"x"}, "sum")
	m.node("Reshape", []string{"sum", "shape"}, "flat")
	m.node("Mul", []string{"flat", "k"}, "s")
	m.out(value("y", "N", 3))
	m.out(value("s"))
	// A message that comes twice is merged: this adds to the graph the constant "shape", an empty list of dimensions.
	return join(m.bytes(), field(7, field(5, join(integer(1, 0), integer(2, isInt64), text(8, "shape")))))
}

// product is c [M, N] = a [M, K] times b [K, N].
func product() []byte {
	var m testModel
	m.in(value("a", "M", "K"))
	m.in(value("b", "K", "N"))
	m.node("MatMul", []string{"a", "b"}, "c")
	m.out(value("c", "M", "N"))
	return m.bytes()
}

func openTest(t testing.TB, model []byte, opts Options) *Session {
	t.Helper()
	s, err := Open(model, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newTest[T Element](t testing.TB, shape []int, data []T) Tensor {
	t.Helper()
	x, err := NewTensor(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func bindTest(t testing.TB, s *Session, in, out []Tensor) *Binding {
	t.Helper()
	b, err := s.Bind(in, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
