package raster

import "math"

// Vec is a point or a direction in space, in metres.
type Vec struct{ X, Y, Z float64 }

// V makes a Vec.
func V(x, y, z float64) Vec { return Vec{x, y, z} }

// Add returns a + b.
func (a Vec) Add(b Vec) Vec { return Vec{a.X + b.X, a.Y + b.Y, a.Z + b.Z} }

// Sub returns a - b.
func (a Vec) Sub(b Vec) Vec { return Vec{a.X - b.X, a.Y - b.Y, a.Z - b.Z} }

// Mul returns a scaled by s.
func (a Vec) Mul(s float64) Vec { return Vec{a.X * s, a.Y * s, a.Z * s} }

// Dot returns the scalar product.
func (a Vec) Dot(b Vec) float64 { return a.X*b.X + a.Y*b.Y + a.Z*b.Z }

// Cross returns the vector product.
func (a Vec) Cross(b Vec) Vec {
	return Vec{a.Y*b.Z - a.Z*b.Y, a.Z*b.X - a.X*b.Z, a.X*b.Y - a.Y*b.X}
}

// Len returns the length.
func (a Vec) Len() float64 { return math.Sqrt(a.Dot(a)) }

// Unit returns a scaled to length 1; the zero vector stays zero.
func (a Vec) Unit() Vec {
	l := a.Len()
	if l == 0 {
		return a
	}
	return a.Mul(1 / l)
}

// Lerp returns the point a fraction f of the way from a to b.
func (a Vec) Lerp(b Vec, f float64) Vec {
	return Vec{a.X + (b.X-a.X)*f, a.Y + (b.Y-a.Y)*f, a.Z + (b.Z-a.Z)*f}
}

// Mat is a 3×3 matrix in rows.
type Mat [3]Vec

// Identity is the matrix that changes nothing.
var Identity = Mat{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}

// Apply returns m·v.
func (m *Mat) Apply(v Vec) Vec { return Vec{m[0].Dot(v), m[1].Dot(v), m[2].Dot(v)} }

// Times returns m·n.
func (m *Mat) Times(n *Mat) Mat {
	var r Mat
	for i, a := range m {
		r[i] = Vec{
			a.X*n[0].X + a.Y*n[1].X + a.Z*n[2].X,
			a.X*n[0].Y + a.Y*n[1].Y + a.Z*n[2].Y,
			a.X*n[0].Z + a.Y*n[1].Z + a.Z*n[2].Z,
		}
	}
	return r
}

// Euler returns the rotation by roll about y, then pitch about x, then yaw about z, in radians.
// A positive yaw turns +y towards -x, a positive pitch raises +y.
func Euler(yaw, pitch, roll float64) Mat {
	sy, cy := math.Sincos(yaw)
	sp, cp := math.Sincos(pitch)
	sr, cr := math.Sincos(roll)
	rz := Mat{{cy, -sy, 0}, {sy, cy, 0}, {0, 0, 1}}
	rx := Mat{{1, 0, 0}, {0, cp, -sp}, {0, sp, cp}}
	ry := Mat{{cr, 0, sr}, {0, 1, 0}, {-sr, 0, cr}}
	t := rz.Times(&rx)
	return t.Times(&ry)
}

// Pose places a mesh in the world: the point p of the mesh lies at R·p + T.
type Pose struct {
	R Mat
	T Vec
}

// At returns the pose that only moves, by t.
func At(t Vec) Pose { return Pose{Identity, t} }

// Apply returns the world point of the mesh point p.
func (p *Pose) Apply(v Vec) Vec { return p.R.Apply(v).Add(p.T) }

// Times returns the pose of a mesh that is placed by q inside a frame that is placed by p.
func (p Pose) Times(q Pose) Pose {
	return Pose{p.R.Times(&q.R), p.R.Apply(q.T).Add(p.T)}
}

// Along returns the pose whose z axis points from a to b, with its origin in a. Limbs are drawn by it.
func Along(a, b Vec) Pose {
	z := b.Sub(a).Unit()
	up := Vec{0, 0, 1}
	if math.Abs(z.Z) > 0.95 {
		up = Vec{0, 1, 0}
	}
	x := up.Cross(z).Unit()
	y := z.Cross(x)
	return Pose{Mat{{x.X, y.X, z.X}, {x.Y, y.Y, z.Y}, {x.Z, y.Z, z.Z}}, a}
}
