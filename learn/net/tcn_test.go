package net_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

func random(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func farthest(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var d float64
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// newTCN returns parameters with standardisation constants that matter.
func newTCN(t testing.TB, c net.TCN) *nn.Params {
	t.Helper()
	p := must[*nn.Params](t)(c.NewParams(3))
	mean, std := random(c.In, 4), random(c.In, 5)
	for i := range std {
		std[i] = 0.5 + float32(math.Abs(float64(std[i])))
	}
	if err := c.Standardize(p, mean, std); err != nil {
		t.Fatal(err)
	}
	return p
}

// offline runs the inference model over whole features.
func offline(t testing.TB, c net.TCN, p *nn.Params, features []float32) [][]float32 {
	t.Helper()
	pred := must[*net.Predictor](t)(net.NewPredictor(must[[]byte](t)(c.Infer(p)), ort.Options{}))
	defer func() { _ = pred.Close() }()
	return must[[][]float32](t)(pred.Run(features))
}

// ring keeps the rows of one state as a runtime does.
type ring struct {
	spec       nn.State
	rows       []float32
	taps, row  []float32
	next, size int
}

func newRing(s nn.State) *ring {
	return &ring{spec: s, size: s.Rows(), rows: make([]float32, s.Rows()*s.Channels), taps: make([]float32, s.Taps*s.Channels),
		row: make([]float32, s.Channels)}
}

func (r *ring) load() {
	c := r.spec.Channels
	for j := range r.spec.Taps {
		at := (r.next + j*r.spec.Dilation) % r.size
		copy(r.taps[j*c:(j+1)*c], r.rows[at*c:])
	}
}

func (r *ring) push() {
	copy(r.rows[r.next*r.spec.Channels:], r.row)
	r.next = (r.next + 1) % r.size
}

func TestStreamingEqualsOffline(t *testing.T) {
	c := net.TCN{In: 20, Channels: 16, Layers: 6, Classes: 5, Lags: []int{0, 3, 15}, Dropout: 0.2}
	p := newTCN(t, c)
	const frames = 400
	x := random(frames*c.In, 6)
	want := offline(t, c, p, x)

	model, spec, err := c.Stream(p)
	if err != nil {
		t.Fatal(err)
	}
	read := must[nn.StreamSpec](t)(nn.ReadStreamSpec(model))
	if len(read.States) != c.Layers || len(spec.States) != c.Layers || read.States[5] != spec.States[5] || read.States[5].Rows() != 64 {
		t.Fatalf("the stream description is %+v, in the model %+v", spec, read)
	}
	for i, got := range streamed(t, model, spec, x, c.In) {
		if d := farthest(got, want[i]); d > 1e-5 {
			t.Errorf("lag %d: streaming is %g away from offline", c.Lags[i], d)
		}
	}
}

// streamed runs a model frame by frame over x, rows of the given width, as a runtime does, and returns its outputs' rows
// in the model's order, states left out.
func streamed(t testing.TB, model []byte, spec nn.StreamSpec, x []float32, width int) [][]float32 {
	t.Helper()
	s := must[*ort.Session](t)(ort.Open(model, ort.Options{}))
	defer func() { _ = s.Close() }()
	memory := map[string][]float32{net.Features: make([]float32, width)}
	var rings []*ring
	for _, st := range spec.States {
		r := newRing(st)
		rings = append(rings, r)
		memory[st.Input], memory[st.Output] = r.taps, r.row
	}
	var rows [][]float32 // of the present frame
	for _, o := range s.Outputs() {
		if _, isState := memory[o.Name]; !isState {
			memory[o.Name] = make([]float32, o.Shape[2])
			rows = append(rows, memory[o.Name])
		}
	}
	var open []ort.Tensor
	defer func() {
		for _, x := range open {
			_ = x.Close()
		}
	}()
	tensors := func(infos []ort.Info) []ort.Tensor {
		from := len(open)
		for _, i := range infos {
			open = append(open, must[ort.Tensor](t)(ort.NewTensor(i.Shape, memory[i.Name])))
		}
		return open[from:]
	}
	b := must[*ort.Binding](t)(s.Bind(tensors(s.Inputs()), tensors(s.Outputs())))
	defer func() { _ = b.Close() }()
	results := make([][]float32, len(rows))
	for i := 0; i < len(x); i += width {
		copy(memory[net.Features], x[i:])
		for _, r := range rings {
			r.load()
		}
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		for _, r := range rings {
			r.push()
		}
		for j, row := range rows {
			results[j] = append(results[j], row...)
		}
	}
	return results
}
