package method

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The alignment is the gradient of the value, and the regression that it is turned into has the gradient of soft-DTW.
func TestSoftAlignmentIsTheGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	const n, m, k, gamma, h = 6, 5, 2, 0.3, 1e-5
	draw := func(size int) []float64 {
		v := make([]float64, size)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	y, z := draw(n*k), draw(m*k)
	costs := func() []float64 {
		c := make([]float64, n*m)
		squaredCosts(c, y, z, k, 1)
		return c
	}
	cost := costs()
	_, e := softAlign(cost, n, m, gamma)
	for i, v := range cost {
		cost[i] = v + h
		above, _ := softAlign(cost, n, m, gamma)
		cost[i] = v - h
		below, _ := softAlign(cost, n, m, gamma)
		cost[i] = v
		if slope := (above - below) / (2 * h); math.Abs(slope-e[i]) > 1e-8 {
			t.Errorf("match %d: the value changes by %g, the alignment is %g", i, slope, e[i])
		}
	}
	for i, v := range y {
		y[i] = v + h
		above, _ := softAlign(costs(), n, m, gamma)
		y[i] = v - h
		below, _ := softAlign(costs(), n, m, gamma)
		y[i] = v
		var mass, target float64
		for j, p := range e[i/k*m : (i/k+1)*m] {
			mass += p
			target += p * z[j*k+i%k]
		}
		if slope, want := (above-below)/(2*h), 2*mass*(v-target/mass)/k; math.Abs(slope-want) > 1e-8 {
			t.Errorf("output %d: soft-DTW changes by %g, the regression by %g", i, slope, want)
		}
	}
}

// With little softness the value is that of the cheapest path, found by trying all.
func TestSoftAlignmentIsDynamicTimeWarpingInTheLimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	const n, m = 4, 6
	cost := make([]float64, n*m)
	for i := range cost {
		cost[i] = rng.Float64()
	}
	var cheapest func(i, j int) float64
	cheapest = func(i, j int) float64 {
		switch {
		case i == 0 && j == 0:
			return cost[0]
		case i < 0 || j < 0:
			return math.Inf(1)
		}
		return cost[i*m+j] + min(cheapest(i-1, j-1), cheapest(i-1, j), cheapest(i, j-1))
	}
	value, e := softAlign(cost, n, m, 1e-3)
	if want := cheapest(n-1, m-1); math.Abs(value-want) > 1e-2 {
		t.Errorf("the value is %g, the cheapest path costs %g", value, want)
	}
	if e[0] < 1-1e-9 || e[n*m-1] != 1 {
		t.Errorf("the first match has %g, the last %g; each path goes through both", e[0], e[n*m-1])
	}
	if v, _ := softAlign(make([]float64, 600*600), 600, 600, 1e-4); math.IsNaN(v) || math.IsInf(v, 0) {
		t.Errorf("a long alignment gives %g", v)
	}
}

func TestWindowsLeaveOutWhatWasNotSeen(t *testing.T) {
	x := []float32{0, 1, 2, 30, 4, 5}
	mean, at := windows(x, 1, 3, func(t int) bool { return t != 3 })
	want, places := []float64{0.5, 3, 5}, []int{0, 0, 1, -1, 1, 2}
	for i, v := range want {
		if mean[i] != v {
			t.Errorf("window %d has the mean %g, expected %g", i, mean[i], v)
		}
	}
	for i, v := range places {
		if at[i] != v {
			t.Errorf("row %d is in window %d, expected %d", i, at[i], v)
		}
	}
}
