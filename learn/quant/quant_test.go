package quant_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/graph/onnxtest"
	"tandem/learn/quant"
	"tandem/runtime/ort"
)

// small is a network with a convolution and its Relu, a product and a bias: [1, 2, 8, 8] to [1, 5].
func small(t *testing.T) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	random := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, 2, 8, 8)
	h := g.Relu(g.Conv2D(x, g.Const(random(4*2*3*3), 4, 2, 3, 3), g.Const(random(4), 4), graph.Conv2DSpec{Pad: 1}))
	g.Output("y", g.Linear(g.Reshape(h, 1, 4*64), g.Const(random(4*64*5), 4*64, 5), g.Const(random(5), 5)))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func run(t *testing.T, model []byte, x []float32, n int) []float32 {
	t.Helper()
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // of a test
	in, err := ort.NewTensor([]int{1, 2, 8, 8}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // of a test
	y := make([]float32, n)
	shape := []int{1, n}
	if len(s.Outputs()[0].Shape) == 1 {
		shape = shape[1:]
	}
	out, err := ort.NewTensor(shape, y)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // of a test
	b, err := s.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // of a test
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	return y
}

func input(seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, 128)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func TestQuantizedIsCloseToWhatItWas(t *testing.T) {
	model := small(t)
	instrumented, names, err := quant.Instrument(model, true)
	if err != nil {
		t.Fatal(err)
	}
	o := quant.NewObserver(names)
	for i := range uint64(20) {
		if err := o.Add(run(t, instrumented, input(i), 2*len(names))); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string][]byte{"instrumented": instrumented}
	for _, bits := range []bool{false, true} {
		q, nodes, err := quant.Quantize(model, o.Ranges(1), quant.Options{EightBits: bits})
		if err != nil || nodes != 2 {
			t.Fatalf("%d nodes, %v, want 2", nodes, err)
		}
		if len(q) >= len(model) {
			t.Errorf("%d bytes, it had %d", len(q), len(model))
		}
		x := input(99)
		want, got := run(t, model, x, 5), run(t, q, x, 5)
		var diff, norm float64
		for i := range want {
			diff += math.Pow(float64(want[i]-got[i]), 2)
			norm += math.Pow(float64(want[i]), 2)
		}
		if rel := math.Sqrt(diff / norm); !(rel < 0.05) || rel == 0 {
			t.Errorf("eight bits %v: %v, the float32 network says %v: %.3g of its size", bits, got, want, rel)
		}
		out["quantized"] = q
	}
	onnxtest.Check(t, out)
	if _, _, err := quant.Quantize(model, nil, quant.Options{}); err == nil || !strings.Contains(err.Error(), "was never observed") {
		t.Errorf("without ranges: %v", err)
	}
}

func TestRangesCutRareExtremesOff(t *testing.T) {
	o := quant.NewObserver([]string{"a"})
	for i := range 101 {
		if err := o.Add([]float32{-float32(i), float32(2 * i)}); err != nil {
			t.Fatal(err)
		}
	}
	if r := o.Ranges(1)["a"]; r != (quant.Range{Low: -100, High: 200}) {
		t.Errorf("all: %v", r)
	}
	if r := o.Ranges(0.95)["a"]; r != (quant.Range{Low: -95, High: 190}) {
		t.Errorf("95 %%: %v", r)
	}
	nan := float32(math.NaN())
	for _, bad := range [][]float32{{0, nan}, {nan, 0}, {0, float32(math.Inf(1))}, {1, 0}, {1}} {
		if err := o.Add(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestNothingToQuantize(t *testing.T) {
	g := graph.New(graph.Float32)
	g.Output("y", g.Relu(g.Input("x", graph.Float32, 1, 2)))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := quant.Instrument(model, true); !errors.Is(err, quant.ErrNothing) {
		t.Errorf("%v, want ErrNothing", err)
	}
	if _, _, err := quant.Quantize(model, nil, quant.Options{}); !errors.Is(err, quant.ErrNothing) {
		t.Errorf("%v, want ErrNothing", err)
	}
}
