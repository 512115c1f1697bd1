package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// Writer writes an array as a stream.
type Writer struct {
	w    io.Writer
	typ  Type
	left int64 // elements
	buf  []byte
}

// NewWriter writes the header of an array of type Float32, Int64 or Uint8 and returns the writer of its elements, in the
// order of the file: with fortran the first axis varies fastest. An array of shape [D, T] in that order is written time
// after time, while every reader sees [D, T].
func NewWriter(w io.Writer, typ Type, fortran bool, shape ...int) (*Writer, error) {
	if typ != Float32 && typ != Int64 && typ != Uint8 {
		return nil, fmt.Errorf("write npy: type %q, expected %q, %q or %q", typ, Float32, Int64, Uint8)
	}
	n, err := elements(shape)
	if err != nil {
		return nil, fmt.Errorf("write npy: %w", err)
	}
	if _, err := w.Write(header(typ, fortran, shape)); err != nil {
		return nil, err
	}
	return &Writer{w: w, typ: typ, left: n}, nil
}

// header is the header of format version 1.0, padded so that the data begin at a multiple of 64 bytes.
func header(typ Type, fortran bool, shape []int) []byte {
	order := "False"
	if fortran {
		order = "True"
	}
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = fmt.Sprint(d)
	}
	tuple := strings.Join(dims, ", ")
	if len(shape) == 1 {
		tuple += ","
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", typ, order, tuple)
	const fixed = len(magic) + 4
	pad := 63 - (fixed+len(text))%64
	text += strings.Repeat(" ", pad) + "\n"
	out := append([]byte(magic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(text)))
	return append(out, text...)
}

// Floats writes the next elements of a Float32 array.
func (w *Writer) Floats(values []float32) error {
	if err := w.take(Float32, len(values)); err != nil {
		return err
	}
	for len(values) > 0 {
		n := min(len(values), chunkBytes/4)
		w.buf = w.buf[:0]
		for _, v := range values[:n] {
			w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(v))
		}
		if _, err := w.w.Write(w.buf); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// Ints writes the next elements of an Int64 array.
func (w *Writer) Ints(values []int64) error {
	if err := w.take(Int64, len(values)); err != nil {
		return err
	}
	for len(values) > 0 {
		n := min(len(values), chunkBytes/8)
		w.buf = w.buf[:0]
		for _, v := range values[:n] {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(v))
		}
		if _, err := w.w.Write(w.buf); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// Bytes writes the next elements of a Uint8 array.
func (w *Writer) Bytes(values []byte) error {
	if err := w.take(Uint8, len(values)); err != nil {
		return err
	}
	_, err := w.w.Write(values)
	return err
}

// take counts n elements off.
func (w *Writer) take(typ Type, n int) error {
	switch {
	case w.typ != typ:
		return fmt.Errorf("write npy: elements of type %q for an array of %q", typ, w.typ)
	case int64(n) > w.left:
		return fmt.Errorf("write npy: %d elements more than the shape has", int64(n)-w.left)
	}
	w.left -= int64(n)
	return nil
}

// Close makes sure that all elements have been written. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.left != 0 {
		return fmt.Errorf("write npy: %d elements of the shape are missing", w.left)
	}
	return nil
}
