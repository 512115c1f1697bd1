package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

func appendBytes(to []byte, field protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), b)
}

func appendVarint(to []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), v)
}

// fields calls fn with each field of a message: the whole of it, its bytes, or its number where it is one.
func fields(b []byte, fn func(n protowire.Number, kind protowire.Type, whole, b []byte, v uint64) error) error {
	for len(b) > 0 {
		num, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(tag))
		}
		var v uint64
		var data []byte
		var n int
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b[tag:])
		case protowire.Fixed32Type:
			var f uint32
			f, n = protowire.ConsumeFixed32(b[tag:])
			v = uint64(f)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b[tag:])
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(b[tag:])
		default:
			n = protowire.ConsumeFieldValue(num, kind, b[tag:])
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
		}
		if err := fn(num, kind, b[:tag+n], data, v); err != nil {
			return err
		}
		b = b[tag+n:]
	}
	return nil
}

// ints calls fn with the numbers of a repeated field, packed or one by one.
func ints(kind protowire.Type, b []byte, v uint64, fn func(uint64)) error {
	if kind != protowire.BytesType {
		fn(v)
		return nil
	}
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
		}
		fn(v)
		b = b[n:]
	}
	return nil
}
