package sim

import (
	"math"

	"tandem/sim/internal/raster"
)

// figure is the worker's body, in pieces that are placed by the pose.
type figure struct {
	torso, head, legs     *raster.Mesh
	upper, fore, joint    *raster.Mesh // of an arm, along z, unit length for the limbs
	hand                  [2]*raster.Mesh
	upperLength, forearms float64
}

func newFigure(w *Worker) figure {
	f := figure{upperLength: 0.33, forearms: 0.31}
	shirt := raster.Material{Base: w.shirt}
	skin := raster.Material{Base: w.skin}
	f.torso = lathe(shirt, 10,
		raster.Ring{Z: -0.20, RX: 0.17, RY: 0.12}, raster.Ring{Z: 0.05, RX: 0.16, RY: 0.115}, raster.Ring{Z: 0.30, RX: 0.205, RY: 0.13},
		raster.Ring{Z: 0.40, RX: 0.20, RY: 0.11}, raster.Ring{Z: 0.46, RX: 0.07, RY: 0.06})
	f.torso.Lathe(raster.V(0, 0, 0.42), 8, skin, raster.Ring{Z: 0, RX: 0.058, RY: 0.058}, raster.Ring{Z: 0.16, RX: 0.052, RY: 0.055})
	// A safety vest's bands.
	vest := plain(0.85, 0.9, 0.25)
	f.torso.Lathe(raster.V(0, 0, 0.10), 10, vest, raster.Ring{Z: 0, RX: 0.176, RY: 0.126}, raster.Ring{Z: 0.05, RX: 0.186, RY: 0.130})
	f.torso.Lathe(raster.V(0, 0, 0.22), 10, vest, raster.Ring{Z: 0, RX: 0.198, RY: 0.133}, raster.Ring{Z: 0.05, RX: 0.207, RY: 0.137})
	f.head = new(raster.Mesh)
	f.head.Ball(raster.V(0, 0, 0), 0.085, 0.10, 0.12, 10, 6, skin)
	f.head.Ball(raster.V(0, -0.01, 0.04), 0.098, 0.115, 0.10, 10, 4, plain(0.92, 0.92, 0.90))
	f.head.Box(raster.V(0, 0.11, 0.03), 0.06, 0.04, 0.035, plain(0.08, 0.08, 0.1))
	trousers := raster.Material{Base: w.trousers}
	f.legs = new(raster.Mesh)
	for _, x := range []float64{-0.09, 0.09} {
		f.legs.Lathe(raster.V(x, 0, -0.95), 8, trousers, raster.Ring{Z: 0, RX: 0.06, RY: 0.07}, raster.Ring{Z: 0.78, RX: 0.09, RY: 0.10})
	}
	f.upper = lathe(shirt, 8, raster.Ring{Z: 0, RX: 0.058, RY: 0.058}, raster.Ring{Z: 1, RX: 0.047, RY: 0.047})
	f.fore = lathe(shirt, 8, raster.Ring{Z: 0, RX: 0.047, RY: 0.047}, raster.Ring{Z: 0.72, RX: 0.038, RY: 0.038})
	f.fore.Lathe(raster.V(0, 0, 0), 8, raster.Material{Base: w.hands}, raster.Ring{Z: 0.72, RX: 0.033, RY: 0.033}, raster.Ring{Z: 1.02, RX: 0.028, RY: 0.028})
	f.joint = new(raster.Mesh).Ball(raster.V(0, 0, 0), 0.052, 0.052, 0.052, 8, 4, shirt)
	f.hand[0] = handMesh(raster.Material{Base: w.hands})
	f.hand[1] = f.hand[0].Mirror()
	return f
}

// handMesh is a right hand: palm around the origin, fingers along +y and bent down, thumb to the left.
func handMesh(skin raster.Material) *raster.Mesh {
	var m raster.Mesh
	m.Join(new(raster.Mesh).Ball(raster.V(0, 0, 0), 0.048, 0.060, 0.024, 8, 4, skin), raster.At(raster.V(0, -0.015, 0)))
	for i := range 4 {
		x := -0.033 + 0.022*float64(i)
		reach := 0.052 - 0.006*math.Abs(float64(i)-1.4)
		var knuckle, tip raster.Mesh
		knuckle.Box(raster.V(0, reach/2, -0.010), 0.019, reach, 0.020, skin)
		m.Join(&knuckle, raster.Pose{R: raster.Euler(0, -0.35, 0), T: raster.V(x, 0.032, 0.004)})
		tip.Box(raster.V(0, reach/2, -0.009), 0.018, reach, 0.018, skin)
		m.Join(&tip, raster.Pose{R: raster.Euler(0, -1.05, 0), T: raster.V(x, 0.032+0.93*reach, 0.004-0.34*reach)})
	}
	var thumb raster.Mesh
	thumb.Box(raster.V(0, 0.03, -0.01), 0.022, 0.065, 0.022, skin)
	m.Join(&thumb, raster.Pose{R: raster.Euler(0.75, -0.4, 0), T: raster.V(-0.040, -0.02, 0)})
	return &m
}

// pose places a limb of unit length between two points.
func limb(a, b raster.Vec) raster.Pose {
	p := raster.Along(a, b)
	l := b.Sub(a).Len()
	// Stretch along z only: the third column of the rotation.
	p.R[0].Z *= l
	p.R[1].Z *= l
	p.R[2].Z *= l
	return p
}

// draw draws the body; from its own eye only the arms.
func (f *figure) draw(t *raster.Target, s *state, own bool) {
	lean := 0.35
	torso := raster.Pose{R: raster.Euler(s.body.yaw, -lean, 0), T: raster.V(s.body.x, s.body.y-0.04, 0)}
	if !own {
		t.Draw(f.torso, torso)
		t.Draw(f.legs, raster.Pose{R: raster.Euler(s.body.yaw, 0, 0), T: raster.V(s.body.x, s.body.y-0.02, 0)})
		d := s.gaze.Sub(s.eye)
		yaw, pitch := math.Atan2(-d.X, d.Y), math.Atan2(d.Z, math.Hypot(d.X, d.Y))
		head := raster.Pose{R: raster.Euler(yaw, 0.6*pitch, s.headRoll), T: s.eye}
		head.T = torso.Apply(raster.V(0, 0.03, 0.62))
		t.Draw(f.head, head)
	}
	for i := range 2 {
		side := 1 - 2*float64(i)
		hand := s.hand[i].pose()
		wrist := hand.Apply(raster.V(0, -0.075, 0))
		shoulder := torso.Apply(raster.V(side*0.22, 0, 0.39))
		elbow := f.elbow(shoulder, wrist, s.body.yaw, side)
		t.Draw(f.upper, limb(shoulder, elbow))
		t.Draw(f.joint, raster.At(shoulder))
		t.Draw(f.joint, raster.At(elbow))
		t.Draw(f.fore, limb(elbow, wrist))
		t.Draw(f.hand[i], hand)
	}
}

// elbow bends the arm between shoulder and wrist outwards and down. An arm that is too short for its reach is stretched.
func (f *figure) elbow(s, w raster.Vec, yaw, side float64) raster.Vec {
	d := w.Sub(s)
	dist := d.Len()
	a, b := f.upperLength, f.forearms
	if k := dist / (0.985 * (a + b)); k > 1 {
		a, b = a*k, b*k
	}
	x := (a*a - b*b + dist*dist) / (2 * dist)
	h := math.Sqrt(max(a*a-x*x, 0))
	axis := d.Unit()
	pole := turn(yaw, raster.V(side*0.75, -0.35, -0.6))
	pole = pole.Sub(axis.Mul(pole.Dot(axis))).Unit()
	return s.Add(axis.Mul(x)).Add(pole.Mul(h))
}
