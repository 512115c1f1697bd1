package strip

import (
	"image/color"
	"math"
	"testing"
)

// oklab is a colour in the perceptual space of Björn Ottosson ("A perceptual color space for image processing", 2020),
// in which 0.02 is about the least difference that one sees.
func oklab(c color.RGBA) [3]float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	r, g, b := linear(c.R), linear(c.G), linear(c.B)
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return [3]float64{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

func distance(a, b color.RGBA) float64 {
	p, q := oklab(a), oklab(b)
	return math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2])
}

func TestColoursAreToldApart(t *testing.T) {
	for i := range palette {
		least := 0.1
		if i >= 24 {
			least = 0.08
		}
		for j := range i {
			if d := distance(Color(i), Color(j)); d < least {
				t.Errorf("classes %d and %d are %.3f apart, want %.2f", j, i, d, least)
			}
		}
		for _, grey := range []color.RGBA{white, backgroundGrey, ink} {
			if d := distance(Color(i), grey); d < 0.1 {
				t.Errorf("class %d is %.3f from %v", i, d, grey)
			}
		}
	}
}

func TestLaterClassesAreShadesOfTheFirst(t *testing.T) {
	seen := make(map[color.RGBA]int)
	for i := range 3 * len(palette) {
		if j, ok := seen[Color(i)]; ok {
			t.Errorf("classes %d and %d have one colour", j, i)
		}
		seen[Color(i)] = i
	}
	if Color(-1) != Color(0) || Color(3*len(palette)) != Color(0) {
		t.Error("classes out of range have colours of their own")
	}
}

func TestInkIsReadableOnEveryColour(t *testing.T) {
	for i := range 3 * len(palette) {
		if d := math.Abs(oklab(Color(i))[0] - oklab(inkOn(Color(i)))[0]); d < 0.3 {
			t.Errorf("the caption on class %d differs by %.2f in lightness", i, d)
		}
	}
}
