package raster

import "math"

// Material is what a surface looks like: one colour, or two colours mixed by a pattern.
type Material struct {
	Base, Second RGB      // Second counts only with a Pattern
	Pattern      *Pattern // nil: plain
	Repeat       float64  // how often the pattern repeats across a face; 0 is once
	Glow         bool     // shines by itself: light and normal don't count
	Blend        Blend
}

// RGB is a colour, each channel 0 to 1.
type RGB struct{ R, G, B float64 }

// Mix returns the colour a fraction f of the way from a to b.
func (a RGB) Mix(b RGB, f float64) RGB {
	return RGB{a.R + (b.R-a.R)*f, a.G + (b.G-a.G)*f, a.B + (b.B-a.B)*f}
}

// Blend is how a surface covers what is behind it.
type Blend uint8

// The ways to blend. All but Opaque leave the depth buffer alone: draw them last.
const (
	Opaque Blend = iota
	Shade        // darkens what is behind to three quarters: a soft shadow
	Beam         // adds a quarter of white: a beam of light
)

type tri struct {
	a, b, c int32
	mat     int32
	n       Vec
	uv      [3][2]float32
}

// Mesh is a set of triangles with materials. Build it with the Add methods; drawing leaves it alone, so that one mesh
// may be drawn by several targets at once.
type Mesh struct {
	verts  []Vec
	tris   []tri
	mats   []Material
	radius float64 // of the ball around the origin that holds all vertices
}

func (m *Mesh) vert(v Vec) int32 {
	m.radius = max(m.radius, v.Len())
	m.verts = append(m.verts, v)
	return int32(len(m.verts) - 1)
}

func (m *Mesh) material(mat Material) int32 {
	if mat.Repeat == 0 {
		mat.Repeat = 1
	}
	for i := range m.mats {
		if m.mats[i] == mat {
			return int32(i)
		}
	}
	m.mats = append(m.mats, mat)
	return int32(len(m.mats) - 1)
}

func (m *Mesh) tri(a, b, c int32, mat int32, uv [3][2]float32) {
	va, vb, vc := m.verts[a], m.verts[b], m.verts[c]
	n := vb.Sub(va).Cross(vc.Sub(va))
	if n.Len() == 0 {
		return
	}
	r := float32(m.mats[mat].Repeat)
	for i := range uv {
		uv[i][0] *= r * texSize
		uv[i][1] *= r * texSize
	}
	m.tris = append(m.tris, tri{a, b, c, mat, n.Unit(), uv})
}

// Quad adds the parallelogram o, o+u, o+u+v, o+v, seen from the side where this order is counter-clockwise, cut into
// nu×nv cells (a lens bends long straight edges only at vertices).
func (m *Mesh) Quad(o, u, v Vec, nu, nv int, mat Material) *Mesh {
	k := m.material(mat)
	base := int32(len(m.verts))
	for j := range nv + 1 {
		for i := range nu + 1 {
			m.vert(o.Add(u.Mul(float64(i) / float64(nu))).Add(v.Mul(float64(j) / float64(nv))))
		}
	}
	row := int32(nu + 1)
	for j := range nv {
		for i := range nu {
			a := base + int32(j)*row + int32(i)
			u0, u1 := float32(i)/float32(nu), float32(i+1)/float32(nu)
			v0, v1 := float32(j)/float32(nv), float32(j+1)/float32(nv)
			m.tri(a, a+1, a+row+1, k, [3][2]float32{{u0, v0}, {u1, v0}, {u1, v1}})
			m.tri(a, a+row+1, a+row, k, [3][2]float32{{u0, v0}, {u1, v1}, {u0, v1}})
		}
	}
	return m
}

// Box adds an upright box with the middle of its floor in c.
func (m *Mesh) Box(c Vec, dx, dy, dz float64, mat Material) *Mesh {
	x0, x1, y0, y1, z0, z1 := c.X-dx/2, c.X+dx/2, c.Y-dy/2, c.Y+dy/2, c.Z, c.Z+dz
	x, y, z := V(dx, 0, 0), V(0, dy, 0), V(0, 0, dz)
	m.Quad(V(x0, y0, z1), x, y, 1, 1, mat)
	m.Quad(V(x0, y0, z0), y, x, 1, 1, mat)
	m.Quad(V(x0, y0, z0), x, z, 1, 1, mat)
	m.Quad(V(x1, y1, z0), x.Mul(-1), z, 1, 1, mat)
	m.Quad(V(x1, y0, z0), y, z, 1, 1, mat)
	m.Quad(V(x0, y1, z0), y.Mul(-1), z, 1, 1, mat)
	return m
}

// Crate adds an open box with walls seen from both sides: outside in mat, inside in the given material.
func (m *Mesh) Crate(c Vec, dx, dy, dz float64, mat, inside Material) *Mesh {
	x0, x1, y0, y1, z0 := c.X-dx/2, c.X+dx/2, c.Y-dy/2, c.Y+dy/2, c.Z
	x, y, z := V(dx, 0, 0), V(0, dy, 0), V(0, 0, dz)
	nx, ny := x.Mul(-1), y.Mul(-1)
	m.Quad(V(x0, y0, z0), x, z, 1, 1, mat)
	m.Quad(V(x1, y1, z0), nx, z, 1, 1, mat)
	m.Quad(V(x1, y0, z0), y, z, 1, 1, mat)
	m.Quad(V(x0, y1, z0), ny, z, 1, 1, mat)
	m.Quad(V(x1, y0, z0), nx, z, 1, 1, inside)
	m.Quad(V(x0, y1, z0), x, z, 1, 1, inside)
	m.Quad(V(x1, y1, z0), ny, z, 1, 1, inside)
	m.Quad(V(x0, y0, z0), y, z, 1, 1, inside)
	m.Quad(V(x0, y0, z0+0.002), x, y, 1, 1, inside)
	m.Quad(V(x0, y0, z0), y, x, 1, 1, mat)
	return m
}

// Ring is one cross-section of a Lathe: an ellipse at height Z.
type Ring struct{ Z, RX, RY float64 }

// Lathe adds a body of elliptic cross-sections along z, from the lowest to the highest, closed at both ends. The pattern runs once
// around and once along.
func (m *Mesh) Lathe(c Vec, sides int, mat Material, rings ...Ring) *Mesh {
	k := m.material(mat)
	base := int32(len(m.verts))
	for _, r := range rings {
		for i := range sides {
			s, co := math.Sincos(2 * math.Pi * float64(i) / float64(sides))
			m.vert(c.Add(V(r.RX*co, r.RY*s, r.Z)))
		}
	}
	n := int32(sides)
	for j := range len(rings) - 1 {
		v0, v1 := float32(j)/float32(len(rings)-1), float32(j+1)/float32(len(rings)-1)
		for i := range n {
			a, b := base+int32(j)*n+i, base+int32(j)*n+(i+1)%n
			u0, u1 := float32(i)/float32(n), float32(i+1)/float32(n)
			m.tri(a, b, b+n, k, [3][2]float32{{u0, v0}, {u1, v0}, {u1, v1}})
			m.tri(a, b+n, a+n, k, [3][2]float32{{u0, v0}, {u1, v1}, {u0, v1}})
		}
	}
	top := base + int32(len(rings)-1)*n
	for i := int32(1); i < n-1; i++ {
		m.tri(top, top+i, top+i+1, k, capUV(n, 0, i, i+1))
		m.tri(base, base+i+1, base+i, k, capUV(n, 0, i+1, i))
	}
	return m
}

// capUV maps the rim of a disc to the circle in the pattern's square.
func capUV(n int32, corners ...int32) [3][2]float32 {
	var uv [3][2]float32
	for k, i := range corners {
		s, c := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		uv[k] = [2]float32{float32(0.5 + 0.5*c), float32(0.5 + 0.5*s)}
	}
	return uv
}

// Cylinder adds an upright cylinder with the middle of its floor in c.
func (m *Mesh) Cylinder(c Vec, r, h float64, sides int, mat Material) *Mesh {
	return m.Lathe(c, sides, mat, Ring{0, r, r}, Ring{h, r, r})
}

// Ball adds an ellipsoid with the radii rx, ry and rz around c.
func (m *Mesh) Ball(c Vec, rx, ry, rz float64, sides, rings int, mat Material) *Mesh {
	rs := make([]Ring, 0, rings+1)
	for j := range rings + 1 {
		s, co := math.Sincos(math.Pi * (float64(j)/float64(rings) - 0.5))
		co = max(co, 0.02)
		rs = append(rs, Ring{rz * s, rx * co, ry * co})
	}
	return m.Lathe(c, sides, mat, rs...)
}

// Join adds all of o, placed by p.
func (m *Mesh) Join(o *Mesh, p Pose) *Mesh {
	base := int32(len(m.verts))
	for _, v := range o.verts {
		m.vert(p.Apply(v))
	}
	for _, t := range o.tris {
		t.a, t.b, t.c = t.a+base, t.b+base, t.c+base
		t.mat = m.material(o.mats[t.mat])
		t.n = p.R.Apply(t.n)
		m.tris = append(m.tris, t)
	}
	return m
}

// Mirror returns m reflected at the plane x = 0.
func (m *Mesh) Mirror() *Mesh {
	r := &Mesh{mats: m.mats, radius: m.radius}
	for _, v := range m.verts {
		r.verts = append(r.verts, V(-v.X, v.Y, v.Z))
	}
	for _, t := range m.tris {
		t.a, t.b = t.b, t.a
		t.uv[0], t.uv[1] = t.uv[1], t.uv[0]
		t.n.X = -t.n.X
		r.tris = append(r.tris, t)
	}
	return r
}
