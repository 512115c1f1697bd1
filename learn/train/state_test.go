package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/learn/train"
)

// normal is a network with all that a trainer keeps state of: weights, dropout, running statistics.
func normal(b *nn.Build) *graph.Tensor {
	x := b.Features(net.Features, small.In)
	y := b.Relu(b.Conv1DNorm(x, b.Span(), "conv", 8, 3, 1, false))
	logits := b.Linear(b.Dropout(y, 0.2), "out", small.Classes)
	return b.CrossEntropy(logits, b.Labels(net.Labels, small.Classes), b.Weights())
}

func normalParams(t testing.TB) *nn.Params {
	t.Helper()
	p, err := nn.Declare(func(b *nn.Build) { normal(b) })
	if err != nil {
		t.Fatal(err)
	}
	p.Init(5)
	return p
}

// stateConfigs are configurations whose state must survive.
var stateConfigs = map[string]train.Config{
	"adam": {Seed: 3, Clip: 1, Buckets: []int{64, 96, 128}, Adam: optim.AdamConfig{Decay: 0.01}},
	"sgd":  {Seed: 4, Buckets: []int{128}, Rows: 2, SGD: &optim.SGDConfig{Momentum: 0.9, Nesterov: true, Decay: 1e-4}},
}

// Ten steps are ten steps, whether or not the trainer has been saved and loaded in between.
func TestSavedTrainingGoesOnExactly(t *testing.T) {
	samples := sequences(20, 8)
	for name, cfg := range stateConfigs {
		t.Run(name, func(t *testing.T) {
			steps := func(tr *train.Trainer, from, to int) {
				for i := from; i < to; i++ {
					step(t, tr, samples[2*i:2*i+2])
				}
			}
			whole := normalParams(t)
			steps(newTrainer(t, whole, normal, cfg), 0, 10)

			path := filepath.Join(t.TempDir(), "training.ckpt")
			first := newTrainer(t, normalParams(t), normal, cfg)
			steps(first, 0, 5)
			if err := first.Save(path, map[string]string{"note": "half way"}); err != nil {
				t.Fatal(err)
			}
			rest := normalParams(t)
			second := newTrainer(t, rest, normal, cfg)
			meta, err := second.Load(path)
			if err != nil || meta["note"] != "half way" || len(meta) != 1 || second.Steps() != 5 {
				t.Fatalf("loaded %v after %d steps, %v", meta, second.Steps(), err)
			}
			steps(second, 5, 10)
			if !slices.Equal(whole.Weights, rest.Weights) || !slices.Equal(whole.Buffers, rest.Buffers) {
				t.Error("ten steps and twice five steps end in different parameters")
			}
			if slices.Equal(whole.Buffers, normalParams(t).Buffers) {
				t.Error("the running statistics have not moved")
			}
		})
	}
}

func TestStatesThatDoNotFitAreRefused(t *testing.T) {
	dir := t.TempDir()
	p := normalParams(t)
	adam := newTrainer(t, p, normal, stateConfigs["adam"])
	step(t, adam, sequences(1, 1))
	plain, full := filepath.Join(dir, "plain.ckpt"), filepath.Join(dir, "full.ckpt")
	if err := errors.Join(p.Save(plain, nil), adam.Save(full, nil)); err != nil {
		t.Fatal(err)
	}
	other := stateConfigs["adam"]
	other.Seed++
	sgd := stateConfigs["sgd"]
	sgd.Seed = stateConfigs["adam"].Seed
	for name, c := range map[string]struct {
		tr   *train.Trainer
		path string
		want string
	}{
		"parameters only":   {adam, plain, "no optimizer"},
		"another seed":      {newTrainer(t, normalParams(t), normal, other), full, "seed"},
		"another optimizer": {newTrainer(t, normalParams(t), normal, sgd), full, `of the optimizer's "sgd.v"`},
		"another network":   {newTrainer(t, newParams(t, 1), labelled, stateConfigs["adam"]), full, "optimizer's"},
		"no file":           {adam, filepath.Join(dir, "none"), "no such file"},
	} {
		before := slices.Clone(c.tr.Params().Weights)
		_, err := c.tr.Load(c.path)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", name, err, c.want)
		}
		if !slices.Equal(c.tr.Params().Weights, before) {
			t.Errorf("%s: the parameters have changed", name)
		}
	}
}

// fitConfig keeps an average and the best parameters, so that all parts of a state matter.
func fitConfig(state string) train.FitConfig {
	return train.FitConfig{Epochs: 6, Batch: 3, Rate: 1e-2, Warmup: 2, EMA: 0.9, Seed: 9, Every: 2, State: state}
}

func TestInterruptedFitEndsAsOneThatWasNot(t *testing.T) {
	samples, start := sequences(9, 8), normalParams(t).Weights
	run := func(ctx context.Context, state string, p *nn.Params, after func(train.Progress)) (train.Result, error) {
		return train.Fit(ctx, newTrainer(t, p, normal, stateConfigs["adam"]), samples, fitConfig(state), train.Hooks{
			// The first evaluation is the best, so that the best parameters have to come out of the state.
			Evaluate: func(_ context.Context, p *nn.Params) (float64, error) { return -apart(p.Weights, start), nil },
			Progress: after,
		})
	}
	whole := normalParams(t)
	want, err := run(t.Context(), "", whole, nil)
	if err != nil {
		t.Fatal(err)
	}

	state := filepath.Join(t.TempDir(), "fit.ckpt")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = run(ctx, state, normalParams(t), func(p train.Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted run gives %v", err)
	}
	resumed := normalParams(t)
	var epochs []int
	got, err := run(t.Context(), state, resumed, func(p train.Progress) { epochs = append(epochs, p.Epoch) })
	if err != nil {
		t.Fatal(err)
	}
	if got.BestEpoch != 2 || !slices.Equal(epochs, []int{4, 5, 6}) || got != want {
		t.Errorf("the resumed run had the epochs %v and ends in %+v, expected %+v", epochs, got, want)
	}
	if !slices.Equal(whole.Weights, resumed.Weights) || !slices.Equal(whole.Buffers, resumed.Buffers) {
		t.Error("the resumed run ends in other parameters")
	}

	again := normalParams(t)
	if got, err = run(t.Context(), state, again, func(train.Progress) { t.Error("a finished run goes on") }); err != nil || got != want {
		t.Errorf("running a finished run again gives %+v, %v", got, err)
	}
	if !slices.Equal(whole.Weights, again.Weights) {
		t.Error("running a finished run again gives other parameters")
	}

	cfg := fitConfig(state)
	cfg.Rate /= 2
	_, err = train.Fit(t.Context(), newTrainer(t, normalParams(t), normal, stateConfigs["adam"]), samples, cfg, train.Hooks{})
	if !errors.Is(err, train.ErrState) || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("a state of another configuration gives %v", err)
	}
	if err := os.WriteFile(state, []byte("no checkpoint at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = train.Fit(t.Context(), newTrainer(t, normalParams(t), normal, stateConfigs["adam"]), samples, fitConfig(state), train.Hooks{})
	if !errors.Is(err, nn.ErrCheckpoint) || !strings.Contains(err.Error(), state) {
		t.Errorf("a state that is none gives %v", err)
	}
}

// A failed step must leave the running statistics, too, as they were.
func TestRunningStatisticsFollowOnlyGoodSteps(t *testing.T) {
	p := normalParams(t)
	tr := newTrainer(t, p, normal, train.Config{Buckets: []int{128}})
	step(t, tr, sequences(1, 1))
	good := slices.Clone(p.Buffers)
	huge := sequences(2, 2)
	for i := range huge[1].Float[net.Features] {
		huge[1].Float[net.Features][i] *= 1e30
	}
	var diverged *train.DivergedError
	if _, err := tr.Step(t.Context(), huge, 1e-3); !errors.As(err, &diverged) {
		t.Fatalf("features of 1e30 give %v", err)
	}
	if !slices.Equal(p.Buffers, good) {
		t.Error("the failed step moved the running statistics")
	}
}
