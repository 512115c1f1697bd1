package vision

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/bundle"
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
	l := newLoader(pictures, classes, c)
	steps := pictures.Len() / c.Batch
	slots := make([]train.Sample, steps)
	for i := range slots {
		slots[i] = train.Sample{Name: fmt.Sprintf("batch %d of %d pictures", i, pictures.Len()), Frames: c.Batch}
	}
	var r Result
	recalls := map[float64]backbone.Recall{}
	fit, err := train.Fit(ctx, t, slots, train.FitConfig{Epochs: c.Epochs, Seed: c.Seed, Rate: c.Rate, Floor: c.Rate / 100,
		Warmup: min(100, steps*c.Epochs/10), EMA: c.EMA, State: c.State}, train.Hooks{
		Prepare: func(ctx context.Context, step int, _ []train.Sample) ([]train.Sample, error) {
			return l.batch(ctx, step)
		},
		Evaluate: func(ctx context.Context, p *nn.Params) (float64, error) {
			s, err := Score(ctx, c.Network, p, classes, choose, c.Session)
			m := (s.Colour + s.Grey) / 2
			recalls[m] = s
			return m, err
		},
		Progress: progress,
	})
	if err != nil {
		return Result{}, fmt.Errorf("train extractor: %w", err)
	}
	r = Result{Params: p, Epoch: fit.BestEpoch, Choice: recalls[fit.Best]}
	return r, nil
}

// loader makes batches of augmented pictures.
type loader struct {
	pictures *Frames
	c        Config
	im       bundle.Image
	weights  []float32 // of the classes
	order    []int
	epoch    int // of order

	data     []float32
	canvases []*canvas
	raw      [][]byte
}

func newLoader(pictures *Frames, classes int, c Config) *loader {
	im := backbone.Contract(c.Network).Input
	l := &loader{pictures: pictures, c: c, im: im, weights: balance(pictures.Classes, classes), epoch: -1,
		data: make([]float32, c.Batch*pictures.size)}
	for range max(1, min(runtime.GOMAXPROCS(0), 4)) {
		l.canvases = append(l.canvases, newCanvas(c.Augment, im.Width, im.Height))
		l.raw = append(l.raw, make([]byte, pictures.size))
	}
	return l
}

// balance weighs classes by the inverse root of their frequency, mean 1 over pictures: rare ones count more, without
// their few pictures being all that matters.
func balance(classes []int, n int) []float32 {
	count := make([]float64, n)
	for _, c := range classes {
		count[c]++
	}
	w, sum := make([]float32, n), 0.0
	for _, v := range count {
		sum += math.Sqrt(v)
	}
	for i, v := range count {
		if v > 0 {
			w[i] = float32(float64(len(classes)) / (math.Sqrt(v) * sum))
		}
	}
	return w
}

// batch makes the batch of a step, the same each time.
func (l *loader) batch(ctx context.Context, step int) ([]train.Sample, error) {
	n, per := l.c.Batch, l.pictures.Len()/l.c.Batch
	if e := step / per; e != l.epoch {
		l.epoch = e
		l.order = rand.New(rand.NewPCG(l.c.Seed, uint64(e)+1<<32)).Perm(l.pictures.Len())
	}
	chosen := l.order[step%per*n:][:n]
	s := train.Sample{Name: fmt.Sprintf("step %d", step), Frames: n, Weights: make([]float32, n),
		Float: map[string][]float32{net.Image: l.data}, Labels: map[string][]int64{net.Labels: make([]int64, n)}}
	g, ctx := errgroup.WithContext(ctx)
	workers := len(l.canvases)
	for k := range workers {
		g.Go(func() error {
			for i := k; i < n; i += workers {
				if err := l.pictures.Read(chosen[i], l.raw[k]); err != nil {
					return err
				}
				rng := rand.New(rand.NewPCG(l.c.Seed, uint64(step*n+i)))
				l.canvases[k].draw(l.data[i*l.pictures.size:][:l.pictures.size], l.raw[k], rng, float32(l.im.Mean[0]), float32(l.im.Std[0]))
			}
			return ctx.Err()
		})
	}
	for i, j := range chosen {
		class := l.pictures.Classes[j]
		s.Labels[net.Labels][i], s.Weights[i] = int64(class), l.weights[class]
	}
	return []train.Sample{s}, g.Wait()
}

// Score returns the mean recall over the classes that occur, in per cent, of a network with its head.
func Score(ctx context.Context, c net.DepthwiseCNN, p *nn.Params, classes int, f *Frames, opts ort.Options) (r backbone.Recall, err error) {
	model, err := c.InferClasses(p, classes)
	if err != nil {
		return r, err
	}
	e, err := newEngine(model, c, classes, opts)
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

// engine runs a network over cached pictures, one at a time.
type engine struct {
	raw     []byte
	in, out []float32
	table   [256]float32
	session *ort.Session
	tensors []ort.Tensor
	bind    *ort.Binding
}

func newEngine(model []byte, c net.DepthwiseCNN, width int, opts ort.Options) (_ *engine, err error) {
	n := 3 * c.Width * c.Height
	e := &engine{raw: make([]byte, n), in: make([]float32, n), out: make([]float32, width)}
	im := backbone.Contract(c).Input
	for v := range e.table {
		e.table[v] = float32((float64(v)*im.Scale - im.Mean[0]) / im.Std[0])
	}
	defer func() {
		if err != nil {
			_ = e.close() // the first error is the one to act on
		}
	}()
	if e.session, err = ort.Open(model, opts); err != nil {
		return nil, err
	}
	in, err := ort.NewTensor([]int{1, 3, c.Height, c.Width}, e.in)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, in)
	out, err := ort.NewTensor([]int{1, width}, e.out)
	if err != nil {
		return nil, err
	}
	e.tensors = append(e.tensors, out)
	e.bind, err = e.session.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	return e, err
}

// run computes the outputs of raw. The slice is valid until the next run.
func (e *engine) run() ([]float32, error) {
	for i, v := range e.raw {
		e.in[i] = e.table[v]
	}
	return e.out, e.bind.Run()
}

func (e *engine) close() error {
	var errs []error
	if e.bind != nil {
		errs = append(errs, e.bind.Close())
	}
	for _, t := range e.tensors {
		errs = append(errs, t.Close())
	}
	if e.session != nil {
		errs = append(errs, e.session.Close())
	}
	return errors.Join(errs...)
}
