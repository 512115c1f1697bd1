package modeltest

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"tandem/learn/onnx"
	"tandem/runtime/bundle"
)

// Fault is what is wrong with a spoilt model.
type Fault int

// Faults, as broken providers and broken exports have them.
const (
	Scaled    Fault = iota // outputs of 1.2 times the size
	Inverted               // outputs of the other sign
	Repeating              // the same output whatever the input is
	NaN                    // outputs that are no numbers
	Throwing               // an error in the middle of each run
)

// Spoil gives the output of a model a fault. value is what a Repeating model answers. The model can be opened as before.
func Spoil(t testing.TB, model []byte, output string, f Fault, value ...float32) []byte {
	t.Helper()
	m, err := onnx.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	inner := output + ".inner"
	rename := func(names []string) {
		for i, n := range names {
			if n == output {
				names[i] = inner
			}
		}
	}
	for _, n := range m.Nodes {
		rename(n.In)
		rename(n.Out)
	}
	constant := func(name string, v ...float32) string {
		var dims []int
		if len(v) != 1 {
			dims = []int{1, len(v)}
		}
		m.Initializers = append(m.Initializers, onnx.FloatTensor(name, v, dims...))
		return name
	}
	node := func(op, out string, in ...string) *onnx.Node {
		n := &onnx.Node{Name: "spoilt." + op + "." + out, Op: op, In: in, Out: []string{out}}
		m.Nodes = append(m.Nodes, n)
		return n
	}
	factor := map[Fault]float32{Scaled: 1.2, Inverted: -1, NaN: float32(math.NaN())}
	switch f {
	case Scaled, Inverted, NaN:
		node("Mul", output, inner, constant("spoilt.factor", factor[f]))
	case Repeating:
		node("Mul", "spoilt.nothing", inner, constant("spoilt.zero", 0))
		node("Add", output, "spoilt.nothing", constant("spoilt.value", value...))
	case Throwing:
		// An index that only turns out to be too large when it has been computed.
		node("Mul", "spoilt.nothing", inner, constant("spoilt.zero", 0))
		node("Add", "spoilt.much", "spoilt.nothing", constant("spoilt.far", 1e6))
		node("ReduceMax", "spoilt.max", "spoilt.much").SetInt("keepdims", 0)
		node("Cast", "spoilt.index", "spoilt.max").SetInt("to", onnx.Int64)
		node("Gather", "spoilt.row", inner, "spoilt.index").SetInt("axis", -1)
		node("Add", output, inner, "spoilt.row")
	}
	return m.Bytes()
}

// SpoilBright gives an extractor a fault, NaN or Throwing, that it has with bright pictures only: it passes every probe, and fails
// later. Bright is a mean of the input beyond 1.5, with the normalisation of the bundles made here about 210 of 255.
func SpoilBright(t testing.TB, model []byte, input, output string, f Fault) []byte {
	t.Helper()
	m, err := onnx.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	inner := output + ".inner"
	for _, n := range m.Nodes {
		for _, names := range [][]string{n.In, n.Out} {
			for i, name := range names {
				if name == output {
					names[i] = inner
				}
			}
		}
	}
	node := func(op, out string, in ...string) *onnx.Node {
		n := &onnx.Node{Name: "spoilt." + op + "." + out, Op: op, In: in, Out: []string{out}}
		m.Nodes = append(m.Nodes, n)
		return n
	}
	m.Initializers = append(m.Initializers, onnx.FloatTensor("spoilt.bright", []float32{1.5}), onnx.FloatTensor("spoilt.far", []float32{1e6}))
	node("ReduceMean", "spoilt.mean", input).SetInt("keepdims", 0)
	switch f {
	case NaN:
		node("Sub", "spoilt.left", "spoilt.bright", "spoilt.mean")
		node("Sqrt", "spoilt.root", "spoilt.left")
		node("Div", "spoilt.one", "spoilt.root", "spoilt.root")
		node("Mul", output, inner, "spoilt.one")
	case Throwing:
		node("Sub", "spoilt.over", "spoilt.mean", "spoilt.bright")
		node("Relu", "spoilt.some", "spoilt.over")
		node("Mul", "spoilt.much", "spoilt.some", "spoilt.far")
		node("Cast", "spoilt.index", "spoilt.much").SetInt("to", onnx.Int64)
		node("Gather", "spoilt.row", inner, "spoilt.index").SetInt("axis", -1)
		node("Sub", "spoilt.nothing", "spoilt.row", "spoilt.row")
		node("Add", output, inner, "spoilt.nothing")
	default:
		t.Fatalf("fault %d depends on no picture", f)
	}
	return m.Bytes()
}

// Replace puts another file into a bundle and corrects its digest, as an export that went wrong would have.
func Replace(t testing.TB, d *bundle.Dir, file string, data []byte) *bundle.Dir {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(d.Path, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	p := bundle.Parts{Extractor: read(bundle.ExtractorFile), Segmenter: read(bundle.SegmenterFile), Golden: read(bundle.GoldenFile)}
	switch file {
	case bundle.ExtractorFile:
		p.Extractor = data
	case bundle.SegmenterFile:
		p.Segmenter = data
	case bundle.GoldenFile:
		p.Golden = data
	default:
		t.Fatalf("%s is no file of a bundle that can be replaced", file)
	}
	out, err := bundle.Write(filepath.Join(t.TempDir(), "spoilt"), d.Manifest, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
