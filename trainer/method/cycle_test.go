package method

import (
	"math"
	"math/rand/v2"
	"testing"

	"tandem/learn/nn"
	"tandem/runtime/ort"
)

// What the graph computes is what Go computes, and what is consistent costs less than what is not.
func TestCyclesInTheGraphAreThoseInGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	const n, d = 12, 5
	u, v := make([]float64, n*d), make([]float64, n*d)
	for i := range u {
		u[i] = rng.NormFloat64()
		v[i] = u[i] + 0.1*rng.NormFloat64()
	}
	b := nn.NewInfer(&nn.Params{})
	loss, anchor := cycleBack(b, b.Const(u, n, d), b.Const(v, n, d))
	b.Output("loss", b.Reshape(loss, 1))
	b.Output("anchor", b.Reshape(anchor, 1))
	model, err := b.Model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	got := make([]float32, 2)
	var out []ort.Tensor
	for i := range got {
		x, err := ort.NewTensor([]int{1}, got[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = x.Close() }()
		out = append(out, x)
	}
	bind, err := s.Bind(nil, out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bind.Close() }()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	wantLoss, wantAnchor := cycleLoss(u, v, d)
	if math.Abs(float64(got[0])-wantLoss) > 1e-4 || math.Abs(float64(got[1])-wantAnchor) > 1e-5 {
		t.Errorf("the graph gives %g and %g, expected %g and %g", got[0], got[1], wantLoss, wantAnchor)
	}
	// Frames that look alike from the other side come back to the middle of them.
	alike := append([]float64{}, u...)
	copy(alike[(n-1)*d:], alike[:d])
	for name, x := range map[string][2][]float64{"the ends look alike": {alike, v}, "another work": {u, gauss(rng, n*d)}} {
		if loss, _ := cycleLoss(x[0], x[1], d); loss < 2*math.Abs(wantLoss) {
			t.Errorf("%s: the loss is %g, of consistent sequences %g", name, loss, wantLoss)
		}
	}
}

func gauss(rng *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	return v
}

func TestDrawnFramesAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for _, n := range []int{2, 63, 64, 65, 1000} {
		frames := make([]int, n)
		for i := range frames {
			frames[i] = 3 * i
		}
		list := draw(frames, rng.Float64)
		for i, f := range list {
			if f%3 != 0 || f < 0 || f > 3*(n-1) || i > 0 && f < list[i-1] {
				t.Fatalf("of %d frames %v were drawn", n, list)
			}
		}
	}
}
