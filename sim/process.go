package sim

import (
	"math"
	"math/rand/v2"
)

// task is one thing that the worker does: an action and what it is done to.
type task struct {
	action int
	part   int // the part in hand or taken, -1 for none
	secs   float64
}

// Probabilities of the built-in process.
const (
	chanceScreen   = 0.85 // the screen is read before a product
	chanceWrong    = 0.18 // a wrong part is picked and thrown into the tray
	chanceRehammer = 0.25 // the gear needs a second hammering
	chanceRescrew  = 0.25 // the inspection finds a loose screw
	chanceWipe     = 0.7
	chancePause    = 0.2 // between two actions
)

// worker makes tasks of the built-in process, product after product.
type workflow struct {
	rng *rand.Rand
	w   *Worker
	out []task
}

// product appends the tasks of one product: base first, gear and shaft in any order, the gear hammered in, then the cover, screwed down; scan and
// inspection in any order; then away with it.
func (f *workflow) product() {
	if f.chance(chanceScreen) {
		f.do(aScreen, -1)
	}
	f.place(partBase)
	inner := []int{partGear, partShaft}
	if f.chance(0.5) {
		inner[0], inner[1] = inner[1], inner[0]
	}
	for _, p := range inner {
		f.place(p)
		if p != partGear {
			continue
		}
		f.do(aHammer, -1)
		if f.chance(chanceRehammer) {
			f.again(aHammer)
		}
	}
	f.place(partCover)
	f.do(aScrew, -1)
	checks := []int{aScan, aInspect}
	if f.chance(0.5) {
		checks[0], checks[1] = checks[1], checks[0]
	}
	for _, c := range checks {
		f.do(c, -1)
		if c == aInspect && f.chance(chanceRescrew) {
			f.do(aScrew, -1)
		}
	}
	if f.chance(chanceWipe) {
		f.do(aWipe, -1)
	}
	f.do(aPack, -1)
	f.pause(2.5, 5)
}

// place picks a part, sometimes after a wrong one, and places it.
func (f *workflow) place(part int) {
	if f.chance(chanceWrong) {
		wrong := (part + 1 + f.rng.IntN(len(pickOf)-1)) % len(pickOf)
		f.do(pickOf[wrong], wrong)
		f.do(aPutBack, wrong)
	}
	f.do(pickOf[part], part)
	f.do(aPlace, part)
}

func (f *workflow) chance(p float64) bool { return f.rng.Float64() < p }

// do appends an action after a pause that may be none.
func (f *workflow) do(a, part int) {
	if f.chance(chancePause * f.w.pause) {
		f.pause(1, 2.2)
	}
	// Durations spread log-normally by a sixth.
	secs := builtin[a].secs * math.Exp(0.16*max(-2, min(2, f.rng.NormFloat64())))
	f.out = append(f.out, task{a, part, min(max(secs/f.w.Speed, 1.5), 6.5)})
}

// again repeats the last action after a pause, without which both would be one.
func (f *workflow) again(a int) {
	f.pause(1, 1.8)
	f.do(a, -1)
}

// pause appends background, unless the worker already pauses. A part stays in hand.
func (f *workflow) pause(lo, hi float64) {
	n := len(f.out)
	if n > 0 && f.out[n-1].action == aBackground {
		return
	}
	part := -1
	if n > 0 && builtin[f.out[n-1].action].motion == fetch {
		part = f.out[n-1].part
	}
	f.out = append(f.out, task{aBackground, part, between(f.rng, lo, hi)})
}

// tasks returns tasks for at least the given time. The take begins with a short wait.
func tasks(rng *rand.Rand, w *Worker, secs float64) []task {
	f := workflow{rng: rng, w: w}
	f.pause(0.6, 2)
	for {
		f.product()
		total := 0.0
		for _, t := range f.out {
			total += t.secs
		}
		if total >= secs {
			return f.out
		}
	}
}
