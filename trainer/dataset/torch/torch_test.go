package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// saved makes the file that torch.save writes for a tensor. The pickle is what PyTorch's pickler emits, in protocol 2.
func saved(t testing.TB, storage, data string, shape, stride []int, change ...func(name, text string) (string, bool)) []byte {
	t.Helper()
	integer := func(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	text := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	tuple := func(values []int) string {
		out := "("
		for _, v := range values {
			out += integer(v)
		}
		return out + "t"
	}
	pickle := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((" + text("storage") + "ctorch\n" + storage + "\n" + text("0") + text("cpu") +
		integer(6) + "tQ" + integer(0) + tuple(shape) + tuple(stride) + "\x89ccollections\nOrderedDict\n)RtR."
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range [][2]string{
		{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}, {"archive/data/0", data}, {"archive/version", "3\n"},
	} {
		name, text := e[0], e[1]
		keep := true
		for _, c := range change {
			if keep {
				text, keep = c(name, text)
			}
		}
		if !keep {
			continue
		}
		method := zip.Store
		if strings.HasPrefix(text, "deflate:") {
			method = zip.Deflate
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// f32s are the bytes of float32 numbers.
func f32s(values ...float32) string {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return string(out)
}

func TestTensor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pt")
	if err := os.WriteFile(path, saved(t, "FloatStorage", f32s(0, 1, 2, 3, 4, 5), []int{2, 3}, []int{3, 1}), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]float32, 4)
	if err := f.Floats(2, got); err != nil || !slices.Equal(f.Shape, []int{2, 3}) || !slices.Equal(got, []float32{2, 3, 4, 5}) {
		t.Errorf("%v of %v, %v", got, f.Shape, err)
	}
	if err := f.Floats(3, got); err == nil || err.Error() != "elements 3 to 7 of 6 were asked for" {
		t.Errorf("beyond the end: %v", err)
	}
}

// What PyTorch itself wrote: the fixtures in the tests of the pickle library.
func TestFilesOfPyTorch(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nlpodyssey/gopickle").Output()
	if err != nil {
		t.Skipf("where is the library? %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "pytorch", "testdata")
	want := []float32{1.2, -3.4, 5.6, -7.8}
	for _, typ := range []string{"float32", "float64", "float16", "bfloat16"} {
		for _, protocol := range []int{2, 3, 4, 5} {
			path := filepath.Join(dir, fmt.Sprintf("tensor_%s_proto%d_zip.pt", typ, protocol))
			if _, err := os.Stat(path); err != nil {
				t.Skipf("the library's fixtures are not there: %v", err)
			}
			f, err := Open(path)
			if err != nil {
				t.Error(err)
				continue
			}
			got := make([]float32, f.Len())
			err = f.Floats(0, got)
			f.Close()
			if err != nil || len(got) != len(want) {
				t.Errorf("%s: %v of shape %v, %v", path, got, f.Shape, err)
				continue
			}
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 0.03 {
					t.Errorf("%s: %v, want %v", path, got, want)
					break
				}
			}
		}
	}
	if _, err := Open(filepath.Join(dir, "tensor_float32_proto2.pt")); err == nil || !strings.Contains(err.Error(), "since PyTorch 1.6") {
		t.Errorf("a file of an old PyTorch: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "tensor_int64_proto2_zip.pt")); err == nil || !strings.Contains(err.Error(), "found torch.LongStorage, expected a tensor of floats") {
		t.Errorf("a tensor of integers: %v", err)
	}
}

func TestTypes(t *testing.T) {
	for storage, data := range map[string]string{
		"HalfStorage":     "\x00\x3e\x00\xc0",
		"BFloat16Storage": "\xc0\x3f\x00\xc0",
		"FloatStorage":    "\x00\x00\xc0\x3f\x00\x00\x00\xc0",
		"DoubleStorage":   "\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0",
	} {
		text := saved(t, storage, data, []int{2}, []int{1})
		x, err := New(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Errorf("%s: %v", storage, err)
			continue
		}
		got := make([]float32, 2)
		if err := x.Floats(0, got); err != nil || got[0] != 1.5 || got[1] != -2 {
			t.Errorf("%s: %v, %v", storage, got, err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	six := f32s(0, 1, 2, 3, 4, 5)
	without := func(name string) func(string, string) (string, bool) {
		return func(n, text string) (string, bool) { return text, n != name }
	}
	with := func(name, text string) func(string, string) (string, bool) {
		return func(n, old string) (string, bool) {
			if n == name {
				return text, true
			}
			return old, true
		}
	}
	edit := func(from, to string) func(string, string) (string, bool) {
		return func(n, old string) (string, bool) {
			if n == "archive/data.pkl" {
				old = strings.Replace(old, from, to, 1)
			}
			return old, true
		}
	}
	const not = "data.pkl: it does not describe a tensor of floats"
	for _, test := range []struct {
		name          string
		shape, stride []int
		change        func(string, string) (string, bool)
		want          string
	}{
		{"no pickle", []int{2, 3}, []int{3, 1}, without("archive/data.pkl"), "it holds no data.pkl: it was not written by torch.save"},
		{"no data", []int{2, 3}, []int{3, 1}, without("archive/data/0"), "data/0 is missing, which data.pkl names"},
		{"big-endian", []int{2, 3}, []int{3, 1}, with("archive/byteorder", "big"), `its byte order is "big", expected little; load it on a little-endian machine and save it again`},
		{"compressed", []int{2, 3}, []int{3, 1}, with("archive/data/0", "deflate:"+six), "data/0 is compressed, which torch.save never does; load it and save it again"},
		{"too short", []int{2, 4}, []int{4, 1}, nil, "data/0 has 24 bytes, which is too short for shape [2 4] of 4-byte floats from element 0: the file is cut off or damaged"},
		{"transposed", []int{2, 3}, []int{1, 2}, nil, "data.pkl: the tensor of shape [2 3] has strides [1 2], expected row-major order; save its .contiguous()"},
		{"negative", []int{-2, 3}, []int{3, 1}, nil, "the tensor's shape is [-2 3]"},
		{"axes", []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, nil, "the tensor has 9 axes, at most 8 are expected"},
		{"a module", []int{2, 3}, []int{3, 1}, edit("_rebuild_tensor_v2", "_rebuild_parameter"), not + ": found torch._utils._rebuild_parameter, expected a tensor of floats"},
		{"code", []int{2, 3}, []int{3, 1}, edit("ctorch._utils\n_rebuild_tensor_v2\n", "cos\nsystem\n"), not + ": found os.system, expected a tensor of floats"},
		{"a number", []int{2, 3}, []int{3, 1}, with("archive/data.pkl", "\x80\x02K\x07."), not + ": it holds int; save the tensor alone"},
		{"cut off", []int{2, 3}, []int{3, 1}, with("archive/data.pkl", "\x80\x02X\xff\xff\xff\x7f"), not + ": it is cut off"},
		{"long frame", []int{2, 3}, []int{3, 1}, with("archive/data.pkl", "\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f."), not + ": it is cut off"},
		{"foreign opcode", []int{2, 3}, []int{3, 1}, with("archive/data.pkl", "\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), not + ": it has opcode 0x8e"},
		{"long pickle", []int{2, 3}, []int{3, 1}, with("archive/data.pkl", strings.Repeat("N", maxPickle+1)), "data.pkl: it has more than 65536 bytes, expected the description of one tensor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var changes []func(string, string) (string, bool)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			text := saved(t, "FloatStorage", six, test.shape, test.stride, changes...)
			if _, err := New(bytes.NewReader(text), int64(len(text))); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x.pt")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.HasPrefix(err.Error(), path+": it is no file of torch.save") {
		t.Errorf("the file is not named: %v", err)
	}
}

func FuzzTensor(f *testing.F) {
	f.Add(saved(f, "FloatStorage", f32s(0, 1, 2, 3, 4, 5), []int{2, 3}, []int{3, 1}))
	f.Add(saved(f, "HalfStorage", "abcdef", []int{3}, []int{1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := New(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		n := x.Len()
		if n > int64(len(data)) {
			t.Fatalf("%d elements in %d bytes", n, len(data))
		}
		if err := x.Floats(0, make([]float32, n)); err != nil {
			t.Fatalf("the description was accepted, but: %v", err)
		}
	})
}

// Zip's own structure keeps the fuzzer above from the pickle, so that is fuzzed alone as well.
func FuzzPickle(f *testing.F) {
	f.Add([]byte("\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtR."))
	f.Add([]byte("\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01."))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := describe(data)
		if (err == nil) != (d != nil) {
			t.Fatalf("%v, %v", d, err)
		}
	})
}
