package offset_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/sync/offset"
)

// steps is a stream that changes at random instants, seen by two cameras that show it in mixes of their own, the second
// late frames later, with noise.
func steps(seed uint64, frames, late int, noise float64) (one, other []float32, dims [2]int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	const classes, margin = 6, 64
	dims = [2]int{5, 8}
	class := make([]int, frames+2*margin)
	for t := 0; t < len(class); {
		c := rng.IntN(classes)
		for range 8 + rng.IntN(30) {
			if t < len(class) {
				class[t] = c
				t++
			}
		}
	}
	view := func(dim, shift int) []float32 {
		mix := make([]float64, classes*dim)
		for i := range mix {
			mix[i] = rng.NormFloat64()
		}
		out := make([]float32, 0, frames*dim)
		for t := range frames {
			for d := range dim {
				out = append(out, float32(mix[class[margin+t-shift]*dim+d]+noise*rng.NormFloat64()))
			}
		}
		return out
	}
	return view(dims[0], 0), view(dims[1], late), dims
}

func estimate(t *testing.T, one, other []float32, dims [2]int) (offset.Result, error) {
	t.Helper()
	a, err := offset.Novelty(one, dims[0], 4)
	if err != nil {
		t.Fatal(err)
	}
	b, err := offset.Novelty(other, dims[1], 4)
	if err != nil {
		t.Fatal(err)
	}
	return offset.Estimate(a, b, offset.Config{})
}

func TestKnownOffsetsAreFound(t *testing.T) {
	for i, late := range []int{-15, -12, -7, -1, 0, 1, 3, 8, 12, 15} {
		r, err := estimate3(steps(uint64(i), 400, late, 0.5))(t)
		if err != nil {
			t.Errorf("%d frames late: %v", late, err)
		}
		if math.Abs(r.Frames-float64(late)) > 1 {
			t.Errorf("%d frames late, estimated %.2f", late, r.Frames)
		}
		if r.Confidence <= 1 || r.Correlation > 1+1e-9 {
			t.Errorf("confidence %g, correlation %g", r.Confidence, r.Correlation)
		}
	}
}

func estimate3(one, other []float32, dims [2]int) func(t *testing.T) (offset.Result, error) {
	return func(t *testing.T) (offset.Result, error) { return estimate(t, one, other, dims) }
}

// A curve between two frames is found between them.
func TestOffsetsAreFinerThanAFrame(t *testing.T) {
	const frames = 300
	one, other := make([]float64, frames), make([]float64, frames)
	rng := rand.New(rand.NewPCG(3, 1))
	for range 12 {
		at := 30 + rng.Float64()*240
		for t := range frames {
			one[t] += math.Exp(-math.Pow(float64(t)-at, 2) / 18)
			other[t] += math.Exp(-math.Pow(float64(t)-at-4.4, 2) / 18)
		}
	}
	r, err := offset.Estimate(one, other, offset.Config{Floor: 0.01, Sure: 1.0001, Exclude: 8})
	if err != nil || math.Abs(r.Frames-4.4) > 0.1 {
		t.Errorf("4.4 frames late, estimated %.3f, %v", r.Frames, err)
	}
	first, p := r.Posterior(2, 50)
	var sum, mean float64
	for i, v := range p {
		sum += v
		mean += v * float64(first+i)
	}
	if first != 2 || len(p) != 5 || math.Abs(sum-1) > 1e-9 || math.Abs(mean-4.4) > 0.5 {
		t.Errorf("posterior %v from %d", p, first)
	}
}

func TestUnrelatedStreamsAreRefused(t *testing.T) {
	refused := 0
	for seed := range uint64(40) {
		one, _, dims := steps(seed, 400, 0, 0.5)
		_, other, _ := steps(seed+1000, 400, 0, 0.5)
		_, err := estimate(t, one, other, dims)
		if err == nil {
			continue
		}
		if !errors.Is(err, offset.ErrUnsure) {
			t.Fatal(err)
		}
		refused++
	}
	if refused < 38 {
		t.Errorf("%d of 40 unrelated pairs were refused", refused)
	}
	still := make([]float32, 400)
	if r, err := estimate(t, still, still, [2]int{1, 1}); !errors.Is(err, offset.ErrUnsure) {
		t.Errorf("two streams in which nothing happens: %+v, %v", r, err)
	}
}

func TestWhatCannotBeComparedIsNamed(t *testing.T) {
	nan := make([]float32, 100)
	nan[31] = float32(math.NaN())
	if _, err := offset.Novelty(nan, 2, 4); err == nil || !strings.Contains(err.Error(), "feature 1 of frame 15 is NaN") {
		t.Errorf("NaN gives %v", err)
	}
	if _, err := offset.Novelty(nan, 3, 4); err == nil {
		t.Error("100 values of 3 features were taken")
	}
	if c, err := offset.Novelty(nil, 3, 4); err != nil || len(c) != 0 {
		t.Errorf("no frames: %v, %v", c, err)
	}
	if _, err := offset.Estimate(make([]float64, 100), make([]float64, 99), offset.Config{}); err == nil {
		t.Error("curves of two lengths were taken")
	}
	if _, err := offset.Estimate(make([]float64, 30), make([]float64, 30), offset.Config{}); !errors.Is(err, offset.ErrUnsure) {
		t.Errorf("30 frames in a band of 20 give %v", err)
	}
	if _, err := offset.Sum(); err == nil {
		t.Error("no curves were added")
	}
}
