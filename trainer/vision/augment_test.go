package vision

import (
	"math"
	"math/rand/v2"
	"testing"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// spot is a picture with a bright red square in its middle.
func spot(w, h int) []byte {
	px := make([]byte, 3*w*h)
	for y := h/2 - 2; y < h/2+2; y++ {
		for x := w/2 - 2; x < w/2+2; x++ {
			px[y*w+x] = 200
		}
	}
	return px
}

func TestNoAugmentationIsTheNormalisation(t *testing.T) {
	const w, h = 12, 10
	px := make([]byte, 3*w*h)
	r := rng(1)
	for i := range px {
		px[i] = byte(r.UintN(256))
	}
	dst := make([]float32, len(px))
	newCanvas(Augment{}, w, h).draw(dst, px, r, 0.45, 0.25)
	for i, v := range px {
		if want := (float32(v)/255 - 0.45) / 0.25; math.Abs(float64(dst[i]-want)) > 1e-4 {
			t.Fatalf("value %d is %g, want %g", i, dst[i], want)
		}
	}
}

func TestAugmentationMovesWithinItsLimitsAndRepeats(t *testing.T) {
	const w, h = 40, 40
	c := newCanvas(Augment{Shift: 0.2, Turn: 10, Zoom: 0.2}, w, h)
	a, b := make([]float32, 3*w*h), make([]float32, 3*w*h)
	var farthest float64
	for seed := range uint64(30) {
		c.draw(a, spot(w, h), rng(seed), 0, 1)
		var sum, mx, my float64
		for i, v := range a[:w*h] {
			sum += float64(v)
			mx += float64(v) * float64(i%w)
			my += float64(v) * float64(i/w)
		}
		if sum < 3 {
			t.Fatalf("seed %d: the spot is gone (%g)", seed, sum)
		}
		farthest = max(farthest, math.Hypot(mx/sum-19.5, my/sum-19.5))
		c.draw(b, spot(w, h), rng(seed), 0, 1)
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("seed %d: another picture the second time", seed)
			}
		}
	}
	// A shift of 8 along both axes, magnified by up to exp(0.2 + 0.2/3).
	if farthest < 4 || farthest > math.Hypot(8, 8)*1.4 {
		t.Errorf("the spot moves by up to %g pixels, expected 4 to 16", farthest)
	}
}

func TestGreyHasNoColour(t *testing.T) {
	const w, h = 16, 16
	dst := make([]float32, 3*w*h)
	newCanvas(Augment{Grey: 1, Blur: 1, Light: 0.4}, w, h).draw(dst, spot(w, h), rng(3), 0.45, 0.25)
	for i := range w * h {
		if dst[i] != dst[w*h+i] || dst[i] != dst[2*w*h+i] {
			t.Fatalf("pixel %d is %g, %g, %g", i, dst[i], dst[w*h+i], dst[2*w*h+i])
		}
	}
	px := spot(w, h)
	toGrey(px)
	if got := px[h/2*w+w/2]; got != 60 { // 0.299 of 200
		t.Errorf("a red of 200 has luminance %d, want 60", got)
	}
}

func TestBalanceCountsRareClassesMore(t *testing.T) {
	w := balance([]int{0, 0, 0, 0, 1}, 3)
	if w[1] != 2*w[0] || w[2] != 0 || math.Abs(float64(4*w[0]+w[1])-5) > 1e-6 {
		t.Errorf("weights %v: expected the inverse roots of 4 and 1 with mean 1, and 0 for what does not occur", w)
	}
}
