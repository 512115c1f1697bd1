package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/tas"
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

// TrainLabelled trains a network on labelled takes by cross entropy and the smoothing loss of MS-TCN (Farha & Gall, CVPR
// 2019, section 3.3), and leaves the epoch that scores best on the held-out takes. It is how the teacher is made. The
// held-out takes choose the epoch, so what the network is worth has to be measured on others.
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
	for _, b := range background {
		if _, ok := labels.Index(b); !ok {
			return nil, fmt.Errorf("%s: the background %q is none of the classes %q", stage, b, labels.Names())
		}
	}
	for _, t := range slices.Concat(takes, heldOut) {
		if err := t.check(takes[0].Dim, labels.Len()); err != nil {
			return nil, fmt.Errorf("%s: %w", stage, err)
		}
	}
	sequences := make([]*Sequence, len(takes))
	samples := make([]train.Sample, len(takes))
	for i, t := range takes {
		sequences[i] = t.Sequence
		classes := make([]int64, len(t.Classes))
		for j, c := range t.Classes {
			classes[j] = int64(c)
		}
		samples[i] = train.Sample{
			Name: t.Name, Frames: t.Len(), Weights: t.Weights,
			Float: map[string][]float32{net.Features: t.Features}, Labels: map[string][]int64{net.Labels: classes},
		}
	}
	n := &Network{TCN: r.tcn(takes[0].Dim, labels.Len()), Labels: labels, Background: background, RateHz: r.RateHz, MinFrames: r.minFrames()}
	var err error
	if n.Params, err = n.TCN.NewParams(r.Seed); err != nil {
		return nil, err
	}
	mean, std, err := standard(sequences)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	if err := n.TCN.Standardize(n.Params, mean, std); err != nil {
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	objective := net.Objective{Labels: 1, Smooth: r.Smooth}
	if err := n.fit(ctx, stage, samples, objective, r, exams(heldOut), progress); err != nil {
		return nil, err
	}
	return n, nil
}

// fit trains the network on samples and leaves the epoch that does best in the exams.
func (n *Network) fit(ctx context.Context, stage string, samples []train.Sample, o net.Objective, r Recipe,
	list []exam, progress Progress) (err error) {
	samples, err = windows(samples, n.TCN.Reach())
	if err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	t, err := train.New(n.Params, func(b *nn.Build) *graph.Tensor { return n.TCN.Loss(b, o) }, r.trainer())
	if err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	hooks := train.Hooks{
		Evaluate: func(_ context.Context, p *nn.Params) (float64, error) {
			candidate := *n
			candidate.Params = p
			s, err := candidate.score(list, r)
			return merit(s), err
		},
		Progress: func(p train.Progress) {
			note := fmt.Sprintf("loss %.4f", p.Loss)
			if !math.IsNaN(p.Best) { // not before the first evaluation
				note += fmt.Sprintf(", held out %.1f", p.Best)
			}
			progress.report(stage, p.Epoch, p.Epochs, note)
		},
	}
	if _, err := train.Fit(ctx, t, samples, r.fit(len(samples)), hooks); err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	return nil
}

// exam is a sequence with the classes that a network should find in it.
type exam struct {
	*Sequence
	want []int
	// weights is 0 where nothing is known of a frame; nil means that all is known.
	weights []float32
}

func exams(takes []LabelledTake) []exam {
	list := make([]exam, len(takes))
	for i, t := range takes {
		list[i] = exam{Sequence: t.Sequence, want: t.Classes}
	}
	return list
}

// known returns the classes of the frames of which something is known.
func (e exam) known(classes []int) []int {
	if e.weights == nil {
		return classes
	}
	var list []int
	for i, c := range classes {
		if e.weights[i] > 0 {
			list = append(list, c)
		}
	}
	return list
}

// score compares the committed labels with the wanted ones, by the segmentation metrics. Frames of which nothing is
// known are cut out of both.
func (n *Network) score(list []exam, r Recipe) (tas.Scores, error) {
	p, err := n.predictor(r.session())
	if err != nil {
		return tas.Scores{}, err
	}
	defer p.close() //nolint:errcheck // frees memory only
	var videos []tas.Video
	for _, e := range list {
		got, err := p.labels(e.Sequence)
		if err != nil {
			return tas.Scores{}, err
		}
		v := tas.Video{Name: e.Name}
		if v.GT, err = n.Labels.Decode(e.known(e.want)); err != nil {
			return tas.Scores{}, fmt.Errorf("%s: %w", e.Name, err)
		}
		if v.Pred, err = n.Labels.Decode(e.known(got)); err != nil {
			return tas.Scores{}, fmt.Errorf("%s: %w", e.Name, err)
		}
		if len(v.GT) > 0 {
			videos = append(videos, v)
		}
	}
	return tas.Score(videos, n.Background...)
}

// Score compares the committed labels on labelled takes with their labels.
func (n *Network) Score(takes []LabelledTake, r Recipe) (tas.Scores, error) {
	for _, t := range takes {
		if err := t.check(n.TCN.In, n.Labels.Len()); err != nil {
			return tas.Scores{}, fmt.Errorf("score: %w", err)
		}
	}
	return n.score(exams(takes), r)
}
