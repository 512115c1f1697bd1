package graph_test

import (
	"math"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/graph/onnxtest"
	"tandem/runtime/ort"
)

// dynamicCases are expressions in x [1, T, 3] of any T.
var dynamicCases = map[string]func(g *graph.Graph, x *graph.Tensor) *graph.Tensor{
	"max pool by 2": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.MaxPool1D(x, 2) },
	"max pool by 6": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.MaxPool1D(x, 6) },
	"pool and stretch": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Add(x, g.InterpolateLike(g.MaxPool1D(x, 3), x))
	},
	"pool and double": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.Concat(2, x, g.DoubleLike(g.MaxPool1D(x, 2), x))
	},
	"pool twice and double twice": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		half := g.MaxPool1D(g.Conv1D(x, g.Const([]float64{1, 0, 2, 0, 1, 0, 1, 0, -1, 3, 1, 1, 2, 0, 0, 1, 1, 5, 1, 1, 4, 3, 2, 1, 0, 0, 1}, 9, 3), nil,
			graph.Symmetric(3, 1)), 2)
		return g.DoubleLike(g.Add(half, g.DoubleLike(g.MaxPool1D(half, 2), half)), x)
	},
	"attention": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Attention(x, x, x, nil) },
	"layer norm": func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.LayerNorm(x, g.Const([]float64{1, 2, 3}, 3), g.Const([]float64{3, 2, 1}, 3), 1e-5)
	},
}

func TestAnyLengthGivesWhatAFixedOneGives(t *testing.T) {
	models := map[string][]byte{}
	for name, f := range dynamicCases {
		free := graph.New(graph.Float32)
		free.Output("y", f(free, free.Input("x", graph.Float32, 1, free.Dim("T"), 3)))
		model, err := free.Model()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		models[name] = model
		s, err := ort.Open(model, ort.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, frames := range []int{1, 2, 3, 4, 5, 7, 11, 12, 64} {
			x := make([]float64, 3*frames)
			narrow := make([]float32, len(x))
			for i := range x {
				x[i] = math.Sin(float64(i * i))
				narrow[i] = float32(x[i])
			}
			fixed := graph.New(graph.Float32)
			y := f(fixed, fixed.Input("x", graph.Float32, 1, frames, 3))
			fixed.Output("y", y)
			want := evaluate(t, fixed, x)[0]
			got := runOnce(t, s, []int{1, frames, 3}, narrow, y.Shape())
			if d := relative(got, want); d > 1e-6 {
				t.Errorf("%s: %d frames: %.2g from the model of fixed length", name, frames, d)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	onnxtest.Check(t, models)
}

// runOnce runs a session of one input and one output, whose shape must be the given one.
func runOnce(t testing.TB, s *ort.Session, in []int, x []float32, out []int) []float32 {
	t.Helper()
	n := 1
	for _, d := range out {
		n *= d
	}
	y := make([]float32, n)
	a, err := ort.NewTensor(in, x)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	b, err := ort.NewTensor(out, y)
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
		t.Fatalf("%v to %v: %v", in, out, err)
	}
	return y
}

// A row of a batch that is shorter than the others is stretched as it is alone.
func TestRowsOfABatchAreStretchedAsAlone(t *testing.T) {
	const length = 9
	for from := range length + 1 {
		for _, to := range []int{0, 1, from / 2, 2 * from, 17} {
			x := make([]float64, 2*length*2)
			for i := range x {
				x[i] = math.Cos(float64(3 * i))
			}
			g := graph.New(graph.Float32)
			in := g.Input("x", graph.Float32, 2, length, 2)
			g.Output("y", g.InterpolateRows(in, lengths(g, float64(from), length), lengths(g, float64(to), 4), 20))
			got := evaluate(t, g, x)[0]
			want := make([]float32, 20*2)
			if from > 0 && to > 0 {
				alone := graph.New(graph.Float32)
				alone.Output("y", alone.Interpolate(alone.Crop(alone.Input("x", graph.Float32, 1, length, 2), 1, 0, length-from), to))
				copy(want, evaluate(t, alone, x[:2*length])[0])
			}
			if to > 0 && from == 0 {
				continue // a row without frames is never looked at
			}
			if d := relative(got[:len(want)], want); d > 1e-6 {
				t.Errorf("%d frames of %d to %d of 20: %.2g from the row alone", from, length, to, d)
			}
		}
	}
}

// Long sequences must not lose frames to rounding.
func TestStretchingALongSequenceIsExact(t *testing.T) {
	const frames = 1<<16 + 1
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, g.Dim("T"), 1)
	like := g.Input("like", graph.Float32, 1, g.Dim("S"), 1)
	g.Output("y", g.InterpolateLike(x, like))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ramp, long := make([]float32, frames), make([]float32, 2*frames-1)
	for i := range ramp {
		ramp[i] = float32(i)
	}
	y := make([]float32, len(long))
	var list []ort.Tensor
	for _, data := range [][]float32{ramp, long, y} {
		v, err := ort.NewTensor([]int{1, len(data), 1}, data)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		list = append(list, v)
	}
	b, err := s.Bind(list[:2], list[2:])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	for i, v := range y {
		if want := float64(i) / 2; math.Abs(float64(v)-want) > 1e-2 {
			t.Fatalf("frame %d is %g, expected %g", i, v, want)
		}
	}
}
