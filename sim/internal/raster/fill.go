package raster

import "math"

// plane is a value that is linear over the picture: v0 at pixel centre (0.5, 0.5) of the picture's corner.
type plane struct{ v0, dx, dy float64 }

func newPlane(a, b, c *point, va, vb, vc, inv float64) plane {
	dx := ((vb-va)*(c.y-a.y) - (vc-va)*(b.y-a.y)) * inv
	dy := ((vc-va)*(b.x-a.x) - (vb-va)*(c.x-a.x)) * inv
	return plane{va + dx*(0.5-a.x) + dy*(0.5-a.y), dx, dy}
}

func (p *plane) at(x, y int) float64 { return p.v0 + p.dx*float64(x) + p.dy*float64(y) }

// edge is a side of a triangle on its way down, row by row: x is where it crosses the middle of the row. Neighbours that share a
// side begin it at the same end and so compute the same numbers.
type edge struct{ x, dx float64 }

func newEdge(from, to *point, row int) edge {
	if to.y == from.y {
		return edge{from.x, 0}
	}
	dx := (to.x - from.x) / (to.y - from.y)
	return edge{from.x + dx*(float64(row)+0.5-from.y), dx}
}

// filler is what the rows of one face have in common.
type filler struct {
	z, u, v plane
	tone    *[16]uint32
	tex     []uint8 // nil for plain faces
	bits    uint
	scale   float32
	blend   Blend
	flat    bool // the pattern needs no perspective
}

// face fills one projected triangle. A pixel belongs to it when its centre does; a centre on an edge belongs to the face on its right or below,
// so that neighbours neither overlap nor leave gaps.
func (t *Target) face(a, b, c *point, mat *Material, r *ramp, uv *[3][2]float32) {
	area := (b.x-a.x)*(c.y-a.y) - (c.x-a.x)*(b.y-a.y)
	if area == 0 {
		return
	}
	w, h := t.Lens.W, t.Lens.H
	top, mid, bot := a, b, c
	if mid.y < top.y {
		top, mid = mid, top
	}
	if bot.y < top.y {
		top, bot = bot, top
	}
	if bot.y < mid.y {
		mid, bot = bot, mid
	}
	y0, y1 := max(pixel(top.y), 0), min(pixel(bot.y), h)
	if y0 >= y1 {
		return
	}
	if right := float64(w); a.x < 0 && b.x < 0 && c.x < 0 || a.x > right && b.x > right && c.x > right {
		return
	}
	inv := 1 / area
	f := &t.fill
	f.z = newPlane(a, b, c, a.q, b.q, c.q, inv)
	f.tone = &r.tone
	f.blend = mat.Blend
	f.tex = nil
	if mat.Pattern != nil && mat.Blend == Opaque {
		f.pick(mat.Pattern, uv, area)
		qa, qb, qc := a.q, b.q, c.q
		// Where depth hardly changes over the face, the pattern is linear over the picture.
		if f.flat = max(qa, qb, qc) < 1.12*min(qa, qb, qc); f.flat {
			qa, qb, qc = 1, 1, 1
		}
		k := float64(f.scale)
		f.u = newPlane(a, b, c, k*float64(uv[0][0])*qa, k*float64(uv[1][0])*qb, k*float64(uv[2][0])*qc, inv)
		f.v = newPlane(a, b, c, k*float64(uv[0][1])*qa, k*float64(uv[1][1])*qb, k*float64(uv[2][1])*qc, inv)
	}
	// The long side runs from top to bottom; the middle corner lies left or right of it.
	ym := min(max(pixel(mid.y), y0), y1)
	long := newEdge(top, bot, y0)
	upper, lower := newEdge(top, mid, y0), newEdge(mid, bot, max(pixel(mid.y), 0))
	if (bot.x-top.x)*(mid.y-top.y) < (mid.x-top.x)*(bot.y-top.y) {
		t.rows(y0, ym, &long, &upper)
		t.rows(ym, y1, &long, &lower)
		return
	}
	t.rows(y0, ym, &upper, &long)
	t.rows(ym, y1, &lower, &long)
}

// pixel returns the first pixel whose centre is not left of (above) x.
// Turned round, rounding up is the rounding down that a conversion does for numbers above 0. Everything drawn lies within ±far.
func pixel(x float64) int {
	const far = 1 << 24
	return far - int(far+0.5-x)
}

// pick chooses the pattern's size at which one of its dots covers about one pixel.
func (f *filler) pick(p *Pattern, uv *[3][2]float32, area float64) {
	du1, dv1 := uv[1][0]-uv[0][0], uv[1][1]-uv[0][1]
	du2, dv2 := uv[2][0]-uv[0][0], uv[2][1]-uv[0][1]
	texels := math.Abs(float64(du1*dv2 - du2*dv1))
	ratio := texels / math.Abs(area) // texels on one pixel
	level := 0
	for ratio > 2 && level < texBits {
		ratio /= 4
		level++
	}
	f.tex = p.levels[level]
	f.bits = uint(texBits - level)
	f.scale = 1 / float32(int(1)<<level)
}

// rows fills rows [y0, y1) between two edges and leaves both below.
func (t *Target) rows(y0, y1 int, left, right *edge) {
	f := &t.fill
	w := t.Lens.W
	xl, xr, dl, dr := left.x, right.x, left.dx, right.dx
	plain := f.tex == nil && f.blend == Opaque
	dz := float32(f.z.dx)
	c := f.tone[0]
	for y := y0; y < y1; y++ {
		x0, x1 := max(pixel(xl), 0), min(pixel(xr), w)
		xl += dl
		xr += dr
		if x0 >= x1 {
			continue
		}
		o := y * w
		depth := t.Depth[o+x0 : o+x1]
		pix := t.Pix[o+x0 : o+x1]
		if !plain {
			f.row(depth, pix, x0, y)
			continue
		}
		pix = pix[:len(depth)]
		z := float32(f.z.at(x0, y))
		for i, d := range depth {
			if z > d {
				depth[i] = z
				pix[i] = c
			}
			z += dz
		}
	}
	left.x, right.x = xl, xr
}

// row fills one row of a face that isn't plain.
func (f *filler) row(depth []float32, pix []uint32, x, y int) {
	switch {
	case f.tex == nil:
		f.translucent(depth, pix, x, y)
	case f.flat:
		f.patternedFlat(depth, pix, x, y)
	default:
		f.patterned(depth, pix, x, y)
	}
}

func (f *filler) patterned(depth []float32, pix []uint32, x, y int) {
	pix = pix[:len(depth)]
	z, dz := float32(f.z.at(x, y)), float32(f.z.dx)
	u, du := float32(f.u.at(x, y)), float32(f.u.dx)
	v, dv := float32(f.v.at(x, y)), float32(f.v.dx)
	tex, bits, tone := f.tex, f.bits, f.tone
	mask := int32(1)<<bits - 1
	for i, d := range depth {
		if z > d {
			w := 1 / z
			iu, iv := int32(u*w)&mask, int32(v*w)&mask
			depth[i] = z
			pix[i] = tone[tex[iv<<bits|iu]&15]
		}
		z += dz
		u += du
		v += dv
	}
}

// patternedFlat counts in 1/65536 of a dot.
func (f *filler) patternedFlat(depth []float32, pix []uint32, x, y int) {
	pix = pix[:len(depth)]
	z, dz := float32(f.z.at(x, y)), float32(f.z.dx)
	u, du := int32(int64(f.u.at(x, y)*65536)), int32(f.u.dx*65536)
	v, dv := int32(int64(f.v.at(x, y)*65536)), int32(f.v.dx*65536)
	tex, bits, tone := f.tex, f.bits, f.tone
	mask := int32(1)<<bits - 1
	for i, d := range depth {
		if z > d {
			depth[i] = z
			pix[i] = tone[tex[v>>16&mask<<bits|u>>16&mask]&15]
		}
		z += dz
		u += du
		v += dv
	}
}

func (f *filler) translucent(depth []float32, pix []uint32, x, y int) {
	pix = pix[:len(depth)]
	z, dz := float32(f.z.at(x, y)), float32(f.z.dx)
	for i, d := range depth {
		if z > d {
			p := pix[i]
			if f.blend == Shade {
				pix[i] = p>>1&0x7f7f7f + p>>2&0x3f3f3f
			} else {
				pix[i] = p - p>>2&0x3f3f3f + 0x3f3f3f
			}
		}
		z += dz
	}
}
