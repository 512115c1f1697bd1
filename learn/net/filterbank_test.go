package net_test

import (
	"bytes"
	"math"
	"testing"

	"tandem/learn/graph/onnxtest"
	"tandem/learn/net"
	"tandem/runtime/ort"
)

// extract runs the bank over n images of height·width·3 values each.
func extract(t testing.TB, f net.FilterBank, n int, images []float32) []float32 {
	t.Helper()
	run, out := openBank(t, f, n, images)
	if err := run(); err != nil {
		t.Fatal(err)
	}
	return out
}

func openBank(t testing.TB, f net.FilterBank, n int, images []float32) (func() error, []float32) {
	t.Helper()
	s := must[*ort.Session](t)(ort.Open(must[[]byte](t)(f.Model()), ort.Options{}))
	in := must[ort.Tensor](t)(ort.NewTensor([]int{n, 3, f.Height, f.Width}, images))
	features := make([]float32, n*f.Size())
	out := must[ort.Tensor](t)(ort.NewTensor([]int{n, f.Size()}, features))
	b := must[*ort.Binding](t)(s.Bind([]ort.Tensor{in}, []ort.Tensor{out}))
	t.Cleanup(func() {
		for _, c := range []interface{ Close() error }{b, in, out, s} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return b.Run, features
}

// paint returns an image from a function of the pixel.
func paint(f net.FilterBank, at func(x, y int) (r, g, b float32)) []float32 {
	plane := f.Width * f.Height
	image := make([]float32, 3*plane)
	for y := range f.Height {
		for x := range f.Width {
			i := y*f.Width + x
			image[i], image[plane+i], image[2*plane+i] = at(x, y)
		}
	}
	return image
}

func strongest(v []float32) (int, float32) {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return best, v[best]
}

func TestFilterBankSeesEdgesAndColours(t *testing.T) {
	f := net.DefaultFilterBank()
	if f.Size() != 512 {
		t.Fatalf("the default bank has %d features", f.Size())
	}
	flat := extract(t, f, 1, paint(f, func(_, _ int) (float32, float32, float32) { return 0.7, 0.7, 0.7 }))
	if _, v := strongest(flat); v > 1e-3 {
		t.Errorf("a grey surface gives a response of %g", v)
	}
	// Stripes down the picture, as far apart as the fine filters are long, excite the first direction; across, the third.
	cells := f.Grid * f.Grid
	stripes := func(at int) float32 { return float32(math.Sin(2 * math.Pi * float64(at) / 6)) }
	down := extract(t, f, 1, paint(f, func(x, _ int) (float32, float32, float32) { v := stripes(x); return v, v, v }))
	across := extract(t, f, 1, paint(f, func(_, y int) (float32, float32, float32) { v := stripes(y); return v, v, v }))
	if i, _ := strongest(down[:4*cells]); i/cells != 0 {
		t.Errorf("stripes down the picture excite direction %d most", i/cells)
	}
	if i, _ := strongest(across[:4*cells]); i/cells != 2 {
		t.Errorf("stripes across the picture excite direction %d most", i/cells)
	}
	// Red and green of equal luminance differ in the sign of one colour map only.
	red := extract(t, f, 1, paint(f, func(_, _ int) (float32, float32, float32) { return 1, 0, 0 }))
	green := extract(t, f, 1, paint(f, func(_, _ int) (float32, float32, float32) { return 0, 1, 0 }))
	colour := 2 * 2 * (f.Orientations + 1) * cells
	if d := farthest(red[:colour], green[:colour]); d > 1e-6 {
		t.Errorf("red and green of equal luminance differ by %g in the luminance features", d)
	}
	if on, off := red[colour], green[colour+6*cells]; on < 0.3 || math.Abs(float64(on-off)) > 1e-6 {
		t.Errorf("red gives %g in the red map, green %g in the green map", on, off)
	}
}

func TestFilterBankOfSeveralImagesAndOddSizes(t *testing.T) {
	for _, f := range []net.FilterBank{net.DefaultFilterBank(), {Width: 57, Height: 33, Grid: 3, Orientations: 6}} {
		images := random(3*3*f.Width*f.Height, 1)
		all := extract(t, f, 3, images)
		one := len(images) / 3
		for i := range 3 {
			if d := farthest(extract(t, f, 1, images[i*one:(i+1)*one]), all[i*f.Size():(i+1)*f.Size()]); d > 1e-6 {
				t.Errorf("%+v: image %d alone differs by %g from the one of a batch", f, i, d)
			}
		}
	}
}

func TestFilterBankIsDeterministicAndValid(t *testing.T) {
	a, b := must[[]byte](t)(net.DefaultFilterBank().Model()), must[[]byte](t)(net.DefaultFilterBank().Model())
	if !bytes.Equal(a, b) {
		t.Error("two models of one bank differ")
	}
	for _, f := range []net.FilterBank{
		{},
		{Width: 16, Height: 96, Grid: 4, Orientations: 4},
		{Width: 96, Height: 96, Grid: 21, Orientations: 4},
		{Width: 96, Height: 96, Grid: 4},
	} {
		if _, err := f.Model(); err == nil {
			t.Errorf("%+v was built", f)
		}
	}
	onnxtest.Check(t, map[string][]byte{"bank": a})
}

func BenchmarkFilterBank(b *testing.B) {
	f := net.DefaultFilterBank()
	run, _ := openBank(b, f, 1, random(3*f.Width*f.Height, 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
}
