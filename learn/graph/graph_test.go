package graph_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"tandem/learn/graph"
	"tandem/runtime/ort"
)

// evaluate runs a float32 graph with static shapes on inputs in their order.
func evaluate(t testing.TB, g *graph.Graph, inputs ...[]float64) [][]float32 {
	t.Helper()
	m := open[float32](t, g, inputs)
	m.run(t)
	return m.out
}

func TestDetachStopsTheGradient(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1)
	// d/dx of x·const(x) is const(x), although both products are one expression to a reader of names.
	loss := g.Add(g.Mul(x, g.Detach(x)), g.Scale(g.Mul(x, x), 10))
	grads, err := g.Backward(loss, []*graph.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	g.Output("d", grads[0])
	if got := evaluate(t, g, []float64{3})[0][0]; got != 63 {
		t.Errorf("the gradient is %g, expected 3 + 60", got)
	}
}

func TestGradientOfWhatTheLossDoesNotSeeIsZero(t *testing.T) {
	g := graph.New(graph.Float32)
	x, y := g.Input("x", graph.Float32, 2), g.Input("y", graph.Float32, 2, 2)
	grads, err := g.Backward(g.Sum(x), []*graph.Tensor{x, y})
	if err != nil {
		t.Fatal(err)
	}
	g.Output("dx", grads[0])
	g.Output("dy", grads[1])
	out := evaluate(t, g, []float64{1, 2}, make([]float64, 4))
	if !slices.Equal(out[0], []float32{1, 1}) || !slices.Equal(out[1], make([]float32, 4)) {
		t.Errorf("gradients %v", out)
	}
}

func TestSmoothingLeavesTheEarlierFrameAlone(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, 2, 2)
	loss := g.Smoothing(x, g.Const([]float64{1, 1}, 1, 2), 4)
	grads, err := g.Backward(loss, []*graph.Tensor{x})
	if err != nil {
		t.Fatal(err)
	}
	g.Output("dx", grads[0])
	d := evaluate(t, g, []float64{1, 0, 0, .5})[0]
	if d[0] != 0 || d[1] != 0 || d[2] == 0 {
		t.Errorf("the gradient is %v, expected zeros for the first frame only", d)
	}
}

func TestLossesHaveTheValuesOfTheirFormulas(t *testing.T) {
	g := graph.New(graph.Float32)
	logits := g.Const([]float64{1, 2, 0.5, -1, 0, 3}, 1, 2, 3)
	w := g.Const([]float64{0.25, 0.5}, 1, 2)
	g.Output("ce", g.Reshape(g.CrossEntropy(logits, g.Reshape(g.Ints(1, 0), 1, 2), w), 1))
	g.Output("kl", g.Reshape(g.Distill(logits, g.Const([]float64{.2, .5, .3, 1, 0, 0}, 1, 2, 3), w, 2), 1))
	g.Output("mse", g.Reshape(g.SquaredError(logits, g.Scale(logits, 0), w), 1))
	g.Output("smooth", g.Reshape(g.Smoothing(logits, w, 1.5), 1))

	logSoftmax := func(z []float64) []float64 {
		var sum float64
		for _, v := range z {
			sum += math.Exp(v)
		}
		out := make([]float64, len(z))
		for i, v := range z {
			out[i] = v - math.Log(sum)
		}
		return out
	}
	a, b := logSoftmax([]float64{1, 2, .5}), logSoftmax([]float64{-1, 0, 3})
	want := []float64{-.25*a[1] - .5*b[0], 0, .25*(1+4+.25)/3 + .5*(1+0+9)/3, 0}
	q := [][]float64{{math.Sqrt(.2), math.Sqrt(.5), math.Sqrt(.3)}, {1, math.Sqrt(5e-8), math.Sqrt(5e-8)}}
	student := [][]float64{logSoftmax([]float64{.5, 1, .25}), logSoftmax([]float64{-.5, 0, 1.5})}
	for i, row := range q {
		sum := row[0] + row[1] + row[2]
		for k := range row {
			want[1] += []float64{.25, .5}[i] * 4 * row[k] / sum * (math.Log(row[k]/sum) - student[i][k])
		}
	}
	for k := range 3 {
		want[3] += .5 * min((b[k]-a[k])*(b[k]-a[k]), 1.5*1.5) / 3
	}
	for i, out := range evaluate(t, g) {
		if math.Abs(float64(out[0])-want[i]) > 1e-5 {
			t.Errorf("%s is %g, expected %g", g.OutputNames()[i], out[0], want[i])
		}
	}
}

func TestModelIsDeterministicAndHoldsOnlyWhatOutputsNeed(t *testing.T) {
	trace := func(dead bool) *graph.Graph {
		g := graph.New(graph.Float32)
		x := g.Input("x", graph.Float32, 2, 3)
		if dead {
			g.Exp(g.Add(x, g.Const([]float64{7, 8, 9}, 3)))
		}
		y := g.Relu(x)
		g.Output("y", y)
		g.Output("again", y)
		g.Output("input", x)
		g.Output("constant", g.Const([]float64{1, 2}, 2))
		g.SetMeta("key", "old")
		g.SetMeta("key", "value")
		return g
	}
	model := func(dead bool) []byte {
		m, err := trace(dead).Model()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if !bytes.Equal(model(false), model(false)) {
		t.Error("two models of one computation differ")
	}
	if d := len(model(true)) - len(model(false)); d > 4 {
		t.Errorf("a dead expression adds %d bytes to the model", d) // generated names may be longer
	}
	out := evaluate(t, trace(true), []float64{-1, 2, -3, 4, 5, 6})
	if !slices.Equal(out[0], []float32{0, 2, 0, 4, 5, 6}) || !slices.Equal(out[1], out[0]) || out[2][0] != -1 || out[3][1] != 2 {
		t.Errorf("outputs %v", out)
	}
	if meta, err := graph.ReadMeta(model(true)); err != nil || len(meta) != 1 || meta["key"] != "value" {
		t.Errorf("metadata %v, %v", meta, err)
	}
}

func TestEqualExpressionsAreComputedOnce(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 2, 3)
	for name, trace := range map[string]func() *graph.Tensor{
		"exp":     func() *graph.Tensor { return g.Exp(x) },
		"softmax": func() *graph.Tensor { return g.Softmax(x) },
		"loss":    func() *graph.Tensor { return g.CrossEntropy(x, g.Ints(0, 1), g.Const([]float64{1, 2}, 2)) },
	} {
		if first, second := trace(), trace(); first != second {
			t.Errorf("%s, traced twice, is there twice", name)
		}
	}
	if g.Exp(x) == g.Exp(g.Detach(x)) {
		t.Error("a detached tensor shares the result, and with it the gradient, of the one it comes from")
	}
}

func TestDynamicLengthComputesWhatAStaticOneDoes(t *testing.T) {
	const frames, in, out = 9, 2, 3
	x := make([]float32, frames*in)
	w := make([]float64, 3*in*out)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)))
	}
	for i := range w {
		w[i] = math.Cos(float64(i))
	}
	trace := func(g *graph.Graph, t int) *graph.Tensor {
		x := g.Input("x", graph.Float32, 1, t, in)
		y := g.Conv1D(x, g.Const(w, 3*in, out), g.Const([]float64{1, 2, 3}, out), graph.Causal(3, 2))
		y = g.Add(y, g.Conv1D(x, g.Const(w, 3*in, out), nil, graph.Symmetric(3, 1)))
		return g.Softmax(g.Reshape(y, t, out))
	}
	fixed := graph.New(graph.Float32)
	fixed.Output("y", trace(fixed, frames))
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	want := evaluate(t, fixed, wide)[0]

	free := graph.New(graph.Float32)
	free.Output("y", trace(free, free.Dim("T")))
	model, err := free.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.Inputs()[0].Shape[1] != -1 || s.Outputs()[0].Shape[0] != -1 {
		t.Fatalf("inputs %v, outputs %v", s.Inputs(), s.Outputs())
	}
	got := make([]float32, frames*out)
	a, err := ort.NewTensor([]int{1, frames, in}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	b, err := ort.NewTensor([]int{frames, out}, got)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	bind, err := s.Bind([]ort.Tensor{a}, []ort.Tensor{b})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bind.Close() }()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	if d := relative(got, want); d > 1e-6 {
		t.Errorf("the dynamic graph is %g from the static one", d)
	}
}

func TestConvolutionAndPoolingOfImages(t *testing.T) {
	const h, w = 5, 7
	x := make([]float64, 2*4*h*w)
	for i := range x {
		x[i] = math.Sin(float64(i))
	}
	k := make([]float64, 6*2*3*3)
	for i := range k {
		k[i] = math.Cos(float64(i))
	}
	g := graph.New(graph.Float32)
	image := g.Input("x", graph.Float32, 2, 4, h, w)
	g.Output("conv", g.Conv2D(image, g.Const(k, 6, 2, 3, 3), g.Const(make([]float64, 6), 6), graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: 2}))
	g.Output("average", g.AveragePool2D(image, 2))
	g.Output("grid", g.GridPool(image, 2, 3))
	out := evaluate(t, g, x)

	at := func(n, c, y, z int) float64 {
		if y < 0 || z < 0 || y >= h || z >= w {
			return 0
		}
		return x[((n*4+c)*h+y)*w+z]
	}
	var conv, average, grid []float64
	for n := range 2 {
		for o := range 6 {
			for y := range 3 {
				for z := range 4 {
					var sum float64
					for c := range 2 {
						for i := range 9 {
							sum += k[(o*2+c)*9+i] * at(n, o/3*2+c, 2*y+i/3-1, 2*z+i%3-1)
						}
					}
					conv = append(conv, sum)
				}
			}
		}
		for c := range 4 {
			for y := range 2 {
				for z := range 3 {
					average = append(average, (at(n, c, 2*y, 2*z)+at(n, c, 2*y, 2*z+1)+at(n, c, 2*y+1, 2*z)+at(n, c, 2*y+1, 2*z+1))/4)
				}
			}
			for y := range 2 {
				for z := range 3 {
					var sum float64 // in 2·3 times finer pixels
					for i := y * h; i < (y+1)*h; i++ {
						for j := z * w; j < (z+1)*w; j++ {
							sum += at(n, c, i/2, j/3)
						}
					}
					grid = append(grid, sum/(h*w))
				}
			}
		}
	}
	for i, want := range [][]float64{conv, average, grid} {
		if len(want) != len(out[i]) {
			t.Fatalf("%s has %d elements, expected %d", g.OutputNames()[i], len(out[i]), len(want))
		}
		if d := relative(out[i], want); d > 1e-6 {
			t.Errorf("%s is %g from its definition", g.OutputNames()[i], d)
		}
	}
}

func FuzzReadMeta(f *testing.F) {
	g := graph.New(graph.Float32)
	g.Output("y", g.Relu(g.Input("x", graph.Float32, 1)))
	g.SetMeta("key", "value")
	model, err := g.Model()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(model)
	f.Add([]byte{0x72, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		meta, err := graph.ReadMeta(data)
		if err != nil && meta != nil {
			t.Error("an error came with metadata")
		}
	})
}
