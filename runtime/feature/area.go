package feature

import "math"

// shrinker averages pictures over areas, as OpenCV's INTER_AREA does to within one level, several times faster: rows are summed
// before columns, many bytes at once. It keeps what depends on the sizes, and does not allocate while these stay.
type shrinker struct {
	from, to geometry
	rows     []rowSpan
	cols     []colSpan
	sums     []uint16 // one output row, as wide as the input
}

type geometry struct{ w, h, channels int }

// rowSpan are the input rows of an output row. Rows between the first and the last weigh middle; the weights add up to at most 257, so
// that sums of bytes fit 16 bits.
type rowSpan struct {
	first, n            int
	top, middle, bottom uint16
	total               float32 // sum of the weights
}

// colSpan are the input columns of an output column. Columns between the first and the last weigh 256. The assembly knows the
// places of its fields.
type colSpan struct {
	first, n    int
	left, right uint32
	scale       float32 // 1 / sum of the weights
}

// mostShrink is by how much a side may shrink: with more, weights would get too coarse and sums too large.
const mostShrink = 32

// spare elements follow the sums, so that a column can be read as four values.
const spare = 8

// shrinks tells whether a picture can be brought to another size by a shrinker.
func shrinks(from, to geometry) bool {
	return from.w >= to.w && from.h >= to.h && from.w <= mostShrink*to.w && from.h <= mostShrink*to.h && from.channels == to.channels &&
		(from.channels == 1 || from.channels == 3)
}

// prepare makes the tables for two sizes.
func (s *shrinker) prepare(from, to geometry) {
	if s.from == from && s.to == to {
		return
	}
	s.from, s.to = from, to
	s.rows, s.cols = make([]rowSpan, to.h), make([]colSpan, to.w)
	s.sums = make([]uint16, from.w*from.channels+spare)
	unit := math.Floor(256 * float64(to.h) / float64(from.h))
	for i := range s.rows {
		first, n, before, after := span(i, from.h, to.h)
		r := rowSpan{first: first, n: n, middle: uint16(unit), top: uint16(math.Round(unit * before)), bottom: uint16(math.Round(unit * after))}
		r.total = float32(int(r.top) + int(r.bottom) + (n-2)*int(r.middle))
		if n == 1 {
			r.bottom, r.total = 0, float32(r.top)
		}
		s.rows[i] = r
	}
	for i := range s.cols {
		first, n, before, after := span(i, from.w, to.w)
		c := colSpan{first: first, n: n, left: uint32(math.Round(256 * before)), right: uint32(math.Round(256 * after))}
		c.scale = 1 / float32(int(c.left)+int(c.right)+(n-2)*256)
		if n == 1 {
			c.right, c.scale = 0, 1/float32(c.left)
		}
		s.cols[i] = c
	}
}

// span returns which of the inputs lie in output i of a side, and how much of the first and of the last one does.
func span(i, from, to int) (first, n int, before, after float64) {
	// In units of 1/to of an input.
	start, end := i*from, (i+1)*from
	first = start / to
	last := (end - 1) / to
	before = float64(min((first+1)*to, end)-start) / float64(to)
	after = float64(end-last*to) / float64(to)
	return first, last - first + 1, before, after
}

// run averages a picture, whose rows begin stride bytes apart, into dst, which has none between its rows.
func (s *shrinker) run(px []byte, stride int, dst []byte) {
	width := s.from.w * s.from.channels
	line := s.to.w * s.to.channels
	for i := range s.rows {
		r := &s.rows[i]
		sumRows(s.sums[:width], px[r.first*stride:], stride, r)
		if s.from.channels == 3 {
			columns3(dst[i*line:(i+1)*line], s.sums, s.cols, 1/r.total)
		} else {
			s.columns1(dst[i*line:(i+1)*line], r)
		}
	}
}

// columns3 averages the sums of a row with three channels. It is replaced where the processor can do better.
var columns3 = columns3Plain

func columns3Plain(dst []byte, sums []uint16, cols []colSpan, scale float32) {
	for i := range cols {
		c := &cols[i]
		v := sums[3*c.first : 3*(c.first+c.n)]
		x, y, z := c.left*uint32(v[0]), c.left*uint32(v[1]), c.left*uint32(v[2])
		if c.n > 1 {
			last := v[len(v)-3:]
			x, y, z = x+c.right*uint32(last[0]), y+c.right*uint32(last[1]), z+c.right*uint32(last[2])
			var a, b, d uint32
			for v = v[3 : len(v)-3]; len(v) >= 3; v = v[3:] {
				a, b, d = a+uint32(v[0]), b+uint32(v[1]), d+uint32(v[2])
			}
			x, y, z = x+a<<8, y+b<<8, z+d<<8
		}
		f := scale * c.scale
		to := dst[3*i : 3*i+3]
		to[0], to[1], to[2] = level(x, f), level(y, f), level(z, f)
	}
}

// columns1 averages the sums of a row with one channel.
func (s *shrinker) columns1(dst []byte, r *rowSpan) {
	scale := 1 / r.total
	for i := range s.cols {
		c := &s.cols[i]
		v := s.sums[c.first : c.first+c.n]
		x := c.left * uint32(v[0])
		if c.n > 1 {
			x += c.right * uint32(v[c.n-1])
			var sum uint32
			for _, u := range v[1 : c.n-1] {
				sum += uint32(u)
			}
			x += sum << 8
		}
		dst[i] = level(x, scale*c.scale)
	}
}

// level rounds a weighted sum to a level.
func level(sum uint32, scale float32) byte { return byte(float32(int64(sum))*scale + 0.5) }

// sumRows adds the rows of a span up, by weight. It is replaced where the processor can do better.
var sumRows = sumRowsPlain

func sumRowsPlain(sums []uint16, px []byte, stride int, r *rowSpan) {
	top := px[:len(sums)]
	for i, v := range top {
		sums[i] = r.top * uint16(v)
	}
	for row := 1; row < r.n; row++ {
		w := r.middle
		if row == r.n-1 {
			w = r.bottom
		}
		next := px[row*stride:][:len(sums)]
		for i, v := range next {
			sums[i] += w * uint16(v)
		}
	}
}
