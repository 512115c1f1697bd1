package trainer

import (
	"context"
	"errors"
	"fmt"

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
	sequences := make([]*Sequence, len(takes))
	samples := make([]train.Sample, len(takes))
	for i, t := range takes {
		if len(t.Classes) != t.Len() {
			return nil, fmt.Errorf("%s: take %s has %d labels for %d samples", stage, t.Name, len(t.Classes), t.Len())
		}
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
	var names []string
	var want [][]int
	var check []*Sequence
	for _, t := range heldOut {
		names, want, check = append(names, t.Name), append(want, t.Classes), append(check, t.Sequence)
	}
	objective := net.Objective{Labels: 1, Smooth: r.Smooth}
	return n, n.fit(ctx, stage, samples, objective, r, names, want, check, progress)
}

// fit trains the network on samples and leaves the epoch whose committed labels on the check sequences agree best with
// want.
func (n *Network) fit(ctx context.Context, stage string, samples []train.Sample, o net.Objective, r Recipe,
	names []string, want [][]int, check []*Sequence, progress Progress) (err error) {
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
			s, err := candidate.score(names, want, check, r)
			return merit(s), err
		},
		Progress: func(p train.Progress) {
			progress.report(stage, p.Epoch, p.Epochs, fmt.Sprintf("loss %.4f, held out %.1f", p.Loss, p.Best))
		},
	}
	if _, err := train.Fit(ctx, t, samples, r.fit(len(samples)), hooks); err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	return nil
}

// score compares the committed labels on sequences with reference classes.
func (n *Network) score(names []string, want [][]int, check []*Sequence, r Recipe) (tas.Scores, error) {
	p, err := n.predictor(r.session())
	if err != nil {
		return tas.Scores{}, err
	}
	defer p.close() //nolint:errcheck // frees memory only
	var got [][]int
	for _, s := range check {
		l, err := p.labels(s)
		if err != nil {
			return tas.Scores{}, err
		}
		got = append(got, l)
	}
	return agreement(n.Labels, n.Background, names, want, got)
}

// Score compares the committed labels on labelled takes with their labels.
func (n *Network) Score(takes []LabelledTake, r Recipe) (tas.Scores, error) {
	var names []string
	var want [][]int
	var check []*Sequence
	for _, t := range takes {
		names, want, check = append(names, t.Name), append(want, t.Classes), append(check, t.Sequence)
	}
	return n.score(names, want, check, r)
}
