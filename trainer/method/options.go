package method

import (
	"fmt"

	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/ort"
	"tandem/sync/offset"
)

// Options say how a method trains. The zero value of a field gives its default.
type Options struct {
	Network Network // of the student, and of a teacher that is trained on the way
	// Teacher is a trained teacher; nil trains one from the problem's labelled exo sequences.
	Teacher *Model
	Seed    uint64

	Epochs int // passes over the data in each stage of a method, default 40
	// MinSteps is how many optimizer steps there are at least in each stage: few takes are passed over more often. Default 0.
	MinSteps int
	Batch    int     // sequences a step, default 1
	Rate     float64 // highest learning rate, default 1e-3
	Decay    float64 // decoupled weight decay, default 0
	Clip     float64 // largest norm of a gradient, default 5
	Every    int     // epochs from one judgement of what is chosen by to the next, default 1
	// EMA is the decay of the moving average of the weights, a step, which is what is kept (Polyak & Juditsky, SIAM J. Control
	// Optim. 1992, in its exponential form), default 0.99; negative keeps the last weights.
	EMA float64
	// Published has the methods of Quattrocchi et al. (tas, feature, both) trained as their code does: at a constant rate, the last
	// weights kept. Otherwise they get what the other methods get, a falling rate and the moving average, which serves them better.
	Published bool

	// Smooth is the weight of the smoothing loss of MS-TCN (Farha & Gall, CVPR 2019, section 3.3) in training on labels and
	// in tandem, default 0.15; negative means none.
	Smooth float64
	// Temperature of tandem's divergence, default 1.
	Temperature float64
	// Penalty weighs the distance of the two domains in coral and mmd, default 1.
	Penalty float64
	// Adapter is the kind of the feature adapter, one of AdapterKinds: "tcn", the default, or "transformer", as published.
	Adapter string
	// AdapterChannels and AdapterLayers are the size of the feature adapter, default 32 and 4.
	AdapterChannels, AdapterLayers int
	// Offset says how tandem estimates offsets.
	Offset offset.Config

	constant bool // the learning rate stays, and the last weights are kept

	Session  ort.Options
	Progress func(Progress) // is told after each epoch; may be nil
}

// Progress tells how far a stage of a method has come.
type Progress struct {
	Stage         string
	Epoch, Epochs int // Epoch counts from 1
	Loss          float64
}

func (o Options) defaults() Options {
	set := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Rate, 1e-3)
	set(&o.Clip, 5)
	set(&o.EMA, 0.99)
	o.EMA = max(o.EMA, 0)
	set(&o.Smooth, 0.15)
	o.Smooth = max(o.Smooth, 0)
	set(&o.Temperature, 1)
	set(&o.Penalty, 1)
	for _, d := range []struct {
		v *int
		d int
	}{{&o.Epochs, 40}, {&o.Batch, 1}, {&o.AdapterChannels, 32}, {&o.AdapterLayers, 4}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Epochs < 1 || o.Batch < 1 || o.MinSteps < 0:
		return fmt.Errorf("%d epochs and %d steps at least in batches of %d, expected epochs and batches >= 1, steps >= 0", o.Epochs,
			o.MinSteps, o.Batch)
	case !(o.Rate > 0) || !(o.Clip > 0) || !(o.Decay >= 0):
		return fmt.Errorf("learning rate %g, clip %g, decay %g; expected rate and clip > 0, decay >= 0", o.Rate, o.Clip, o.Decay)
	case !(o.EMA < 1):
		return fmt.Errorf("a moving average with decay %g, expected less than 1", o.EMA)
	case !(o.Temperature > 0) || !(o.Penalty >= 0):
		return fmt.Errorf("temperature %g, penalty %g; expected a temperature > 0 and a penalty >= 0", o.Temperature, o.Penalty)
	}
	return nil
}

func (o Options) trainer() train.Config {
	return train.Config{Session: o.Session, Adam: optim.AdamConfig{Decay: o.Decay}, Clip: o.Clip, Seed: o.Seed}
}

// asPublished are the options for a method of Quattrocchi et al.
func (o Options) asPublished() Options {
	o.constant = o.Published
	return o
}

func (o Options) schedule(samples int) train.FitConfig {
	perEpoch := (samples + o.Batch - 1) / o.Batch
	epochs := max(o.Epochs, (o.MinSteps+perEpoch-1)/perEpoch)
	c := train.FitConfig{Epochs: epochs, Batch: o.Batch, Seed: o.Seed, Rate: o.Rate, Floor: o.Rate / 100, Every: o.Every, EMA: o.EMA,
		Warmup: min(20, perEpoch*epochs/10)}
	if o.constant {
		c.Floor, c.EMA = o.Rate, 0
	}
	return c
}
