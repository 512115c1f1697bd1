package ort

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Available reports whether this machine has a provider, by opening and running a model of one operator on it: nil, or why it
// can't be had. That the provider opens a model says nothing about the next model's results; see runtime/model for that.
func Available(provider string, options map[string]string) error {
	s, err := Open(tiny(), Options{Providers: []string{provider}, ProviderOptions: map[string]map[string]string{provider: options}, Require: true})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it was only tried
	x, y := []float32{-1, 2}, make([]float32, 2)
	in, err := NewTensor([]int{1, 2}, x)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // memory only
	out, err := NewTensor([]int{1, 2}, y)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // memory only
	b, err := s.Bind([]Tensor{in}, []Tensor{out})
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // memory only
	if err := b.Run(); err != nil {
		return fmt.Errorf("%w %q: %w", ErrProvider, provider, err)
	}
	if y[0] != 0 || y[1] != 2 {
		return fmt.Errorf("%w %q: the rectified %v is said to be %v", ErrProvider, provider, x, y)
	}
	return nil
}

// tiny is a model of one operator: y = Relu(x), float32 [1, 2].
func tiny() []byte {
	value := func(name string) []byte {
		var shape []byte
		for _, d := range []uint64{1, 2} {
			shape = message(shape, shapeDim, protowire.AppendVarint(protowire.AppendTag(nil, dimValue, protowire.VarintType), d))
		}
		tensor := protowire.AppendVarint(protowire.AppendTag(nil, tensorElem, protowire.VarintType), 1) // FLOAT
		tensor = message(tensor, tensorShape, shape)
		return message(message(nil, valueName, []byte(name)), valueType, message(nil, typeTensor, tensor))
	}
	const nodeInput, nodeOutput, nodeType, graphNode, graphName = 1, 2, 4, 1, 2
	node := message(message(message(nil, nodeInput, []byte("x")), nodeOutput, []byte("y")), nodeType, []byte("Relu"))
	graph := message(message(nil, graphNode, node), graphName, []byte("tiny"))
	graph = message(message(graph, graphInput, value("x")), graphOutput, value("y"))
	const modelIR, modelOpset, opsetVersion = 1, 8, 2
	model := protowire.AppendVarint(protowire.AppendTag(nil, modelIR, protowire.VarintType), 8)
	model = message(model, modelGraph, graph)
	return message(model, modelOpset, protowire.AppendVarint(protowire.AppendTag(nil, opsetVersion, protowire.VarintType), 13))
}

// message appends a field that holds bytes.
func message(to []byte, field protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), b)
}
