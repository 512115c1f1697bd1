package onnx_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"tandem/learn/graph/onnxtest"
	"tandem/learn/net"
	"tandem/learn/onnx"
	"tandem/runtime/ort"
)

func bank(t testing.TB) []byte {
	t.Helper()
	model, err := net.FilterBank{Width: 32, Height: 32, Grid: 2, Orientations: 2}.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// run feeds a picture and returns each output.
func run(t *testing.T, model []byte, sizes ...int) [][]float32 {
	t.Helper()
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // of a test
	x := make([]float32, 3*32*32)
	for i := range x {
		x[i] = float32(i%17) / 17
	}
	var out [][]float32
	tensors := []ort.Tensor{}
	add := func(shape []int, data []float32) ort.Tensor {
		v, err := ort.NewTensor(shape, data)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, v)
		return v
	}
	in := add([]int{1, 3, 32, 32}, x)
	var outs []ort.Tensor
	for _, n := range sizes {
		out = append(out, make([]float32, n))
		outs = append(outs, add([]int{1, n}, out[len(out)-1]))
	}
	b, err := s.Bind([]ort.Tensor{in}, outs)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, v := range tensors {
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestWhatIsNotChangedStaysTheSame(t *testing.T) {
	model := bank(t)
	m, err := onnx.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Nodes) < 10 || !slices.Equal(m.Inputs, []string{net.Image}) || !slices.Equal(m.Outputs, []string{net.Features}) || m.Opset() != 18 {
		t.Fatalf("%d nodes, inputs %q, outputs %q, opset %d", len(m.Nodes), m.Inputs, m.Outputs, m.Opset())
	}
	again := m.Bytes()
	n, err := onnx.Parse(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(n.Bytes(), again) {
		t.Error("written and read again it is another model")
	}
	want, got := run(t, model, 96), run(t, again, 96)
	if !slices.Equal(want[0], got[0]) {
		t.Error("the model that was written again computes something else")
	}
	onnxtest.Check(t, map[string][]byte{"again": again})
}

func TestChanges(t *testing.T) {
	m, err := onnx.Parse(bank(t))
	if err != nil {
		t.Fatal(err)
	}
	c := m.Clone()
	for _, n := range c.Nodes {
		for i, o := range n.Out {
			if o == net.Features {
				n.Out[i] = "inner"
			}
		}
	}
	c.Initializers = append(c.Initializers, onnx.FloatTensor("two", []float32{2}))
	c.Nodes = append(c.Nodes, &onnx.Node{Name: "double", Op: "Mul", In: []string{"inner", "two"}, Out: []string{net.Features}})
	flat := &onnx.Node{Name: "flat", Op: "Flatten", In: []string{"inner"}, Out: []string{"flat"}}
	c.Nodes = append(c.Nodes, flat.SetInt("axis", 1))
	c.AddOutput("flat", 1, 96)
	if got := flat.Int("axis", 0); got != 1 || flat.Int("other", 7) != 7 {
		t.Errorf("axis is %d", got)
	}
	out := run(t, c.Bytes(), 96, 96)
	plain := run(t, m.Bytes(), 96)
	for i, v := range plain[0] {
		if out[0][i] != 2*v || out[1][i] != v {
			t.Fatalf("feature %d: %g and %g, the plain model has %g", i, out[0][i], out[1][i], v)
		}
	}
	two, err := c.Initializer("two").Floats()
	if err != nil || len(two) != 1 || two[0] != 2 || c.Initializer("three") != nil {
		t.Errorf("constant %v, %v", two, err)
	}
}

func TestNoModel(t *testing.T) {
	model := bank(t)
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("no model at all"), "cut": model[:len(model)/2]} {
		if _, err := onnx.Parse(data); !errors.Is(err, onnx.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	if _, err := (&onnx.Tensor{Type: onnx.Int8, Dims: []int{2}, Data: []byte{1, 2}}).Floats(); !errors.Is(err, onnx.ErrFormat) {
		t.Errorf("numbers of an int8 tensor: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(bank(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Parse(data)
		if err != nil {
			if !errors.Is(err, onnx.ErrFormat) {
				t.Fatalf("%v does not wrap ErrFormat", err)
			}
			return
		}
		again, err := onnx.Parse(m.Bytes())
		if err != nil || len(again.Nodes) != len(m.Nodes) || len(again.Initializers) != len(m.Initializers) {
			t.Fatalf("what was read can't be read again: %v", err)
		}
		for _, n := range m.Nodes {
			n.Int("axis", 0)
			n.Float("alpha", 0)
		}
		for _, v := range m.Initializers {
			_, _ = v.Floats()
		}
	})
}
