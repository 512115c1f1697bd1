package raster

import "math"

// Lens is a camera's eye: where it stands, where it looks and how it bends the picture. Barrel distortion follows the division model
// (Fitzgibbon, "Simultaneous linear estimation of multiple view geometry and lens distortion", CVPR 2001): a point at radius r of the ideal
// picture lies at 2r / (1 + sqrt(1 + 4·K·r²)), in units of the focal length.
type Lens struct {
	W, H int
	F    float64 // focal length in pixels
	K    float64 // barrel distortion, 0 for an ideal lens
	R    Mat     // rows: right, down, forward
	Eye  Vec
}

// NewLens makes a lens for a picture of w×h pixels whose horizontal field of view is fov radians.
func NewLens(w, h int, fov, k float64) Lens {
	r := math.Tan(fov / 2)
	d := 2 * r / (1 + math.Sqrt(1+4*k*r*r))
	return Lens{W: w, H: h, F: float64(w) / 2 / d, K: k, R: Identity}
}

// Aim puts the eye at eye, looking at target, with the picture's right side turned down by roll radians.
func (l *Lens) Aim(eye, target Vec, roll float64) {
	f := target.Sub(eye).Unit()
	right := f.Cross(V(0, 0, 1)).Unit()
	down := f.Cross(right)
	s, c := math.Sincos(roll)
	l.Eye = eye
	l.R = Mat{right.Mul(c).Add(down.Mul(s)), down.Mul(c).Sub(right.Mul(s)), f}
}

// reach returns the tangent of the widest angle that the picture's corner sees.
func (l *Lens) reach() float64 {
	d := math.Hypot(float64(l.W), float64(l.H)) / 2 / l.F
	return d / max(1-l.K*d*d, 0.05)
}

// point is a vertex on its way to the picture.
type point struct {
	cam  Vec     // in the camera's frame
	x, y float64 // in pixels
	q    float64 // 1 / depth
}

func (l *Lens) project(p *point) {
	p.q = 1 / p.cam.Z
	x, y := p.cam.X*p.q, p.cam.Y*p.q
	s := l.F
	if l.K > 0 {
		s = 2 * l.F / (1 + math.Sqrt(1+4*l.K*(x*x+y*y)))
	}
	p.x = float64(l.W)/2 + s*x
	p.y = float64(l.H)/2 + s*y
}
