package pair

import (
	"math"
	"slices"
	"testing"

	"tandem/stream/wire"
)

func TestBlend(t *testing.T) {
	half := func(v ...float32) []byte {
		b, _ := wire.AppendF16(nil, v)
		return b
	}
	a, b := half(0, 1, -2, 65504), half(4, 3, 2, 65504)
	for w, want := range map[float64][]byte{0: a, 1: b, 0.25: half(1, 1.5, -1, 65504), 0.5: half(2, 2, 0, 65504)} {
		if got, err := Blend([]byte{9}, a, b, w); err != nil || !slices.Equal(got[1:], want) || got[0] != 9 {
			t.Errorf("weight %g: %x, %v, want %x", w, got, err, want)
		}
	}
	if _, err := Blend(nil, a, b[:4], 0.5); err == nil {
		t.Error("vectors of two lengths were blended")
	}
	for _, w := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := Blend(nil, a, b, w); err == nil {
			t.Errorf("weight %g was taken", w)
		}
	}
	buf := make([]byte, 0, 8)
	if n := testing.AllocsPerRun(100, func() { _, _ = Blend(buf, a, b, 0.3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
