package sim

import (
	"math"
	"slices"

	"tandem/sim/internal/raster"
)

// studio draws the cell for one camera of one take. It is not safe for concurrent use.
type studio struct {
	scene  *Scene
	cell   *cell
	target *raster.Target
	ego    bool

	// What never moves is drawn once for a fixed camera.
	backPix   []uint32
	backDepth []float32
}

// newStudio makes the studio of a camera that draws into pix, Width×Height pixels of 0xRRGGBB.
func newStudio(s *Scene, c *cell, cam *Camera, pix []uint32) *studio {
	st := &studio{scene: s, cell: c, ego: cam.ID == "ego"}
	switch cam.ID {
	case "exo1":
		l := raster.NewLens(cam.Width, cam.Height, 1.02, 0)
		l.Aim(raster.V(-1.05, 1.62, 1.22), raster.V(0.03, 0.08, 0.12), 0)
		st.target = raster.NewTarget(l, pix)
	case "exo2":
		l := raster.NewLens(cam.Width, cam.Height, 1.10, 0.02)
		l.Aim(raster.V(1.28, 0.44, 1.42), raster.V(-0.05, 0.12, 0.06), 0)
		st.target = raster.NewTarget(l, pix)
	default:
		st.target = raster.NewTarget(raster.NewLens(cam.Width, cam.Height, 1.85, 0.25), pix)
		st.target.Mono = true
		st.target.Curve = egoCurve()
	}
	st.light()
	if !st.ego {
		st.background()
	}
	return st
}

// light sets the lamps. They differ a little from take to take; the tint is what a fixed colour camera sees of daylight.
func (st *studio) light() {
	rng := newRand(st.scene.cfg.Seed, st.scene.spec.Index, "light")
	level := between(rng, 0.92, 1.06)
	warm := between(rng, -0.03, 0.03)
	st.target.Light = raster.Light{
		Ambient: 0.42 * level, Key: 0.48 * level, Fill: 0.22 * level,
		Gain: 1,
		Dir:  raster.V(between(rng, -0.45, -0.25), between(rng, 0.15, 0.35), 1).Unit(),
		Tint: raster.RGB{R: 1 + warm, G: 1, B: 1 - warm},
	}
}

// superSample is the number of samples along each side of a background pixel.
const superSample = 3

// background draws what never moves, with smooth edges.
func (st *studio) background() {
	l := st.target.Lens
	big := l
	big.W, big.H, big.F = l.W*superSample, l.H*superSample, l.F*superSample
	b := raster.NewTarget(big, nil)
	b.Light = st.target.Light
	b.Clear(rgb(0.5, 0.5, 0.5))
	for _, p := range st.cell.fixed {
		b.Draw(p.mesh, p.pose)
	}
	st.backPix = make([]uint32, l.W*l.H)
	for y := range l.H {
		for x := range l.W {
			var r, g, bl uint32
			for k := range superSample * superSample {
				p := b.Pix[(y*superSample+k/superSample)*big.W+x*superSample+k%superSample]
				r, g, bl = r+p>>16, g+p>>8&0xff, bl+p&0xff
			}
			const n = superSample * superSample
			st.backPix[y*l.W+x] = r/n<<16 | g/n<<8 | bl/n
		}
	}
	st.target.Clear(raster.RGB{})
	for _, p := range st.cell.fixed {
		st.target.Draw(p.mesh, p.pose)
	}
	st.backDepth = slices.Clone(st.target.Depth)
}

// egoCurve brightens the dark, as small sensors are tuned, and clips above.
func egoCurve() *raster.Curve {
	var c raster.Curve
	for i := range c {
		c[i] = uint8(min(255*math.Pow(float64(i)/2/255, 0.88), 255))
	}
	return &c
}

// shoot draws the cell as the camera sees it t seconds into the take, with the given gain for the ego camera. For that one it returns by how
// many pixels the picture's middle moves within blur seconds.
func (st *studio) shoot(t, gain, blur float64) (dx, dy float64) {
	s := st.scene.at(t)
	tg := st.target
	tg.Light.Gain = 1
	if st.ego {
		tg.Light.Gain = gain
		tg.Lens.Aim(s.eye, s.gaze, s.headRoll)
		next := st.scene.at(t + blur)
		d := tg.Lens.R.Apply(next.gaze.Sub(next.eye))
		dx, dy = tg.Lens.F*d.X/d.Z, tg.Lens.F*d.Y/d.Z
		tg.Clear(rgb(0.5, 0.5, 0.5))
		for _, p := range st.cell.fixed {
			tg.Draw(p.mesh, p.pose)
		}
	} else {
		copy(tg.Pix, st.backPix)
		copy(tg.Depth, st.backDepth)
	}
	st.moving(&s)
	return dx, dy
}

// moving draws what moves: tools, assembly, worker, light.
func (st *studio) moving(s *state) {
	tg, c := st.target, st.cell
	for _, t := range c.usable {
		if t != s.held.tool {
			tg.Draw(c.tools[t], homePose(t))
		}
	}
	for i := range min(s.asm.packed, 3) {
		tg.Draw(c.packed, raster.At(box.Add(raster.V(-0.08+0.08*float64(i), 0, 0.01+0.03*float64(i)))))
	}
	st.assembly(s)
	c.figure.draw(tg, s, st.ego)
	hand := s.hand[s.mainHand].pose()
	if s.held.tool != noTool {
		tg.Draw(c.tool(s.held), hand)
		if s.held.tool == driver {
			bit := hand.Times(raster.Pose{R: raster.Euler(s.held.spin, 0, 0), T: bitAt})
			tg.Draw(c.bit, bit)
		}
	}
	if s.held.part > 0 {
		tg.Draw(c.parts[s.held.part-1], hand.Times(raster.Pose{R: raster.Euler(0.3, 0.15, 0), T: raster.V(0, 0.085, -0.075)}))
	}
	for i := range s.hand {
		p := s.hand[i].pos
		if p.Z > 0 && p.Z < 0.4 && math.Abs(p.X) < 0.9 && p.Y > -0.05 && p.Y < 0.78 {
			tg.Draw(c.shadow, raster.At(raster.V(p.X+0.1*p.Z, p.Y-0.1*p.Z, 0.006)))
		}
	}
	if s.beam {
		flat := s.asm.height() + 0.004
		tg.Draw(c.glare, raster.Pose{R: raster.Euler(0, 0, 0), T: centre.Add(raster.V(0, 0, flat))})
		tg.Draw(c.beam, hand)
	}
}

func (st *studio) assembly(s *state) {
	tg, c := st.target, st.cell
	if s.asm.empty() {
		return
	}
	if !s.asmHeld {
		tg.Draw(c.spot, raster.At(s.aim.asm.T.Add(raster.V(0.02, -0.02, 0.006))))
	}
	for i, p := range s.asm.part {
		if p > 0 {
			tg.Draw(c.parts[p-1], s.aim.asm.Times(raster.At(slotAt[i])))
		}
	}
	if s.asm.screws && s.asm.part[slots-1] > 0 {
		tg.Draw(c.screw, s.aim.asm.Times(raster.At(raster.V(0, 0, s.asm.height()))))
	}
}

// height of the assembly's top.
func (a *assembly) height() float64 {
	switch {
	case a.part[3] > 0:
		return 0.15
	case a.part[1] > 0 || a.part[2] > 0:
		return 0.08
	case a.part[0] > 0:
		return 0.03
	}
	return 0
}
