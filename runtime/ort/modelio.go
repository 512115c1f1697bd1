package ort

import (
	"errors"
	"fmt"

	onnx "github.com/yalue/onnxruntime_go"
	"google.golang.org/protobuf/encoding/protowire"
)

// Describe returns the inputs and outputs of a serialised model without opening it, so that it can be told from what it should be
// before any hardware is asked. Errors wrap ErrModel, or ErrLibrary where there is none to ask.
func Describe(model []byte) (in, out []Info, err error) {
	if err := Init(""); err != nil {
		return nil, nil, err
	}
	if len(model) == 0 {
		return nil, nil, fmt.Errorf("%w: it is empty (0 bytes)", ErrModel)
	}
	if in, out, err = describe(model); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return in, out, nil
}

// describe returns a model's inputs and outputs. The library tells them only by way of a session of its own, which costs
// more than the one that is wanted, so they are read from the model; where that says too little, the library is asked.
func describe(model []byte) (in, out []Info, err error) {
	if in, out, err = readInterface(model); err == nil {
		return in, out, nil
	}
	ins, outs, err := onnx.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return nil, nil, err
	}
	if in, err = infos(ins); err != nil {
		return nil, nil, err
	}
	out, err = infos(outs)
	return in, out, err
}

// errAsk says that the library has to be asked.
var errAsk = errors.New("the model's own description does not do")

// Field numbers of onnx.proto.
const (
	modelGraph       = 7
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	tensorName       = 8
	valueName        = 1
	valueType        = 2
	typeTensor       = 1
	tensorElem       = 1
	tensorShape      = 2
	shapeDim         = 1
	dimValue         = 1
)

// readInterface reads the inputs that are not initializers, and the outputs, of a serialised ModelProto.
func readInterface(model []byte) (in, out []Info, err error) {
	constant := map[string]bool{}
	err = fields(model, func(n protowire.Number, graph []byte, _ uint64) error {
		if n != modelGraph {
			return nil
		}
		return fields(graph, func(n protowire.Number, b []byte, _ uint64) error {
			switch n {
			case graphInitializer:
				return fields(b, func(n protowire.Number, b []byte, _ uint64) error {
					if n == tensorName {
						constant[string(b)] = true
					}
					return nil
				})
			case graphInput, graphOutput:
				info, err := readValue(b)
				if err != nil {
					return err
				}
				if n == graphInput {
					in = append(in, info)
				} else {
					out = append(out, info)
				}
			}
			return nil
		})
	})
	if err != nil || len(out) == 0 {
		return nil, nil, errAsk
	}
	kept := in[:0]
	for _, i := range in {
		if !constant[i.Name] {
			kept = append(kept, i)
		}
	}
	return kept, out, nil
}

// readValue reads a ValueInfoProto: a name and a tensor type with a shape.
func readValue(b []byte) (Info, error) {
	var info Info
	shaped := false
	err := fields(b, func(n protowire.Number, b []byte, _ uint64) error {
		switch n {
		case valueName:
			info.Name = string(b)
		case valueType:
			return fields(b, func(n protowire.Number, b []byte, _ uint64) error {
				if n != typeTensor {
					return errAsk
				}
				return fields(b, func(n protowire.Number, b []byte, v uint64) error {
					switch n {
					case tensorElem:
						info.Type = typeName(onnx.TensorElementDataType(v))
					case tensorShape:
						shaped, info.Shape = true, []int{}
						return fields(b, func(n protowire.Number, b []byte, _ uint64) error {
							if n == shapeDim {
								info.Shape = append(info.Shape, readDim(b))
							}
							return nil
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	if err != nil || info.Name == "" || info.Type == "" || !shaped {
		return info, errAsk
	}
	return info, nil
}

// readDim returns a dimension's value, or -1 where it is a name or unknown.
func readDim(b []byte) int {
	d := -1
	if err := fields(b, func(n protowire.Number, _ []byte, v uint64) error {
		if n == dimValue {
			d = int(int64(v))
		}
		return nil
	}); err != nil {
		return -1
	}
	return d
}

// fields calls fn with each field of a message: its bytes, or its number where it is a varint.
func fields(b []byte, fn func(n protowire.Number, b []byte, v uint64) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errAsk
		}
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return errAsk
			}
			if err := fn(num, v, 0); err != nil {
				return err
			}
			b = b[n:]
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return errAsk
			}
			if err := fn(num, nil, v); err != nil {
				return err
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(num, kind, b)
			if n < 0 {
				return errAsk
			}
			b = b[n:]
		}
	}
	return nil
}
