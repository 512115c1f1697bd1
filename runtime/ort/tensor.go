package ort

import (
	"fmt"
	"math"
	"runtime"

	onnx "github.com/yalue/onnxruntime_go"
)

// Element is a tensor element type.
type Element interface {
	float32 | float64 | int64 | int32 | uint8 | int8 | bool
}

// Tensor is memory of the caller's that a session reads or writes in place. It is safe for concurrent reads; a
// session that writes it must be its only user meanwhile.
type Tensor interface {
	// Shape returns the dimensions; scalars have shape [1].
	Shape() []int
	// Close unpins the memory. The tensor must not be used after it, nor while a Binding that holds it runs. Closing again
	// does nothing.
	Close() error

	value() onnx.Value // nil once it is closed
	element() string
}

type tensor[T Element] struct {
	shape []int
	v     *onnx.Tensor[T]
	pin   runtime.Pinner
}

// NewTensor wraps data, row-major, without a copy: what a run writes appears in data. The memory is pinned until
// Close. len(data) must equal the product of shape; an empty shape stands for one element, as in a scalar input or output.
// It loads ONNX Runtime as Open does.
func NewTensor[T Element](shape []int, data []T) (Tensor, error) {
	if len(shape) == 0 {
		shape = []int{1}
	}
	n := 1
	dims := make([]int64, len(shape))
	for i, d := range shape {
		if d <= 0 {
			return nil, fmt.Errorf("tensor shape %v: dimension %d is %d, expected > 0", shape, i, d)
		}
		if n > math.MaxInt/d {
			return nil, fmt.Errorf("tensor shape %v: it has more elements than there is memory", shape)
		}
		n *= d
		dims[i] = int64(d)
	}
	if n != len(data) {
		return nil, fmt.Errorf("tensor shape %v needs %d elements, got %d", shape, n, len(data))
	}
	if err := Init(""); err != nil {
		return nil, err
	}
	t := &tensor[T]{shape: append([]int(nil), shape...)}
	// ONNX Runtime keeps the address across calls, which cgo allows only for pinned memory.
	t.pin.Pin(&data[0])
	var err error
	if t.v, err = onnx.NewTensor(dims, data); err != nil {
		t.pin.Unpin()
		return nil, fmt.Errorf("tensor shape %v: %w", shape, err)
	}
	handles.tensors.Add(1)
	// A Pinner that is collected while it pins brings the process down. A forgotten Close should not.
	runtime.SetFinalizer(t, func(t *tensor[T]) { _ = t.Close() })
	return t, nil
}

func (t *tensor[T]) Shape() []int { return t.shape }

func (t *tensor[T]) value() onnx.Value {
	if t.v == nil {
		return nil // not an interface around a nil pointer
	}
	return t.v
}

func (t *tensor[T]) element() string { return fmt.Sprintf("%T", *new(T)) }

func (t *tensor[T]) Close() error {
	if t.v == nil {
		return nil
	}
	handles.tensors.Add(-1)
	err := t.v.Destroy()
	t.v = nil
	t.pin.Unpin()
	return err
}
