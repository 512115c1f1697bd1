package raster

import (
	"math"
	"math/rand/v2"
)

const (
	texBits = 6
	texSize = 1 << texBits
)

// Pattern is a square, repeating picture in 16 tones between the two colours of a Material, with all its
// reduced sizes, so that fine patterns turn grey in the distance instead of flickering.
type Pattern struct {
	levels [texBits + 1][]uint8
}

// NewPattern samples tone, which returns 0 (first colour) to 1 (second colour) at u, v in [0, 1).
func NewPattern(tone func(u, v float64) float64) *Pattern {
	var p Pattern
	cur := make([]float64, texSize*texSize)
	for i := range cur {
		cur[i] = tone((float64(i%texSize)+0.5)/texSize, (float64(i/texSize)+0.5)/texSize)
	}
	for level, n := 0, texSize; ; level, n = level+1, n/2 {
		tones := make([]uint8, n*n)
		for i, t := range cur {
			tones[i] = uint8(math.Round(15 * min(max(t, 0), 1)))
		}
		p.levels[level] = tones
		if n == 1 {
			return &p
		}
		half := make([]float64, n*n/4)
		for y := range n / 2 {
			for x := range n / 2 {
				o := 2*y*n + 2*x
				half[y*n/2+x] = (cur[o] + cur[o+1] + cur[o+n] + cur[o+n+1]) / 4
			}
		}
		cur = half
	}
}

func square(x float64) float64 {
	if x-math.Floor(x) < 0.5 {
		return 0
	}
	return 1
}

// Stripes has n dark-bright pairs: across u, across v, or diagonal for both.
func Stripes(nu, nv float64) *Pattern {
	return NewPattern(func(u, v float64) float64 { return square(u*nu + v*nv) })
}

// Checker has n×n pairs of fields.
func Checker(n float64) *Pattern {
	return NewPattern(func(u, v float64) float64 {
		return math.Abs(square(u*n) - square(v*n))
	})
}

// Dots has n×n round dots that fill the given fraction of their field's width.
func Dots(n, fill float64) *Pattern {
	return NewPattern(func(u, v float64) float64 {
		u, v = u*n, v*n
		if math.Hypot(u-math.Floor(u)-0.5, v-math.Floor(v)-0.5) < fill/2 {
			return 1
		}
		return 0
	})
}

// Grid has n×n fields with lines of the given width (a fraction of the field).
func Grid(n, width float64) *Pattern {
	return NewPattern(func(u, v float64) float64 {
		u, v = u*n, v*n
		if u-math.Floor(u) < width || v-math.Floor(v) < width {
			return 1
		}
		return 0
	})
}

// Rings has n circles around the middle.
func Rings(n float64) *Pattern {
	return NewPattern(func(u, v float64) float64 { return square(2 * n * math.Hypot(u-0.5, v-0.5)) })
}

// Bars is a screen of text: rows of random words.
func Bars(seed uint64, rows int) *Pattern {
	rng := rand.New(rand.NewPCG(seed, 0xba55))
	const cols = 16
	on := make([]bool, rows*cols)
	for i := range on {
		on[i] = rng.Float64() < 0.62
	}
	return NewPattern(func(u, v float64) float64 {
		row := v * float64(rows)
		i := int(row)
		if row-float64(i) < 0.45 || !on[i*cols+int(u*cols)] {
			return 0
		}
		return 1
	})
}
