package train_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

var small = net.TCN{In: 6, Channels: 16, Layers: 4, Classes: 4, Lags: []int{0, 5}, Dropout: 0.1}

// sequences returns label sequences with features that show the label through noise, and only change sign at its
// start, so that a single frame does not give it away.
func sequences(n int, seed uint64) []train.Sample {
	rng := rand.New(rand.NewPCG(seed, 7))
	list := make([]train.Sample, n)
	for i := range list {
		frames := 60 + rng.IntN(60)
		x := make([]float32, 0, frames*small.In)
		labels := make([]int64, 0, frames)
		label := rng.IntN(small.Classes)
		for left := 0; len(labels) < frames; left-- {
			if left == 0 {
				label = (label + 1 + rng.IntN(small.Classes-1)) % small.Classes
				left = 10 + rng.IntN(10)
			}
			labels = append(labels, int64(label))
			for c := range small.In {
				v := 0.5 * rng.NormFloat64()
				if c == label {
					v++
				}
				x = append(x, float32(v))
			}
		}
		list[i] = train.Sample{Name: fmt.Sprint("take", i), Frames: frames,
			Float: map[string][]float32{net.Features: x}, Labels: map[string][]int64{net.Labels: labels}}
	}
	return list
}

func labelled(b *nn.Build) *graph.Tensor {
	return small.Loss(b, net.Objective{Labels: 1, Smooth: 0.15})
}

func newTrainer(t testing.TB, p *nn.Params, loss train.Loss, cfg train.Config) *train.Trainer {
	t.Helper()
	tr, err := train.New(p, loss, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// accuracy is the share of frames that the head of the given lag gets right.
func accuracy(t testing.TB, p *nn.Params, samples []train.Sample, head int) float64 {
	t.Helper()
	model, err := small.Infer(p)
	if err != nil {
		t.Fatal(err)
	}
	pred, err := net.NewPredictor(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pred.Close() }()
	var right, all float64
	for _, s := range samples {
		out, err := pred.Run(s.Float[net.Features])
		if err != nil {
			t.Fatal(err)
		}
		lag := small.Lags[head]
		for i := lag; i < s.Frames; i++ {
			row := out[head][i*small.Classes : (i+1)*small.Classes]
			all++
			if int64(slices.Index(row, slices.Max(row))) == s.Labels[net.Labels][i-lag] {
				right++
			}
		}
	}
	return right / all
}

func TestFitLearnsToLabelSequences(t *testing.T) {
	start := time.Now()
	p, err := small.NewParams(1)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, p, labelled, train.Config{Clip: 5, Buckets: []int{90, 120}})
	held := sequences(6, 2)
	var last train.Progress
	result, err := train.Fit(t.Context(), tr, sequences(24, 1),
		train.FitConfig{Epochs: 12, Batch: 4, Rate: 0.01, Warmup: 5, Every: 4, EMA: 0.9},
		train.Hooks{
			Evaluate: func(_ context.Context, p *nn.Params) (float64, error) { return accuracy(t, p, held, 1), nil },
			Progress: func(p train.Progress) { last = p },
		})
	if err != nil {
		t.Fatal(err)
	}
	if now := accuracy(t, p, held, 1); now < 0.95 || now != result.Best {
		t.Errorf("the lagged head gets %.3f of the held-out frames right, Fit says %.3f; expected > 0.95", now, result.Best)
	}
	if last.Step != last.Steps || last.Epoch != 12 || math.IsNaN(last.Score) {
		t.Errorf("the last progress is %+v", last)
	}
	t.Logf("accuracy: lag 0 %.3f, lag 5 %.3f; loss %.4f; %v", accuracy(t, p, held, 0), accuracy(t, p, held, 1), result.Loss, time.Since(start))
}
