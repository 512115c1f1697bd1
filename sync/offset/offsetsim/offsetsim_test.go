package offsetsim

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tandem/sync/offset"
)

// The whole way at its smallest: rendered, encoded, read, measured and compared.
func TestOffsetsOfRenderedTakes(t *testing.T) {
	if testing.Short() {
		t.Skip("renders two takes")
	}
	steps := 0
	r, err := Measure(t.Context(), Config{Takes: 2, Scenes: 1, Length: 18 * time.Second, search: offset.Search{Band: 2 * time.Second}, Progress: func(done, total int) {
		steps++
		if total != 4 || done != steps {
			t.Errorf("%d of %d steps are done", done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Scenes[0]
	if len(r.Scenes) != 1 || s.Single.Offsets != 4 || s.Joint.Offsets != 2 || s.Single.Unrelated != 4 || steps != 4 {
		t.Errorf("%+v after %d steps", s, steps)
	}
	if s.Single.MedianMS > s.FrameMS || s.Single.Refused != 4 || s.Joint.Refused != 2 {
		t.Errorf("%+v", s)
	}
	if _, err := Measure(t.Context(), Config{Takes: 1}); err == nil {
		t.Error("one take was taken")
	}
}

func TestShiftedFeatures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var videos []offset.PoolPair
	for range 8 {
		var p offset.PoolPair
		level, left := 0.0, 0
		for range 200 {
			if left--; left < 0 {
				level, left = rng.NormFloat64(), 4+rng.IntN(20)
			}
			p.One = append(p.One, float32(level+0.2*rng.NormFloat64()), float32(rng.NormFloat64()))
			p.Other = append(p.Other, float32(-level+0.2*rng.NormFloat64()))
		}
		videos = append(videos, p)
	}
	f, err := Shift(videos, [2]int{2, 1})
	if err != nil || f.Pool < 0.95 || f.Worst > f.Pool+1e-9 || f.Alone > 1 || f.Videos != 8 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Shift([]offset.PoolPair{{One: make([]float32, 4), Other: make([]float32, 2)}}, [2]int{2, 1}); err == nil {
		t.Error("two frames were taken")
	}
}

func TestMissedTargetsAreNamed(t *testing.T) {
	good := Errors{MedianMS: 10, P95MS: 20, Unrelated: 100, Refused: 99}
	r := &Report{Scenes: []Scene{{Scene: "a", FrameMS: 40, Single: good, Joint: good}}, Features: &Features{Pool: 0.9}}
	if m := r.Missed(); len(m) > 0 {
		t.Errorf("missed %v", m)
	}
	r.Scenes[0].Joint = Errors{MedianMS: math.NaN(), P95MS: 50, Unrelated: 100, Refused: 98}
	r.Features.Pool = 0.8
	if m := r.Missed(); len(m) != 4 || !strings.Contains(m[2], "98.0 %") {
		t.Errorf("missed %q", m)
	}
}
