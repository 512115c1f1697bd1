package compare

import (
	"fmt"
	"slices"

	"tandem/trainer/method"
)

// Teacher is the name, beside those of the methods, of the teacher on the exo side of the test takes.
const Teacher = "teacher"

// Plan says what is measured.
type Plan struct {
	Methods []string  // of method.Names, and Teacher
	Seeds   int       // of each cell, from 1 up
	Jitter  []float64 // clock errors: each take's offset is drawn evenly from ±Jitter frames; nil means [0]
	Pairs   []float64 // shares of the pairs to learn from, in (0, 1]; nil means [1]
	Folds   []string  // by name; nil means all
	// Choose is the share of the pairs that is held out to choose the epoch by, in [0, 0.5]; 0 keeps the last epoch.
	Choose  float64
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
		for _, j := range p.jitters() {
			for _, s := range p.shares() {
				c := cell{m, j, s}
				if m == Teacher || m == "exo-only" || m == "ego-oracle" {
					c = cell{m, 0, 1}
				}
				if !slices.Contains(list, c) {
					list = append(list, c)
				}
			}
		}
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
	return nil
}

// recipe tells results of different options apart.
func (p Plan) recipe() string {
	o := p.Options
	n := o.Network
	return fmt.Sprintf("%s c%d l%d d%g lags%v e%d b%d r%g decay%g smooth%g t%g pen%g ad%d/%d off%+v choose%g", n.Kind, n.Channels, n.Layers,
		n.Dropout, n.Lags, o.Epochs, o.Batch, o.Rate, o.Decay, o.Smooth, o.Temperature, o.Penalty, o.AdapterChannels, o.AdapterLayers,
		o.Offset, p.Choose)
}
