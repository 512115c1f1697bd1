package vision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/ort"
	"tandem/trainer/backbone"
)

// Config says how an extractor is trained. The zero value of a field gives DefaultConfig's, but for Augment and Seed.
type Config struct {
	Network net.DepthwiseCNN
	Epochs  int     // passes over the pictures
	Batch   int     // pictures a step
	Rate    float64 // highest learning rate
	Decay   float64 // decoupled weight decay
	EMA     float64 // decay of the moving average of the weights, a step
	Augment Augment
	Seed    uint64
	Session ort.Options
	// State is a file that training is kept in and goes on from; empty means none.
	State string
}

// DefaultConfig is how the built-in extractor was trained.
func DefaultConfig() Config {
	c := net.DefaultCNN()
	c.Grid = 4
	return Config{Network: c, Epochs: 12, Batch: 32, Rate: 4e-3, Decay: 0.02, EMA: 0.98, Augment: DefaultAugment(), Seed: 1,
		Session: ort.Options{Threads: 1}}
}

func (c Config) check() error {
	switch {
	case c.Epochs < 1 || c.Batch < 2:
		return fmt.Errorf("%d epochs in batches of %d, expected at least 1 epoch and 2 pictures a batch", c.Epochs, c.Batch)
	case !(c.Rate > 0) || !(c.Decay >= 0) || !(c.EMA >= 0 && c.EMA < 1):
		return fmt.Errorf("learning rate %g, decay %g, average %g; expected a rate > 0, a decay >= 0, an average in [0, 1)", c.Rate, c.Decay, c.EMA)
	}
	return c.Network.Check()
}

// Result is what training arrived at.
type Result struct {
	Params *nn.Params // with the head
	Epoch  int        // that was kept
	Choice backbone.Recall
}

// Train trains a network on pictures of so many classes, and leaves the epoch that is best on choose: mean recall over
// classes, of the pictures as they are and without their colours. progress is told after each epoch and may be nil. A run
// that diverges ends with an error that names the step.
func Train(ctx context.Context, pictures, choose *Frames, classes int, c Config, progress func(train.Progress)) (_ Result, err error) {
	if err := c.check(); err != nil {
		return Result{}, fmt.Errorf("train extractor: %w", err)
	}
	if n := pictures.Len() / c.Batch; n < 1 {
		return Result{}, fmt.Errorf("train extractor: %d pictures, expected at least a batch of %d", pictures.Len(), c.Batch)
	}
	p, err := c.Network.NewParams(c.Seed, classes)
	if err != nil {
		return Result{}, err
	}
	loss := func(b *nn.Build) *graph.Tensor { return c.Network.Classify(b, classes) }
	t, err := train.New(p, loss, train.Config{Buckets: []int{c.Batch}, Session: c.Session, Adam: optim.AdamConfig{Decay: c.Decay}, Clip: 5, Seed: c.Seed})
	if err != nil {
		return Result{}, fmt.Errorf("train extractor: %w", err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	weights := balance(pictures.Classes, classes)
	l := newLoader(pictures, c, func(s *train.Sample, chosen []int) {
		labels := make([]int64, len(chosen))
		for i, j := range chosen {
			class := pictures.Classes[j]
			labels[i], s.Weights[i] = int64(class), weights[class]
		}
		s.Labels[net.Labels] = labels
	})
	steps := pictures.Len() / c.Batch
	fit, err := train.Fit(ctx, t, l.slots(steps), train.FitConfig{Epochs: c.Epochs, Seed: c.Seed, Rate: c.Rate, Floor: c.Rate / 100,
		Warmup: min(100, steps*c.Epochs/10), EMA: c.EMA, State: c.State}, train.Hooks{
		Prepare: l.prepare,
		Evaluate: func(ctx context.Context, p *nn.Params) (float64, error) {
			s, err := Score(ctx, c.Network, p, classes, choose, c.Session)
			return (s.Colour + s.Grey) / 2, err
		},
		Progress: progress,
	})
	if err != nil {
		return Result{}, fmt.Errorf("train extractor: %w", err)
	}
	r := Result{Params: p, Epoch: fit.BestEpoch}
	r.Choice, err = Score(ctx, c.Network, p, classes, choose, c.Session)
	return r, err
}

// Score returns the mean recall over the classes that occur, in per cent, of a network with its head.
func Score(ctx context.Context, c net.DepthwiseCNN, p *nn.Params, classes int, f *Frames, opts ort.Options) (r backbone.Recall, err error) {
	model, err := c.InferClasses(p, classes)
	if err != nil {
		return r, err
	}
	e, err := newEngine(model, backbone.Contract(c), classes, opts)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	for grey, to := range map[bool]*float64{false: &r.Colour, true: &r.Grey} {
		right, all := make([]float64, classes), make([]float64, classes)
		for i, class := range f.Classes {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			if err := f.Read(i, e.raw); err != nil {
				return r, err
			}
			if grey {
				toGrey(e.raw)
			}
			y, err := e.run()
			if err != nil {
				return r, err
			}
			all[class]++
			if slices.Index(y, slices.Max(y)) == class {
				right[class]++
			}
		}
		var sum, n float64
		for k := range all {
			if all[k] > 0 {
				sum, n = sum+right[k]/all[k], n+1
			}
		}
		*to = 100 * sum / n
	}
	return r, nil
}

// toGrey replaces the channels of a picture by its luminance (ITU-R BT.601).
func toGrey(px []byte) {
	n := len(px) / 3
	for i := range n {
		v := byte((299*int(px[i]) + 587*int(px[n+i]) + 114*int(px[2*n+i]) + 500) / 1000)
		px[i], px[n+i], px[2*n+i] = v, v, v
	}
}
