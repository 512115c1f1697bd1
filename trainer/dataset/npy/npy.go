// Package npy reads parts of NumPy array files of any size, without loading them, and writes them as a stream.
//
// The format is described in NumPy's documentation (numpy.lib.format, versions 1.0 and 2.0).
package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/sbinet/npyio/npy"

	"tandem/stream/wire"
)

const (
	magic = "\x93NUMPY"
	// maxHeader bounds the header's text. NumPy's own has some hundred bytes.
	maxHeader = 1 << 16
	// maxDims bounds the number of axes; data sets have one to three.
	maxDims = 8
	// chunkBytes is how much is decoded at a time.
	chunkBytes = 1 << 16
)

// Type is the type of an array's elements as NumPy writes it, such as "<f4".
type Type string

// The types that are read. Big-endian floats ('>') are read too.
const (
	Float16 Type = "<f2"
	Float32 Type = "<f4"
	Float64 Type = "<f8"
	Int64   Type = "<i8"
	Uint8   Type = "|u1"
)

// size is the number of bytes of an element, 0 if the type isn't read.
func (t Type) size() int64 {
	switch t {
	case Uint8:
		return 1
	case Float16, ">f2":
		return 2
	case Float32, ">f4":
		return 4
	case Float64, ">f8", Int64:
		return 8
	}
	return 0
}

// Array is an array in a file. It is used by one goroutine at a time.
type Array struct {
	Type    Type
	Shape   []int
	Fortran bool // the first axis varies fastest in the file, otherwise the last

	r      io.ReaderAt
	offset int64 // of the data
	buf    []byte
}

// File is an Array with its open file.
type File struct {
	*Array
	f *os.File
}

// Open opens an array file. The caller closes it. Errors name the file.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	info, err := f.Stat()
	var a *Array
	if err == nil {
		a, err = New(f, info.Size())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &File{a, f}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// New reads the header of an array of size bytes. It checks that the data have just the length that the header says.
func New(r io.ReaderAt, size int64) (*Array, error) {
	head, offset, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	a := &Array{Type: Type(head.Descr.Type), Shape: head.Descr.Shape, Fortran: head.Descr.Fortran, r: r, offset: offset}
	if a.Type.size() == 0 {
		return nil, fmt.Errorf("its elements have type %.20q, expected floats (f2, f4, f8), i8 or u1", a.Type)
	}
	n, err := elements(a.Shape)
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt64/a.Type.size() || n*a.Type.size() != size-offset {
		return nil, fmt.Errorf("it has %d bytes of data, expected %d elements of %d bytes for shape %v: the file is cut off or damaged",
			size-offset, n, a.Type.size(), a.Shape)
	}
	return a, nil
}

// readHeader parses the header and returns where the data begin.
func readHeader(r io.ReaderAt, size int64) (_ *npy.Header, offset int64, err error) {
	var fixed [12]byte
	n, err := r.ReadAt(fixed[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if n < len(fixed) || string(fixed[:len(magic)]) != magic {
		return nil, 0, errors.New(`it does not begin with "\x93NUMPY": it is no NumPy array file`)
	}
	length := int64(binary.LittleEndian.Uint16(fixed[8:]))
	offset = 10
	switch fixed[6] {
	case 1:
	case 2:
		length = int64(binary.LittleEndian.Uint32(fixed[8:]))
		offset = 12
	default:
		return nil, 0, fmt.Errorf("it is of format version %d, expected 1 or 2; save it again with numpy.save", fixed[6])
	}
	if length > maxHeader || offset+length > size {
		return nil, 0, fmt.Errorf("its header has %d bytes, the file %d: it is cut off or damaged", length, size)
	}
	// The library takes headers for granted that NumPy wrote.
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("its header is damaged")
		}
	}()
	in, err := npy.NewReader(io.NewSectionReader(r, 0, offset+length))
	if err != nil {
		return nil, 0, fmt.Errorf("its header is damaged: %w", err)
	}
	return &in.Header, offset + length, nil
}

// elements is the number of elements of a shape.
func elements(shape []int) (int64, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("it has %d axes, at most %d are expected", len(shape), maxDims)
	}
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/int64(d) {
			return 0, fmt.Errorf("its shape is %v", shape)
		}
		n *= int64(d)
	}
	return n, nil
}

// Len is the number of elements.
func (a *Array) Len() int64 {
	n, _ := elements(a.Shape) // was checked
	return n
}

// Floats reads the elements [at, at+len(dst)) in the order of the file. The array must be of floats; those beyond
// float32's range become infinities.
func (a *Array) Floats(at int64, dst []float32) error {
	if a.Type == Int64 || a.Type == Uint8 {
		return fmt.Errorf("its elements have type %q, expected floats", a.Type)
	}
	return a.chunks(at, len(dst), func(i int, data []byte) { a.decode(dst[i:], data) })
}

func (a *Array) decode(dst []float32, data []byte) {
	var order binary.ByteOrder = binary.LittleEndian
	if a.Type[0] == '>' {
		order = binary.BigEndian
	}
	switch a.Type[1:] {
	case "f2":
		for i := range len(data) / 2 {
			dst[i] = wire.F16ToFloat32(order.Uint16(data[2*i:]))
		}
	case "f4":
		if a.Type == Float32 {
			for i := range len(data) / 4 {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
			}
			return
		}
		for i := range len(data) / 4 {
			dst[i] = math.Float32frombits(order.Uint32(data[4*i:]))
		}
	case "f8":
		for i := range len(data) / 8 {
			dst[i] = float32(math.Float64frombits(order.Uint64(data[8*i:])))
		}
	}
}

// Ints reads the elements [at, at+len(dst)) in the order of the file. The array must be of type Int64.
func (a *Array) Ints(at int64, dst []int64) error {
	if a.Type != Int64 {
		return fmt.Errorf("its elements have type %q, expected %q", a.Type, Int64)
	}
	return a.chunks(at, len(dst), func(i int, data []byte) {
		for k := range len(data) / 8 {
			dst[i+k] = int64(binary.LittleEndian.Uint64(data[8*k:]))
		}
	})
}

// Bytes reads the elements [at, at+len(dst)) in the order of the file. The array must be of type Uint8.
func (a *Array) Bytes(at int64, dst []byte) error {
	if a.Type != Uint8 {
		return fmt.Errorf("its elements have type %q, expected %q", a.Type, Uint8)
	}
	return a.chunks(at, len(dst), func(i int, data []byte) { copy(dst[i:], data) })
}

// chunks hands over the bytes of the elements [at, at+n) piece by piece, with the number of each piece's first.
func (a *Array) chunks(at int64, n int, decode func(i int, data []byte)) error {
	if all := a.Len(); at < 0 || at > all || int64(n) > all-at {
		return fmt.Errorf("elements %d to %d of %d were asked for", at, at+int64(n), all)
	}
	size := int(a.Type.size())
	per := chunkBytes / size
	for i := 0; i < n; i += per {
		want := min(per, n-i) * size
		if len(a.buf) < want {
			a.buf = make([]byte, want)
		}
		data := a.buf[:want]
		// A full read at the very end of a file may come with io.EOF.
		if k, err := a.r.ReadAt(data, a.offset+(at+int64(i))*int64(size)); k < want {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		decode(i, data)
	}
	return nil
}
