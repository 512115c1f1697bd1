package trainer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"tandem/runtime/ort"
	"tandem/trainer/method"
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
	Method      string        // by which students are made, of package method
	Seed        uint64
	Threads     int // of ONNX Runtime
}

// DefaultRecipe returns the recipe that `tandem trainer` starts from.
func DefaultRecipe() Recipe {
	return Recipe{
		RateHz: 15, Channels: 64, Layers: 8, Dropout: 0.3, Lag: time.Second, Hold: 500 * time.Millisecond,
		Epochs: 40, MinSteps: 300, Batch: 2, Rate: 2e-3, Decay: 1e-3, Smooth: 0.15, Temperature: 1, Method: "tandem", Seed: 1, Threads: 1,
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

func (r Recipe) session() ort.Options { return ort.Options{Threads: r.Threads} }

// options returns how n takes are trained on.
func (r Recipe) options(n int, progress Progress) method.Options {
	perEpoch := (n + r.Batch - 1) / r.Batch
	epochs := max(r.Epochs, (r.MinSteps+perEpoch-1)/perEpoch)
	dropout := r.Dropout
	if dropout == 0 {
		dropout = -1 // none
	}
	smooth := r.Smooth
	if smooth == 0 {
		smooth = -1 // none
	}
	return method.Options{
		Network: method.Network{Kind: "causal", Channels: r.Channels, Layers: r.Layers, Dropout: dropout, Lags: r.lags()},
		Seed:    r.Seed, Epochs: epochs, Batch: r.Batch, Rate: r.Rate, Decay: r.Decay, EMA: 0.98, Every: max(1, epochs/20),
		Smooth: smooth, Temperature: r.Temperature, Session: r.session(),
		Progress: func(p method.Progress) { progress.report(p.Stage, p.Epoch, p.Epochs, fmt.Sprintf("loss %.4f", p.Loss)) },
	}
}

// labelFree are the methods by which a student may be made on a line.
var labelFree = []string{"tandem", "tas", "feature", "both"}

// student returns the method that students are made by.
func (r Recipe) student() (method.Method, error) {
	m, err := method.Get(r.Method)
	if err == nil && !slices.Contains(labelFree, r.Method) {
		err = fmt.Errorf("the method %s makes no students of a line's pairs, expected one of %s", r.Method, strings.Join(labelFree, ", "))
	}
	return m, err
}
