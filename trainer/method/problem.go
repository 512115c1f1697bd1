package method

import (
	"errors"
	"fmt"
	"math"

	"tandem/tas"
)

// ErrOracle is wrapped by the refusal of ego labels by a method that learns without them, and of their absence by the
// one that needs them.
var ErrOracle = errors.New("ego labels")

// Sequence is the features of one camera's take, sample after sample. It is shared: nobody changes it.
type Sequence struct {
	Name     string // for errors
	Dim      int
	Features []float32 // [T, Dim]
	// Weights [T] are 0 where a sample was not seen and filled in, 1 where it was; nil means that all were.
	Weights []float32
	// Frames are the pictures that the features were made of; nil where there are none.
	Frames *Frames
}

// Len returns T.
func (s Sequence) Len() int { return len(s.Features) / max(s.Dim, 1) }

func (s Sequence) weight(t int) float32 {
	if s.Weights == nil {
		return 1
	}
	return s.Weights[t]
}

// check reports the first thing that would spoil training or scores.
func (s Sequence) check(dim int) error {
	switch {
	case s.Dim != dim:
		return fmt.Errorf("%s has %d features a frame, expected %d", s.Name, s.Dim, dim)
	case s.Dim < 1 || len(s.Features)%s.Dim != 0:
		return fmt.Errorf("%s has %d values for frames of %d features, expected a multiple", s.Name, len(s.Features), s.Dim)
	case s.Len() < 2:
		return fmt.Errorf("%s has %d frames, expected at least 2", s.Name, s.Len())
	case s.Weights != nil && len(s.Weights) != s.Len():
		return fmt.Errorf("%s has %d weights for %d frames", s.Name, len(s.Weights), s.Len())
	}
	for i, v := range s.Features {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s: feature %d of frame %d is %g, expected a finite number; extract the take again or leave it out",
				s.Name, i%dim, i/dim, v)
		}
	}
	for t, w := range s.Weights {
		if !(w >= 0 && w <= 1) {
			return fmt.Errorf("%s: the weight of frame %d is %g, expected 0 to 1", s.Name, t, w)
		}
	}
	return nil
}

// Labelled is a sequence with the class of each frame.
type Labelled struct {
	Sequence
	Classes []int // [T]
}

func (l Labelled) check(dim, classes int) error {
	if err := l.Sequence.check(dim); err != nil {
		return err
	}
	return checkClasses(l.Name, l.Classes, l.Len(), classes)
}

func checkClasses(name string, list []int, frames, classes int) error {
	if len(list) != frames {
		return fmt.Errorf("%s has %d labels for %d frames", name, len(list), frames)
	}
	for t, c := range list {
		if c < 0 || c >= classes {
			return fmt.Errorf("%s: the label of frame %d is class %d, expected one of [0, %d)", name, t, c, classes)
		}
	}
	return nil
}

// Pair is a take that a head-mounted camera and fixed ones have seen: frame t of each sequence is of the same instant,
// as far as the clocks were right. A frame of an exo sequence has weight 0 where there is no partner.
type Pair struct {
	Name string
	Ego  Sequence
	Exo  []Sequence // at least one, each as long as Ego
}

func (p Pair) check(ego, exo int) error {
	if len(p.Exo) == 0 {
		return fmt.Errorf("the pair %s has no exo sequence", p.Name)
	}
	if err := p.Ego.check(ego); err != nil {
		return fmt.Errorf("the pair %s, ego: %w", p.Name, err)
	}
	for _, x := range p.Exo {
		if err := x.check(exo); err != nil {
			return fmt.Errorf("the pair %s, exo: %w", p.Name, err)
		}
		if x.Len() != p.Ego.Len() {
			return fmt.Errorf("the pair %s: %s has %d frames, the ego sequence %d", p.Name, x.Name, x.Len(), p.Ego.Len())
		}
	}
	return nil
}

// weight is how far frame t has a partner.
func (p Pair) weight(t int) float32 {
	var w float32
	for _, x := range p.Exo {
		w = max(w, x.weight(t))
	}
	return w * p.Ego.weight(t)
}

// Oracle holds ego labels for the one method that may see them.
type Oracle struct{ takes []Labelled }

// NewOracle returns ego sequences with their labels as an Oracle.
func NewOracle(takes []Labelled) *Oracle { return &Oracle{takes} }

// Problem is what a method learns from.
type Problem struct {
	Labels tas.Labels
	// Background are the classes that mean that nothing is done; scores leave them out.
	Background []string
	Exo        []Labelled // what the teacher is trained on; not needed where Options.Teacher is given
	Pairs      []Pair     // what the student learns from
	// Choose are pairs apart from Pairs; the epoch in which the student agrees best with its teacher on them is the one that
	// is kept. Without any, it is the last one.
	Choose []Pair
	// Oracle is nil but for the method ego-oracle.
	Oracle *Oracle
}

// checkExo reports what would spoil the training of a teacher.
func (p Problem) checkExo() error {
	if p.Labels.Len() < 2 {
		return fmt.Errorf("%d classes %q, expected at least 2", p.Labels.Len(), p.Labels.Names())
	}
	for _, b := range p.Background {
		if _, ok := p.Labels.Index(b); !ok {
			return fmt.Errorf("the background %q is none of the classes %q", b, p.Labels.Names())
		}
	}
	if len(p.Exo) == 0 {
		return errors.New("no labelled exo sequences to train a teacher on, expected at least 1")
	}
	for _, l := range p.Exo {
		if err := l.check(p.Exo[0].Dim, p.Labels.Len()); err != nil {
			return err
		}
	}
	return nil
}

// checkPairs reports what would spoil the student's training.
func (p Problem) checkPairs(exo int) error {
	if len(p.Pairs) == 0 {
		return errors.New("no pairs to learn from, expected at least 1")
	}
	partners := false
	for _, list := range [][]Pair{p.Pairs, p.Choose} {
		for _, pair := range list {
			if err := pair.check(p.Pairs[0].Ego.Dim, exo); err != nil {
				return err
			}
			for t := 0; t < pair.Ego.Len() && !partners; t++ {
				partners = pair.weight(t) > 0
			}
		}
	}
	if !partners {
		return fmt.Errorf("not one frame of the %d pairs has a partner", len(p.Pairs))
	}
	return nil
}
