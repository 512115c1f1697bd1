package net_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/graph/onnxtest"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

var tiny = net.TCN{In: 5, Channels: 8, Layers: 3, Classes: 4, Lags: []int{0, 2}}

var everyTerm = net.Objective{Labels: 0.5, Teacher: 1, Temperature: 2, Smooth: 0.15}

// outputs runs a training graph on the parameters and data, whatever its float type, and returns its outputs by name.
func outputs[T float32 | float64](t testing.TB, b *nn.Build, p *nn.Params, data map[string][]float32, labels []int64) map[string][]T {
	t.Helper()
	s := must[*ort.Session](t)(ort.Open(must[[]byte](t)(b.Model()), ort.Options{}))
	defer func() { _ = s.Close() }()
	var open []ort.Tensor
	defer func() {
		for _, x := range open {
			_ = x.Close()
		}
	}()
	for _, i := range s.Inputs() {
		if i.Type == "int64" {
			open = append(open, must[ort.Tensor](t)(ort.NewTensor(i.Shape, labels)))
			continue
		}
		v, ok := data[i.Name]
		if !ok {
			v = must[[]float32](t)(p.Get(i.Name))
		}
		wide := make([]T, len(v))
		for j := range v {
			wide[j] = T(v[j])
		}
		open = append(open, must[ort.Tensor](t)(ort.NewTensor(i.Shape, wide)))
	}
	in := open
	results := map[string][]T{}
	for _, o := range s.Outputs() {
		n := 1
		for _, d := range o.Shape {
			n *= d
		}
		results[o.Name] = make([]T, n)
		open = append(open, must[ort.Tensor](t)(ort.NewTensor(o.Shape, results[o.Name])))
	}
	bind := must[*ort.Binding](t)(s.Bind(in, open[len(in):]))
	defer func() { _ = bind.Close() }()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	return results
}

// example returns data for two sequences of frames.
func example(frames int) (map[string][]float32, []int64) {
	n := 2 * frames
	weights, labels := make([]float32, n), make([]int64, n)
	teacher := make([]float32, 0, n*tiny.Classes)
	for i := range weights {
		weights[i] = 1 / float32(n)
		labels[i] = int64(i % tiny.Classes)
		teacher = append(teacher, 0.1, 0.2, 0.3, 0.4)
	}
	present := slices.Repeat([]float32{1}, n)
	return map[string][]float32{net.Features: random(n*tiny.In, 1), net.Teacher: teacher, nn.WeightsField: weights,
		nn.PresentField: present}, labels
}

func TestInferenceEqualsTraining(t *testing.T) {
	p := newTCN(t, tiny)
	const frames = 50
	x := random(frames*tiny.In, 7)
	want := offline(t, tiny, p, x)
	b := nn.NewTrain(p, 1, frames)
	for i, y := range tiny.Forward(b, b.Features(net.Features, tiny.In)) {
		b.Output(net.LogitsName(tiny.Lags[i]), y)
	}
	got := outputs[float32](t, b, p, map[string][]float32{net.Features: x}, nil)
	for i, lag := range tiny.Lags {
		if d := farthest(got[net.LogitsName(lag)], want[i]); d > 1e-6 {
			t.Errorf("lag %d: inference is %g from the training graph", lag, d)
		}
	}
}

func TestGradientsOfTheNetwork(t *testing.T) {
	p := newTCN(t, tiny)
	const frames = 12
	data, labels := example(frames)
	trace := func(b *nn.Build, o net.Objective) *nn.Build {
		loss := tiny.Loss(b, o)
		if _, err := b.Gradients(loss); err != nil {
			t.Fatal(err)
		}
		b.Output("loss", b.Reshape(loss, 1))
		return b
	}
	wide := outputs[float64](t, trace(nn.NewReference(p, 2, frames), everyTerm), p, data, labels)
	narrow := outputs[float32](t, trace(nn.NewTrain(p, 2, frames), everyTerm), p, data, labels)
	var d, n float64
	for name, want := range wide {
		for i, v := range want {
			d += (v - float64(narrow[name][i])) * (v - float64(narrow[name][i]))
			n += v * v
		}
	}
	if rel := math.Sqrt(d / n); rel > 2e-5 {
		t.Errorf("float32 loss and gradients are %.2g from the float64 ones", rel)
	}
	// Along the gradient itself the loss must fall by the gradient's squared norm. The smoothing loss is left out: it
	// holds one of its two frames constant.
	exact := everyTerm
	exact.Smooth = 0
	wide = outputs[float64](t, trace(nn.NewReference(p, 2, frames), exact), p, data, labels)
	var norm float64
	q := p.Clone()
	const h = 1e-3
	for _, param := range p.List() {
		if !param.Trained {
			continue
		}
		lo, hi := param.Range()
		for i, v := range wide["grad."+param.Name] {
			norm += v * v
			q.Weights[lo:hi][i] -= float32(h * v)
		}
	}
	after := outputs[float64](t, trace(nn.NewReference(q, 2, frames), exact), q, data, labels)
	if fall := (wide["loss"][0] - after["loss"][0]) / h; math.Abs(fall/norm-1) > 0.02 {
		t.Errorf("the loss falls at a rate of %g along the gradient, expected %g", fall, norm)
	}
}

// A head of lag n is compared at t with the label of t-n, and the last n labels are nobody's.
func TestHeadsAreTrainedOnTheFrameTheyJudge(t *testing.T) {
	p := newTCN(t, tiny)
	const frames = 9
	data, labels := example(frames)
	b := nn.NewTrain(p, 2, frames)
	x := b.Features(net.Features, tiny.In)
	for i, y := range tiny.Forward(b, x) {
		b.Output(net.LogitsName(tiny.Lags[i]), y)
	}
	logits := outputs[float32](t, b, p, data, labels)
	b = nn.NewTrain(p, 2, frames)
	b.Output("loss", b.Reshape(tiny.Loss(b, net.Objective{Labels: 1}), 1))
	got := outputs[float32](t, b, p, data, labels)["loss"][0]
	var want float64
	for _, lag := range tiny.Lags {
		y := logits[net.LogitsName(lag)]
		for s := range 2 {
			for i := lag; i < frames; i++ {
				row := y[(s*frames+i)*tiny.Classes:][:tiny.Classes]
				var sum float64
				for _, v := range row {
					sum += math.Exp(float64(v))
				}
				label := labels[s*frames+i-lag]
				want += (math.Log(sum) - float64(row[label])) / (2 * frames) / 2
			}
		}
	}
	if math.Abs(float64(got)-want) > 1e-5 {
		t.Errorf("the loss is %g, expected %g", got, want)
	}
}

func TestEmittedModelsPassTheChecker(t *testing.T) {
	c := tiny
	c.Dropout = 0.3
	p := newTCN(t, c)
	b := nn.NewTrain(p, 2, 20)
	loss := c.Loss(b, everyTerm)
	if _, err := b.Gradients(loss); err != nil {
		t.Fatal(err)
	}
	b.Output("loss", b.Reshape(loss, 1))
	stream, _, err := c.Stream(p)
	if err != nil {
		t.Fatal(err)
	}
	onnxtest.Check(t, map[string][]byte{
		"train": must[[]byte](t)(b.Model()), "infer": must[[]byte](t)(c.Infer(p)), "stream": stream,
	})
}

func TestConfigurationsThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []net.TCN{
		{},
		{In: 1, Channels: 1, Classes: 1, Layers: 17},
		{In: 1, Channels: 1, Classes: 1, Layers: 1, Dropout: 1},
		{In: 1, Channels: 1, Classes: 1, Layers: 1, Dropout: math.NaN()},
		{In: 1, Channels: 1, Classes: 1, Layers: 1, Lags: []int{3, 3}},
		{In: 1, Channels: 1, Classes: 1, Layers: 1, Lags: []int{-1}},
	} {
		if _, err := c.NewParams(1); err == nil {
			t.Errorf("%+v was built", c)
		}
		if _, err := c.Infer(newTCN(t, tiny)); err == nil {
			t.Errorf("%+v was written", c)
		}
	}
	p := newTCN(t, tiny)
	b := nn.NewTrain(p, 1, 2)
	late := tiny
	late.Lags = []int{2}
	late.Loss(b, net.Objective{Labels: 1})
	if err := b.Err(); !errors.Is(err, graph.ErrGraph) || !strings.Contains(err.Error(), "shorter than each lag") {
		t.Errorf("two frames for a lag of two give %v", err)
	}
	b = nn.NewTrain(p, 1, 9)
	tiny.Loss(b, net.Objective{})
	if err := b.Err(); err == nil || !strings.Contains(err.Error(), "no term") {
		t.Errorf("an objective without terms gives %v", err)
	}
}

func TestPredictorRefusesOtherModelsAndPartialFrames(t *testing.T) {
	p := newTCN(t, tiny)
	stream, _, err := tiny.Stream(p)
	if err != nil {
		t.Fatal(err)
	}
	bank := must[[]byte](t)(net.DefaultFilterBank().Model())
	for _, model := range [][]byte{stream, bank} {
		if _, err := net.NewPredictor(model, ort.Options{}); !errors.Is(err, ort.ErrModel) {
			t.Errorf("another model gives %v", err)
		}
	}
	pred := must[*net.Predictor](t)(net.NewPredictor(must[[]byte](t)(tiny.Infer(p)), ort.Options{}))
	defer func() { _ = pred.Close() }()
	for _, n := range []int{0, 7} {
		if _, err := pred.Run(make([]float32, n)); err == nil {
			t.Errorf("%d values were taken", n)
		}
	}
}
