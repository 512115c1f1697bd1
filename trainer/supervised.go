package trainer

import (
	"context"
	"fmt"
	"slices"

	"tandem/runtime/bundle"
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/method"
)

// LabelledTake is a take with a label for each sample.
type LabelledTake struct {
	*Sequence
	Classes []int // [T]
}

// check reports what would spoil training and scores.
func (t LabelledTake) check(dim, classes int) error {
	if err := t.Sequence.check(dim); err != nil {
		return err
	}
	if len(t.Classes) != t.Len() {
		return fmt.Errorf("%s has %d labels for %d samples", t.Name, len(t.Classes), t.Len())
	}
	for i, c := range t.Classes {
		if c < 0 || c >= classes {
			return fmt.Errorf("%s: sample %d has class %d, expected one of [0, %d)", t.Name, i, c, classes)
		}
	}
	return nil
}

// Progress is told how a long work goes on. done counts up to total.
type Progress func(stage string, done, total int, note string)

func (p Progress) report(stage string, done, total int, note string) {
	if p != nil {
		p(stage, done, total, note)
	}
}

// TrainLabelled trains a network on labelled takes (method.ChosenTeacher) and leaves the epoch that scores best on the held-out
// takes. It is how the teacher is made. The held-out takes choose the epoch, so what the network is worth has to be measured
// on others.
func TrainLabelled(ctx context.Context, stage string, takes, heldOut []LabelledTake, labels tas.Labels, background []string,
	r Recipe, progress Progress) (*Network, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if len(takes) == 0 || len(heldOut) == 0 {
		return nil, fmt.Errorf("%s: %d takes to train on and %d held out, expected at least 1 of each", stage, len(takes), len(heldOut))
	}
	if labels.Len() < 2 {
		return nil, fmt.Errorf("%s: %d classes %q, expected at least 2", stage, labels.Len(), labels.Names())
	}
	for _, t := range slices.Concat(takes, heldOut) {
		if err := t.check(takes[0].Dim, labels.Len()); err != nil {
			return nil, fmt.Errorf("%s: %w", stage, err)
		}
	}
	o := r.options(len(takes), func(_ string, done, total int, note string) { progress.report(stage, done, total, note) })
	m, err := method.ChosenTeacher(ctx, method.Problem{Labels: labels, Background: background, Exo: learnable(takes)}, learnable(heldOut), o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	classes := make([][]int, len(takes))
	for i, t := range takes {
		classes[i] = t.Classes
	}
	_, byClass := segment.HoldFrames(classes, labels.Len(), r.minFrames())
	return &Network{Model: m, RateHz: r.RateHz, Decode: bundle.Decoding{MinFrames: r.minFrames(), MinFramesByClass: byClass}}, nil
}

func learnable(takes []LabelledTake) []method.Labelled {
	list := make([]method.Labelled, len(takes))
	for i, t := range takes {
		list[i] = method.Labelled{Sequence: t.learnable(), Classes: t.Classes}
	}
	return list
}

// Score compares the committed labels on labelled takes with their labels.
func (n *Network) Score(takes []LabelledTake) (tas.Scores, error) {
	sequences := make([]*Sequence, len(takes))
	for i, t := range takes {
		if err := t.check(n.Dim(), n.Labels.Len()); err != nil {
			return tas.Scores{}, fmt.Errorf("score: %w", err)
		}
		sequences[i] = t.Sequence
	}
	said, err := n.committed(sequences...)
	if err != nil {
		return tas.Scores{}, fmt.Errorf("score: %w", err)
	}
	videos := make([]tas.Video, len(takes))
	for i, t := range takes {
		videos[i].Name = t.Name
		if videos[i].GT, err = n.Labels.Decode(t.Classes); err != nil {
			return tas.Scores{}, fmt.Errorf("score: %s: %w", t.Name, err)
		}
		if videos[i].Pred, err = n.Labels.Decode(said[i]); err != nil {
			return tas.Scores{}, fmt.Errorf("score: %s: %w", t.Name, err)
		}
	}
	return tas.Score(videos, n.Background...)
}
