// Package torch reads single tensors out of the files that PyTorch's torch.save writes, without loading their numbers.
//
// Such a file (PyTorch 1.6 and newer) is an uncompressed zip archive: NAME/data.pkl is a pickle that describes the
// tensor, NAME/data/KEY holds its numbers, NAME/byteorder says how, where it is there.
package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strings"

	"tandem/stream/wire"
)

const (
	// maxPickle bounds data.pkl; that of a tensor has some hundred bytes.
	maxPickle = 1 << 16
	// maxDims bounds the number of axes.
	maxDims = 8
	// chunkBytes is how much is decoded at a time.
	chunkBytes = 1 << 16
)

// Tensor is a tensor of floats in a file, in row-major order. It is used by one goroutine at a time.
type Tensor struct {
	Shape []int

	kind   kind
	r      io.ReaderAt
	offset int64 // of the first element in r
	buf    []byte
}

// File is a Tensor with its open file.
type File struct {
	*Tensor
	f *os.File
}

// Open opens a file that holds one tensor. The caller closes it. Errors name the file.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	info, err := f.Stat()
	var t *Tensor
	if err == nil {
		t, err = New(f, info.Size())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &File{t, f}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// New finds the tensor in a file of size bytes.
func New(r io.ReaderAt, size int64) (*Tensor, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("it is no file of torch.save since PyTorch 1.6: %w; load it and save it again", err)
	}
	var root string
	entries := make(map[string]*zip.File, len(archive.File))
	for _, e := range archive.File {
		entries[e.Name] = e
		if path.Base(e.Name) == "data.pkl" {
			root = path.Dir(e.Name)
		}
	}
	if root == "" {
		return nil, errors.New("it holds no data.pkl: it was not written by torch.save")
	}
	if _, ok := entries[root+"/constants.pkl"]; ok {
		return nil, errors.New("it is a TorchScript module, expected a tensor")
	}
	if err := checkByteOrder(entries[root+"/byteorder"]); err != nil {
		return nil, err
	}
	pickle, err := readAll(entries[root+"/data.pkl"], maxPickle)
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	d, err := describe(pickle)
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	data, ok := entries[root+"/data/"+d.key]
	if !ok {
		return nil, fmt.Errorf("data/%.40s is missing, which data.pkl names", d.key)
	}
	t := &Tensor{Shape: d.shape, kind: d.kind, r: r}
	return t, t.place(data, d, size)
}

// place finds the numbers in their entry.
func (t *Tensor) place(e *zip.File, d *description, size int64) error {
	if e.Method != zip.Store {
		return fmt.Errorf("data/%s is compressed, which torch.save never does; load it and save it again", d.key)
	}
	start, err := e.DataOffset()
	if err != nil {
		return fmt.Errorf("data/%s: %w", d.key, err)
	}
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	width := int64(t.kind.size())
	have := min(e.UncompressedSize64, uint64(size)) / uint64(width)
	if start < 0 || start > size || d.offset < 0 || d.offset > int64(have) || n > int64(have)-d.offset || int64(have)*width > size-start {
		return fmt.Errorf("data/%s has %d bytes, which is too short for shape %v of %d-byte floats from element %d: the file is cut off or damaged",
			d.key, e.UncompressedSize64, t.Shape, width, d.offset)
	}
	t.offset = start + d.offset*width
	return nil
}

func checkByteOrder(e *zip.File) error {
	if e == nil {
		return nil // older versions wrote little-endian without saying so
	}
	order, err := readAll(e, 64)
	if err != nil {
		return fmt.Errorf("byteorder: %w", err)
	}
	if s := strings.TrimSpace(string(order)); s != "little" {
		return fmt.Errorf("its byte order is %q, expected little; load it on a little-endian machine and save it again", s)
	}
	return nil
}

// readAll reads an entry of at most limit bytes.
func readAll(e *zip.File, limit int64) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has more than %d bytes, expected the description of one tensor", limit)
	}
	return data, err
}

// elements is the number of elements of a shape.
func elements(shape []int) (int64, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("the tensor has %d axes, at most %d are expected", len(shape), maxDims)
	}
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/16/int64(d) {
			return 0, fmt.Errorf("the tensor's shape is %v", shape)
		}
		n *= int64(d)
	}
	return n, nil
}

// Len is the number of elements.
func (t *Tensor) Len() int64 {
	n, _ := elements(t.Shape) // was checked
	return n
}

// Floats reads the elements [at, at+len(dst)) in row-major order. Float64 beyond float32's range become infinities.
func (t *Tensor) Floats(at int64, dst []float32) error {
	if all := t.Len(); at < 0 || at > all || int64(len(dst)) > all-at {
		return fmt.Errorf("elements %d to %d of %d were asked for", at, at+int64(len(dst)), all)
	}
	width := t.kind.size()
	per := chunkBytes / width
	for i := 0; i < len(dst); i += per {
		want := min(per, len(dst)-i) * width
		if len(t.buf) < want {
			t.buf = make([]byte, want)
		}
		data := t.buf[:want]
		if k, err := t.r.ReadAt(data, t.offset+(at+int64(i))*int64(width)); k < want {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		t.kind.decode(dst[i:], data)
	}
	return nil
}

// kind is a type of float.
type kind int

const (
	f16 kind = iota
	bf16
	f32
	f64
)

func (k kind) size() int { return [...]int{2, 2, 4, 8}[k] }

// decode decodes all of data into dst.
func (k kind) decode(dst []float32, data []byte) {
	switch k {
	case f16:
		wire.F16(dst[:len(data)/2], data)
	case bf16:
		for i := range len(data) / 2 {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
	case f32:
		for i := range len(data) / 4 {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case f64:
		for i := range len(data) / 8 {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:])))
		}
	}
}

// contiguous reports whether strides are those of row-major order. Axes of length 1 may have any.
func contiguous(shape, stride []int) bool {
	if len(shape) != len(stride) {
		return false
	}
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 && stride[i] != step {
			return false
		}
		step *= shape[i]
	}
	return true
}

var errPickle = errors.New("it does not describe a tensor of floats")

// describe runs the pickle.
func describe(data []byte) (d *description, err error) {
	if err := checkOpcodes(data); err != nil {
		return nil, err
	}
	// The library takes pickles for granted that Python wrote.
	defer func() {
		if v := recover(); v != nil {
			d, err = nil, fmt.Errorf("%w: it is damaged", errPickle)
		}
	}()
	return unpickle(bytes.NewReader(data))
}
