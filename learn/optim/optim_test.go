package optim

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// reference is Adam with decoupled weight decay as the papers write it, in float64.
type reference struct {
	w, m, v []float64
	t       int
}

func (r *reference) step(g []float64, rate, beta1, beta2, eps float64, decay func(i int) float64) {
	r.t++
	for i := range r.w {
		r.m[i] = beta1*r.m[i] + (1-beta1)*g[i]
		r.v[i] = beta2*r.v[i] + (1-beta2)*g[i]*g[i]
		m := r.m[i] / (1 - math.Pow(beta1, float64(r.t)))
		v := r.v[i] / (1 - math.Pow(beta2, float64(r.t)))
		r.w[i] -= rate * (m/(math.Sqrt(v)+eps) + decay(i)*r.w[i])
	}
}

func TestAdamFollowsThePapers(t *testing.T) {
	const n = 41
	for name, cfg := range map[string]AdamConfig{
		"defaults":      {},
		"decay":         {Decay: 0.1},
		"partial decay": {Decay: 0.1, Decayed: []Range{{3, 10}, {10, 12}, {30, 40}}},
		"other betas":   {Beta1: 0.5, Beta2: 0.9, Epsilon: 1e-3},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			a, err := NewAdam(n, cfg)
			if err != nil {
				t.Fatal(err)
			}
			ref := &reference{w: make([]float64, n), m: make([]float64, n), v: make([]float64, n)}
			w, g, wide := make([]float32, n), make([]float32, n), make([]float64, n)
			for i := range w {
				w[i] = float32(rng.NormFloat64())
				ref.w[i] = float64(w[i])
			}
			decay := func(i int) float64 {
				for _, r := range a.cfg.Decayed {
					if i >= r.Lo && i < r.Hi {
						return a.cfg.Decay
					}
				}
				if a.cfg.Decayed == nil {
					return a.cfg.Decay
				}
				return 0
			}
			for step := range 200 {
				rate := Cosine(1e-2, 1e-4, 10, 200, step)
				for i := range g {
					g[i] = float32(rng.NormFloat64() * math.Pow(10, float64(i%7-3)))
					wide[i] = float64(g[i])
				}
				if err := a.Step(w, g, rate); err != nil {
					t.Fatal(err)
				}
				ref.step(wide, rate, a.cfg.Beta1, a.cfg.Beta2, a.cfg.Epsilon, decay)
			}
			for i := range w {
				if d := math.Abs(float64(w[i]) - ref.w[i]); d > 2e-5 {
					t.Errorf("weight %d is %g, the reference has %g", i, w[i], ref.w[i])
				}
			}
		})
	}
}

func TestAdamResumesFromItsMoments(t *testing.T) {
	grad := []float32{1, -2, 3}
	a, errA := NewAdam(3, AdamConfig{})
	b, errB := NewAdam(3, AdamConfig{})
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	w, x := make([]float32, 3), make([]float32, 3)
	for range 3 {
		if err := a.Step(w, grad, 0.1); err != nil {
			t.Fatal(err)
		}
	}
	m, v, step := a.Moments()
	bm, bv, _ := b.Moments()
	copy(bm, m)
	copy(bv, v)
	b.SetStep(step)
	copy(x, w)
	if err := errors.Join(a.Step(w, grad, 0.1), b.Step(x, grad, 0.1)); err != nil {
		t.Fatal(err)
	}
	if [3]float32(w) != [3]float32(x) {
		t.Errorf("resumed at %v, went on at %v", x, w)
	}
	a.Reset()
	if m, v, step := a.Moments(); step != 0 || m[0] != 0 || v[2] != 0 {
		t.Error("Reset left something")
	}
}

func TestAdamRefusesWhatCannotBe(t *testing.T) {
	for _, cfg := range []AdamConfig{
		{Beta1: 1}, {Beta2: -0.1}, {Epsilon: -1}, {Decay: math.NaN()},
		{Decayed: []Range{{0, 4}}}, {Decayed: []Range{{1, 2}, {0, 1}}},
	} {
		if _, err := NewAdam(3, cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	a, err := NewAdam(3, AdamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Step(make([]float32, 3), make([]float32, 2), 0.1); err == nil {
		t.Error("vectors of different lengths were taken")
	}
}

func TestCosineWarmsUpAndFallsToItsFloor(t *testing.T) {
	for _, c := range []struct {
		step int
		want float64
	}{{0, 0.25}, {3, 1}, {4, 1}, {9, 0.55}, {14, 0.1}, {99, 0.1}} {
		if got := Cosine(1, 0.1, 4, 15, c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("step %d: rate %g, expected %g", c.step, got, c.want)
		}
	}
	if got := Cosine(1, 0, 0, 1, 0); got != 1 {
		t.Errorf("a single step has rate %g", got)
	}
}

func TestClipKeepsDirectionAndReportsNorm(t *testing.T) {
	g := []float32{3, 4}
	if n := Clip(g, 10); n != 5 || g[0] != 3 {
		t.Errorf("a small gradient: norm %g, now %v", n, g)
	}
	if n := Clip(g, 1); n != 5 || math.Abs(float64(g[0])-0.6) > 1e-6 || math.Abs(float64(g[1])-0.8) > 1e-6 {
		t.Errorf("a large gradient: norm %g, now %v", n, g)
	}
	if n := Clip([]float32{1e30, 1e30}, 0); math.IsInf(n, 0) {
		t.Error("squares overflow")
	}
	if n := Clip([]float32{1, float32(math.NaN())}, 1); !math.IsNaN(n) {
		t.Errorf("a NaN gives the norm %g", n)
	}
}

func BenchmarkAdam(b *testing.B) {
	const n = 1 << 20
	a, err := NewAdam(n, AdamConfig{})
	if err != nil {
		b.Fatal(err)
	}
	w, g := make([]float32, n), make([]float32, n)
	for i := range g {
		g[i] = float32(i%17) - 8
	}
	b.SetBytes(4 * n)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Step(w, g, 1e-3); err != nil {
			b.Fatal(err)
		}
	}
}
