package trainer

import (
	"fmt"
	"math"
	"slices"
	"time"

	"tandem/learn/net"
	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

// Recipe holds what training is run with. DefaultRecipe gives values that work on a line's first day.
type Recipe struct {
	RateHz      float64       // samples a second of features and labels
	Channels    int           // of the network
	Layers      int           // residual layers; the network sees 2^(Layers+1) samples back
	Dropout     float64       // while training, [0, 1)
	Lag         time.Duration // how far the committed head looks back
	Hold        time.Duration // a label that lasts less is not believed
	Epochs      int           // passes over the labelled takes or the pairs
	MinSteps    int           // optimizer steps that there are at least: few takes are passed over more often
	Batch       int           // takes a step
	Rate        float64       // highest learning rate
	Decay       float64       // weight decay
	Smooth      float64       // weight of the smoothing loss
	Temperature float64       // of the distillation
	Seed        uint64
	Threads     int // of ONNX Runtime
}

// DefaultRecipe returns the recipe that `tandem trainer` starts from.
func DefaultRecipe() Recipe {
	return Recipe{
		RateHz: 15, Channels: 64, Layers: 8, Dropout: 0.3, Lag: time.Second, Hold: 500 * time.Millisecond,
		Epochs: 40, MinSteps: 300, Batch: 2, Rate: 2e-3, Decay: 1e-3, Smooth: 0.15, Temperature: 2, Seed: 1, Threads: 1,
	}
}

// Validate returns an error that names the first field that cannot be.
func (r Recipe) Validate() error {
	switch {
	case !(r.RateHz > 0 && r.RateHz <= 120):
		return fmt.Errorf("recipe: rate_hz is %g, expected more than 0 and at most 120", r.RateHz)
	case r.Lag < 0 || r.Lag > time.Minute:
		return fmt.Errorf("recipe: lag is %v, expected 0 to 1m", r.Lag)
	case r.Hold < 0 || r.Hold > time.Minute:
		return fmt.Errorf("recipe: hold is %v, expected 0 to 1m", r.Hold)
	case r.Epochs < 1:
		return fmt.Errorf("recipe: epochs is %d, expected at least 1", r.Epochs)
	case r.Batch < 1:
		return fmt.Errorf("recipe: batch is %d, expected at least 1", r.Batch)
	case !(r.Rate > 0):
		return fmt.Errorf("recipe: learning rate is %g, expected more than 0", r.Rate)
	case !(r.Temperature > 0):
		return fmt.Errorf("recipe: temperature is %g, expected more than 0", r.Temperature)
	}
	return nil
}

// lags returns the decision lags of the network's heads, in frames.
func (r Recipe) lags() []int {
	lag := r.frames(r.Lag)
	if lag == 0 {
		return []int{0}
	}
	return []int{0, lag}
}

func (r Recipe) minFrames() int { return max(1, r.frames(r.Hold)) }

func (r Recipe) frames(d time.Duration) int { return int(math.Round(d.Seconds() * r.RateHz)) }

func (r Recipe) tcn(dim, classes int) net.TCN {
	return net.TCN{In: dim, Channels: r.Channels, Layers: r.Layers, Classes: classes, Lags: r.lags(), Dropout: r.Dropout}
}

func (r Recipe) session() ort.Options { return ort.Options{Threads: r.Threads} }

func (r Recipe) trainer() train.Config {
	return train.Config{Session: r.session(), Adam: optim.AdamConfig{Decay: r.Decay}, Clip: 5, Seed: r.Seed}
}

// fit returns how n samples are trained on.
func (r Recipe) fit(n int) train.FitConfig {
	perEpoch := (n + r.Batch - 1) / r.Batch
	epochs := max(r.Epochs, (r.MinSteps+perEpoch-1)/perEpoch)
	return train.FitConfig{
		Epochs: epochs, Batch: r.Batch, Seed: r.Seed, Rate: r.Rate, Floor: r.Rate / 100, Warmup: min(20, perEpoch*epochs/10+1),
		EMA: 0.98, Every: max(1, epochs/20),
	}
}

// longest is the longest piece of a take that is trained on at once, in frames; longer takes are cut into pieces that
// overlap by what the network sees.
const longest = 4096

// windows cuts samples to what a training graph holds. Pieces without a weighted frame, such as of the hours in which a
// camera was off, have nothing to teach and are left out; an error says that none is left.
func windows(list []train.Sample, reach int) ([]train.Sample, error) {
	var out []train.Sample
	for _, s := range list {
		w, err := s.Windows(longest, min(reach, longest/2))
		if err != nil {
			return nil, err
		}
		for _, piece := range w {
			if piece.Weights == nil || slices.ContainsFunc(piece.Weights, func(v float32) bool { return v > 0 }) {
				out = append(out, piece)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("not one frame of %d takes has a weight", len(list))
	}
	return out, nil
}
