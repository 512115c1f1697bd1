package sim

import (
	"fmt"
	"math"
	"math/rand/v2"

	"tandem/sim/internal/raster"
)

// TakeSpec names one take of a cell.
type TakeSpec struct {
	Name  string // of its directory and in its truth; "" is take-NNN, counting from 1
	Index int    // from 0: chooses the worker, the process and the random numbers
}

// Scene is a take before any pixel exists. It is safe for concurrent use once made.
type Scene struct {
	cfg    Config
	spec   TakeSpec
	vocab  *vocabulary
	worker Worker
	steps  []step
	ends   []rest // hands at the end of each step
	shots  [][]shot
	take   Take

	perform performer
	bodies  []body       // every tick, smooth
	looks   []raster.Vec // every tick, smooth
	swayAt  [6]float64   // phases of the head's sway
}

// rest is both hands where a step leaves them.
type rest struct{ main, off reach }

// tickHz is the rate at which the smooth motion of body and gaze is kept.
const tickHz = 50

// Gaze leads the hands and the head follows it.
const (
	gazeLead  = 0.30 // seconds by which eyes are ahead of the hands
	gazeOmega = 9.0  // rad/s of the head's critically damped motion
	bodyOmega = 5.0
)

// NewScene plans a take. The same configuration and specification always give the same scene.
func NewScene(cfg Config, spec TakeSpec) (*Scene, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if spec.Index < 0 || spec.Index > 1e6 {
		return nil, fmt.Errorf("sim take: index %d: want 0 to 1000000", spec.Index)
	}
	if spec.Name == "" {
		spec.Name = fmt.Sprintf("take-%03d", spec.Index+1)
	}
	cfg = cfg.withDefaults()
	v, err := newVocabulary(cfg.Processes)
	if err != nil {
		return nil, err
	}
	s := &Scene{cfg: cfg, spec: spec, vocab: v}
	s.worker = newWorker(cfg.Seed, spec.Index%cfg.Workers, cfg.Workers)
	s.steps = planTake(&cfg, v, &s.worker, spec)
	s.perform = performer{v: v, w: &s.worker}
	rng := newRand(cfg.Seed, spec.Index, "sway")
	for i := range s.swayAt {
		s.swayAt[i] = 2 * math.Pi * rng.Float64()
	}
	s.makeTake()
	return s, nil
}

func (s *Scene) makeTake() {
	frames := s.steps[len(s.steps)-1].end
	length := int64(math.Round(float64(frames) / s.cfg.FPS * 1e9))
	// Takes follow each other with ten seconds between them. All takes of a cell without processes have the same length.
	gap := length + 10e9
	s.take = Take{
		Schema: schema, Name: s.spec.Name, Seed: s.cfg.Seed, Index: s.spec.Index,
		StartNS: s.cfg.Start.UnixNano() + int64(s.spec.Index)*gap,
		FPS:     s.cfg.FPS, Frames: frames, Labels: s.vocab.labels(), Worker: s.worker,
	}
	if len(s.cfg.Processes) > 0 {
		s.take.StartNS = s.cfg.Start.UnixNano() + int64(s.spec.Index)*(maxLength.Nanoseconds()+10e9)
	}
	for _, st := range s.steps {
		label := s.vocab.actions[st.action].name
		if n := len(s.take.Segments); n > 0 && s.take.Segments[n-1].Label == label {
			s.take.Segments[n-1].End = st.end
			continue
		}
		s.take.Segments = append(s.take.Segments, Segment{st.start, st.end, label})
	}
	for i := range s.cfg.Cameras {
		shots, tc := record(&s.cfg, &s.cfg.Cameras[i], s.spec.Index, s.take.StartNS, length)
		s.shots = append(s.shots, shots)
		s.take.Cameras = append(s.take.Cameras, tc)
	}
}

// Take returns the truth. The caller must not change what it points to.
func (s *Scene) Take() *Take { return &s.take }

// Shots returns how many pictures all cameras together take.
func (s *Scene) Shots() int {
	n := 0
	for _, sh := range s.shots {
		n += len(sh)
	}
	return n
}

// animate prepares motion. Only drawing needs it.
func (s *Scene) animate() {
	n := int(float64(s.take.Frames)/s.cfg.FPS*tickHz) + 2
	s.bodies = make([]body, n)
	s.looks = make([]raster.Vec, n)
	s.ends = make([]rest, len(s.steps))
	var look, turnAt, at spring
	for i := range n {
		t := float64(i) / tickHz
		k := s.stepAt(t)
		st := &s.steps[k]
		want := s.perform.aim(st, t-s.secs(st.start), s.secs(st.whole), s.bodies[max(i-1, 0)])
		b := want.body
		if i == 0 {
			at.jump(raster.V(b.x, b.y, 0))
			turnAt.jump(raster.V(b.yaw, 0, 0))
		}
		p := at.to(raster.V(b.x, b.y, 0), bodyOmega, 1.0/tickHz)
		s.bodies[i] = body{p.X, p.Y, turnAt.to(raster.V(b.yaw, 0, 0), bodyOmega, 1.0/tickHz).X}
	}
	away := newGlances(newRand(s.cfg.Seed, s.spec.Index, "glances"))
	for i := range n {
		t := float64(i)/tickHz + gazeLead
		st := &s.steps[s.stepAt(t)]
		want := s.perform.aim(st, t-s.secs(st.start), s.secs(st.whole), s.bodies[i])
		if at, ok := away.at(t); ok {
			want.look = want.look.Lerp(at, 0.7)
		}
		if i == 0 {
			look.jump(want.look)
		}
		s.looks[i] = look.to(want.look, gazeOmega, 1.0/tickHz)
	}
	for k := range s.steps {
		// A hair before the end, so that the step is still the one that acts.
		m := s.hands(k, s.secs(s.steps[k].end)-1e-6)
		s.ends[k] = rest{m.main, m.off}
	}
}

// spring is a critically damped follower.
type spring struct{ x, v raster.Vec }

func (s *spring) jump(x raster.Vec) { *s = spring{x: x} }

func (s *spring) to(target raster.Vec, omega, dt float64) raster.Vec {
	// The exact step of x” = ω²(target − x) − 2ωx’ for a constant target.
	d := s.x.Sub(target)
	e := math.Exp(-omega * dt)
	c := s.v.Add(d.Mul(omega))
	s.x = target.Add(d.Add(c.Mul(dt)).Mul(e))
	s.v = s.v.Sub(c.Mul(omega * dt)).Mul(e)
	return s.x
}

// glances are moments in which the worker looks at something else than the work: the screen, a bin, somebody passing by.
type glances struct {
	rng        *rand.Rand
	start, end float64
	target     raster.Vec
}

func newGlances(rng *rand.Rand) *glances {
	g := &glances{rng: rng}
	g.next()
	return g
}

func (g *glances) next() {
	g.start = g.end + between(g.rng, 3, 12)
	g.end = g.start + between(g.rng, 0.35, 0.8)
	targets := [...]raster.Vec{screen, binA, binB, binC, binD, tray, box, {X: -1.6, Y: 0.8, Z: 0.4}, {X: 1.6, Y: 0.8, Z: 0.4}}
	g.target = targets[g.rng.IntN(len(targets))]
}

// at returns where the worker glances at t. Calls go forward in time.
func (g *glances) at(t float64) (raster.Vec, bool) {
	for t >= g.end {
		g.next()
	}
	return g.target, t >= g.start
}

func (s *Scene) secs(frames int) float64 { return float64(frames) / s.cfg.FPS }

// stepAt returns the step at t seconds, the first or last one outside the take.
func (s *Scene) stepAt(t float64) int {
	frame := int(math.Floor(t * s.cfg.FPS))
	lo, hi := 0, len(s.steps)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if frame < s.steps[mid].end {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// hands returns the aim of step k at t seconds with the hands on their way from where the step before left them.
func (s *Scene) hands(k int, t float64) aim {
	st := &s.steps[k]
	sec, secs := t-s.secs(st.start), s.secs(st.whole)
	a := s.perform.aim(st, sec, secs, s.bodyAt(t))
	if k == 0 {
		return a
	}
	f := mj(sec / min(0.62/s.worker.Speed, 0.45*secs))
	if f >= 1 {
		return a
	}
	prev := s.ends[k-1]
	a.main = travel(prev.main, a.main, f, s.worker.arc)
	a.off = travel(prev.off, a.off, f, s.worker.arc)
	return a
}

// travel moves a hand in an arc above the bench.
func travel(from, to reach, f, arc float64) reach {
	r := from.blend(to, f)
	r.pos.Z += 0.14 * arc * from.pos.Sub(to.pos).Len() * 4 * f * (1 - f)
	return r
}

func (s *Scene) tick(t float64) (int, float64) {
	x := min(max(t*tickHz, 0), float64(len(s.bodies)-2))
	i := int(x)
	return i, x - float64(i)
}

func (s *Scene) bodyAt(t float64) body {
	i, f := s.tick(t)
	a, b := s.bodies[i], s.bodies[i+1]
	return body{a.x + (b.x-a.x)*f, a.y + (b.y-a.y)*f, a.yaw + (b.yaw-a.yaw)*f}
}

// state is the posed cell at an instant.
type state struct {
	aim
	hand     [2]reach // right, left
	mainHand int
	body     body
	asm      assembly
	eye      raster.Vec
	gaze     raster.Vec // the point that the head turns to
	headRoll float64
}

// at returns the cell t seconds into the take.
func (s *Scene) at(t float64) state {
	k := s.stepAt(t)
	a := s.hands(k, t)
	st := state{aim: a, body: s.bodyAt(t), asm: s.steps[k].before}
	if a.done {
		st.asm = s.steps[k].after
	}
	st.hand = [2]reach{a.main, a.off}
	if s.worker.LeftHanded {
		st.hand = [2]reach{a.off, a.main}
		st.mainHand = 1
	}
	i, f := s.tick(t)
	look := s.looks[i].Lerp(s.looks[i+1], f)
	sway := func(n int, hz float64) float64 { return s.worker.sway * math.Sin(2*math.Pi*hz*t+s.swayAt[n]) }
	// The head leans over the work and stays above the body.
	st.eye = raster.V(st.body.x, st.body.y, s.worker.Height).Add(turn(st.body.yaw, raster.V(0, 0.17, 0)))
	st.eye = st.eye.Add(raster.V(0.012*sway(0, 0.31), 0.010*sway(1, 0.43), 0.006*sway(2, 0.9)))
	// The head doesn't turn all the way: the eyes do the rest.
	ahead := raster.V(st.body.x, st.body.y, 0.05).Add(turn(st.body.yaw, raster.V(0, 0.62, 0)))
	st.gaze = ahead.Lerp(look, 0.85).Add(raster.V(0.016*sway(3, 0.52), 0.010*sway(4, 0.77), 0.012*sway(5, 1.1)))
	st.headRoll = 0.035 * sway(0, 0.27)
	return st
}
