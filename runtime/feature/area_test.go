package feature

import (
	"bytes"
	"image"
	"testing"
	"time"

	"gocv.io/x/gocv"
)

// shrink brings a picture to another size by a shrinker.
func shrink(s *shrinker, p picture, w, h int) picture {
	from, to := geometry{p.w, p.h, p.c}, geometry{w, h, p.c}
	s.prepare(from, to)
	out := picture{w, h, p.c, make([]byte, w*h*p.c)}
	s.run(p.px, p.w*p.c, out.px)
	return out
}

func TestShrinkingIsOpenCVsToALevel(t *testing.T) {
	var s shrinker
	for _, c := range []int{1, 3} {
		for _, size := range []struct{ from, to image.Point }{
			{image.Pt(640, 480), image.Pt(112, 112)}, {image.Pt(320, 240), image.Pt(112, 112)}, {image.Pt(320, 180), image.Pt(112, 112)},
			{image.Pt(456, 256), image.Pt(224, 224)}, {image.Pt(224, 224), image.Pt(112, 112)}, {image.Pt(112, 300), image.Pt(112, 112)},
			{image.Pt(300, 112), image.Pt(112, 112)}, {image.Pt(113, 115), image.Pt(112, 112)}, {image.Pt(112, 112), image.Pt(112, 112)},
			{image.Pt(7, 9), image.Pt(3, 2)}, {image.Pt(3, 3), image.Pt(1, 1)}, {image.Pt(64, 64), image.Pt(2, 2)}, {image.Pt(1280, 720), image.Pt(112, 100)},
		} {
			p := randomPicture(size.from.X, size.from.Y, c)
			got := shrink(&s, p, size.to.X, size.to.Y)
			want := p.resize(t, size.to.X, size.to.Y, gocv.InterpolationArea)
			for i := range want.px {
				if d := int(got.px[i]) - int(want.px[i]); d < -1 || d > 1 {
					t.Errorf("%v to %v, %d channels: value %d is %d, OpenCV says %d", size.from, size.to, c, i, got.px[i], want.px[i])
					break
				}
			}
		}
	}
}

func TestFlatPicturesKeepTheirLevel(t *testing.T) {
	var s shrinker
	for _, size := range []image.Point{{640, 480}, {57, 33}, {24, 16}, {700, 500}} {
		for _, level := range []byte{0, 1, 127, 254, 255} {
			p := picture{size.X, size.Y, 3, make([]byte, size.X*size.Y*3)}
			for i := range p.px {
				p.px[i] = level
			}
			for i, v := range shrink(&s, p, 24, 16).px {
				if v != level {
					t.Fatalf("%v of level %d: value %d is %d", size, level, i, v)
				}
			}
		}
	}
}

func TestWideSumsArePlainSums(t *testing.T) {
	p := randomPicture(211, 40, 1)
	for _, n := range []int{1, 15, 16, 17, 31, 32, 33, 211} {
		for _, rows := range []int{1, 2, 3, 7, 32} {
			r := rowSpan{n: rows, top: 3, middle: 8, bottom: 5}
			plain, wide := make([]uint16, n), make([]uint16, n)
			sumRowsPlain(plain, p.px, p.w, &r)
			sumRows(wide, p.px, p.w, &r)
			for i := range plain {
				if plain[i] != wide[i] {
					t.Fatalf("%d bytes of %d rows: sum %d is %d, want %d", n, rows, i, wide[i], plain[i])
				}
			}
		}
	}
}

func TestWideColumnsArePlainColumns(t *testing.T) {
	for _, size := range []image.Point{{640, 112}, {112, 112}, {7, 3}, {5, 5}, {1, 1}, {64, 2}, {300, 299}} {
		var s shrinker
		s.prepare(geometry{size.X, 1, 3}, geometry{size.Y, 1, 3})
		for i := range s.sums {
			s.sums[i] = uint16(i * 40503)
		}
		plain, wide := make([]byte, 3*size.Y), make([]byte, 3*size.Y)
		columns3Plain(plain, s.sums, s.cols, 1./257)
		columns3(wide, s.sums, s.cols, 1./257)
		if !bytes.Equal(plain, wide) {
			t.Errorf("%d columns to %d: %v, want %v", size.X, size.Y, wide, plain)
		}
	}
}

// BenchmarkShrink compares with OpenCV; the two take turns, so that both see the same machine.
func BenchmarkShrink(b *testing.B) {
	var s shrinker
	p := randomPicture(640, 480, 3)
	m := p.mat(b)
	out := gocv.NewMat()
	defer closeTest(b, &out)
	s.prepare(geometry{640, 480, 3}, geometry{112, 112, 3})
	dst := make([]byte, 112*112*3)
	var own, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if err := gocv.Resize(m, &out, image.Pt(112, 112), 0, 0, gocv.InterpolationArea); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		s.run(p.px, 640*3, dst)
		theirs, own = theirs+middle.Sub(start), own+time.Since(middle)
	}
	b.ReportMetric(float64(own.Nanoseconds())/float64(b.N), "ns/picture")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "ns/opencv")
}
