package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ReadMeta returns the metadata properties of a serialised ONNX model, whoever wrote it.
func ReadMeta(model []byte) (map[string]string, error) {
	meta := map[string]string{}
	err := fields(model, func(field protowire.Number, value []byte) error {
		if field != modelMeta {
			return nil
		}
		var key, text string
		err := fields(value, func(f protowire.Number, v []byte) error {
			switch f {
			case metaKey:
				key = string(v)
			case metaValue:
				text = string(v)
			}
			return nil
		})
		meta[key] = text
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("not an ONNX model: %w", err)
	}
	return meta, nil
}

// fields calls visit for each length-delimited field of a protobuf message.
func fields(m []byte, visit func(field protowire.Number, value []byte) error) error {
	for at := 0; at < len(m); {
		field, kind, n := protowire.ConsumeTag(m[at:])
		if n < 0 {
			return fmt.Errorf("byte %d: %w", at, protowire.ParseError(n))
		}
		at += n
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(field, kind, m[at:]); n < 0 {
				return fmt.Errorf("byte %d: %w", at, protowire.ParseError(n))
			}
			at += n
			continue
		}
		value, n := protowire.ConsumeBytes(m[at:])
		if n < 0 {
			return fmt.Errorf("byte %d: %w", at, protowire.ParseError(n))
		}
		at += n
		if err := visit(field, value); err != nil {
			return err
		}
	}
	return nil
}
