// Package raster draws lit, patterned triangle meshes into small z-buffered pictures.
package raster

import "math"

// near is the distance of the near plane, in metres.
const near = 0.04

// Light is a lamp far away with light from everywhere around it.
type Light struct {
	Ambient, Key, Fill float64
	Dir                Vec     // towards the lamp, of length 1
	Tint               RGB     // colour of all light
	Gain               float64 // of the camera, for what glows too
}

// Curve is a monochrome camera's response: what it makes of each brightness, in steps of half a grey level.
type Curve [1024]uint8

// Target is a picture being drawn. Pixels are 0xRRGGBB in rows from the top left; Depth holds 1/distance, 0 for infinitely far.
// A Target is not safe for concurrent use.
type Target struct {
	Lens  Lens
	Light Light
	Mono  bool // colours become grey by luminance, the same value in all channels
	Curve *Curve
	Pix   []uint32
	Depth []float32

	pts   []point
	ramps []ramp
	fill  filler
}

// ramp holds a material's sixteen lit tones for one direction of its surface.
type ramp struct {
	lit  float64
	tone [16]uint32
}

// NewTarget makes a target that draws into pix, which holds Lens.W×Lens.H pixels; nil makes one.
func NewTarget(l Lens, pix []uint32) *Target {
	n := l.W * l.H
	if pix == nil {
		pix = make([]uint32, n)
	}
	return &Target{Lens: l, Pix: pix[:n], Depth: make([]float32, n), Light: Light{Ambient: 1, Tint: RGB{1, 1, 1}, Gain: 1}}
}

// Clear fills the picture with one colour, infinitely far away.
func (t *Target) Clear(c RGB) {
	v := t.pack(c, 1)
	for i := range t.Pix {
		t.Pix[i] = v
	}
	clear(t.Depth)
}

// Draw draws m, placed by p.
func (t *Target) Draw(m *Mesh, p Pose) {
	l := &t.Lens
	centre := l.R.Apply(p.T.Sub(l.Eye))
	if !t.sees(centre, m.radius) {
		return
	}
	rot := l.R.Times(&p.R)
	if cap(t.pts) < len(m.verts) {
		t.pts = make([]point, len(m.verts))
	}
	pts := t.pts[:len(m.verts)]
	for i, v := range m.verts {
		q := &pts[i]
		q.cam = rot.Apply(v).Add(centre)
		if q.cam.Z >= near {
			l.project(q)
		}
	}
	if cap(t.ramps) < len(m.mats) {
		t.ramps = make([]ramp, len(m.mats))
	}
	ramps := t.ramps[:len(m.mats)]
	for i := range ramps {
		ramps[i].lit = -1
	}
	for i := range m.tris {
		f := &m.tris[i]
		a, b, c := &pts[f.a], &pts[f.b], &pts[f.c]
		// The eye in front of the face's plane: the camera-space normal against any of its points.
		n := rot.Apply(f.n)
		if n.Dot(a.cam) >= 0 {
			continue
		}
		mat := &m.mats[f.mat]
		r := &ramps[f.mat]
		if lit := t.lit(mat, p.R.Apply(f.n)); lit != r.lit {
			t.shade(r, mat, lit)
		}
		if a.cam.Z >= near && b.cam.Z >= near && c.cam.Z >= near {
			t.face(a, b, c, mat, r, &f.uv)
			continue
		}
		t.clipped(a, b, c, mat, r, &f.uv)
	}
}

// sees reports whether a ball can lie in the picture.
func (t *Target) sees(c Vec, radius float64) bool {
	if c.Z < near-radius {
		return false
	}
	tan := t.Lens.reach()
	// Distance of the centre from the cone around the axis that holds the picture.
	off := math.Hypot(c.X, c.Y)
	return (off-tan*c.Z)/math.Sqrt(1+tan*tan) <= radius
}

func (t *Target) lit(mat *Material, n Vec) float64 {
	if mat.Glow {
		return 1
	}
	l := &t.Light
	v := l.Ambient + l.Key*max(0, n.Dot(l.Dir)) + l.Fill*(0.5+0.5*n.Z)
	// Steps of 1/64 let neighbouring faces of a curved body share their tones.
	return math.Round(v*64) / 64
}

func (t *Target) shade(r *ramp, mat *Material, lit float64) {
	r.lit = lit
	r.tone[0] = t.pack(mat.Base, lit)
	if mat.Pattern == nil {
		return
	}
	for i := 1; i < 16; i++ {
		r.tone[i] = t.pack(mat.Base.Mix(mat.Second, float64(i)/15), lit)
	}
}

// pack lights a colour and packs it.
func (t *Target) pack(c RGB, lit float64) uint32 {
	k := 255 * lit * t.Light.Gain
	r, g, b := c.R*k*t.Light.Tint.R, c.G*k*t.Light.Tint.G, c.B*k*t.Light.Tint.B
	if t.Mono {
		y := 0.299*r + 0.587*g + 0.114*b
		if t.Curve != nil {
			return uint32(t.Curve[int(min(2*y, float64(len(t.Curve)-1)))]) * 0x010101
		}
		return uint32(min(y, 255)) * 0x010101
	}
	return uint32(min(r, 255))<<16 | uint32(min(g, 255))<<8 | uint32(min(b, 255))
}

// clipped draws what lies of a face beyond the near plane.
func (t *Target) clipped(a, b, c *point, mat *Material, r *ramp, uv *[3][2]float32) {
	in := [3]*point{a, b, c}
	var out [4]point
	var ouv [4][2]float32
	n := 0
	for i := range in {
		p, q := in[i], in[(i+1)%3]
		pu, qu := uv[i], uv[(i+1)%3]
		if p.cam.Z >= near {
			out[n], ouv[n] = *p, pu
			n++
		}
		if (p.cam.Z >= near) != (q.cam.Z >= near) {
			f := (near - p.cam.Z) / (q.cam.Z - p.cam.Z)
			out[n] = point{cam: p.cam.Lerp(q.cam, f)}
			out[n].cam.Z = near
			t.Lens.project(&out[n])
			ouv[n] = [2]float32{pu[0] + (qu[0]-pu[0])*float32(f), pu[1] + (qu[1]-pu[1])*float32(f)}
			n++
		}
	}
	for i := 1; i+1 < n; i++ {
		t.face(&out[0], &out[i], &out[i+1], mat, r, &[3][2]float32{ouv[0], ouv[i], ouv[i+1]})
	}
}
