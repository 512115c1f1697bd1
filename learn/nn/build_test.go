package nn_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

func TestParametersOfEachLayerKeepTheirValuesWhenTheNetworkGrows(t *testing.T) {
	p := declare(t, define)
	p.Init(9)
	grown := declare(t, func(b *nn.Build) {
		b.Param("first", nn.FanIn(3), true, 7)
		define(b)
	})
	grown.Init(9)
	for _, q := range p.List() {
		a, errA := p.Get(q.Name)
		b, errB := grown.Get(q.Name)
		if errA != nil || errB != nil || !slices.Equal(a, b) {
			t.Errorf("%s changed", q.Name)
		}
	}
	p2 := declare(t, define)
	p2.Init(10)
	if slices.Equal(p.Weights, p2.Weights) {
		t.Error("another seed gives the same weights")
	}
}

func TestFlatVectorsHoldEveryParameterOnce(t *testing.T) {
	p := declare(t, define)
	seen := map[bool][]bool{true: make([]bool, len(p.Weights)), false: make([]bool, len(p.Buffers))}
	for _, q := range p.List() {
		lo, hi := q.Range()
		for i := lo; i < hi; i++ {
			if seen[q.Trained][i] {
				t.Fatalf("%s overlaps another parameter", q.Name)
			}
			seen[q.Trained][i] = true
		}
		if q.Decay != (len(q.Shape) > 1) {
			t.Errorf("%s of shape %v: weight decay is %v", q.Name, q.Shape, q.Decay)
		}
	}
	if slices.Contains(seen[true], false) || slices.Contains(seen[false], false) {
		t.Error("an element of the vectors belongs to no parameter")
	}
	if len(p.Weights) != 3*4+4+12*5+5 || len(p.Buffers) != 6 {
		t.Errorf("%d weights and %d buffers", len(p.Weights), len(p.Buffers))
	}
}

func TestBadValuesForParametersAreRefused(t *testing.T) {
	p := declare(t, define)
	for name, err := range map[string]error{
		`there is no "out.bias"`:        p.Set("out.bias", nil),
		`"in.bias" has 4 values, got 3`: p.Set("in.bias", make([]float32, 3)),
		"value 1":                       p.Set("in.bias", []float32{0, float32(math.NaN()), 0, 0}),
		`"norm.mean" has 3`:             p.SetStandard("norm", make([]float32, 2), make([]float32, 2)),
		"value 2":                       p.SetStandard("norm", []float32{0, 0, float32(math.Inf(1))}, make([]float32, 3)),
	} {
		if !errors.Is(err, nn.ErrParams) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, expected %q", err, name)
		}
	}
}

func TestStandardisationSparesConstantFeatures(t *testing.T) {
	p := declare(t, define)
	if err := p.SetStandard("norm", []float32{1, 2, 3}, []float32{4, 0, 0.5}); err != nil {
		t.Fatal(err)
	}
	scale, err := p.Get("norm.scale")
	if err != nil || scale[0] != 0.25 || math.Abs(float64(scale[1])-250) > 1e-3 || scale[2] != 2 {
		t.Errorf("scales %v, %v", scale, err)
	}
	if err := p.SetStandard("norm", make([]float32, 3), make([]float32, 3)); err != nil || scale[0] != 1 {
		t.Errorf("features that are all constant are scaled by %v, %v", scale, err)
	}
}

func TestLayersReportMisuse(t *testing.T) {
	p := declare(t, define)
	for _, c := range []struct {
		name string
		b    *nn.Build
		do   func(b *nn.Build)
		want string
	}{
		{"unknown parameter", nn.NewTrain(p, 1, 8), func(b *nn.Build) { b.Linear(b.Features("x", 3), "out", 2) }, `no parameter "out.weight"`},
		{"other shape", nn.NewInfer(p), func(b *nn.Build) { b.Linear(b.Features("x", 3), "in", 9) },
			`parameter "in.weight" has shape [3 4], the network expects [3 9]`},
		{"buffer as weight", nn.NewTrain(p, 1, 8), func(b *nn.Build) { b.Param("norm.mean", nn.Zeros, false, 3) }, `"norm.mean"`},
		{"no frames", nn.NewTrain(p, 1, 0), func(*nn.Build) {}, "1 sequences of 0 frames"},
		{"rate", nn.NewTrain(p, 1, 8), func(b *nn.Build) { b.Dropout(b.Features("x", 3), 1) }, "dropout rate 1"},
		{"even kernel", nn.NewTrain(p, 1, 8), func(b *nn.Build) { b.Conv1D(b.Features("x", 4), "conv", 5, 2, 1, false) }, "conv: kernel 2"},
		{"stream of what looks ahead", nn.NewStream(p), func(b *nn.Build) {
			b.Conv1D(b.Linear(b.Features("x", 3), "in", 4), "conv", 5, 3, 2, false)
		}, "conv looks ahead"},
	} {
		c.do(c.b)
		if err := c.b.Err(); !errors.Is(err, graph.ErrGraph) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", c.name, err, c.want)
		}
	}
	if _, err := nn.Declare(func(b *nn.Build) { b.Param("w", nn.Ones, true, 2, 0) }); err == nil {
		t.Error("a parameter of no elements was declared")
	}
}

func TestSharedParametersAreOneInput(t *testing.T) {
	siamese := func(b *nn.Build) {
		x := b.Linear(b.Features("x", 3), "both", 2)
		y := b.Linear(b.Features("y", 3), "both", 2)
		b.Output("d", b.Sub(x, y))
	}
	p := declare(t, siamese)
	if len(p.List()) != 2 {
		t.Errorf("parameters %v", p.List())
	}
	b := nn.NewTrain(p, 1, 4)
	siamese(b)
	if len(b.Inputs()) != 4 || b.Err() != nil {
		t.Errorf("inputs %d, %v", len(b.Inputs()), b.Err())
	}
}

func TestStreamSpecTravelsInTheModel(t *testing.T) {
	p := declare(t, define)
	b := nn.NewStream(p)
	define(b)
	model, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Model()
	if err != nil || !slices.Equal(model, again) {
		t.Errorf("writing the model again gives another one, %v", err)
	}
	spec, err := nn.ReadStreamSpec(model)
	want := nn.State{Input: "conv.taps", Output: "conv.row", Dilation: 2, Taps: 2, Channels: 4}
	if err != nil || len(spec.States) != 1 || spec.States[0] != want || want.Rows() != 4 {
		t.Errorf("read %+v, %v", spec, err)
	}
	infer := nn.NewInfer(p)
	define(infer)
	if model, err = infer.Model(); err != nil {
		t.Fatal(err)
	}
	if _, err := nn.ReadStreamSpec(model); !errors.Is(err, nn.ErrStream) || !strings.Contains(err.Error(), "not a streaming model") {
		t.Errorf("an inference model gives %v", err)
	}
}

func withMeta(t testing.TB, text string) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	g.Output("y", g.Relu(g.Input("x", graph.Float32, 1)))
	g.SetMeta(nn.StreamMeta, text)
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func TestBadStreamSpecsAreRefused(t *testing.T) {
	for _, text := range []string{
		"no JSON",
		`{"states":[{"input":"a","output":"b","dilation":0,"taps":1,"channels":1}]}`,
		`{"states":[{"input":"","output":"b","dilation":1,"taps":1,"channels":1}]}`,
		`{"states":[{"input":"a","output":"b","dilation":16000000,"taps":16000000,"channels":16000000}]}`,
		`{"states":[{"input":"a","output":"b","dilation":1000,"taps":1000,"channels":10},
			{"input":"c","output":"d","dilation":1000,"taps":1000,"channels":10}]}`,
	} {
		if _, err := nn.ReadStreamSpec(withMeta(t, text)); !errors.Is(err, nn.ErrStream) {
			t.Errorf("%s gives %v", text, err)
		}
	}
	if _, err := nn.ReadStreamSpec([]byte("\xff\xff\xff")); !errors.Is(err, nn.ErrStream) {
		t.Errorf("garbage gives %v", err)
	}
}

func FuzzReadStreamSpec(f *testing.F) {
	f.Add(`{"states":[{"input":"a","output":"b","dilation":2,"taps":2,"channels":4}]}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := nn.ReadStreamSpec(withMeta(t, text))
		if err != nil {
			return
		}
		total := 0
		for _, s := range spec.States {
			total += s.Rows() * s.Channels
		}
		if total < 0 || total > 16<<20 {
			t.Errorf("a description of %d values of state passed", total)
		}
	})
}
