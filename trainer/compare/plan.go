package compare

import (
	"fmt"
	"reflect"
	"slices"

	"tandem/trainer/method"
)

// Teacher is the name, beside those of the methods, of the teacher on the exo side of the test takes.
const Teacher = "teacher"

// Plan says what is measured.
type Plan struct {
	Methods   []string // of method.Names, and Teacher
	Seeds     int      // of each cell, from FirstSeed up
	FirstSeed uint64   // 0 means 1
	// Jitter are clock errors: each take's offset is drawn evenly from ±Jitter frames; nil means [0]. Pairs are shares of the
	// pairs to learn from, in (0, 1]; nil means [1]. Where both have several, they make two curves: the clock errors with
	// all pairs, and the shares without clock error. With Cross, each is measured with each.
	Jitter, Pairs []float64
	Cross         bool
	Folds         []string // by name; nil means all
	// Choose is the share of the pairs that is held out to choose the epoch by, in [0, 0.5]; 0 keeps the last epoch.
	Choose float64
	// TeacherNetwork is the teacher's network where it is not the student's; a Kind of "" means that it is. Then exo-only
	// and the methods whose student ends in the teacher as it is (feature) get one of the student's kind, trained on the
	// same labels, since what runs on a rig must be of that kind.
	TeacherNetwork method.Network
	// Hold is the label hold that students' and the oracle's judgements are scored with, in frames: a label counts once it
	// has lasted so long. 0 and 1 mean none; HoldAuto and HoldClass take it from the teacher's training labels. The teacher has none.
	Hold    int
	Options method.Options // Seed, Teacher and Progress are set by the run
	Workers int            // folds and seeds that are at work at once, default 1
}

// cell is one measurement.
type cell struct {
	method        string
	jitter, pairs float64
}

// cells lists what is measured of each fold and seed. What doesn't depend on a condition is measured once.
func (p Plan) cells() []cell {
	var list []cell
	for _, m := range p.Methods {
		for _, c := range p.conditions() {
			c.method = m
			if m == Teacher || m == "exo-only" || m == "ego-oracle" {
				c = whole(m)
			}
			if !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// whole is a method without clock error and with all pairs.
func whole(m string) cell { return cell{m, 0, 1} }

// conditions lists jitters and shares, as cells of no method.
func (p Plan) conditions() []cell {
	var list []cell
	jitters, shares := p.jitters(), p.shares()
	if !p.Cross && len(jitters) > 1 && len(shares) > 1 {
		for _, j := range jitters {
			list = append(list, cell{"", j, 1})
		}
		for _, s := range shares {
			list = append(list, cell{"", 0, s})
		}
		return list
	}
	for _, j := range jitters {
		for _, s := range shares {
			list = append(list, cell{"", j, s})
		}
	}
	return list
}

// seeds lists the seeds.
func (p Plan) seeds() []uint64 {
	list := make([]uint64, p.Seeds)
	for i := range list {
		list[i] = max(p.FirstSeed, 1) + uint64(i)
	}
	return list
}

func (p Plan) jitters() []float64 {
	if len(p.Jitter) == 0 {
		return []float64{0}
	}
	return p.Jitter
}

func (p Plan) shares() []float64 {
	if len(p.Pairs) == 0 {
		return []float64{1}
	}
	return p.Pairs
}

// Check returns an error that names what can't be measured.
func (p Plan) Check() error {
	if len(p.Methods) == 0 {
		return fmt.Errorf("no methods to compare, expected some of %q", append([]string{Teacher}, method.Names()...))
	}
	for _, m := range p.Methods {
		if _, err := method.Get(m); err != nil && m != Teacher {
			return fmt.Errorf("%w, or %s", err, Teacher)
		}
	}
	if p.Seeds < 1 {
		return fmt.Errorf("%d seeds, expected at least 1", p.Seeds)
	}
	for _, j := range p.Jitter {
		if !(j >= 0 && j <= 1000) {
			return fmt.Errorf("jitter %g, expected 0 to 1000 frames", j)
		}
	}
	for _, s := range p.Pairs {
		if !(s > 0 && s <= 1) {
			return fmt.Errorf("a share of %g of the pairs, expected more than 0 and at most 1", s)
		}
	}
	if !(p.Choose >= 0 && p.Choose <= 0.5) {
		return fmt.Errorf("a share of %g of the pairs to choose by, expected 0 to 0.5", p.Choose)
	}
	if p.Hold < HoldClass || p.Hold > 10000 {
		return fmt.Errorf("a label hold of %d frames, expected 0 to 10000", p.Hold)
	}
	for _, n := range []method.Network{p.Options.Network, p.teacherNetwork()} {
		if err := n.Check(); err != nil {
			return err
		}
	}
	return nil
}

// teacherNetwork is the network that teachers are trained in.
func (p Plan) teacherNetwork() method.Network {
	if p.TeacherNetwork.Kind == "" {
		return p.Options.Network
	}
	return p.TeacherNetwork
}

// apart tells whether teacher and student are of different networks.
func (p Plan) apart() bool { return !reflect.DeepEqual(p.teacherNetwork(), p.Options.Network) }

// revision of the methods: it is raised when a change of theirs gives other weights with the same options.
const revision = 1

// told are the options that stand in a recipe under other names, or on which results don't depend.
var told = []string{"Network", "Teacher", "Seed", "Epochs", "Batch", "Rate", "Decay", "Smooth", "Temperature", "Penalty",
	"AdapterChannels", "AdapterLayers", "Offset", "Session", "Progress", "constant"}

// recipe tells results of different options apart.
func (p Plan) recipe() string {
	o := p.Options
	n := o.Network
	r := fmt.Sprintf("%s c%d l%d d%g lags%v e%d b%d r%g decay%g smooth%g t%g pen%g ad%d/%d off%+v choose%g", n.Kind, n.Channels, n.Layers,
		n.Dropout, n.Lags, o.Epochs, o.Batch, o.Rate, o.Decay, o.Smooth, o.Temperature, o.Penalty, o.AdapterChannels, o.AdapterLayers,
		o.Offset, p.Choose)
	// What came later stands here only where it is used, so that older results stay valid.
	if revision > 1 {
		r += fmt.Sprintf(" rev%d", revision)
	}
	for v, i := reflect.ValueOf(o), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; !slices.Contains(told, name) && !v.Field(i).IsZero() {
			r += fmt.Sprintf(" %s=%v", name, v.Field(i))
		}
	}
	if p.apart() {
		t := p.TeacherNetwork
		r += fmt.Sprintf(" teacher=%s c%d l%d d%g lags%v", t.Kind, t.Channels, t.Layers, t.Dropout, t.Lags)
	}
	switch {
	case p.Hold == HoldAuto:
		r += " hold=auto"
	case p.Hold == HoldClass:
		r += " hold=class"
	case p.Hold > 1:
		r += fmt.Sprintf(" hold=%d", p.Hold)
	}
	return r
}
