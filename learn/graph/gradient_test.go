package graph_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/graph/onnxtest"
	"tandem/runtime/ort"
)

// gradientCase is an expression in some inputs whose gradient is compared with finite differences.
type gradientCase struct {
	name   string
	shapes [][]int
	// positive makes the inputs positive, for roots and logarithms.
	positive bool
	f        func(g *graph.Graph, x []*graph.Tensor) *graph.Tensor
}

type tensors = []*graph.Tensor

func unaryCase(name string, positive bool, op func(g *graph.Graph, x *graph.Tensor) *graph.Tensor) gradientCase {
	return gradientCase{name, [][]int{{3, 4}}, positive,
		func(g *graph.Graph, x tensors) *graph.Tensor { return op(g, x[0]) }}
}

func binaryCase(name string, a, b []int, op func(g *graph.Graph, a, b *graph.Tensor) *graph.Tensor) gradientCase {
	return gradientCase{name, [][]int{a, b}, true,
		func(g *graph.Graph, x tensors) *graph.Tensor { return op(g, x[0], x[1]) }}
}

func convCase(name string, in, w []int, bias bool, spec graph.Conv1DSpec) gradientCase {
	c := gradientCase{name: name, shapes: [][]int{in, w}}
	if bias {
		c.shapes = append(c.shapes, []int{w[1]})
	}
	c.f = func(g *graph.Graph, x tensors) *graph.Tensor {
		x = append(x, nil)
		return g.Conv1D(x[0], x[1], x[2], spec)
	}
	return c
}

// frameWeights are the weights of [2, 5] frames, with one that does not count.
func frameWeights(g *graph.Graph) *graph.Tensor {
	return g.Const([]float64{.1, .2, .05, 0, .15, .1, .1, .1, .05, .15}, 2, 5)
}

// teacher are probabilities for [2, 5, 3], one of them 0.
func teacher(g *graph.Graph) *graph.Tensor {
	v := make([]float64, 0, 30)
	for i := range 10 {
		a := float64(i) / 20
		v = append(v, a, .3, .7-a)
	}
	return g.Const(v, 2, 5, 3)
}

var gradientCases = []gradientCase{
	binaryCase("add", []int{2, 3}, []int{2, 3}, (*graph.Graph).Add),
	binaryCase("add trailing", []int{2, 4, 3}, []int{3}, (*graph.Graph).Add),
	binaryCase("add scalar", []int{2, 3}, nil, (*graph.Graph).Add),
	binaryCase("sub both broadcast", []int{2, 1, 3}, []int{4, 1}, (*graph.Graph).Sub),
	binaryCase("mul", []int{3, 2}, []int{3, 1}, (*graph.Graph).Mul),
	binaryCase("mul inner", []int{2, 1, 3}, []int{2, 4, 1}, (*graph.Graph).Mul),
	binaryCase("div", []int{2, 3}, []int{2, 3}, (*graph.Graph).Div),
	binaryCase("div broadcast", []int{3}, []int{2, 1}, (*graph.Graph).Div),
	unaryCase("scale", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Scale(x, -2.5) }),
	unaryCase("shift", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Mul(g.Shift(x, 3), x) }),
	unaryCase("neg", false, (*graph.Graph).Neg),
	unaryCase("exp", false, (*graph.Graph).Exp),
	unaryCase("log", true, (*graph.Graph).Log),
	unaryCase("sqrt", true, (*graph.Graph).Sqrt),
	unaryCase("abs", false, (*graph.Graph).Abs),
	unaryCase("tanh", false, (*graph.Graph).Tanh),
	unaryCase("sigmoid", false, (*graph.Graph).Sigmoid),
	unaryCase("gelu", false, (*graph.Graph).Gelu),
	unaryCase("silu", false, (*graph.Graph).Silu),
	unaryCase("relu", false, (*graph.Graph).Relu),
	unaryCase("at most", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.AtMost(g.Mul(x, x), 1.1) }),
	unaryCase("at least", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.AtLeast(x, 0.1) }),
	// Reversed by -1, or twice, gradients are those of what was computed, so that differences can judge them.
	unaryCase("reverse by -1", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Exp(g.Reverse(g.Mul(x, x), g.Scalar(-1)))
	}),
	unaryCase("reverse twice", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		back := g.Reverse(g.Mul(x, x), g.Const([]float64{2, -0.25, 5}, 3, 1))
		return g.Exp(g.Reverse(back, g.Const([]float64{0.5, -4, 0.2}, 3, 1)))
	}),
	unaryCase("reshape", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Reshape(x, 2, 1, 6) }),
	unaryCase("transpose", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Transpose(g.Reshape(x, 3, 2, 2), 1, 2, 0)
	}),
	unaryCase("slice", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Slice(x, -1, 1, 3) }),
	unaryCase("crop", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Crop(x, 0, 2, 0) }),
	unaryCase("pad", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Pad(x, 1, 2, 1) }),
	unaryCase("pad and crop", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Pad(x, 1, -1, 2) }),
	unaryCase("expand", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Expand(g.Reshape(x, 3, 1, 4), 2, 3, 2, 4)
	}),
	unaryCase("sum", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Sum(g.Mul(x, x), 0) }),
	unaryCase("sum all", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Sum(g.Mul(x, x)) }),
	unaryCase("mean", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Mean(g.Mul(x, x), -1, 0) }),
	unaryCase("mean all", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Mean(g.Mul(x, x)) }),
	unaryCase("softmax", false, (*graph.Graph).Softmax),
	unaryCase("log-softmax", false, (*graph.Graph).LogSoftmax),
	unaryCase("used twice", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Add(g.Mul(g.Exp(x), g.Tanh(x)), g.Exp(x))
	}),
	unaryCase("same expression twice", false, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Mul(g.Mul(x, x), g.Mul(x, x))
	}),
	{"concat", [][]int{{2, 3}, {2, 1}, {2, 2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Concat(1, x...)
	}},
	{"gemm", [][]int{{2, 3}, {3, 4}, {4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Gemm(x[0], x[1], x[2], false, false)
	}},
	{"gemm A transposed", [][]int{{3, 2}, {3, 4}, {2, 1}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Gemm(x[0], x[1], x[2], true, false)
	}},
	{"gemm B transposed", [][]int{{2, 3}, {4, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Gemm(x[0], x[1], nil, false, true)
	}},
	{"gemm both transposed", [][]int{{3, 2}, {4, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Gemm(x[0], x[1], nil, true, true)
	}},
	{"linear", [][]int{{2, 3, 4}, {4, 2}, {2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Linear(x[0], x[1], x[2])
	}},
	{"matmul", [][]int{{2, 3, 4}, {2, 4, 2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.MatMul(x[0], x[1], false, false)
	}},
	{"matmul A transposed", [][]int{{2, 4, 3}, {2, 4, 2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.MatMul(x[0], x[1], true, false)
	}},
	{"matmul B transposed", [][]int{{1, 2, 3, 4}, {1, 2, 2, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.MatMul(x[0], x[1], false, true)
	}},
	{"matmul both transposed", [][]int{{2, 4, 3}, {2, 2, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.MatMul(x[0], x[1], true, true)
	}},
	convCase("conv1d causal", []int{2, 7, 3}, []int{9, 2}, true, graph.Causal(3, 2)),
	convCase("conv1d causal beyond the sequence", []int{1, 4, 2}, []int{6, 2}, true, graph.Causal(3, 4)),
	convCase("conv1d symmetric", []int{1, 6, 2}, []int{10, 3}, true, graph.Symmetric(5, 1)),
	convCase("conv1d no padding", []int{2, 6, 2}, []int{6, 2}, false, graph.Conv1DSpec{Kernel: 3, Dilation: 2}),
	convCase("conv1d padded beyond its reach", []int{1, 4, 2}, []int{4, 2}, true, graph.Conv1DSpec{Kernel: 2, Before: 3, After: 2}),
	convCase("conv1d one tap", []int{2, 3, 2}, []int{2, 4}, true, graph.Causal(1, 1)),
	{"cross entropy", [][]int{{2, 5, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		labels := g.Reshape(g.Ints(0, 1, 2, -1, 1, 2, 0, 0, 1, 2), 2, 5)
		return g.CrossEntropy(x[0], labels, frameWeights(g))
	}},
	{"distill", [][]int{{2, 5, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Distill(x[0], teacher(g), frameWeights(g), 2.5)
	}},
	{"squared error", [][]int{{2, 5, 3}, {2, 5, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.SquaredError(x[0], x[1], frameWeights(g))
	}},
	// The smoothing loss treats the earlier frame as a constant, which differences can only see one frame at a time: every
	// second frame is a constant here.
	{"smoothing", [][]int{{2, 1, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		before := g.Const([]float64{1, -2, .5, -.3, 2, .1}, 2, 1, 3)
		w := g.Const([]float64{.5, .3, .7, .2}, 2, 2)
		return g.Smoothing(g.Concat(1, before, g.Scale(x[0], 3)), w, 2)
	}},
	{"all losses of one network", [][]int{{2, 5, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		labels := g.Reshape(g.Ints(0, 1, 2, -1, 1, 2, 0, 0, 1, 2), 2, 5)
		ce := g.CrossEntropy(x[0], labels, frameWeights(g))
		logp := g.LogSoftmax(x[0]) // traced by the cross entropy already, without a gradient
		return g.Add(g.Add(ce, g.Distill(x[0], teacher(g), frameWeights(g), 1)), g.Sum(g.Mul(logp, logp)))
	}},
}

// trace builds the case's graph: the loss is a fixed random combination of the expression's elements.
func (c gradientCase) trace(t testing.TB, float graph.DType) *graph.Graph {
	t.Helper()
	g := graph.New(float)
	var x tensors
	for i, s := range c.shapes {
		x = append(x, g.Input(string(rune('a'+i)), float, s...))
	}
	y := c.f(g, x)
	n := 1
	for _, d := range y.Shape() {
		n *= d
	}
	rng := rand.New(rand.NewPCG(11, 0))
	mix := make([]float64, n)
	for i := range mix {
		mix[i] = rng.Float64() + 0.5
	}
	loss := g.Sum(g.Mul(y, g.Const(mix, y.Shape()...)))
	grads, err := g.Backward(loss, x)
	if err != nil {
		t.Fatal(err)
	}
	g.Output("loss", g.Reshape(loss, 1))
	for i, d := range grads {
		g.Output("d"+x[i].Name(), d)
	}
	return g
}

func (c gradientCase) inputs() [][]float64 {
	rng := rand.New(rand.NewPCG(5, uint64(len(c.name))))
	values := make([][]float64, len(c.shapes))
	for i, s := range c.shapes {
		n := 1
		for _, d := range s {
			n *= d
		}
		for range n {
			v := rng.NormFloat64()
			if c.positive {
				v = math.Abs(v) + 0.3
			}
			values[i] = append(values[i], float64(float32(v)))
		}
	}
	return values
}

// bound is a model with its memory.
type bound[T float32 | float64] struct {
	in, out [][]T
	b       *ort.Binding
}

func open[T float32 | float64](t testing.TB, g *graph.Graph, inputs [][]float64) *bound[T] {
	t.Helper()
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	m := &bound[T]{}
	var in, out []ort.Tensor
	add := func(list *[]ort.Tensor, shape []int, data []T) {
		x, err := ort.NewTensor(shape, data)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		*list = append(*list, x)
	}
	for i, info := range s.Inputs() {
		data := make([]T, len(inputs[i]))
		for j, v := range inputs[i] {
			data[j] = T(v)
		}
		m.in = append(m.in, data)
		add(&in, info.Shape, data)
	}
	for _, info := range s.Outputs() {
		n := 1
		for _, d := range info.Shape {
			n *= d
		}
		data := make([]T, n)
		m.out = append(m.out, data)
		add(&out, info.Shape, data)
	}
	if m.b, err = s.Bind(in, out); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.b.Close() })
	return m
}

func (m *bound[T]) run(t testing.TB) T {
	t.Helper()
	if err := m.b.Run(); err != nil {
		t.Fatal(err)
	}
	return m.out[0][0]
}

// relative is the L2 distance of two vectors over the norm of the second.
func relative[A, B float32 | float64](a []A, b []B) float64 {
	var d, n float64
	for i := range a {
		d += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d) / max(math.Sqrt(n), 1e-6)
}

// differences returns the central differences of the loss.
func differences[T float32 | float64](t testing.TB, m *bound[T], h T) [][]float64 {
	t.Helper()
	var list [][]float64
	for _, x := range m.in {
		d := make([]float64, len(x))
		for j, v := range x {
			x[j] = v + h
			hi, above := m.run(t), x[j]
			x[j] = v - h
			lo, below := m.run(t), x[j]
			x[j] = v
			d[j] = (float64(hi) - float64(lo)) / (float64(above) - float64(below))
		}
		list = append(list, d)
	}
	return list
}

func TestGradientsEqualDifferences(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			wide := open[float64](t, c.trace(t, graph.Float64), c.inputs())
			want := differences(t, wide, 1e-5)
			wide.run(t)
			narrow := open[float32](t, c.trace(t, graph.Float32), c.inputs())
			narrow.run(t)
			// Float64 has other formulations where ONNX Runtime lacks kernels; this ties them to what is deployed.
			if d := relative(narrow.out[0], wide.out[0]); d > 1e-5 {
				t.Errorf("the loss in float32 is %.2g from the one in float64", d)
			}
			for i := range want {
				if d := relative(wide.out[i+1], want[i]); d > 1e-6 {
					t.Errorf("input %d: float64 gradient %v is %.2g from the differences %v", i, wide.out[i+1], d, want[i])
				}
				if d := relative(narrow.out[i+1], wide.out[i+1]); d > 2e-5 {
					t.Errorf("input %d: float32 gradient is %.2g from the float64 one", i, d)
				}
			}
		})
	}
}

func TestEmittedModelsPassTheChecker(t *testing.T) {
	models := map[string][]byte{}
	for _, c := range allCases() {
		for _, float := range []graph.DType{graph.Float32, graph.Float64} {
			model, err := c.trace(t, float).Model()
			if err != nil {
				t.Fatal(err)
			}
			models[c.name+" "+float.String()] = model
		}
	}
	onnxtest.Check(t, models)
}
