// Package bench times training steps: forward pass, loss, gradients and Adam, as a trainer takes them, on networks and
// shapes that have also been timed elsewhere.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

// Case is a network with the shape of its training step.
type Case struct {
	Name string `json:"name"`
	What string `json:"what"`
	// Reference is what another engine needs for the same on two cores, or nil.
	Reference *Reference `json:"-"`

	params func() (*nn.Params, error)
	loss   train.Loss
	sample func(rng *rand.Rand) train.Sample
}

// Reference is a figure of another engine: the median of a step on as many threads, measured beside this engine's
// prototype on two cores of an AMD EPYC.
type Reference struct {
	Engine   string  `json:"engine"`
	Threads  int     `json:"threads"`
	MedianMs float64 `json:"median_ms"`
}

func torch(ms float64) *Reference {
	return &Reference{Engine: "PyTorch 1.13", Threads: 2, MedianMs: ms}
}

const (
	frames  = 600
	classes = 33 // coarse actions of Assembly101 that Quattrocchi et al. segment
	images  = 16
)

// Cases returns the steps to be timed, all of one sequence or one batch of images.
func Cases() []Case {
	return []Case{
		teacher("c2ftcn-256", 256, torch(103)),
		teacher("c2ftcn-1024", 1024, torch(130)),
		encoder("encoder-256", 256, torch(54)),
		extractor("cnn-112", torch(64)),
	}
}

func teacher(name string, in int, ref *Reference) Case {
	c := net.C2FTCN{In: in, Classes: classes}
	return Case{
		Name: name, Reference: ref,
		What:   fmt.Sprintf("C2F-TCN, %d features, %d frames, %d classes, cross entropy of each decoder output, batch 1", in, frames, classes),
		params: func() (*nn.Params, error) { return c.NewParams(1) },
		loss:   func(b *nn.Build) *graph.Tensor { return c.Loss(b, net.Objective{Labels: 1, EachScale: true}) },
		sample: func(rng *rand.Rand) train.Sample {
			s := train.Sample{Name: name, Frames: frames, Float: map[string][]float32{net.Features: noise(rng, frames*in)},
				Labels: map[string][]int64{net.Labels: make([]int64, frames)}}
			for i := range s.Labels[net.Labels] {
				s.Labels[net.Labels][i] = int64(i * classes / frames)
			}
			return s
		},
	}
}

func encoder(name string, width int, ref *Reference) Case {
	a := net.TransformerAdapter{In: width, Out: width, Layers: 1, Heads: 8}
	return Case{
		Name: name, Reference: ref,
		What:   fmt.Sprintf("transformer encoder layer, d %d, 8 heads, %d hidden, %d frames, mean squared error, batch 1", width, 4*width, frames),
		params: func() (*nn.Params, error) { return a.NewParams(1) },
		loss:   a.Loss,
		sample: func(rng *rand.Rand) train.Sample {
			return train.Sample{Name: name, Frames: frames,
				Float: map[string][]float32{net.Features: noise(rng, frames*width), net.Target: noise(rng, frames*width)}}
		},
	}
}

func extractor(name string, ref *Reference) Case {
	c := net.DefaultCNN()
	pixels := 3 * c.Width * c.Height
	return Case{
		Name: name, Reference: ref,
		What:   fmt.Sprintf("depthwise CNN of 8 layers, %dx%d, mean squared error, batch %d", c.Width, c.Height, images),
		params: func() (*nn.Params, error) { return c.NewParams(1, 0) },
		loss:   c.Regress,
		sample: func(rng *rand.Rand) train.Sample {
			return train.Sample{Name: name, Frames: images,
				Float: map[string][]float32{net.Image: noise(rng, images*pixels), net.Target: noise(rng, images*c.Out)}}
		},
	}
}

func noise(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// Config says what is timed. The zero value of a field gives its default.
type Config struct {
	Cases   []Case // default Cases()
	Threads []int  // each case is timed with each number of threads; default 1 and 2
	// Rounds of Steps steps go in turn over all cases, so that other work on the machine does not hit one of them only.
	// Default 3 rounds of 15.
	Rounds, Steps int
	// Progress is told after each round of a case, of done out of all. May be nil.
	Progress func(done, all int)
}

// Result are the timed steps of a case.
type Result struct {
	Case
	Threads    int        `json:"threads"`
	Parameters int        `json:"parameters"`
	OpenMs     float64    `json:"open_ms"` // tracing and opening the training graph, and the first step
	Steps      int        `json:"steps"`
	BestMs     float64    `json:"best_ms"`
	MedianMs   float64    `json:"median_ms"`
	Compared   *Reference `json:"reference,omitempty"`
	// Ratios to the reference's median; below 1 is faster.
	MedianRatio float64 `json:"median_ratio,omitempty"`
	BestRatio   float64 `json:"best_ratio,omitempty"`
}

// timed is a case with its trainer.
type timed struct {
	Result
	trainer *train.Trainer
	batch   []train.Sample
	ms      []float64
}

// rate is so low that many steps on noise stay finite.
const rate = 1e-5

// Run times the cases.
func Run(ctx context.Context, cfg Config) (results []Result, err error) {
	if cfg.Cases == nil {
		cfg.Cases = Cases()
	}
	if cfg.Threads == nil {
		cfg.Threads = []int{1, 2}
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = 3
	}
	if cfg.Steps == 0 {
		cfg.Steps = 15
	}
	if cfg.Rounds < 1 || cfg.Steps < 1 || slices.ContainsFunc(cfg.Threads, func(n int) bool { return n < 1 }) {
		return nil, fmt.Errorf("bench: %d rounds of %d steps on %v threads, expected each >= 1", cfg.Rounds, cfg.Steps, cfg.Threads)
	}
	var list []*timed
	defer func() {
		for _, x := range list {
			err = errors.Join(err, x.trainer.Close())
		}
	}()
	done := 0
	for round := range cfg.Rounds {
		for i := range len(cfg.Cases) * len(cfg.Threads) {
			if round == 0 {
				x, err := open(ctx, cfg.Cases[i/len(cfg.Threads)], cfg.Threads[i%len(cfg.Threads)])
				if err != nil {
					return nil, err
				}
				list = append(list, x)
			}
			if err := list[i].run(ctx, cfg.Steps); err != nil {
				return nil, err
			}
			if done++; cfg.Progress != nil {
				cfg.Progress(done, cfg.Rounds*len(cfg.Cases)*len(cfg.Threads))
			}
		}
	}
	for _, x := range list {
		results = append(results, x.result())
	}
	return results, nil
}

// open makes the trainer of a case and takes its first step, which opens the session.
func open(ctx context.Context, c Case, threads int) (*timed, error) {
	p, err := c.params()
	if err != nil {
		return nil, fmt.Errorf("bench %s: %w", c.Name, err)
	}
	sample := c.sample(rand.New(rand.NewPCG(1, 1)))
	tr, err := train.New(p, c.loss, train.Config{Buckets: []int{sample.Frames}, Session: ort.Options{Threads: threads}})
	if err != nil {
		return nil, fmt.Errorf("bench %s: %w", c.Name, err)
	}
	x := &timed{Result: Result{Case: c, Threads: threads, Parameters: len(p.Weights)}, trainer: tr, batch: []train.Sample{sample}}
	start := time.Now()
	if _, err := tr.Step(ctx, x.batch, rate); err != nil {
		return nil, errors.Join(fmt.Errorf("bench %s: %w", c.Name, err), tr.Close())
	}
	x.OpenMs = milliseconds(time.Since(start))
	return x, nil
}

// warmUp are the steps of a round that do not count.
const warmUp = 2

func (x *timed) run(ctx context.Context, steps int) error {
	for i := range warmUp + steps {
		start := time.Now()
		if _, err := x.trainer.Step(ctx, x.batch, rate); err != nil {
			return fmt.Errorf("bench %s: %w", x.Name, err)
		}
		if i >= warmUp {
			x.ms = append(x.ms, milliseconds(time.Since(start)))
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (x *timed) result() Result {
	r := x.Result
	slices.Sort(x.ms)
	r.Steps, r.BestMs, r.MedianMs = len(x.ms), x.ms[0], x.ms[len(x.ms)/2]
	if r.Reference != nil && r.Reference.Threads == r.Threads {
		r.Compared = r.Reference
		r.MedianRatio, r.BestRatio = r.MedianMs/r.Compared.MedianMs, r.BestMs/r.Compared.MedianMs
	}
	return r
}

// Named returns the cases with the given names; an unknown one is an error that lists those there are.
func Named(names []string) ([]Case, error) {
	var list []Case
	all := Cases()
	for _, name := range names {
		i := slices.IndexFunc(all, func(c Case) bool { return c.Name == name })
		if i < 0 {
			var known []string
			for _, c := range all {
				known = append(known, c.Name)
			}
			return nil, fmt.Errorf("there is no benchmark %q, expected one of %s", name, strings.Join(known, ", "))
		}
		list = append(list, all[i])
	}
	return list, nil
}
