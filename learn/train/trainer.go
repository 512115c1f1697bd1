package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"tandem/learn/graph"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/runtime/ort"
)

// Loss traces a network with its loss onto a training graph and returns the loss, one element. The loss must be a sum
// over frames that are weighted by b.Weights(), as those of learn/graph are.
type Loss func(b *nn.Build) *graph.Tensor

// Config says how a Trainer works. The zero value of a field gives its default.
type Config struct {
	// Buckets are the lengths, ascending, that graphs are opened for: a sequence is padded with frames of weight 0 to the
	// smallest that holds it. Nil means DefaultBuckets.
	Buckets []int
	// Rows is the number of sequences that one run computes; default 1. More pays for short sequences.
	Rows int
	// Session holds ONNX Runtime's threads and provider.
	Session ort.Options
	// Adam holds the optimizer's constants. A nil Decayed means the parameters that the network declares for it.
	Adam optim.AdamConfig
	// SGD takes Adam's place when it is set; a nil Decayed means the same.
	SGD *optim.SGDConfig
	// Sessions is the most training graphs that are open at once: each holds the memory of its activations. Beyond, the one
	// that was not used for longest is closed, and opened again when its length comes again. 0 means no limit.
	Sessions int
	// Clip is the largest norm of the gradient; a larger one is scaled down. 0 means no limit.
	Clip float64
	// Seed starts the dropout masks.
	Seed uint64
}

// optimizer moves weights against gradients.
type optimizer interface {
	Step(weights, grads []float32, rate float64) error
	State() []optim.Vector
	Steps() int
	SetStep(n int)
}

// DefaultBuckets returns lengths from 32 to 8192 frames, four to an octave, so that padding costs at most a quarter.
func DefaultBuckets() []int {
	var list []int
	for octave := 32; octave < 8192; octave *= 2 {
		for i := range 4 {
			list = append(list, octave+octave*i/4)
		}
	}
	return append(list, 8192)
}

// Trainer moves the parameters of one network along the gradient of one loss. It owns the parameters while it is open:
// its sessions read them in place. The same seed, samples and number of threads give the same parameters. It is not
// safe for concurrent use.
type Trainer struct {
	params *nn.Params
	define Loss
	cfg    Config
	opt    optimizer
	fields []nn.Field
	masked bool      // the network's graph depends on whether sequences are padded
	grads  []float32 // of the last run
	total  []float32 // of the runs of a step, when there are several
	last   []float32 // the one of the two that the last step used
	stats  statistics
	runs   map[shape]*run
	recent []shape     // of runs, the one last used last
	groups [][]*Sample // of a step, by bucket
	pcg    *rand.PCG
	steps  int
}

// DivergedError reports a loss, a gradient or what a normalisation has measured that is not finite. The parameters are those of before the step.
type DivergedError struct {
	Step    int    // counted from 0
	What    string // "loss", "gradient norm" or "statistic of a normalisation"
	Value   float64
	Samples []string // names of the samples that were computed
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("training diverged at step %d: the %s is %g (samples %s); the parameters are those of the step before, "+
		"try a lower learning rate or look for extreme features", e.Step, e.What, e.Value, strings.Join(e.Samples, ", "))
}

// largestNorm is the gradient norm beyond which squares overflow in float32.
const largestNorm = 1e18

// probeFrames is about the length that New traces for: beyond a network's lags and pools, and cheap.
const probeFrames = 256

// New checks the loss by tracing it for a bucket of middling length. Sessions are opened when a length first occurs. The
// caller closes the trainer.
func New(p *nn.Params, define Loss, cfg Config) (*Trainer, error) {
	if cfg.Buckets == nil {
		cfg.Buckets = DefaultBuckets()
	}
	cfg.Rows = max(cfg.Rows, 1)
	for i, n := range cfg.Buckets {
		if n < 1 || (i > 0 && n <= cfg.Buckets[i-1]) {
			return nil, fmt.Errorf("trainer: buckets %v, expected lengths >= 1, ascending", cfg.Buckets)
		}
	}
	if len(cfg.Buckets) == 0 {
		return nil, errors.New("trainer: an empty list of buckets")
	}
	opt, err := newOptimizer(p, cfg)
	if err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	if len(p.Weights) == 0 {
		return nil, errors.New("trainer: the network has no parameters to train")
	}
	probe, _ := slices.BinarySearch(cfg.Buckets, probeFrames)
	b := nn.NewTrain(p, cfg.Rows, cfg.Buckets[min(probe, len(cfg.Buckets)-1)])
	b.Padded = true
	loss := define(b)
	if _, err := b.Gradients(loss); err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	return &Trainer{
		params: p, define: define, cfg: cfg, opt: opt, fields: b.Fields(), masked: b.Masked(),
		grads:  make([]float32, len(p.Weights)),
		stats:  statistics{batch: make([]float32, len(p.Buffers)), sum: make([]float64, len(p.Buffers))},
		runs:   map[shape]*run{},
		groups: make([][]*Sample, len(cfg.Buckets)),
		pcg:    rand.NewPCG(cfg.Seed, 0),
	}, nil
}

func newOptimizer(p *nn.Params, cfg Config) (optimizer, error) {
	if cfg.SGD != nil {
		sgd := *cfg.SGD
		if sgd.Decayed == nil && sgd.Decay > 0 {
			sgd.Decayed = decayed(p)
		}
		return optim.NewSGD(len(p.Weights), sgd)
	}
	if cfg.Adam.Decayed == nil && cfg.Adam.Decay > 0 {
		cfg.Adam.Decayed = decayed(p)
	}
	return optim.NewAdam(len(p.Weights), cfg.Adam)
}

func decayed(p *nn.Params) []optim.Range {
	list := []optim.Range{}
	for _, q := range p.List() {
		if q.Trained && q.Decay {
			lo, hi := q.Range()
			list = append(list, optim.Range{Lo: lo, Hi: hi})
		}
	}
	return list
}

// Params returns the parameters that are trained.
func (t *Trainer) Params() *nn.Params { return t.params }

// Steps returns how many steps have been taken.
func (t *Trainer) Steps() int { return t.steps }

// Gradient returns the vector that the last step moved against, for tests and diagnosis. It is overwritten by the next.
func (t *Trainer) Gradient() []float32 { return t.last }

// Check reports the first thing in samples that training would choke on, by sample and frame. Step trusts its samples
// to have passed.
func (t *Trainer) Check(samples []Sample) error {
	longest := t.cfg.Buckets[len(t.cfg.Buckets)-1]
	for _, s := range samples {
		if err := s.check(t.fields); err != nil {
			return err
		}
		if s.Frames > longest {
			return s.failf("it has %d frames, the longest bucket %d; cut it with Windows", s.Frames, longest)
		}
	}
	return nil
}

// Step takes one optimizer step on the mean loss over all weighted frames of the samples, however many runs that takes,
// and returns the loss. A loss, gradient or statistic that is not finite gives a *DivergedError; after any error the parameters
// are those of before. A step with as many runs as the one before it allocates nothing.
func (t *Trainer) Step(ctx context.Context, samples []Sample, rate float64) (float64, error) {
	weight, err := t.group(samples)
	if err != nil {
		return 0, err
	}
	t.pcg.Seed(t.cfg.Seed, uint64(t.steps))
	grads := t.grads
	if t.pending() > 1 {
		if t.total == nil {
			t.total = make([]float32, len(t.grads))
		}
		grads = t.total
		clear(grads)
	}
	t.last = grads
	t.stats.begin()
	var loss float64
	for i, group := range t.groups {
		for chunk := range slices.Chunk(group, t.cfg.Rows) {
			if err := ctx.Err(); err != nil {
				return 0, fmt.Errorf("step %d: %w", t.steps, err)
			}
			l, err := t.run(i, chunk, 1/weight)
			if err != nil {
				return 0, fmt.Errorf("step %d: %w", t.steps, err)
			}
			loss += l
			if math.IsNaN(loss) || math.IsInf(loss, 0) {
				return loss, &DivergedError{t.steps, "loss", loss, names(chunk)}
			}
			if &grads[0] != &t.grads[0] {
				for j, g := range t.grads {
					grads[j] += g
				}
			}
		}
	}
	if norm := optim.Clip(grads, t.cfg.Clip); !(norm <= largestNorm) {
		return loss, &DivergedError{t.steps, "gradient norm", norm, names(slices.Concat(t.groups...))}
	}
	if v, is := t.stats.wild(); is {
		return loss, &DivergedError{t.steps, "statistic of a normalisation", v, names(slices.Concat(t.groups...))}
	}
	if err := t.opt.Step(t.params.Weights, grads, rate); err != nil {
		return loss, err
	}
	t.stats.follow(t.params.Buffers)
	t.steps++
	return loss, nil
}

// group sorts samples into buckets and returns their total weight.
func (t *Trainer) group(samples []Sample) (float64, error) {
	for i := range t.groups {
		t.groups[i] = t.groups[i][:0]
	}
	var weight float64
	for i := range samples {
		s := &samples[i]
		j, _ := slices.BinarySearch(t.cfg.Buckets, s.Frames)
		if j == len(t.cfg.Buckets) || s.Frames < 1 {
			return 0, s.failf("it has %d frames, expected 1 to %d", s.Frames, t.cfg.Buckets[len(t.cfg.Buckets)-1])
		}
		t.groups[j] = append(t.groups[j], s)
		weight += s.weight()
	}
	if !(weight > 0) {
		return 0, fmt.Errorf("%w: no frame of a batch of %d samples has a weight", ErrSample, len(samples))
	}
	return weight, nil
}

// pending is the number of runs that the grouped samples take.
func (t *Trainer) pending() int {
	n := 0
	for _, group := range t.groups {
		n += (len(group) + t.cfg.Rows - 1) / t.cfg.Rows
	}
	return n
}

// run computes the loss and gradient of at most Rows samples of one bucket.
func (t *Trainer) run(bucket int, batch []*Sample, share float64) (float64, error) {
	key := shape{frames: t.cfg.Buckets[bucket], padded: t.masked && t.padded(batch, t.cfg.Buckets[bucket])}
	r, ok := t.runs[key]
	if !ok {
		var err error
		if err = t.makeRoom(); err == nil {
			r, err = t.open(key)
		}
		if err != nil {
			return 0, fmt.Errorf("training graph for %d frames: %w", key.frames, err)
		}
		t.runs[key] = r
	}
	t.touch(key)
	clear(t.grads) // a bucket's graph may not use all parameters
	r.fill(batch, share, t.pcg)
	if err := r.binding.Run(); err != nil {
		return 0, err
	}
	t.stats.add(r.stats)
	return float64(r.loss[0]), nil
}

// touch makes a run the last used.
func (t *Trainer) touch(key shape) {
	if i := slices.Index(t.recent, key); i >= 0 {
		copy(t.recent[i:], t.recent[i+1:])
		t.recent[len(t.recent)-1] = key
		return
	}
	t.recent = append(t.recent, key)
}

// makeRoom closes the run that was not used for longest, if there is no room for another one.
func (t *Trainer) makeRoom() error {
	if t.cfg.Sessions <= 0 || len(t.runs) < t.cfg.Sessions {
		return nil
	}
	oldest := t.recent[0]
	t.recent = t.recent[1:]
	r := t.runs[oldest]
	delete(t.runs, oldest)
	return r.close()
}

// padded tells whether a run has frames or whole rows that belong to no sample.
func (t *Trainer) padded(batch []*Sample, frames int) bool {
	return len(batch) < t.cfg.Rows || slices.ContainsFunc(batch, func(s *Sample) bool { return s.Frames < frames })
}

func names(batch []*Sample) []string {
	list := make([]string, len(batch))
	for i, s := range batch {
		list[i] = s.Name
	}
	return list
}

// Close frees the sessions. The parameters stay.
func (t *Trainer) Close() error {
	var errs []error
	for _, r := range t.runs {
		errs = append(errs, r.close())
	}
	t.runs, t.recent = map[shape]*run{}, nil
	return errors.Join(errs...)
}
