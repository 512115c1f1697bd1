package feature

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
)

// contract is an input of w by h whose mean and deviation differ between channels, so that a swap shows.
func contract(w, h int, layout, channels, fit string) bundle.Image {
	im := bundle.Image{
		Name: "image", Width: w, Height: h, Layout: layout, Channels: channels, Fit: fit, Scale: 1. / 255,
		Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225},
	}
	if channels == "GRAY" {
		im.Mean, im.Std = im.Mean[:1], im.Std[:1]
	}
	return im
}

// picture is h rows of w pixels of c channels.
type picture struct {
	w, h, c int
	px      []byte
}

func randomPicture(w, h, c int) picture {
	rng := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	p := picture{w, h, c, make([]byte, w*h*c)}
	for i := range p.px {
		p.px[i] = byte(rng.UintN(256))
	}
	return p
}

func (p picture) at(x, y, c int) byte { return p.px[(y*p.w+x)*p.c+c] }

func (p picture) mat(t testing.TB) gocv.Mat {
	t.Helper()
	kind := gocv.MatTypeCV8UC1
	if p.c == 3 {
		kind = gocv.MatTypeCV8UC3
	}
	m, err := gocv.NewMatFromBytes(p.h, p.w, kind, p.px)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, &m) })
	return m
}

func closeTest(t testing.TB, m *gocv.Mat) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// cut copies a part of the picture.
func (p picture) cut(x, y, w, h int) picture {
	q := picture{w, h, p.c, nil}
	for row := range h {
		at := ((y+row)*p.w + x) * p.c
		q.px = append(q.px, p.px[at:at+w*p.c]...)
	}
	return q
}

// resize scales by OpenCV with one interpolation.
func (p picture) resize(t testing.TB, w, h int, how gocv.InterpolationFlags) picture {
	t.Helper()
	m := p.mat(t)
	out := gocv.NewMat()
	defer closeTest(t, &out)
	if err := gocv.Resize(m, &out, image.Pt(w, h), 0, 0, how); err != nil {
		t.Fatal(err)
	}
	return picture{w, h, p.c, out.ToBytes()}
}

// paste puts the picture on black.
func (p picture) paste(x, y, w, h int) picture {
	q := picture{w, h, p.c, make([]byte, w*h*p.c)}
	for row := range p.h {
		copy(q.px[((y+row)*w+x)*p.c:], p.px[row*p.w*p.c:(row+1)*p.w*p.c])
	}
	return q
}

// reference is the tensor of a picture that has the input's size, by the contract's words: slowly, pixel by pixel.
func reference(im bundle.Image, p picture) []float32 {
	depth := im.Depth()
	out := make([]float32, depth*im.Width*im.Height)
	for y := range im.Height {
		for x := range im.Width {
			b, g, r := p.at(x, y, 0), p.at(x, y, 0), p.at(x, y, 0)
			if p.c == 3 {
				g, r = p.at(x, y, 1), p.at(x, y, 2)
			}
			values := map[string][]byte{"RGB": {r, g, b}, "BGR": {b, g, r}}[im.Channels]
			if im.Channels == "GRAY" {
				// Rounded to the nearest level; no weighted sum of integers lies half-way but by the third decimal.
				values = []byte{byte((int(r)*299 + int(g)*587 + int(b)*114 + 500) / 1000)}
			}
			for c, v := range values {
				at := (y*im.Width+x)*depth + c
				if im.Layout == "NCHW" {
					at = (c*im.Height+y)*im.Width + x
				}
				out[at] = float32((float64(v)*im.Scale - im.Mean[c]) / im.Std[c])
			}
		}
	}
	return out
}

// preprocess runs the preprocessor once.
func preprocess(t testing.TB, im bundle.Image, p picture) []float32 {
	t.Helper()
	pre := newPreprocessor(im)
	defer func() {
		if err := pre.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := pre.run(p.mat(t)); err != nil {
		t.Fatal(err)
	}
	return pre.data
}

// near reports the first value that is further off than a level, as averages may be rounded.
func near(t *testing.T, im bundle.Image, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		c := i % im.Depth()
		if im.Layout == "NCHW" {
			c = i / (im.Width * im.Height)
		}
		if d := math.Abs(float64(got[i]-want[i])) * im.Std[c] / im.Scale; d > 1.01 {
			t.Fatalf("value %d of %d is %g, want %g: it is %.2f levels off", i, len(want), got[i], want[i], d)
		}
	}
}

// compare reports the first value that is not exactly as wanted.
func compare(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("value %d of %d is %g, want %g", i, len(want), got[i], want[i])
		}
	}
}

func TestEqualsTheReference(t *testing.T) {
	// Pictures by what the fit has to do to bring them to 24 by 16.
	sizes := []struct{ w, h int }{
		{24, 16},  // nothing
		{48, 32},  // halve
		{61, 40},  // shrink by an odd factor
		{12, 8},   // double
		{20, 13},  // grow by an odd factor
		{100, 16}, // as tall
		{24, 100}, // as wide
		{90, 9},   // shrink one way, grow the other
		{7, 70},
		{1, 1},
	}
	for _, layout := range []string{"NCHW", "NHWC"} {
		for _, channels := range []string{"RGB", "BGR", "GRAY"} {
			for _, fit := range []string{"stretch", "crop", "letterbox"} {
				for _, depth := range []int{1, 3} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", layout, channels, fit, depth), func(t *testing.T) {
						im := contract(24, 16, layout, channels, fit)
						for _, s := range sizes {
							p := randomPicture(s.w, s.h, depth)
							near(t, im, preprocess(t, im, p), reference(im, fitted(t, im, p)))
						}
					})
				}
			}
		}
	}
}

// fitted brings a picture to the input's size by the words of the contract, with whole pictures and copies.
func fitted(t *testing.T, im bundle.Image, p picture) picture {
	t.Helper()
	scale := func(p picture, w, h int) picture {
		if p.w == w && p.h == h {
			return p
		}
		if p.w > w || p.h > h {
			p = p.resize(t, min(p.w, w), min(p.h, h), gocv.InterpolationArea)
		}
		return p.resize(t, w, h, gocv.InterpolationLinear)
	}
	wide := float64(p.w)/float64(p.h) > float64(im.Width)/float64(im.Height)
	ratio := float64(im.Width) / float64(im.Height)
	switch im.Fit {
	case "crop":
		w, h := p.w, p.h
		if wide {
			w = max(1, int(float64(p.h)*ratio+1e-9))
		} else {
			h = max(1, int(float64(p.w)/ratio+1e-9))
		}
		return scale(p.cut((p.w-w)/2, (p.h-h)/2, w, h), im.Width, im.Height)
	case "letterbox":
		w, h := im.Width, im.Height
		if wide {
			h = max(1, im.Width*p.h/p.w)
		} else {
			w = max(1, im.Height*p.w/p.h)
		}
		return scale(p, w, h).paste((im.Width-w)/2, (im.Height-h)/2, im.Width, im.Height)
	}
	return scale(p, im.Width, im.Height)
}

// TestNormalisation pins the formula by hand: (pixel*scale - mean) / std.
func TestNormalisation(t *testing.T) {
	im := bundle.Image{
		Width: 1, Height: 1, Layout: "NCHW", Channels: "RGB", Fit: "stretch",
		Scale: 0.5, Mean: []float64{10, 20, 30}, Std: []float64{2, 4, 8},
	}
	got := preprocess(t, im, picture{1, 1, 3, []byte{200, 100, 50}}) // BGR
	if want := []float32{(25 - 10) / 2., (50 - 20) / 4., (100 - 30) / 8.}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
	got = preprocess(t, contract(1, 1, "NCHW", "GRAY", "stretch"), picture{1, 1, 3, []byte{0, 255, 0}})
	if want := float32((150./255 - 0.485) / 0.229); math.Abs(float64(got[0]-want)) > 1e-6 {
		t.Errorf("the luminance of green is %g, want %g", got[0], want)
	}
}

// TestShrinkingAverages: stripes of one pixel become an even grey, whatever happens to the other side. A picture that
// skipped pixels would show bars.
func TestShrinkingAverages(t *testing.T) {
	im := contract(24, 16, "NCHW", "GRAY", "stretch")
	want := float32((127.5*im.Scale - im.Mean[0]) / im.Std[0])
	for _, size := range []image.Point{{96, 64}, {96, 16}, {96, 5}, {24, 64}, {5, 64}} {
		p := picture{size.X, size.Y, 1, make([]byte, size.X*size.Y)}
		for y := range p.h {
			for x := range p.w {
				if size.X > 24 && x%2 == 1 || size.X <= 24 && y%2 == 1 {
					p.px[y*p.w+x] = 255
				}
			}
		}
		for i, v := range preprocess(t, im, p) {
			if math.Abs(float64(v-want))*im.Std[0]*255 > 1.5 {
				t.Errorf("%v: value %d is %g, want the mean of black and white, %g", size, i, v, want)
				break
			}
		}
	}
}

// TestLetterboxIsBlack: the bars have the value of black, not 0.
func TestLetterboxIsBlack(t *testing.T) {
	im := contract(8, 8, "NCHW", "RGB", "letterbox")
	p := picture{16, 8, 3, make([]byte, 16*8*3)}
	for i := range p.px {
		p.px[i] = 255
	}
	got := preprocess(t, im, p)
	for c := range 3 {
		for y := range 8 {
			v := 0.
			if y >= 2 && y < 6 {
				v = 255
			}
			want := float32((v*im.Scale - im.Mean[c]) / im.Std[c])
			for x := range 8 {
				if g := got[(c*8+y)*8+x]; g != want {
					t.Fatalf("channel %d at %d, %d is %g, want %g", c, x, y, g, want)
				}
			}
		}
	}
}

func TestRefusesOtherPictures(t *testing.T) {
	pre := newPreprocessor(contract(8, 8, "NCHW", "RGB", "stretch"))
	for range 2 {
		defer func() {
			if err := pre.close(); err != nil { // twice: closing again does nothing
				t.Error(err)
			}
		}()
	}
	empty := gocv.NewMat()
	defer closeTest(t, &empty)
	if err := pre.run(empty); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty picture: %v", err)
	}
	for _, kind := range []gocv.MatType{gocv.MatTypeCV8UC2, gocv.MatTypeCV8UC4, gocv.MatTypeCV16UC3, gocv.MatTypeCV32FC1} {
		m := gocv.NewMatWithSize(9, 9, kind)
		if err := pre.run(m); err == nil || !strings.Contains(err.Error(), "expected 8 bit with 1 or 3 channels") {
			t.Errorf("%v: %v", kind, err)
		}
		closeTest(t, &m)
	}
}

// TestTakesParts: a region of a larger picture, whose rows do not lie side by side in memory.
func TestTakesParts(t *testing.T) {
	for _, fit := range []string{"stretch", "crop", "letterbox"} {
		im := contract(10, 6, "NHWC", "BGR", fit)
		p := randomPicture(40, 30, 3)
		m := p.mat(t)
		part := m.Region(image.Rect(3, 4, 13, 10))
		defer closeTest(t, &part)
		pre := newPreprocessor(im)
		if err := pre.run(part); err != nil {
			t.Fatal(err)
		}
		compare(t, pre.data, reference(im, p.cut(3, 4, 10, 6)))
		if err := pre.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPreprocessingDoesNotAllocate(t *testing.T) {
	for _, fit := range []string{"stretch", "crop", "letterbox"} {
		for _, size := range []image.Point{{456, 256}, {60, 300}, {30, 20}} {
			pre := newPreprocessor(contract(96, 64, "NCHW", "RGB", fit))
			m := randomPicture(size.X, size.Y, 3).mat(t)
			run := func() {
				if err := pre.run(m); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if n := testing.AllocsPerRun(50, run); n > 0 {
				t.Errorf("%s of %v: %g allocations a picture", fit, size, n)
			}
			if err := pre.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// BenchmarkPreprocess compares the whole preprocessing of a common ego frame with OpenCV's bare resize of it, by area as
// the preprocessor does it. The two take turns, so that both see the same machine.
func BenchmarkPreprocess(b *testing.B) {
	for _, channels := range []string{"RGB", "GRAY"} {
		for _, layout := range []string{"NCHW", "NHWC"} {
			b.Run(channels+"/"+layout, func(b *testing.B) {
				pre := newPreprocessor(contract(224, 224, layout, channels, "stretch"))
				m := randomPicture(456, 256, 3).mat(b)
				out := gocv.NewMat()
				defer closeTest(b, &out)
				var whole, bare time.Duration
				b.ReportAllocs()
				for b.Loop() {
					start := time.Now()
					if err := gocv.Resize(m, &out, image.Pt(224, 224), 0, 0, gocv.InterpolationArea); err != nil {
						b.Fatal(err)
					}
					middle := time.Now()
					if err := pre.run(m); err != nil {
						b.Fatal(err)
					}
					bare, whole = bare+middle.Sub(start), whole+time.Since(middle)
				}
				b.ReportMetric(float64(whole.Nanoseconds())/float64(b.N), "ns/picture")
				b.ReportMetric(float64(bare.Nanoseconds())/float64(b.N), "ns/resize")
				b.ReportMetric(float64(whole)/float64(bare), "×resize")
				if err := pre.close(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
