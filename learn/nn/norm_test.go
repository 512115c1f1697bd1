package nn_test

import (
	"math"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

// run evaluates a model of one input and one output.
func run(t testing.TB, b *nn.Build, x []float32, in, out []int) []float32 {
	t.Helper()
	model, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	n := 1
	for _, d := range out {
		n *= d
	}
	y := make([]float32, n)
	var tensors []ort.Tensor
	for i, data := range [][]float32{x, y} {
		v, err := ort.NewTensor([][]int{in, out}[i], data)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		tensors = append(tensors, v)
	}
	bind, err := s.Bind(tensors[:1], tensors[1:])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bind.Close() }()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	return y
}

// A normalisation that is folded into a convolution, one that stands alone and its formula agree in inference.
func TestNormalisationsUseTheirRunningStatistics(t *testing.T) {
	const frames, in, out = 7, 3, 2
	folded := func(b *nn.Build, x *graph.Tensor) *graph.Tensor {
		return b.Conv1DNorm(x, b.Span(), "conv", out, 3, 1, false)
	}
	apart := func(b *nn.Build, x *graph.Tensor) *graph.Tensor {
		w := b.Param("conv.weight", nn.FanIn(3*in), true, 3*in, out)
		return b.BatchNorm(b.Graph.Conv1D(x, w, nil, graph.Symmetric(3, 1)), "conv.norm", -1, b.Span().Present())
	}
	p := declare(t, func(b *nn.Build) { folded(b, b.Features("x", in)) })
	p.Init(3)
	for name, v := range map[string][]float32{"gain": {1.5, -2}, "bias": {0.5, 0.25}, "mean": {0.3, -1}, "variance": {2, 0.1}} {
		if err := p.Set("conv.norm."+name, v); err != nil {
			t.Fatal(err)
		}
	}
	x := make([]float32, frames*in)
	for i := range x {
		x[i] = float32(math.Sin(float64(5 * i)))
	}
	var results [][]float32
	for _, define := range []func(b *nn.Build, x *graph.Tensor) *graph.Tensor{folded, apart} {
		b := nn.NewInfer(p)
		b.Output("y", define(b, b.Features("x", in)))
		results = append(results, run(t, b, x, []int{1, frames, in}, []int{1, frames, out}))
	}
	w, err := p.Get("conv.weight")
	if err != nil {
		t.Fatal(err)
	}
	for f := range frames {
		for o := range out {
			var sum float64
			for k := range 3 {
				for c := range in {
					if at := f + k - 1; at >= 0 && at < frames {
						sum += float64(x[at*in+c] * w[(k*in+c)*out+o])
					}
				}
			}
			want := []float64{1.5, -2}[o]*(sum-[]float64{0.3, -1}[o])/math.Sqrt([]float64{2, 0.1}[o]+1e-5) + []float64{0.5, 0.25}[o]
			for i, y := range results {
				if math.Abs(float64(y[f*out+o])-want) > 1e-5 {
					t.Errorf("%s, frame %d, channel %d: %g, expected %g", []string{"folded", "apart"}[i], f, o, y[f*out+o], want)
				}
			}
		}
	}
}

func TestImageNormalisationsAreFoldedByChannel(t *testing.T) {
	for _, groups := range []int{1, 4} {
		define := func(b *nn.Build, x *graph.Tensor) *graph.Tensor {
			y := b.Images(x, nil).ConvNorm("conv", 4, 3, graph.Conv2DSpec{Pad: 1, Groups: groups})
			return y.Tensor()
		}
		p := declare(t, func(b *nn.Build) { define(b, b.Input("x", b.Float(), 2, 4, 5, 6)) })
		p.Init(3)
		for name, v := range map[string][]float32{"gain": {1, 2, 3, 4}, "bias": {0, 1, 0, 1}, "mean": {1, 0, 1, 0}, "variance": {1, 4, 9, 0.5}} {
			if err := p.Set("conv.norm."+name, v); err != nil {
				t.Fatal(err)
			}
		}
		x := make([]float32, 2*4*5*6)
		for i := range x {
			x[i] = float32(math.Cos(float64(3 * i)))
		}
		shape := []int{2, 4, 5, 6}
		b := nn.NewInfer(p)
		b.Output("y", define(b, b.Input("x", b.Float(), shape...)))
		got := run(t, b, x, shape, shape)
		w, err := p.Get("conv.weight")
		if err != nil {
			t.Fatal(err)
		}
		plain := graph.New(graph.Float32)
		wide := make([]float64, len(w))
		for i, v := range w {
			wide[i] = float64(v)
		}
		y := plain.Conv2D(plain.Input("x", graph.Float32, shape...), plain.Const(wide, 4, 4/groups, 3, 3), nil, graph.Conv2DSpec{Pad: 1, Groups: groups})
		plain.Output("y", y)
		want := run(t, &nn.Build{Graph: plain}, x, shape, shape)
		for i, v := range want {
			c := i / 30 % 4
			expected := []float64{1, 2, 3, 4}[c]*(float64(v)-[]float64{1, 0, 1, 0}[c])/math.Sqrt([]float64{1, 4, 9, 0.5}[c]+1e-5) + []float64{0, 1, 0, 1}[c]
			if math.Abs(float64(got[i])-expected) > 1e-5 {
				t.Fatalf("%d groups, element %d: %g, expected %g", groups, i, got[i], expected)
			}
		}
	}
}

func TestOtherLayersReportMisuse(t *testing.T) {
	p := declare(t, define)
	for want, do := range map[string]func(b *nn.Build){
		"3 heads over an input of [1 8 4]": func(b *nn.Build) { b.SelfAttention(b.Features("x", 4), b.Span(), "a", 3) },
		"conv: kernel 4 with dilation 1":   func(b *nn.Build) { b.Conv1DNorm(b.Features("x", 4), b.Span(), "conv", 3, 4, 1, false) },
		`no parameter "other.weight"`:      func(b *nn.Build) { b.Conv1DNorm(b.Features("x", 4), b.Span(), "other", 3, 3, 1, false) },
	} {
		b := nn.NewTrain(p, 1, 8)
		do(b)
		if err := b.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	b := nn.NewInfer(p)
	b.BatchNorm(b.Features("x", 4), "nothing", -1, nil)
	if err := b.Err(); err == nil || !strings.Contains(err.Error(), `there is no "nothing.gain"`) {
		t.Errorf("the statistics of a layer that was never trained give %v", err)
	}
}

// A network that sees two domains in one step leaves the statistics of the one that was traced last.
func TestTheLastDomainCounts(t *testing.T) {
	layer := func(b *nn.Build, x *graph.Tensor) *graph.Tensor { return b.BatchNorm(x, "norm", -1, nil) }
	p := declare(t, func(b *nn.Build) { layer(b, b.Features("x", 1)) })
	p.Init(1)
	b := nn.NewTrain(p, 1, 16)
	first, last := make([]float64, 16), make([]float64, 16)
	for i := range first {
		first[i], last[i] = float64(i), 100+float64(i)
	}
	layer(b, b.Const(first, 1, 16, 1))
	layer(b, b.Const(last, 1, 16, 1))
	if names := b.Statistics(); len(names) != 2 {
		t.Fatalf("the statistics are %v", names)
	}
	model, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	got := map[string][]float32{}
	var in, out []ort.Tensor
	for _, x := range s.Inputs() {
		values, err := p.Get(x.Name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := ort.NewTensor(x.Shape, values)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		in = append(in, v)
	}
	for _, o := range s.Outputs() {
		got[o.Name] = make([]float32, 1)
		v, err := ort.NewTensor(o.Shape, got[o.Name])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		out = append(out, v)
	}
	bind, err := s.Bind(in, out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bind.Close() }()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	if mean := got["batch.norm.mean"][0]; mean != 107.5 {
		t.Errorf("the mean is %g, of the last domain it is 107.5", mean)
	}
}
