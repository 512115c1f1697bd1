// Package onnx reads, changes and writes ONNX models: nodes, initializers, and what a model says of its inputs and outputs. What it
// does not change it keeps byte for byte. It knows the format (onnx.proto), not the operators.
package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrFormat is wrapped by errors about bytes that are no ONNX model.
var ErrFormat = errors.New("no ONNX model")

// Element types of tensors, as the format numbers them.
const (
	Float32 = 1
	Uint8   = 2
	Int8    = 3
	Int32   = 6
	Int64   = 7
)

// Field numbers of onnx.proto.
const (
	modelOpset, modelGraph                                                                  = 8, 7
	graphNode, graphInitializer, graphInput, graphOutput                                    = 1, 5, 11, 12
	nodeIn, nodeOut, nodeName, nodeOp, nodeAttribute, nodeDomain                            = 1, 2, 3, 4, 5, 7
	attrName, attrFloat, attrInt, attrType                                                  = 1, 2, 3, 20
	tensorDims, tensorType, tensorFloats, tensorInt32s, tensorInt64s, tensorName, tensorRaw = 1, 2, 4, 5, 7, 8, 9
	tensorExternal                                                                          = 14
	opsetDomain, opsetVersion                                                               = 1, 2
	kindInt                                                                                 = 2 // of an attribute that is a whole number
)

// Model is a parsed ONNX model.
type Model struct {
	// Nodes are in an order in which they can be computed.
	Nodes        []*Node
	Initializers []*Tensor
	Inputs       []string // that are no initializers
	Outputs      []string

	head  []byte // fields of the model beside the graph
	graph []byte // fields of the graph beside nodes, initializers and outputs
	// outputs are what the model says of its outputs.
	outputs [][]byte
	opset   int64
}

// Node is one operator.
type Node struct {
	Name, Op, Domain string
	In, Out          []string
	attrs            [][]byte
	rest             []byte
}

// Tensor is a constant. One that was read is written again as it was: to change it, put another one in its place.
type Tensor struct {
	Name string
	Type int
	Dims []int
	// Data is little-endian and row-major.
	Data []byte

	whole []byte // as it was read
}

// Opset returns the version of the default operator set.
func (m *Model) Opset() int { return int(m.opset) }

// Parse reads a model. Errors wrap ErrFormat.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	graphs := 0
	err := fields(data, func(n protowire.Number, _ protowire.Type, whole, b []byte, _ uint64) error {
		switch n {
		case modelGraph:
			graphs++
			return m.parseGraph(b)
		case modelOpset:
			if err := m.parseOpset(b); err != nil {
				return err
			}
		}
		m.head = append(m.head, whole...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if graphs != 1 || len(m.Outputs) == 0 {
		return nil, fmt.Errorf("%w: %d graphs with %d outputs, expected one with an output", ErrFormat, graphs, len(m.Outputs))
	}
	m.Inputs = slices.DeleteFunc(m.Inputs, func(name string) bool { return m.Initializer(name) != nil })
	return m, nil
}

func (m *Model) parseOpset(b []byte) error {
	domain, version := "", int64(0)
	err := fields(b, func(n protowire.Number, _ protowire.Type, _, b []byte, v uint64) error {
		switch n {
		case opsetDomain:
			domain = string(b)
		case opsetVersion:
			version = int64(v)
		}
		return nil
	})
	if domain == "" {
		m.opset = version
	}
	return err
}

func (m *Model) parseGraph(b []byte) error {
	return fields(b, func(n protowire.Number, _ protowire.Type, whole, b []byte, _ uint64) error {
		switch n {
		case graphNode:
			node, err := parseNode(b)
			m.Nodes = append(m.Nodes, node)
			return err
		case graphInitializer:
			t, err := parseTensor(b)
			m.Initializers = append(m.Initializers, t)
			return err
		case graphInput, graphOutput:
			name, err := valueName(b)
			if err != nil {
				return err
			}
			if n == graphInput {
				m.Inputs = append(m.Inputs, name)
			} else {
				m.Outputs = append(m.Outputs, name)
				m.outputs = append(m.outputs, b)
				return nil
			}
		}
		m.graph = append(m.graph, whole...)
		return nil
	})
}

func valueName(b []byte) (name string, err error) {
	err = fields(b, func(n protowire.Number, _ protowire.Type, _, b []byte, _ uint64) error {
		if n == 1 {
			name = string(b)
		}
		return nil
	})
	return name, err
}

func parseNode(b []byte) (*Node, error) {
	x := &Node{}
	return x, fields(b, func(n protowire.Number, _ protowire.Type, whole, b []byte, _ uint64) error {
		switch n {
		case nodeIn:
			x.In = append(x.In, string(b))
		case nodeOut:
			x.Out = append(x.Out, string(b))
		case nodeName:
			x.Name = string(b)
		case nodeOp:
			x.Op = string(b)
		case nodeDomain:
			x.Domain = string(b)
		case nodeAttribute:
			x.attrs = append(x.attrs, b)
		default:
			x.rest = append(x.rest, whole...)
		}
		return nil
	})
}

// Bytes writes the model.
func (m *Model) Bytes() []byte {
	g := []byte{}
	for _, n := range m.Nodes {
		g = appendBytes(g, graphNode, n.bytes())
	}
	for _, t := range m.Initializers {
		g = appendBytes(g, graphInitializer, t.bytes())
	}
	g = append(g, m.graph...)
	for _, o := range m.outputs {
		g = appendBytes(g, graphOutput, o)
	}
	return appendBytes(slices.Clone(m.head), modelGraph, g)
}

func (n *Node) bytes() (b []byte) {
	for _, s := range n.In {
		b = appendBytes(b, nodeIn, []byte(s))
	}
	for _, s := range n.Out {
		b = appendBytes(b, nodeOut, []byte(s))
	}
	for _, f := range []struct {
		n protowire.Number
		s string
	}{{nodeName, n.Name}, {nodeOp, n.Op}, {nodeDomain, n.Domain}} {
		if f.s != "" {
			b = appendBytes(b, f.n, []byte(f.s))
		}
	}
	for _, a := range n.attrs {
		b = appendBytes(b, nodeAttribute, a)
	}
	return append(b, n.rest...)
}

// SetInt sets an attribute that is a whole number. It returns the node.
func (n *Node) SetInt(name string, v int) *Node {
	a := appendBytes(nil, attrName, []byte(name))
	a = appendVarint(a, attrInt, uint64(int64(v)))
	n.attrs = append(n.attrs, appendVarint(a, attrType, kindInt))
	return n
}

// Int returns an attribute that is a whole number, or other where the node doesn't have it.
func (n *Node) Int(name string, other int) int {
	for _, a := range n.attrs {
		is, value := false, other
		_ = fields(a, func(n protowire.Number, _ protowire.Type, _, b []byte, v uint64) error {
			switch n {
			case attrName:
				is = string(b) == name
			case attrInt:
				value = int(int64(v))
			}
			return nil
		})
		if is {
			return value
		}
	}
	return other
}

// Float returns an attribute that is a number, or other where the node doesn't have it.
func (n *Node) Float(name string, other float32) float32 {
	for _, a := range n.attrs {
		is, value := false, other
		_ = fields(a, func(n protowire.Number, t protowire.Type, _, b []byte, v uint64) error {
			switch {
			case n == attrName:
				is = string(b) == name
			case n == attrFloat && t == protowire.Fixed32Type:
				value = math.Float32frombits(uint32(v))
			}
			return nil
		})
		if is {
			return value
		}
	}
	return other
}

// Initializer returns the constant of a name, nil if there is none.
func (m *Model) Initializer(name string) *Tensor {
	for _, t := range m.Initializers {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// AddOutput makes a value of the graph an output, float32 of the shape dims.
func (m *Model) AddOutput(name string, dims ...int) {
	const valueType, typeTensor, tensorElem, tensorShape, shapeDim, dimValue = 2, 1, 1, 2, 1, 1
	shape := []byte{}
	for _, d := range dims {
		shape = appendBytes(shape, shapeDim, appendVarint(nil, dimValue, uint64(int64(d))))
	}
	tensor := appendBytes(appendVarint(nil, tensorElem, Float32), tensorShape, shape)
	m.outputs = append(m.outputs, appendBytes(appendBytes(nil, 1, []byte(name)), valueType, appendBytes(nil, typeTensor, tensor)))
	m.Outputs = append(m.Outputs, name)
}

// DropOutputs takes all outputs away.
func (m *Model) DropOutputs() { m.Outputs, m.outputs = nil, nil }

// Clone returns a copy whose nodes and lists can be changed without changing m. Tensors' data is shared.
func (m *Model) Clone() *Model {
	c := *m
	c.Nodes, c.Initializers = nil, nil
	for _, n := range m.Nodes {
		x := *n
		x.In, x.Out, x.attrs = slices.Clone(n.In), slices.Clone(n.Out), slices.Clone(n.attrs)
		c.Nodes = append(c.Nodes, &x)
	}
	for _, t := range m.Initializers {
		x := *t
		c.Initializers = append(c.Initializers, &x)
	}
	c.Inputs, c.Outputs = slices.Clone(m.Inputs), slices.Clone(m.Outputs)
	c.head, c.graph, c.outputs = slices.Clone(m.head), slices.Clone(m.graph), slices.Clone(m.outputs)
	return &c
}

func parseTensor(b []byte) (*Tensor, error) {
	t := &Tensor{whole: b}
	err := fields(b, func(n protowire.Number, kind protowire.Type, _, b []byte, v uint64) error {
		switch n {
		case tensorName:
			t.Name = string(b)
		case tensorType:
			t.Type = int(v)
		case tensorRaw:
			t.Data = b
		case tensorDims:
			return ints(kind, b, v, func(v uint64) { t.Dims = append(t.Dims, int(int64(v))) })
		case tensorFloats:
			if kind == protowire.Fixed32Type {
				t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
			} else {
				t.Data = append(t.Data, b...)
			}
		case tensorInt64s:
			return ints(kind, b, v, func(v uint64) { t.Data = binary.LittleEndian.AppendUint64(t.Data, v) })
		case tensorInt32s:
			return ints(kind, b, v, func(v uint64) { t.appendInt32(v) })
		case tensorExternal:
			return fmt.Errorf("%w: the values of %q are in another file, expected them in the model", ErrFormat, t.Name)
		}
		return nil
	})
	return t, err
}

// appendInt32 adds a value of the field that holds all small types; the type stands before it in what is written in order.
func (t *Tensor) appendInt32(v uint64) {
	switch t.Type {
	case Uint8, Int8, 9: // bool
		t.Data = append(t.Data, byte(v))
	case 4, 5, 10, 16: // uint16, int16, float16, bfloat16
		t.Data = binary.LittleEndian.AppendUint16(t.Data, uint16(v))
	default:
		t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
	}
}

func (t *Tensor) bytes() (b []byte) {
	if t.whole != nil {
		return t.whole
	}
	for _, d := range t.Dims {
		b = appendVarint(b, tensorDims, uint64(int64(d)))
	}
	b = appendVarint(b, tensorType, uint64(t.Type))
	b = appendBytes(b, tensorName, []byte(t.Name))
	return appendBytes(b, tensorRaw, t.Data)
}

// Len returns the number of elements that the dimensions promise.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Floats returns the values of a float32 tensor. Errors wrap ErrFormat.
func (t *Tensor) Floats() ([]float32, error) {
	if t.Type != Float32 || len(t.Data)%4 != 0 || len(t.Data)/4 != t.Len() {
		return nil, fmt.Errorf("%w: %q has type %d, dimensions %v and %d bytes, expected float32", ErrFormat, t.Name, t.Type, t.Dims, len(t.Data))
	}
	out := make([]float32, t.Len())
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out, nil
}

// FloatTensor makes a float32 constant.
func FloatTensor(name string, values []float32, dims ...int) *Tensor {
	t := &Tensor{Name: name, Type: Float32, Dims: dims, Data: make([]byte, 0, 4*len(values))}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}
