package optim

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSGDFollowsItsFormula(t *testing.T) {
	const n = 19
	for name, cfg := range map[string]SGDConfig{
		"plain":         {},
		"momentum":      {Momentum: 0.9},
		"decay":         {Momentum: 0.8, Decay: 0.05},
		"partial decay": {Momentum: 0.8, Decay: 0.05, Decayed: []Range{{0, 4}, {9, 12}}},
		"nesterov":      {Momentum: 0.9, Nesterov: true, Decay: 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSGD(n, cfg)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(4, 4))
			w, g := make([]float32, n), make([]float32, n)
			wide, v := make([]float64, n), make([]float64, n)
			for i := range w {
				w[i] = float32(rng.NormFloat64())
				wide[i] = float64(w[i])
			}
			for range 50 {
				for i := range g {
					g[i] = float32(rng.NormFloat64())
					d := float64(g[i])
					decayed := cfg.Decayed == nil
					for _, r := range cfg.Decayed {
						decayed = decayed || (i >= r.Lo && i < r.Hi)
					}
					if decayed {
						d += cfg.Decay * wide[i]
					}
					v[i] = cfg.Momentum*v[i] + d
					if cfg.Nesterov {
						d += cfg.Momentum * v[i]
					} else {
						d = v[i]
					}
					wide[i] -= 0.01 * d
				}
				if err := s.Step(w, g, 0.01); err != nil {
					t.Fatal(err)
				}
			}
			for i := range w {
				if math.Abs(float64(w[i])-wide[i]) > 1e-5 {
					t.Errorf("weight %d is %g, expected %g", i, w[i], wide[i])
				}
			}
			if s.Steps() != 50 || s.State()[0].Name != "sgd.v" {
				t.Errorf("state %v after %d steps", s.State(), s.Steps())
			}
			s.Reset()
			if s.Steps() != 0 || s.State()[0].Data[0] != 0 {
				t.Error("Reset left something")
			}
		})
	}
}

func TestSGDRefusesWhatCannotBe(t *testing.T) {
	for _, cfg := range []SGDConfig{
		{Momentum: 1}, {Momentum: math.NaN()}, {Decay: -1}, {Nesterov: true}, {Decayed: []Range{{0, 4}}},
	} {
		if _, err := NewSGD(3, cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	s, err := NewSGD(3, SGDConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Step(make([]float32, 2), make([]float32, 3), 0.1); err == nil {
		t.Error("vectors of different lengths were taken")
	}
}

func TestEMAOpensItsWindowSlowly(t *testing.T) {
	average := []float32{0}
	e := NewEMA(average, 0.5)
	want := 0.0
	for n := 1; n <= 30; n++ {
		e.Update([]float32{float32(n)})
		keep := min(0.5, float64(n)/float64(n+10))
		want = float64(n) + keep*(want-float64(n))
	}
	if math.Abs(float64(average[0])-want) > 1e-4 || e.Steps() != 30 {
		t.Errorf("the average is %g after %d updates, expected %g", average[0], e.Steps(), want)
	}
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     Schedule
		rates map[int]float64 // of 11 steps
	}{
		{"cosine", CosineSchedule(1, 0.2, 2), map[int]float64{0: 0.5, 1: 1, 2: 1, 6: 0.6, 10: 0.2}},
		{"linear", LinearSchedule(1, 0.2, 2), map[int]float64{0: 0.5, 1: 1, 2: 1, 6: 0.6, 8: 0.4, 10: 0.2, 50: 0.2}},
		{"step", StepSchedule(1, 0.1, 4, 2), map[int]float64{0: 0.5, 1: 1, 5: 1, 6: 0.1, 10: 0.01}},
		{"constant", ConstantSchedule(0.3), map[int]float64{0: 0.3, 10: 0.3}},
	} {
		for step, want := range c.rates {
			if got := c.s(step, 11); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: the rate of step %d is %g, expected %g", c.name, step, got, want)
			}
		}
	}
}
