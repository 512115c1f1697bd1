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
	"tandem/trainer/backbone"
)

// Lesson are pictures with what an extractor should make of them.
type Lesson struct {
	Pictures
	Target  []float32 // [Len, features]
	Weights []float32 // [Len], 0 where nothing is known
}

// Follow says how an extractor is regressed.
type Follow struct {
	Config     // Network is the extractor's; Epochs are of Steps
	Steps  int // an epoch
	Choose []Lesson
}

// Regress trains a copy of an extractor so that it makes Target of the pictures of lessons: squared error, mean over
// pictures and features,
//
//	L = mean over t of w_t ‖ f(I_t) - z_t ‖² / D
//
// from the extractor's own weights (Quattrocchi et al., ECCV 2024, section 4). With lessons to choose by, the epoch with the
// smallest error on them is kept, otherwise the last one.
func Regress(ctx context.Context, from *backbone.Backbone, lessons []Lesson, c Follow, progress func(train.Progress)) (_ *backbone.Backbone, err error) {
	if from.Network == nil || from.Params == nil {
		return nil, errors.New("regress extractor: it has no parameters to train")
	}
	c.Network = *from.Network
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("regress extractor: %w", err)
	}
	all, err := join(lessons, c.Network.Out)
	if err != nil {
		return nil, fmt.Errorf("regress extractor: %w", err)
	}
	p := from.Params.Clone()
	t, err := train.New(p, func(b *nn.Build) *graph.Tensor { return c.Network.Regress(b) },
		train.Config{Buckets: []int{c.Batch}, Session: c.Session, Adam: optim.AdamConfig{Decay: c.Decay}, Clip: 5, Seed: c.Seed})
	if err != nil {
		return nil, fmt.Errorf("regress extractor: %w", err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	l := newLoader(all, c.Config, all.target)
	hooks := train.Hooks{Prepare: l.prepare, Progress: progress}
	if len(c.Choose) > 0 {
		hooks.Evaluate = func(_ context.Context, p *nn.Params) (float64, error) {
			b, err := backbone.New(c.Network, p, nil)
			if err != nil {
				return 0, err
			}
			e, err := Distance(b, c.Choose, c.Config)
			return -e, err
		}
	}
	_, err = train.Fit(ctx, t, l.slots(max(1, c.Steps)), train.FitConfig{Epochs: c.Epochs, Seed: c.Seed, Rate: c.Rate, Floor: c.Rate / 100,
		Warmup: min(20, c.Steps*c.Epochs/10), EMA: c.EMA, State: c.State}, hooks)
	if err != nil {
		return nil, fmt.Errorf("regress extractor: %w", err)
	}
	return backbone.New(c.Network, p, nil)
}

// Distance is the weighted mean squared error of an extractor on lessons.
func Distance(b *backbone.Backbone, lessons []Lesson, c Config) (_ float64, err error) {
	e, err := Open(b, c.Session)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	var sum, n float64
	for _, l := range lessons {
		y, err := e.See(l.Pictures)
		if err != nil {
			return 0, err
		}
		for t, w := range l.Weights {
			for d := range b.Contract.Dim {
				v := float64(y[t*b.Contract.Dim+d] - l.Target[t*b.Contract.Dim+d])
				sum, n = sum+float64(w)*v*v, n+float64(w)
			}
		}
	}
	if n == 0 {
		return 0, errors.New("not one picture has a target")
	}
	return sum / n, nil
}

// joined are the pictures of several lessons that have a weight, one after the other.
type joined struct {
	lessons []Lesson
	at      [][2]int // lesson and picture
	dim     int
}

func join(lessons []Lesson, dim int) (*joined, error) {
	j := &joined{lessons: lessons, dim: dim}
	for i, l := range lessons {
		if l.Size() != lessons[0].Size() || len(l.Target) != l.Len()*dim || len(l.Weights) != l.Len() {
			return nil, fmt.Errorf("lesson %d: %d pictures of %d bytes with %d values and %d weights, expected %d features each and pictures of %d bytes",
				i, l.Len(), l.Size(), len(l.Target), len(l.Weights), dim, lessons[0].Size())
		}
		for t, w := range l.Weights {
			if w > 0 {
				j.at = append(j.at, [2]int{i, t})
			}
		}
	}
	if len(j.at) == 0 {
		return nil, fmt.Errorf("not one picture of %d lessons has a target", len(lessons))
	}
	return j, nil
}

func (j *joined) Len() int  { return len(j.at) }
func (j *joined) Size() int { return j.lessons[0].Size() }

func (j *joined) Read(i int, dst []byte) error {
	return j.lessons[j.at[i][0]].Read(j.at[i][1], dst)
}

// target is the loader's.
func (j *joined) target(s *train.Sample, chosen []int) {
	var rows [][]float32
	for k, i := range chosen {
		l, t := j.lessons[j.at[i][0]], j.at[i][1]
		s.Weights[k] = l.Weights[t]
		rows = append(rows, l.Target[t*j.dim:(t+1)*j.dim])
	}
	s.Float[net.Target] = slices.Concat(rows...)
}
