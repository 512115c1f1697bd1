package npy

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npy"
)

// write writes an array of [2, 3] with the elements 0 to 5 in the order of the file.
func write(t *testing.T, fortran bool) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Float32, fortran, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]float32{{0, 1}, {2, 3, 4, 5}, nil} {
		if err := w.Floats(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWhatIsWrittenIsReadByTheLibrary(t *testing.T) {
	for _, fortran := range []bool{false, true} {
		r, err := npy.NewReader(bytes.NewReader(write(t, fortran)))
		if err != nil {
			t.Fatal(err)
		}
		var data []float32
		if err := r.Read(&data); err != nil {
			t.Fatal(err)
		}
		d := r.Header.Descr
		if d.Type != "<f4" || d.Fortran != fortran || !slices.Equal(d.Shape, []int{2, 3}) || !slices.Equal(data, []float32{0, 1, 2, 3, 4, 5}) {
			t.Errorf("fortran %v: %+v, %v", fortran, d, data)
		}
	}
	if n := len(write(t, true)); (n-6*4)%64 != 0 {
		t.Errorf("the data begin at byte %d, expected a multiple of 64", n-6*4)
	}
}

func TestWhatTheLibraryWritesIsRead(t *testing.T) {
	for _, data := range []any{[]float32{1, 2.5, -3}, []float64{1, 2.5, -3}} {
		var buf bytes.Buffer
		if err := npy.Write(&buf, data); err != nil {
			t.Fatal(err)
		}
		a, err := New(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 2)
		if err := a.Floats(1, got); err != nil || !slices.Equal(got, []float32{2.5, -3}) || !slices.Equal(a.Shape, []int{3}) {
			t.Errorf("%T: %v of %v, %v", data, got, a.Shape, err)
		}
	}
	var buf bytes.Buffer
	if err := npy.Write(&buf, []int64{7, -8, 9}); err != nil {
		t.Fatal(err)
	}
	a, err := New(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]int64, 2)
	if err := a.Ints(1, got); err != nil || !slices.Equal(got, []int64{-8, 9}) {
		t.Errorf("int64: %v, %v", got, err)
	}
}

// file makes an array file by hand.
func file(header, data string) string {
	return magic + "\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data
}

func TestTypes(t *testing.T) {
	for descr, data := range map[string]string{
		"<f2": "\x00\x3e\x00\xc0",
		">f2": "\x3e\x00\xc0\x00",
		"<f4": "\x00\x00\xc0\x3f\x00\x00\x00\xc0",
		">f4": "\x3f\xc0\x00\x00\xc0\x00\x00\x00",
		"<f8": "\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0",
		">f8": "\x3f\xf8\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00",
	} {
		text := file("{'descr': '"+descr+"', 'fortran_order': True, 'shape': (2, 1), }\n", data)
		a, err := New(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Errorf("%s: %v", descr, err)
			continue
		}
		got := make([]float32, 2)
		if err := a.Floats(0, got); err != nil || got[0] != 1.5 || got[1] != -2 || !a.Fortran {
			t.Errorf("%s: %v, %v, fortran %v", descr, got, err, a.Fortran)
		}
	}
}

func TestLongReadsGoInPieces(t *testing.T) {
	const n = chunkBytes // elements, so four pieces
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i)
	}
	path := filepath.Join(t.TempDir(), "long.npy")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(out, Float32, false, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Floats(values); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]float32, n-3)
	if err := f.Floats(3, got); err != nil || !slices.Equal(got, values[3:]) {
		t.Errorf("the values differ, %v", err)
	}
	if err := f.Floats(4, got); err == nil || err.Error() != "elements 4 to 65537 of 65536 were asked for" {
		t.Errorf("beyond the end: %v", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	good := string(write(t, false))
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", `it does not begin with "\x93NUMPY": it is no NumPy array file`},
		{"a text", "not an array at all", `it does not begin with "\x93NUMPY": it is no NumPy array file`},
		{"version", strings.Replace(good, "\x01\x00", "\x07\x00", 1), "it is of format version 7, expected 1 or 2; save it again with numpy.save"},
		{"long header", magic + "\x01\x00\xff\xff{}", "its header has 65535 bytes, the file 12: it is cut off or damaged"},
		{"endless header", magic + "\x02\x00\xff\xff\xff\xff", "its header has 4294967295 bytes, the file 12: it is cut off or damaged"},
		{"no newline", file("{}", "    "), "its header is damaged"},
		{"no dictionary", file("hello there\n", ""), "its header is damaged: npy: invalid dictionary format"},
		{"cut off", good[:len(good)-1], "it has 23 bytes of data, expected 6 elements of 4 bytes for shape [2 3]: the file is cut off or damaged"},
		{"longer", good + "x", "it has 25 bytes of data, expected 6 elements of 4 bytes for shape [2 3]: the file is cut off or damaged"},
		{"type", strings.Replace(good, "<f4", "<c8", 1), `its elements have type "<c8", expected floats (f2, f4, f8), i8 or u1`},
		{"negative", strings.Replace(good, "(2, 3)", "(2,-3)", 1), "its shape is [2 -3]"},
		{"overflow", file("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3), }\n", ""), "its shape is [9223372036854775807 3]"},
		{"axes", file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }\n", ""), "it has 9 axes, at most 8 are expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := New(strings.NewReader(test.text), int64(len(test.text))); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.HasPrefix(err.Error(), path+": it does not begin") {
		t.Errorf("the file is not named: %v", err)
	}
	if _, err := Open(path + "no"); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
}

func TestWriterCounts(t *testing.T) {
	w, err := NewWriter(io.Discard, Int64, false, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Floats([]float32{1}); err == nil {
		t.Error("floats went into an array of integers")
	}
	if err := w.Ints([]int64{1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || err.Error() != "write npy: 1 elements of the shape are missing" {
		t.Errorf("too few: %v", err)
	}
	if err := w.Ints([]int64{1, 2, 3}); err == nil || err.Error() != "write npy: 2 elements more than the shape has" {
		t.Errorf("too many: %v", err)
	}
	if _, err := NewWriter(io.Discard, Float64, false, 2); err == nil {
		t.Error("float64 is not written")
	}
}

func FuzzArray(f *testing.F) {
	f.Add([]byte(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", "\x00\x00\xc0\x3f\x00\x00\x00\xc0")))
	f.Add([]byte(file("{'descr': '>f8', 'fortran_order': True, 'shape': (1,), }\n", "\x00\x00\xc0\x3f\x00\x00\x00\xc0")))
	f.Add([]byte(file("{'descr': '<i8', 'fortran_order': True, 'shape': (), }\n", "\x00\x00\xc0\x3f\x00\x00\x00\xc0")))
	f.Add([]byte(magic + "\x02\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := New(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		n := a.Len()
		if n > int64(len(data)) {
			t.Fatalf("%d elements in %d bytes", n, len(data))
		}
		if a.Type == Int64 {
			err = a.Ints(0, make([]int64, n))
		} else {
			err = a.Floats(0, make([]float32, n))
		}
		if err != nil {
			t.Fatalf("the header was accepted, but: %v", err)
		}
		if err := a.Floats(math.MaxInt64, make([]float32, 1)); err == nil {
			t.Fatal("an element beyond the end was read")
		}
	})
}

func TestBytes(t *testing.T) {
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Uint8, false, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Bytes([]byte{1, 2, 3, 4, 250, 6}), w.Close()); err != nil {
		t.Fatal(err)
	}
	lib, err := npy.NewReader(bytes.NewReader(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var all []uint8
	if err := lib.Read(&all); err != nil || !slices.Equal(all, []uint8{1, 2, 3, 4, 250, 6}) || !slices.Equal(lib.Header.Descr.Shape, []int{2, 3}) {
		t.Errorf("the library reads %v of shape %v: %v", all, lib.Header.Descr.Shape, err)
	}
	a, err := New(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if err := a.Bytes(3, got); err != nil || !slices.Equal(got, []byte{4, 250, 6}) {
		t.Errorf("bytes: %v, %v", got, err)
	}
	if err := a.Bytes(4, got); err == nil {
		t.Error("bytes beyond the end were read")
	}
	if err := a.Floats(0, make([]float32, 2)); err == nil {
		t.Error("bytes were read as floats")
	}
}
