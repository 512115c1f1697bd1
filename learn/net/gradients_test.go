package net_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/learn/graph/onnxtest"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

// reference is an open training graph in float64 whose inputs can be changed between runs.
type reference struct {
	in, out map[string][]float64
	b       *ort.Binding
}

func openReference(t testing.TB, b *nn.Build, p *nn.Params, data map[string][]float32, labels []int64) *reference {
	t.Helper()
	s := must[*ort.Session](t)(ort.Open(must[[]byte](t)(b.Model()), ort.Options{}))
	t.Cleanup(func() { _ = s.Close() })
	r := &reference{in: map[string][]float64{}, out: map[string][]float64{}}
	keep := func(x ort.Tensor) ort.Tensor {
		t.Cleanup(func() { _ = x.Close() })
		return x
	}
	var in, out []ort.Tensor
	for _, i := range s.Inputs() {
		if i.Type == "int64" {
			in = append(in, keep(must[ort.Tensor](t)(ort.NewTensor(i.Shape, labels))))
			continue
		}
		v, ok := data[i.Name]
		if !ok {
			v = must[[]float32](t)(p.Get(i.Name))
		}
		wide := make([]float64, len(v))
		for j := range v {
			wide[j] = float64(v[j])
		}
		r.in[i.Name] = wide
		in = append(in, keep(must[ort.Tensor](t)(ort.NewTensor(i.Shape, wide))))
	}
	for _, o := range s.Outputs() {
		n := 1
		for _, d := range o.Shape {
			n *= d
		}
		r.out[o.Name] = make([]float64, n)
		out = append(out, keep(must[ort.Tensor](t)(ort.NewTensor(o.Shape, r.out[o.Name]))))
	}
	r.b = must[*ort.Binding](t)(s.Bind(in, out))
	t.Cleanup(func() { _ = r.b.Close() })
	return r
}

func (r *reference) loss(t testing.TB) float64 {
	t.Helper()
	if err := r.b.Run(); err != nil {
		t.Fatal(err)
	}
	return r.out["loss"][0]
}

// slope is the central difference of the loss along a direction in all parameters.
func (r *reference) slope(t testing.TB, direction map[string][]float64) float64 {
	t.Helper()
	const h = 1e-5
	move := func(h float64) {
		for name, list := range direction {
			for i, d := range list {
				r.in[name][i] += h * d
			}
		}
	}
	move(h)
	above := r.loss(t)
	move(-2 * h)
	below := r.loss(t)
	move(h)
	return (above - below) / (2 * h)
}

func norm(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

// The gradient of each network, in float64, is that of differences; and in float32 it is the float64
// one, up to rounding. Activations are smooth, since a ReLU's input may have another sign in float32.
func TestGradientsOfAllNetworks(t *testing.T) {
	for _, n := range networks(t) {
		t.Run(n.name, func(t *testing.T) {
			lengths := slices.Clone(n.lengths)
			for _, padded := range n.padding {
				rows, long := len(lengths), lengths[0]
				if padded {
					lengths[rows-1] -= 2
				}
				data, labels := n.example(long, lengths...)
				build := func(b *nn.Build) *nn.Build {
					b.Smooth, b.Padded = true, padded
					return n.trace(t, b)
				}
				wide := openReference(t, build(nn.NewReference(n.params, rows, long)), n.params, data, labels)
				wide.loss(t)
				grads := map[string][]float64{}
				var all []float64
				for _, q := range n.params.List() {
					if q.Trained {
						grads[q.Name] = append([]float64{}, wide.out["grad."+q.Name]...)
						all = append(all, grads[q.Name]...)
					}
				}
				rng := rand.New(rand.NewPCG(12, 1))
				for range 4 {
					direction := map[string][]float64{}
					var along float64
					for _, q := range n.params.List() {
						for _, g := range grads[q.Name] {
							d := rng.NormFloat64() / math.Sqrt(float64(len(all)))
							direction[q.Name] = append(direction[q.Name], d)
							along += d * g
						}
					}
					if slope := wide.slope(t, direction); math.Abs(slope-along) > 1e-6*norm(all) {
						t.Errorf("padded %v: the loss changes by %g along a direction, by its gradient %g", padded, slope, along)
					}
				}
				narrow := outputs[float32](t, build(nn.NewTrain(n.params, rows, long)), n.params, data, labels)
				var apart []float64
				for name, g := range grads {
					for i := range g {
						apart = append(apart, g[i]-float64(narrow["grad."+name][i]))
					}
				}
				d := norm(apart) / norm(all)
				if !(d <= 2e-5) {
					t.Errorf("padded %v: the float32 gradient is %.2g from the float64 one", padded, d)
				}
				t.Logf("padded %v: the float32 gradient is %.2g from the float64 one", padded, d)
			}
		})
	}
}

func TestEmittedModelsOfAllNetworksPassTheChecker(t *testing.T) {
	models := map[string][]byte{}
	for _, n := range networks(t) {
		for name, padded := range map[string]bool{" train": false, " train padded": true} {
			b := nn.NewTrain(n.params, 2, 13)
			b.Padded = padded
			models[n.name+name] = must[[]byte](t)(n.trace(t, b).Model())
		}
		models[n.name+" infer"] = must[[]byte](t)(n.infer(n.params))
	}
	stream, _, err := causalAdapter.Stream(networks(t)[5].params)
	if err != nil {
		t.Fatal(err)
	}
	models["causal TCN adapter stream"] = stream
	onnxtest.Check(t, models)
}
