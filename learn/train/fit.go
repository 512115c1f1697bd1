package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"tandem/learn/nn"
	"tandem/learn/optim"
)

// FitConfig says how long and how fast Fit trains. The zero value of a field gives its default.
type FitConfig struct {
	Epochs int    // passes over the samples, required
	Batch  int    // samples a step; default 1
	Seed   uint64 // of the order of the samples
	// Rate is the highest learning rate, required; it is reached after Warmup steps and falls along a cosine to Floor.
	Rate, Floor float64
	Warmup      int
	// Schedule replaces the cosine; Rate, Floor and Warmup are not used then.
	Schedule optim.Schedule
	// EMA keeps an exponential moving average of the weights with this decay (0.99, say), which is what is evaluated and
	// kept. 0 means none.
	EMA float64
	// Every is the number of epochs between evaluations; default 1. The last epoch is always evaluated.
	Every int
	// Patience ends training after so many evaluations without a better score; 0 means never.
	Patience int
	// State is a file that training is kept in: it is written after each epoch, and gone on from when it is there, so that
	// a run that was interrupted ends in the same parameters as one that was not. Empty means none.
	State string
}

// Hooks are called by Fit on its goroutine. Each may be nil.
type Hooks struct {
	// Evaluate scores parameters, higher is better; those with the best score are what Fit leaves. It must not keep or change
	// them. Without it the last ones are left.
	Evaluate func(ctx context.Context, p *nn.Params) (float64, error)
	// Progress is told after each epoch.
	Progress func(Progress)
	// Prepare replaces the samples of a step by what is computed then, and counts the steps from 0: samples that are too large
	// to be kept, or augmented each time anew, are placeholders until here. It must give the same for the same step, so that
	// a run that was resumed goes on alike. What it returns is checked at each step, what Fit was given is not.
	Prepare func(ctx context.Context, step int, batch []Sample) ([]Sample, error)
}

// Progress tells how far training has come.
type Progress struct {
	Epoch, Epochs int // Epoch counts from 1
	Step, Steps   int // taken, and in all if it runs to its end
	Loss          float64
	Rate          float64
	Score         float64 // of this epoch; NaN when it was not evaluated
	Best          float64 // score so far; NaN before the first
}

// Result is what Fit arrived at.
type Result struct {
	Epochs, Steps int
	Loss          float64 // mean of the last epoch
	Best          float64 // score of the parameters that were left; NaN without Evaluate
	BestEpoch     int     // counts from 1; 0 without Evaluate
}

// Fit trains on samples in a new random order each epoch and leaves the best parameters in t.Params. The same
// configuration gives the same parameters. On an error (a *DivergedError, or the end of ctx) it leaves the best so far, or the
// last good ones when none have been evaluated.
func Fit(ctx context.Context, t *Trainer, samples []Sample, cfg FitConfig, hooks Hooks) (Result, error) {
	cfg.Batch, cfg.Every = max(cfg.Batch, 1), max(cfg.Every, 1)
	if cfg.Epochs < 1 || (cfg.Schedule == nil && !(cfg.Rate > 0)) || cfg.Floor < 0 || cfg.Warmup < 0 || !(cfg.EMA >= 0 && cfg.EMA < 1) {
		return Result{}, fmt.Errorf("fit: %+v; expected epochs >= 1, rate > 0, floor and warm-up >= 0, EMA in [0, 1)", cfg)
	}
	if len(samples) == 0 {
		return Result{}, errors.New("fit: there are no samples")
	}
	if hooks.Prepare == nil {
		if err := t.Check(samples); err != nil {
			return Result{}, fmt.Errorf("fit: %w", err)
		}
	}
	f := &fit{t: t, cfg: cfg, hooks: hooks, rate: cfg.Schedule, best: t.params.Clone(), shown: t.params}
	f.result.Best = math.NaN()
	if cfg.Schedule == nil {
		f.rate = optim.CosineSchedule(cfg.Rate, cfg.Floor, cfg.Warmup)
	}
	if cfg.EMA > 0 {
		f.shown = t.params.Clone()
		f.ema = []*optim.EMA{optim.NewEMA(f.shown.Weights, cfg.EMA), optim.NewEMA(f.shown.Buffers, cfg.EMA)}
	}
	f.print = f.fingerprint(samples)
	err := f.run(ctx, samples)
	left := t.params
	switch {
	case f.result.BestEpoch > 0:
		left = f.best
	case err == nil:
		left = f.shown
	}
	copy(t.params.Weights, left.Weights)
	copy(t.params.Buffers, left.Buffers)
	if err != nil {
		return f.result, fmt.Errorf("fit, epoch %d: %w", f.result.Epochs+1, err)
	}
	return f.result, nil
}

// fit is the state of one call of Fit.
type fit struct {
	t      *Trainer
	cfg    FitConfig
	hooks  Hooks
	rate   optim.Schedule
	print  string       // fingerprint of the run
	shown  *nn.Params   // what is evaluated: the parameters or their average
	ema    []*optim.EMA // that move shown; nil without an average
	best   *nn.Params
	stale  int // evaluations since the best
	result Result
}

func (f *fit) run(ctx context.Context, samples []Sample) error {
	order := slices.Clone(samples)
	rng := rand.New(rand.NewPCG(f.cfg.Seed, 1))
	perEpoch := (len(order) + f.cfg.Batch - 1) / f.cfg.Batch
	shuffle := func() { rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) }
	p := Progress{Epochs: f.cfg.Epochs, Steps: perEpoch * f.cfg.Epochs}
	done, step, err := f.resume()
	if err != nil {
		return err
	}
	for range done {
		shuffle()
	}
	p.Step = step
	for p.Epoch = done + 1; p.Epoch <= f.cfg.Epochs && !f.outOfPatience(); p.Epoch++ {
		shuffle()
		var sum float64
		for batch := range slices.Chunk(order, f.cfg.Batch) {
			if batch, err = f.prepare(ctx, p.Step, batch); err != nil {
				return err
			}
			p.Rate = f.rate(p.Step, p.Steps)
			loss, err := f.t.Step(ctx, batch, p.Rate)
			if err != nil {
				return err
			}
			f.average()
			sum += loss
			p.Step++
		}
		p.Loss = sum / float64(perEpoch)
		f.result.Epochs, f.result.Steps, f.result.Loss = p.Epoch, p.Step, p.Loss
		score, err := f.evaluate(ctx, p.Epoch)
		if err != nil {
			return fmt.Errorf("evaluate: %w", err)
		}
		if p.Score, p.Best = score, f.result.Best; f.hooks.Progress != nil {
			f.hooks.Progress(p)
		}
		if err := f.save(p.Epoch, p.Step); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the samples of a step, if a hook does.
func (f *fit) prepare(ctx context.Context, step int, batch []Sample) ([]Sample, error) {
	if f.hooks.Prepare == nil {
		return batch, nil
	}
	made, err := f.hooks.Prepare(ctx, step, batch)
	if err == nil {
		err = f.t.Check(made)
	}
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", step, err)
	}
	return made, nil
}

func (f *fit) outOfPatience() bool { return f.cfg.Patience > 0 && f.stale >= f.cfg.Patience }

// average moves the averages of weights and buffers towards the present ones.
func (f *fit) average() {
	if f.ema != nil {
		f.ema[0].Update(f.t.params.Weights)
		f.ema[1].Update(f.t.params.Buffers)
	}
}

func (f *fit) evaluate(ctx context.Context, epoch int) (float64, error) {
	if f.hooks.Evaluate == nil || (epoch%f.cfg.Every != 0 && epoch != f.cfg.Epochs) {
		return math.NaN(), nil
	}
	score, err := f.hooks.Evaluate(ctx, f.shown)
	if err != nil {
		return score, err
	}
	if math.IsNaN(score) {
		return score, errors.New("the score is not a number")
	}
	f.stale++
	if f.result.BestEpoch == 0 || score > f.result.Best {
		f.result.Best, f.result.BestEpoch, f.stale = score, epoch, 0
		copy(f.best.Weights, f.shown.Weights)
		copy(f.best.Buffers, f.shown.Buffers)
	}
	return score, nil
}
