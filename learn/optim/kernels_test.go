package optim

import (
	"math"
	"math/rand/v2"
	"testing"
)

// noise returns n values over many magnitudes, zeros and denormal numbers among them.
func noise(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(12)-8)))
		switch rng.IntN(20) {
		case 0:
			v[i] = 0
		case 1:
			v[i] *= 1e-35
		}
	}
	return v
}

func positive(v []float32) []float32 {
	for i := range v {
		v[i] = float32(math.Abs(float64(v[i])))
	}
	return v
}

// same compares bit by bit.
func same(t *testing.T, what string, n int, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s of %d elements: element %d is %g, the Go kernel gives %g", what, n, i, got[i], want[i])
		}
	}
}

// Whatever kernels this machine has chosen must give what the portable ones give.
func TestKernelsOfThisMachineGiveTheSameBits(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 16, 31, 1000, 4099} {
		w, g, m, v := noise(n, 1), noise(n, 2), noise(n, 3), positive(noise(n, 4))
		a := [][]float32{clone(w), clone(m), clone(v)}
		b := [][]float32{clone(w), clone(m), clone(v)}
		c := coefficients{beta1: 0.1, beta2: 0.001, rate: 3e-3, unbias: 7.5, epsilon: 1e-8, keep: 0.999}
		for range 3 {
			adam(a[0], g, a[1], a[2], c)
			adamGo(b[0], g, b[1], b[2], c)
		}
		for i, what := range []string{"weights of Adam", "first moment", "second moment"} {
			same(t, what, n, a[i], b[i])
		}
		for _, d := range []descent{{rate: 0.1, momentum: 0.9, decay: 1e-3, ahead: 1}, {rate: 0.1, momentum: 0.9, ahead: 0.9, now: 1}} {
			a, b := [][]float32{clone(w), clone(m)}, [][]float32{clone(w), clone(m)}
			momentum(a[0], g, a[1], d)
			momentumGo(b[0], g, b[1], d)
			same(t, "weights of SGD", n, a[0], b[0])
			same(t, "momentum", n, a[1], b[1])
		}
		x, y := clone(w), clone(w)
		approach(x, g, 0.97)
		approachGo(y, g, 0.97)
		same(t, "average", n, x, y)
		if p, q := squares(g), squaresGo(g); p != q {
			t.Errorf("squares of %d elements: %v, the Go kernel gives %v", n, p, q)
		}
	}
}

func clone(v []float32) []float32 { return append([]float32{}, v...) }

func TestNormIsThatOfItsDefinition(t *testing.T) {
	g := noise(1003, 9)
	var sum float64
	for _, v := range g {
		sum += float64(v) * float64(v)
	}
	if n := Norm(g); math.Abs(n/math.Sqrt(sum)-1) > 1e-12 {
		t.Errorf("norm %g, expected %g", n, math.Sqrt(sum))
	}
}

func BenchmarkAdamPortable(b *testing.B) {
	before := adam
	adam = adamGo
	defer func() { adam = before }()
	BenchmarkAdam(b)
}

func BenchmarkNorm(b *testing.B) {
	g := noise(1<<20, 1)
	b.SetBytes(4 << 20)
	for b.Loop() {
		Norm(g)
	}
}
