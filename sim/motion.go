package sim

import (
	"math"

	"tandem/sim/internal/raster"
)

// reach is where a hand is and how it is turned. Unturned, the fingers point away from the worker and the palm down.
type reach struct {
	pos              raster.Vec
	yaw, pitch, roll float64 // radians, see raster.Euler
}

func (r reach) pose() raster.Pose {
	return raster.Pose{R: raster.Euler(r.yaw, r.pitch, r.roll), T: r.pos}
}

func (r reach) blend(to reach, f float64) reach {
	return reach{
		r.pos.Lerp(to.pos, f), r.yaw + (to.yaw-r.yaw)*f, r.pitch + (to.pitch-r.pitch)*f, r.roll + (to.roll-r.roll)*f,
	}
}

func hold(x, y, z float64) reach { return reach{pos: raster.V(x, y, z)} }

func over(p raster.Vec, x, y, z float64) reach { return reach{pos: p.Add(raster.V(x, y, z))} }

func (r reach) turned(yaw, pitch, roll float64) reach {
	r.yaw, r.pitch, r.roll = yaw, pitch, roll
	return r
}

// body is where the worker stands and faces.
type body struct{ x, y, yaw float64 }

// held is what the main hand holds.
type held struct {
	tool   tool
	finish int
	part   int     // look plus one, 0 is none
	spin   float64 // turn of the driver's bit, radians
}

// aim is what the worker wants at an instant within a step: the hands, the gaze, the body.
type aim struct {
	main, off reach
	look      raster.Vec
	body      body
	stands    bool // body says where; else it follows the hands
	held      held
	beam      bool
	asm       raster.Pose // of the assembly
	asmHeld   bool        // the assembly isn't at its spot
	done      bool        // the step's change of the assembly has happened
}

// mj is the minimum-jerk profile of human reaching: 0 to 1 with velocity and acceleration 0 at both ends (Flash and Hogan, 1985).
func mj(f float64) float64 {
	f = min(max(f, 0), 1)
	return f * f * f * (10 + f*(6*f-15))
}

// via is a hand's stop at a fraction of a step.
type via struct {
	at float64
	r  reach
}

// path follows stops with minimum jerk between them.
func path(f float64, stops ...via) reach {
	for i := 1; i < len(stops); i++ {
		a, b := stops[i-1], stops[i]
		if f < b.at {
			return a.r.blend(b.r, mj((f-a.at)/(b.at-a.at)))
		}
	}
	return stops[len(stops)-1].r
}

// performer turns steps into aims for one worker.
type performer struct {
	v *vocabulary
	w *Worker
}

// Times of tool actions, at speed 1: until the tool is in hand, from the holder to the work, and back.
const (
	fetchSecs  = 0.50
	bringSecs  = 0.45
	returnSecs = 0.50
)

// toolHome is the tool's place in the holder.
var toolHome = [tools]raster.Vec{
	driver:  raster.V(0.36, 0.38, 0.20),
	mallet:  raster.V(0.47, 0.30, 0.10),
	scanner: raster.V(0.26, 0.40, 0.12),
	cloth:   raster.V(-0.40, 0.26, 0.040),
	brush:   raster.V(-0.47, 0.36, 0.12),
	spanner: raster.V(-0.52, 0.28, 0.10),
	can:     raster.V(0.16, 0.47, 0.10),
}

// aim returns what the worker wants sec seconds into a step of secs. b is where the body is.
func (p *performer) aim(s *step, sec, secs float64, b body) aim {
	act := &p.v.actions[s.action]
	side := p.side()
	u := sec / secs
	a := aim{
		main: hold(side*0.20, 0.06, 0.05).turned(side*0.25, 0, 0),
		off:  hold(-side*0.20, 0.06, 0.05).turned(-side*0.25, 0, 0),
		look: centre.Add(raster.V(0, 0, 0.03)),
		asm:  raster.At(centre),
		held: held{finish: act.finish},
	}
	switch act.motion {
	case idle:
		p.idle(&a, s, sec, secs, b)
	case fetch:
		p.fetch(&a, s, act.spot, sec, u)
	case fit:
		p.fit(&a, s, act.spot, sec, u)
	case reject:
		p.reject(&a, s, act.spot, u)
	case tap:
		p.tap(&a, sec, u)
	case inspect:
		p.inspect(&a, sec, u)
	case pack:
		p.pack(&a, u)
	default:
		p.useTool(&a, act, sec, secs)
	}
	if !a.stands {
		a.body = follow(a.main.pos, a.off.pos)
	}
	return a
}

func (p *performer) side() float64 {
	if p.w.LeftHanded {
		return -1
	}
	return 1
}

// follow returns where a body stands that works with hands there.
func follow(m, o raster.Vec) body {
	x := 0.36*m.X + 0.14*o.X
	return body{x, -0.27 + 0.35*max(0, m.Y-0.30), -0.45 * m.X}
}

// idle does nothing in one of several ways.
func (p *performer) idle(a *aim, s *step, sec, secs float64, b body) {
	// The step's random bits choose; drawing asks again for every picture and must get the same answer.
	kind := s.variant % 3
	phase := 2 * math.Pi * float64(s.variant>>32) / (1 << 32)
	toSide := 1 - 2*float64(s.variant>>8&1)
	if s.part >= 0 {
		a.held.part = s.part + 1
		kind = 0
	}
	near, far := raster.V(0.9*math.Sin(0.9*sec+phase), 1.4, 0.25), raster.V(toSide*2.5, -0.2, 0.3)
	switch {
	case secs > 3.2 && kind > 0: // a walk to the aisle and back
		a.stands = true
		go1 := mj(sec/(0.42*secs)) - mj((sec-0.55*secs)/(0.42*secs))
		a.body = body{toSide * 1.15 * go1, -0.27 - 0.75*go1, -toSide * 1.9 * mj(min(go1*2.5, 1))}
		a.main, a.off = p.hang(b, sec)
		a.look = raster.V(b.x, b.y, 0.1).Add(turn(b.yaw, raster.V(0, 1.6, 0)))
	case kind == 2: // arms down, eyes around
		a.stands = true
		a.body = body{0.06 * math.Sin(0.8*sec+phase), -0.33, 0.3 * math.Sin(0.7*sec+phase)}
		a.main, a.off = p.hang(b, sec)
		a.look = near.Lerp(far, 0.15+0.15*math.Sin(1.1*sec+phase))
	default: // hands on the edge
		sway := 0.012 * math.Sin(1.7*sec+phase)
		side := p.side()
		a.main = hold(side*0.27, 0.02+sway, 0.03).turned(side*0.2, 0.1, 0)
		a.off = hold(-side*0.27, 0.02-sway, 0.03).turned(-side*0.2, 0.1, 0)
		a.look = raster.V(0.25*math.Sin(0.8*sec+phase), 0.75, 0.22)
		a.stands = true
		a.body = body{0, -0.30, 0}
	}
}

// turn rotates v about z.
func turn(yaw float64, v raster.Vec) raster.Vec {
	s, c := math.Sincos(yaw)
	return raster.V(c*v.X-s*v.Y, s*v.X+c*v.Y, v.Z)
}

// hang lets both arms down beside the body.
func (p *performer) hang(b body, sec float64) (mainHand, off reach) {
	swing := 0.05 * math.Sin(4*sec)
	at := func(side, swing float64) reach {
		return reach{pos: raster.V(b.x, b.y, -0.22).Add(turn(b.yaw, raster.V(side*0.30, 0.05+swing, 0))), yaw: b.yaw, pitch: -1.2}
	}
	side := p.side()
	return at(side, swing), at(-side, -swing)
}

func (p *performer) fetch(a *aim, s *step, spot raster.Vec, sec, u float64) {
	side := p.side()
	yaw := math.Atan2(-spot.X, 1.1) // the hand points to the bin
	up := 0.20 * p.w.arc
	wiggle := 0.02 * math.Sin(11*sec)
	a.main = path(u,
		via{0, over(spot, 0, -0.06, up)},
		via{0.42, over(spot, 0, -0.05, 0.09).turned(yaw, -0.75, 0)},
		via{0.66, over(spot, wiggle, -0.04, 0.07).turned(yaw, -0.75, 0)},
		via{0.88, over(spot, 0, -0.12, up+0.05).turned(yaw, -0.2, 0)},
		via{1, reach{pos: spot.Lerp(centre, 0.35).Add(raster.V(0, -0.05, up+0.03)), yaw: yaw * 0.5}},
	)
	a.off = hold(-side*0.17, 0.12, 0.05).turned(-side*0.4, 0, 0)
	if u > 0.58 {
		a.held.part = s.part + 1
	}
	a.look = spot.Add(raster.V(0, 0, 0.05))
	if u > 0.92 {
		a.look = spot.Lerp(centre, 0.5)
	}
}

func (p *performer) fit(a *aim, s *step, spot raster.Vec, sec, u float64) {
	side := p.side()
	settle := 0.014 * math.Sin(9*sec)
	a.main = path(u,
		via{0, over(spot, side*0.05, -0.03, 0.24)},
		via{0.3, over(spot, side*0.05, -0.05, 0.20).turned(side*0.3, -0.2, 0)},
		via{0.55, over(spot, side*0.05, -0.07, 0.10).turned(side*0.3, -0.3, 0)},
		via{0.9, over(spot, side*(0.06+settle), -0.07, 0.10).turned(side*0.5, -0.3, 0)},
		via{1, over(spot, side*0.12, -0.10, 0.13).turned(side*0.3, 0, 0)},
	)
	a.off = path(u,
		via{0, over(spot, -side*0.2, -0.1, 0.10)},
		via{0.35, over(spot, -side*0.14, -0.02, 0.07).turned(-side*0.9, -0.2, 0)},
		via{1, over(spot, -side*(0.14+settle), -0.02, 0.07).turned(-side*0.9, -0.2, 0)},
	)
	a.done = u > 0.62
	if !a.done {
		a.held.part = s.part + 1
	}
	a.look = spot.Add(raster.V(0, 0, 0.05))
}

func (p *performer) reject(a *aim, s *step, spot raster.Vec, u float64) {
	side := p.side()
	yaw := math.Atan2(-spot.X, 1.1)
	a.main = path(u,
		via{0, over(spot, 0, 0, 0.26)},
		via{0.35, over(spot, 0, 0.02, 0.24).turned(yaw, -0.1, 0)},
		via{0.55, over(spot, 0, 0.02, 0.12).turned(yaw, -0.6, 0)},
		via{0.75, over(spot, 0, 0.02, 0.14).turned(yaw, -0.6, 0)},
		via{1, over(spot, 0.05, 0.02, 0.26).turned(yaw*0.5, 0, 0)},
	)
	a.off = hold(-side*0.17, 0.12, 0.05).turned(-side*0.4, 0, 0)
	if u < 0.6 {
		a.held.part = s.part + 1
	}
	a.look = spot.Add(raster.V(0, 0, 0.05))
}

func (p *performer) tap(a *aim, sec, u float64) {
	side := p.side()
	push := 0.03 * math.Max(0, math.Sin(2*math.Pi*1.4*sec))
	x := 0.10 * math.Sin(1.9*sec)
	a.main = hold(x+side*0.03, 0.48+push, 0.17).turned(0, 0.3, 0)
	a.off = hold(-side*0.24, 0.04, 0.04).turned(-side*0.25, 0, 0)
	a.look = screen.Add(raster.V(0, 0, 0.03))
	if u > 0.9 {
		a.look = centre
	}
}

func (p *performer) inspect(a *aim, sec, u float64) {
	lift := mj((u-0.14)/0.2) - mj((u-0.82)/0.16)
	t := centre.Lerp(raster.V(0, 0.12, 0.30), lift)
	yaw, roll := 0.8*lift*math.Sin(2.4*sec), 0.45*lift*math.Sin(1.7*sec+1)
	a.asm = raster.Pose{R: raster.Euler(yaw, 0.75*lift, roll), T: t}
	a.asmHeld = true
	grasp := func(side float64) reach {
		return reach{pos: a.asm.Apply(raster.V(side*0.17, -0.03, 0.02)), yaw: side*1.0 + yaw*0.5, pitch: 0.2 * lift, roll: side * (0.9*lift + 0.2)}
	}
	a.main, a.off = grasp(p.side()), grasp(-p.side())
	a.look = t.Add(raster.V(0, 0, 0.03))
	a.body = body{0, -0.30, 0}
	a.stands = true
}

func (p *performer) pack(a *aim, u float64) {
	carry := path(u,
		via{0.15, reach{pos: centre}},
		via{0.40, over(centre.Lerp(box, 0.5), 0, 0, 0.30)},
		via{0.62, over(box, 0, 0, 0.26)},
		via{0.80, over(box, 0, 0, 0.06)},
	)
	a.asm = raster.At(carry.pos)
	a.asmHeld = true
	a.done = u > 0.84
	leave := mj((u - 0.84) / 0.16)
	grasp := func(side float64) reach {
		r := over(carry.pos, side*0.17, -0.03, 0.04).turned(side, 0, side*0.3)
		return r.blend(over(carry.pos, side*0.18, -0.10, 0.22), leave)
	}
	a.main, a.off = grasp(p.side()), grasp(-p.side())
	a.look = carry.pos.Lerp(box, mj((u-0.2)/0.3)).Add(raster.V(0, 0, 0.04))
	a.body = body{0.55 * mj((u-0.15)/0.35), -0.30, -0.35 * mj((u-0.15)/0.35)}
	a.stands = true
}

// useTool takes the tool from the holder, works with it and puts it back.
func (p *performer) useTool(a *aim, act *action, sec, secs float64) {
	t := toolOf[act.motion]
	home := toolHome[t]
	// Short actions squeeze the ways.
	k := min(1/p.w.Speed, secs/3)
	take, bring, back := fetchSecs*k, bringSecs*k, returnSecs*k
	at := reach{pos: home, yaw: -0.6 * home.X}
	p.work(a, act.motion, act.spot, sec-take)
	work, look := a.main, a.look
	left := secs - sec // until the end
	switch {
	case sec < take:
		a.main = at
		a.look = home
		a.beam = false
	case left < back:
		a.main = work.blend(at, mj(1-left/back))
		a.beam = false
		a.look = look.Lerp(home, 0.6)
	default:
		a.main = at.blend(work, mj((sec-take)/bring))
		a.beam = a.beam && sec > take+0.6*bring
	}
	if sec > 0.9*take && left > 0.03 {
		a.held.tool = t
	}
	a.done = left < back
}

// work is the rhythm of each tool, sec seconds after the tool was taken.
func (p *performer) work(a *aim, m motion, spot raster.Vec, sec float64) {
	side, v := p.side(), p.w.vigour
	top := spot.Add(raster.V(0, 0, 0.10))
	a.look = top
	a.off = over(spot, -side*0.17, -0.03, 0.06).turned(-side*0.9, -0.1, 0)
	wave := func(hz, phase float64) float64 { return math.Sin(2*math.Pi*hz*v*sec + phase) }
	switch m {
	case screw:
		corner := int(max(sec, 0) / 1.15)
		from, to := corners[(corner+3)%4], corners[corner%4]
		at := from.Lerp(to, mj((math.Mod(max(sec, 0), 1.15))/0.3))
		a.main = over(top, at.X, at.Y-0.02, 0.21+0.012*wave(1.7, 0)).turned(side*0.35, 0, 0.07*wave(2.3, 1))
		a.held.spin = 14 * sec
		a.look = top.Add(at.Mul(0.5))
	case hammer:
		up := 0.5 + 0.5*wave(1.6, 0)
		up *= up
		a.main = over(top, side*0.04, -0.24, 0.03+0.16*up*v).turned(side*0.12, 0.95*up-0.1, 0)
	case shine:
		a.main = over(top, side*(0.07+0.06*wave(0.45, 0)), -0.10+0.05*wave(0.35, 1), 0.24).turned(side*0.2, -1.05, 0)
		a.beam = true
	case wipe:
		x := 0.33 * wave(0.75, 0)
		a.main = over(spot, x, -0.17+0.05*wave(1.5, 1), 0.035).turned(-0.8*x, 0, 0)
		a.off = hold(-side*0.30, -0.02, 0.03).turned(-side*0.2, 0.1, 0)
		a.look = spot.Add(raster.V(0.45*x, -0.14, 0))
	case scrub:
		a.main = over(top, side*0.04+0.06*wave(2.6, 0), -0.08+0.02*wave(1.1, 0), 0.06).turned(side*0.3, -0.35, 0)
	case wrench:
		ang := 1.1 * wave(0.7, 0)
		a.main = over(top, 0.20*math.Sin(ang), -0.20*math.Cos(ang), 0.05).turned(ang, 0, 0)
	case pour:
		tilt := 0.5 - 0.5*math.Cos(min(max(sec, 0), 1)*math.Pi)
		a.main = over(top, side*0.12, -0.04, 0.20+0.01*wave(1, 0)).turned(side*0.5, 0, -side*1.35*tilt)
	default:
	}
}

// corners are the places of the screws on an assembly.
var corners = [4]raster.Vec{{X: -0.09, Y: 0.06}, {X: 0.09, Y: 0.06}, {X: 0.09, Y: -0.06}, {X: -0.09, Y: -0.06}}
