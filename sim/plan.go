package sim

import (
	"math"
	"time"
)

// step is a task on frames of the timeline, with what it does to the assembly.
type step struct {
	action     int
	start, end int // frames, half-open
	whole      int // frames that it would take if the take didn't end
	part       int // look of the part in hand, taken or brought; -1 for none
	variant    uint64
	before     assembly
	after      assembly
}

// slots is the number of parts that an assembly shows.
const slots = 4

// assembly is what stands in the middle of the bench.
type assembly struct {
	part   [slots]int // look by slot, plus one; 0 is an empty slot
	screws bool
	packed int // products in the box
}

func (a *assembly) empty() bool { return a.part == [slots]int{} }

// planTake says which step is done in each frame.
func planTake(cfg *Config, v *vocabulary, w *Worker, spec TakeSpec) []step {
	var steps []step
	if v.builtin {
		steps = planBuiltin(cfg, w, spec.Index)
	} else {
		steps = planProcess(cfg, v, cfg.Processes[spec.Index%len(cfg.Processes)])
	}
	rng := newRand(cfg.Seed, spec.Index, "variants")
	var a assembly
	for i := range steps {
		s := &steps[i]
		s.variant = rng.Uint64()
		s.before = a
		v.advance(&a, s)
		s.after = a
	}
	return steps
}

// planBuiltin lays the built-in process on frames and cuts it at the take's end.
func planBuiltin(cfg *Config, w *Worker, index int) []step {
	n := frameCount(cfg.Length, cfg.FPS)
	var steps []step
	at := 0
	for _, t := range tasks(newRand(cfg.Seed, index, "process"), w, cfg.Length.Seconds()) {
		whole := max(1, int(math.Round(t.secs*cfg.FPS)))
		end := min(at+whole, n)
		if end == at {
			break
		}
		steps = append(steps, step{action: t.action, start: at, end: end, whole: whole, part: t.part})
		at = end
	}
	// Rounding may leave the last frames over.
	last := &steps[len(steps)-1]
	last.end = n
	last.whole = max(last.whole, n-last.start)
	return steps
}

// planProcess lays a process's steps on frames, with background between them and after them.
func planProcess(cfg *Config, v *vocabulary, p *Process) []step {
	n := int(math.Round(float64(p.frames()) / ProcessFPS * cfg.FPS))
	if cfg.Length > 0 {
		n = frameCount(cfg.Length, cfg.FPS)
	}
	n = max(n, 1)
	var steps []step
	add := func(a, end int) {
		at := 0
		if k := len(steps); k > 0 {
			at = steps[k-1].end
			if prev := &steps[k-1]; prev.action == a {
				prev.whole = max(prev.whole, end-prev.start)
				prev.end = max(at, min(end, n))
				return
			}
		}
		if min(end, n) > at {
			steps = append(steps, step{action: a, start: at, end: min(end, n), whole: end - at, part: v.actions[a].part})
		}
	}
	for _, s := range p.Steps {
		add(0, int(math.Round(float64(s.Start)/ProcessFPS*cfg.FPS)))
		add(v.index[s.Label], int(math.Round(float64(s.End)/ProcessFPS*cfg.FPS)))
	}
	add(0, n)
	return steps
}

// advance applies a finished step to the assembly.
func (v *vocabulary) advance(a *assembly, s *step) {
	act := &v.actions[s.action]
	switch act.motion {
	case fit:
		if v.builtin {
			a.part[s.part] = s.part + 1
			return
		}
		a.add(s.part)
	case screw:
		a.screws = true
	case pack:
		*a = assembly{packed: a.packed + 1}
	case hammer, wrench, pour:
		if !v.builtin {
			a.add(s.part)
		}
	default:
	}
}

// add puts a part into the next free slot. A full assembly is packed and the next one begins.
func (a *assembly) add(part int) {
	for i, p := range a.part {
		if p == 0 {
			a.part[i] = part + 1
			return
		}
	}
	*a = assembly{packed: a.packed + 1}
	a.part[0] = part + 1
}

func frameCount(length time.Duration, fps float64) int {
	return max(1, int(math.Round(length.Seconds()*fps)))
}
