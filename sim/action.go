package sim

import (
	"fmt"

	"tandem/sim/internal/raster"
)

// Background is the label of all that isn't part of the process: waiting, idle hands, walking away.
const Background = "background"

// motion is the way in which an action moves the worker.
type motion uint8

const (
	idle    motion = iota
	fetch          // reach into a bin, take a part out
	fit            // lower a part in both hands onto a spot and settle it
	screw          // power driver held upright, from screw to screw
	hammer         // mallet, up and down
	shine          // hand scanner with a beam of light
	inspect        // lift the assembly to the eyes and turn it
	wipe           // sweep a cloth from side to side
	pack           // carry the assembly into the box
	reject         // throw a part into the tray
	tap            // type on the screen
	scrub          // brush in small fast strokes
	wrench         // swing a wrench in wide turns
	pour           // hold a can up and tilt it
	motions
)

// tool is what a motion needs from the holder.
type tool uint8

const (
	noTool tool = iota
	driver
	mallet
	scanner
	cloth
	brush
	spanner
	can
	tools
)

var toolOf = [motions]tool{screw: driver, hammer: mallet, shine: scanner, wipe: cloth, scrub: brush, wrench: spanner, pour: can}

// Spots of the bench.
var (
	centre    = raster.V(0, 0.26, 0)
	leftSpot  = raster.V(-0.38, 0.20, 0)
	rightSpot = raster.V(0.36, 0.20, 0)
	binA      = raster.V(-0.70, 0.36, 0)
	binB      = raster.V(-0.36, 0.60, 0)
	binC      = raster.V(0.36, 0.60, 0)
	binD      = raster.V(0.70, 0.36, 0)
	tray      = raster.V(-0.64, 0.06, 0)
	box       = raster.V(0.64, 0.05, 0)
	screen    = raster.V(0, 0.62, 0.15)
)

// action is one class: how it moves, where, with which tool or part, and how long it takes at speed 1.
type action struct {
	name   string
	motion motion
	spot   raster.Vec
	part   int // index of the look of the part that the hand brings or takes, -1 for none or for the one in hand
	finish int // variant of the tool's finish, 0 is the ordinary one
	secs   float64
}

// vocabulary is the classes of a cell, background first, and the parts that they handle.
type vocabulary struct {
	actions []action
	index   map[string]int
	looks   []look
	builtin bool // the built-in process, not a file's labels
}

// The built-in process. Constants index builtin.
const (
	aBackground = iota
	aPickBase
	aPickGear
	aPickShaft
	aPickCover
	aPlace
	aHammer
	aScrew
	aScan
	aInspect
	aWipe
	aPack
	aPutBack
	aScreen
)

// Parts of the built-in process: the index of their look and their place in the assembly.
const (
	partBase = iota
	partGear
	partShaft
	partCover
)

var builtin = []action{
	aBackground: {name: Background, part: -1},
	aPickBase:   {name: "pick base", motion: fetch, spot: binA, part: partBase, secs: 2.3},
	aPickGear:   {name: "pick gear", motion: fetch, spot: binB, part: partGear, secs: 2.2},
	aPickShaft:  {name: "pick shaft", motion: fetch, spot: binC, part: partShaft, secs: 2.2},
	aPickCover:  {name: "pick cover", motion: fetch, spot: binD, part: partCover, secs: 2.3},
	aPlace:      {name: "place part", motion: fit, spot: centre, part: -1, secs: 2.3},
	aHammer:     {name: "hammer", motion: hammer, spot: centre, part: -1, secs: 3.4},
	aScrew:      {name: "screw", motion: screw, spot: centre, part: -1, secs: 4.6},
	aScan:       {name: "scan", motion: shine, spot: centre, part: -1, secs: 3.2},
	aInspect:    {name: "inspect", motion: inspect, spot: centre, part: -1, secs: 3.4},
	aWipe:       {name: "wipe", motion: wipe, spot: centre, part: -1, secs: 3.4},
	aPack:       {name: "pack away", motion: pack, spot: box, part: -1, secs: 3.2},
	aPutBack:    {name: "put back", motion: reject, spot: tray, part: -1, secs: 2.2},
	aScreen:     {name: "check screen", motion: tap, spot: screen, part: -1, secs: 2.6},
}

// pickOf is the action that takes each part.
var pickOf = [...]int{partBase: aPickBase, partGear: aPickGear, partShaft: aPickShaft, partCover: aPickCover}

// Labels returns the classes of the built-in process, background first.
func Labels() []string {
	names := make([]string, len(builtin))
	for i, a := range builtin {
		names[i] = a.name
	}
	return names
}

// Labels returns the classes of the cell, background first: those of Processes in the order of first appearance where
// there are any, else those of the built-in process. The configuration must be valid.
func (c Config) Labels() []string {
	v, err := newVocabulary(c.Processes)
	if err != nil {
		return nil
	}
	return v.labels()
}

func (v *vocabulary) labels() []string {
	names := make([]string, len(v.actions))
	for i, a := range v.actions {
		names[i] = a.name
	}
	return names
}

// maxLabels bounds the classes that processes may bring.
const maxLabels = 1000

// newVocabulary makes the built-in vocabulary, or that of the processes' labels.
func newVocabulary(procs []*Process) (*vocabulary, error) {
	if len(procs) == 0 {
		v := &vocabulary{actions: builtin, looks: builtinLooks(), builtin: true, index: map[string]int{}}
		for i, a := range builtin {
			v.index[a.name] = i
		}
		return v, nil
	}
	v := &vocabulary{
		actions: []action{{name: Background, part: -1}},
		index:   map[string]int{Background: 0},
	}
	for _, p := range procs {
		for _, s := range p.Steps {
			if _, ok := v.index[s.Label]; ok {
				continue
			}
			if len(v.actions) > maxLabels {
				return nil, fmt.Errorf("process %s: more than %d different labels", p.Name, maxLabels)
			}
			k := len(v.actions) - 1
			form := forms[k%len(forms)]
			v.index[s.Label] = len(v.actions)
			v.actions = append(v.actions, action{
				name: s.Label, motion: form.motion, spot: form.spot, part: k, finish: 1 + k/len(forms) + int(hash(s.Label)%3),
			})
			v.looks = append(v.looks, hashedLook(s.Label))
		}
	}
	return v, nil
}

// forms are the motions and places that labels get in turn, those far from each other first. After the last they start again with other finishes.
var forms = []struct {
	motion motion
	spot   raster.Vec
}{
	{fetch, binA}, {screw, centre}, {fetch, binC}, {wipe, centre}, {fetch, binD}, {hammer, leftSpot}, {tap, screen}, {pour, rightSpot},
	{fetch, binB}, {fit, centre}, {shine, centre}, {reject, tray}, {inspect, centre}, {wrench, rightSpot}, {scrub, leftSpot}, {fetch, box},
	{pour, leftSpot}, {hammer, centre}, {screw, rightSpot}, {fit, leftSpot}, {shine, rightSpot}, {wrench, centre}, {scrub, centre}, {fit, rightSpot},
	{screw, leftSpot}, {hammer, rightSpot}, {pour, centre}, {shine, leftSpot}, {wrench, leftSpot}, {scrub, rightSpot},
}
