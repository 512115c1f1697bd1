package graph

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Versions of the format that models are written in. Opset 18 is the newest whose operators have had CUDA kernels for
// long; IR version 8 is the one that goes with it.
const (
	Opset     = 18
	IRVersion = 8
	producer  = "tandem"
)

// Field numbers of onnx.proto's messages.
const (
	modelIRVersion, modelProducer, modelGraph, modelOpset, modelMeta = 1, 2, 7, 8, 14
	opsetDomain, opsetVersion                                        = 1, 2
	graphNode, graphName, graphInit, graphInput, graphOutput         = 1, 2, 5, 11, 12
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttr                = 1, 2, 3, 4, 5
	attrName, attrFloat, attrInt, attrString, attrInts, attrType     = 1, 2, 3, 4, 8, 20
	tensorDims, tensorType, tensorName, tensorRaw                    = 1, 2, 8, 9
	valueName, valueType                                             = 1, 2
	typeTensor, tensorTypeElem, tensorTypeShape                      = 1, 1, 2
	shapeDim, dimValue, dimParam                                     = 1, 1, 2
	metaKey, metaValue                                               = 1, 2
	attrIsFloat, attrIsInt, attrIsString, attrIsInts                 = 1, 2, 3, 7
)

// message is a protobuf message under construction.
type message []byte

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) bytes(field protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), b)
}

func (m *message) integer(field protowire.Number, v int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

// Model serialises the graph as an ONNX model. Nodes and constants that no output depends on are left out. The same
// graph gives the same bytes.
func (g *Graph) Model() ([]byte, error) {
	if g.err == nil && len(g.outputs) == 0 {
		g.failf("Model", "the graph has no output")
	}
	if g.err != nil {
		return nil, g.err
	}
	nodes, rename := g.schedule()
	name := func(t *Tensor) string {
		if n, ok := rename[t.name]; ok {
			return n
		}
		return t.name
	}
	used := map[string]bool{}
	var gr message
	for _, n := range nodes {
		gr.bytes(graphNode, n.encode(name))
		for _, t := range n.in {
			if t != nil {
				used[t.name] = true
			}
		}
	}
	gr.text(graphName, producer)
	for _, c := range g.consts {
		if used[c.t.name] {
			gr.bytes(graphInit, c.encode())
		}
	}
	for _, t := range g.inputs {
		gr.bytes(graphInput, g.valueInfo(t.name, t))
	}
	for _, o := range g.outputs {
		gr.bytes(graphOutput, g.valueInfo(o.name, o.t))
	}
	var opset, m message
	opset.text(opsetDomain, "")
	opset.integer(opsetVersion, Opset)
	m.integer(modelIRVersion, IRVersion)
	m.text(modelProducer, producer)
	m.bytes(modelGraph, gr)
	m.bytes(modelOpset, opset)
	for _, p := range g.meta {
		var e message
		e.text(metaKey, p.key)
		e.text(metaValue, p.value)
		m.bytes(modelMeta, e)
	}
	return m, nil
}

func (n *node) encode(name func(*Tensor) string) message {
	var m message
	for _, t := range n.in {
		s := ""
		if t != nil {
			s = name(t)
		}
		m.text(nodeInput, s)
	}
	for _, t := range n.out {
		m.text(nodeOutput, name(t))
	}
	m.text(nodeName, name(n.out[0]))
	m.text(nodeOp, n.op)
	for _, a := range n.attrs {
		m.bytes(nodeAttr, a.encode())
	}
	return m
}

func (a attribute) encode() message {
	var m message
	m.text(attrName, a.name)
	kind := 0
	switch v := a.value.(type) {
	case int:
		m.integer(attrInt, v)
		kind = attrIsInt
	case float32:
		m.float(attrFloat, v)
		kind = attrIsFloat
	case string:
		m.text(attrString, v)
		kind = attrIsString
	case []int:
		for _, i := range v {
			m.integer(attrInts, i)
		}
		kind = attrIsInts
	}
	m.integer(attrType, kind)
	return m
}

func (c *constant) encode() message {
	var m message
	for _, d := range c.t.shape {
		m.integer(tensorDims, d)
	}
	m.integer(tensorType, int(c.t.dtype))
	m.text(tensorName, c.t.name)
	m.bytes(tensorRaw, c.raw)
	return m
}

func (g *Graph) valueInfo(name string, t *Tensor) message {
	var shape, tensor, typ, m message
	for _, d := range t.shape {
		var dim message
		if s, ok := g.dimension(d); ok {
			dim.text(dimParam, s.String())
		} else {
			dim.integer(dimValue, d)
		}
		shape.bytes(shapeDim, dim)
	}
	tensor.integer(tensorTypeElem, int(t.dtype))
	tensor.bytes(tensorTypeShape, shape)
	typ.bytes(typeTensor, tensor)
	m.text(valueName, name)
	m.bytes(valueType, typ)
	return m
}

// String summarises the graph for logs.
func (g *Graph) String() string {
	nodes, _ := g.schedule()
	return fmt.Sprintf("graph of %d nodes, %d inputs, %d outputs", len(nodes), len(g.inputs), len(g.outputs))
}
