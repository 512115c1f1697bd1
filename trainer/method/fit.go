package method

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
)

// longest is the longest piece of a take that is trained on at once, in frames.
const longest = 4096

// job is one stage of training.
type job struct {
	stage   string
	params  *nn.Params
	samples []train.Sample
	reach   int // frames that a piece of a long take shares with the piece before
	longest int // of a piece, in frames; 0 means the constant of that name
	loss    train.Loss
	// evaluate scores parameters, higher is better; nil keeps the last epoch.
	evaluate func(p *nn.Params) (float64, error)
	// prepare replaces the samples of a step; nil leaves them.
	prepare func(m moment, batch []train.Sample) ([]train.Sample, error)
}

// moment is a step of training.
type moment struct{ step, perEpoch, steps int }

// fit trains until the last epoch and leaves the chosen parameters in j.params.
func (o Options) fit(ctx context.Context, j job) (err error) {
	var pieces []train.Sample
	length := longest
	if j.longest > 0 {
		length = j.longest
	}
	for _, s := range j.samples {
		list, err := s.Windows(length, min(j.reach, length/2))
		if err != nil {
			return fmt.Errorf("%s: %w", j.stage, err)
		}
		for _, p := range list {
			if p.Weights == nil || slices.ContainsFunc(p.Weights, func(v float32) bool { return v > 0 }) {
				pieces = append(pieces, p)
			}
		}
	}
	if len(pieces) == 0 {
		return fmt.Errorf("%s: not one frame of %d takes has a weight", j.stage, len(j.samples))
	}
	t, err := train.New(j.params, j.loss, o.trainer())
	if err != nil {
		return fmt.Errorf("%s: %w", j.stage, err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	var hooks train.Hooks
	if j.evaluate != nil {
		hooks.Evaluate = func(_ context.Context, p *nn.Params) (float64, error) { return j.evaluate(p) }
	}
	schedule := o.schedule(len(pieces))
	if j.prepare != nil {
		perEpoch := (len(pieces) + schedule.Batch - 1) / schedule.Batch
		hooks.Prepare = func(_ context.Context, step int, batch []train.Sample) ([]train.Sample, error) {
			return j.prepare(moment{step, perEpoch, schedule.Epochs * perEpoch}, batch)
		}
	}
	if o.Progress != nil {
		hooks.Progress = func(p train.Progress) { o.Progress(Progress{j.stage, p.Epoch, p.Epochs, p.Loss}) }
	}
	if _, err := train.Fit(ctx, t, pieces, schedule, hooks); err != nil {
		return fmt.Errorf("%s: %w", j.stage, stopped(j.stage, j.params, err))
	}
	return nil
}

// fromLabels trains a new network on labels: mean over outputs of the cross entropy and, weighted, the smoothing loss. The
// epoch that scores best on heldOut is kept, without any the last one.
func (o Options) fromLabels(ctx context.Context, stage string, p Problem, takes []Labelled, heldOut ...Labelled) (*Model, error) {
	s, err := o.Network.segmenter(takes[0].Dim, p.Labels.Len())
	if err != nil {
		return nil, err
	}
	params, err := s.params(o.Seed)
	if err != nil {
		return nil, err
	}
	sequences := make([]Sequence, len(takes))
	samples := make([]train.Sample, len(takes))
	for i, l := range takes {
		sequences[i] = l.Sequence
		classes := make([]int64, len(l.Classes))
		for t, c := range l.Classes {
			classes[t] = int64(c)
		}
		samples[i] = sample(l.Name, l.Sequence, l.Weights)
		samples[i].Labels = map[string][]int64{net.Labels: classes}
	}
	if err := s.standardize(params, sequences); err != nil {
		return nil, err
	}
	j := job{stage: stage, params: params, samples: samples, reach: s.reach(), loss: func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		x := b.Features(net.Features, s.width())
		return labelLoss(b, s.forward(b, x), b.Labels(net.Labels, s.classes), b.Weights(), o.Smooth)
	}}
	if len(heldOut) > 0 {
		j.evaluate = func(q *nn.Params) (float64, error) {
			x, err := o.model(p, s, q).Score(heldOut)
			return (x.MoF + x.Edit + x.F1At50) / 3, err
		}
	}
	if err := o.fit(ctx, j); err != nil {
		return nil, err
	}
	return o.model(p, s, params), nil
}

// labelLoss is the mean over outputs of the cross entropy and the smoothing loss.
func labelLoss(b *nn.Build, outputs []output, labels, weights *graph.Tensor, smooth float64) *graph.Tensor {
	return overOutputs(b, outputs, func(_ int, out output) *graph.Tensor {
		y, c, w := late(b, out, labels, weights)
		return plus(b, b.CrossEntropy(y, c, w), smoothing(b, y, w, smooth))
	})
}

// smoothing is the truncated smoothing loss with the published threshold of 4, nil where it has no weight.
func smoothing(b *nn.Build, y, w *graph.Tensor, weight float64) *graph.Tensor {
	if weight == 0 || y.Dim(1) < 2 {
		return nil
	}
	return b.Scale(b.Smoothing(y, w, 4), weight)
}

func plus(b *nn.Build, x, y *graph.Tensor) *graph.Tensor {
	if y == nil {
		return x
	}
	return b.Add(x, y)
}

// overOutputs is the mean of a loss over the outputs that can judge a frame of so short a sequence.
func overOutputs(b *nn.Build, outputs []output, loss func(i int, o output) *graph.Tensor) *graph.Tensor {
	var sum *graph.Tensor
	n := 0
	for i, o := range outputs {
		if o.lag >= b.Frames {
			continue
		}
		sum = plus(b, loss(i, o), sum)
		n++
	}
	if sum == nil {
		b.Fail(fmt.Errorf("a sequence of %d frames is shorter than each lag", b.Frames))
		return b.Scalar(0)
	}
	return b.Scale(sum, 1/float64(n))
}

func (o Options) model(p Problem, s *segmenter, params *nn.Params) *Model {
	return &Model{Labels: p.Labels, Background: p.Background, Params: params, net: s, session: o.Session}
}

func sample(name string, s Sequence, weights []float32) train.Sample {
	return train.Sample{Name: name, Frames: s.Len(), Weights: weights, Float: map[string][]float32{net.Features: s.Features}}
}

// standard returns mean and standard deviation of each feature over the frames that were seen.
func standard(list []Sequence) (mean, std []float32, err error) {
	if len(list) == 0 {
		return nil, nil, errors.New("no sequences to take the features' statistics of")
	}
	dim := list[0].Dim
	// Sums are taken of the differences to one frame: features far from 0 would lose their deviation to rounding.
	origin := list[0].Features[:dim]
	sum, square, n := make([]float64, dim), make([]float64, dim), 0.0
	for _, s := range list {
		for t := range s.Len() {
			if s.weight(t) == 0 {
				continue
			}
			n++
			for d, v := range s.Features[t*dim : (t+1)*dim] {
				x := float64(v) - float64(origin[d])
				sum[d] += x
				square[d] += x * x
			}
		}
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("%s and %d more sequences: not one frame has a weight", list[0].Name, len(list)-1)
	}
	mean, std = make([]float32, dim), make([]float32, dim)
	for d := range dim {
		m := sum[d] / n
		mean[d] = float32(float64(origin[d]) + m)
		std[d] = float32(math.Sqrt(max(square[d]/n-m*m, 0)))
	}
	return mean, std, nil
}
