package feature

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tandem/runtime/ort"
)

// crew is what extractors that share a loaded model have in common.
type crew struct {
	// turns has room for as many runs as there are processors: more would only make each other slower, and what is served in the
	// order in which it came is fair.
	turns   chan struct{}
	members atomic.Int32
	batches atomic.Pointer[batches] // nil where pictures are run one by one
}

func newCrew(opts ort.Options) *crew {
	return &crew{turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/max(1, opts.Threads)))}
}

// run runs a slot when it is its turn.
func (c *crew) run(s *Slot) error {
	if b := c.batches.Load(); b != nil {
		b.waiting <- s
		return <-s.done
	}
	c.turns <- struct{}{}
	err := s.bind.Run()
	<-c.turns
	return err
}

// leave ends the crew when its last member goes.
func (c *crew) leave() error {
	if c.members.Add(-1) > 0 {
		return nil
	}
	if b := c.batches.Swap(nil); b != nil {
		return b.close()
	}
	return nil
}

// batches runs the pictures that wait at the same time in one run.
type batches struct {
	waiting chan *Slot
	most    int
	in, out []float32 // of most pictures
	tensors []ort.Tensor
	binds   []*ort.Binding // of 1, 2, … pictures
	ended   sync.WaitGroup
}

// newBatches makes batches of at most so many pictures. The caller starts and closes them.
func (e *Extractor) newBatches(most int) (_ *batches, err error) {
	b := &batches{
		waiting: make(chan *Slot, most), most: most, in: make([]float32, most*len(e.pre.data)), out: make([]float32, most*e.Dim()),
	}
	defer func() {
		if err != nil {
			_ = b.free() // the first error is the one to act on
		}
	}()
	shape := e.pre.shape()
	for n := 1; n <= most; n++ {
		shape[0] = n
		in, err := ort.NewTensor(shape, b.in[:n*len(e.pre.data)])
		if err != nil {
			return nil, err
		}
		b.tensors = append(b.tensors, in)
		out, err := ort.NewTensor([]int{n, e.Dim()}, b.out[:n*e.Dim()])
		if err != nil {
			return nil, err
		}
		b.tensors = append(b.tensors, out)
		bind, err := e.session.Bind([]ort.Tensor{in}, []ort.Tensor{out})
		if err != nil {
			return nil, err
		}
		b.binds = append(b.binds, bind)
	}
	return b, nil
}

// start begins to run what waits.
func (b *batches) start() {
	b.ended.Go(func() {
		list := make([]*Slot, 0, b.most)
		for s := range b.waiting {
			list = append(list[:0], s)
			for more := true; more && len(list) < b.most; {
				select {
				case s, ok := <-b.waiting:
					if more = ok; ok {
						list = append(list, s)
					}
				default:
					more = false
				}
			}
			b.run(list)
		}
	})
}

// run runs some slots at once. If that fails, each is run alone: one picture must not cost the other cameras theirs.
func (b *batches) run(list []*Slot) {
	if len(list) == 1 {
		list[0].done <- list[0].bind.Run()
		return
	}
	n, dim := len(list[0].in), len(list[0].out)
	for i, s := range list {
		copy(b.in[i*n:], s.in)
	}
	err := b.binds[len(list)-1].Run()
	for i, s := range list {
		if err == nil {
			copy(s.out, b.out[i*dim:])
			s.done <- nil
		} else {
			s.done <- s.bind.Run()
		}
	}
}

// close ends the runs and frees the memory. Nothing may wait any more.
func (b *batches) close() error {
	close(b.waiting)
	b.ended.Wait()
	return b.free()
}

func (b *batches) free() error {
	var errs []error
	for _, x := range b.binds {
		errs = append(errs, x.Close())
	}
	for _, t := range b.tensors {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// Batching is whether several cameras' pictures are run at once, and why.
type Batching struct {
	On      bool
	Why     string        // in words
	Single  time.Duration // for all cameras' pictures, each in a run of its own, as many at once as there are processors
	Batched time.Duration // in one run
}

// batchGain is by how much a run of several pictures must be faster: cameras that wait for each other are worse off with equal
// times.
const batchGain = 0.9

// Batch measures whether the pictures of so many cameras, 2 or more, are extracted faster in one run, and has all extractors that
// share the model do so from then on. A model that can't, or that gives other features then, goes on with one. Nothing may be
// running.
func (e *Extractor) Batch(cameras int) (Batching, error) {
	in, out := e.session.Inputs()[0], e.session.Outputs()[0]
	if e.flat || in.Shape[0] >= 0 || out.Shape[0] >= 0 {
		return Batching{Why: "the extractor takes one picture a run: export it with a dynamic batch axis to have several run at once"}, nil
	}
	b, err := e.newBatches(cameras)
	if err != nil {
		return Batching{Why: fmt.Sprintf("the extractor takes no %d pictures in one run: %v", cameras, err)}, nil
	}
	got, err := e.compare(b, cameras)
	if err != nil {
		return Batching{Why: err.Error()}, b.free()
	}
	if !got.On {
		return got, b.free()
	}
	b.start()
	e.crew.batches.Store(b)
	return got, nil
}

// compare compares a run of several pictures with as many runs of one.
func (e *Extractor) compare(b *batches, cameras int) (got Batching, err error) {
	slots := make([]*Slot, cameras)
	defer func() {
		for _, s := range slots {
			if s != nil {
				err = errors.Join(err, s.Close())
			}
		}
	}()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range slots {
		if slots[i], err = e.NewSlot(); err != nil {
			return got, err
		}
		for k := range slots[i].in {
			slots[i].in[k] = rng.Float32()
		}
		copy(b.in[i*len(slots[i].in):], slots[i].in)
	}
	errs := make([]error, cameras)
	single := func() error {
		var group sync.WaitGroup
		for i, s := range slots {
			group.Go(func() { errs[i] = e.crew.run(s) })
		}
		group.Wait()
		return errors.Join(errs...)
	}
	batched := func() error {
		if err := b.binds[cameras-1].Run(); err != nil {
			return fmt.Errorf("%d pictures in one run: %w", cameras, err)
		}
		return nil
	}
	if got.Single, got.Batched, err = fastest(single, batched); err != nil {
		return got, err
	}
	for i, s := range slots {
		if d := distance(s.out, b.out[i*e.Dim():(i+1)*e.Dim()]); !(d <= batchTolerance) {
			return got, fmt.Errorf("%d pictures in one run have other features than alone: they differ by %.3g of their size", cameras, d)
		}
	}
	got.On = float64(got.Batched) < batchGain*float64(got.Single)
	got.Why = fmt.Sprintf("%d pictures take %v in one run, %v one by one", cameras, got.Batched.Round(time.Microsecond), got.Single.Round(time.Microsecond))
	return got, nil
}

// batchTolerance is how far features of a run of several pictures may be from those of a run of one, as a part of their size. It lets
// other orders of summation pass, and catches a network that mixes pictures.
const batchTolerance = 0.01

// distance is the L2 norm of a difference as a part of that of want.
func distance(want, got []float32) float64 {
	var diff, norm float64
	for i, w := range want {
		d := float64(w) - float64(got[i])
		diff += d * d
		norm += float64(w) * float64(w)
	}
	return math.Sqrt(diff / max(norm, 1e-12))
}

// Bounds of a measurement: so many runs, and no more once the time has passed and there are some.
const (
	warmUps    = 2
	leastRuns  = 5
	mostRuns   = 40
	longEnough = 100 * time.Millisecond
)

// fastest returns the best time of each of two, run in turns: what else the machine does makes both slower, now and then.
func fastest(a, b func() error) (ofA, ofB time.Duration, err error) {
	start := time.Now()
	best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	for i := 0; i < warmUps+leastRuns || i < mostRuns && time.Since(start) < longEnough; i++ {
		for k, run := range []func() error{a, b} {
			at := time.Now()
			if err := run(); err != nil {
				return 0, 0, err
			}
			if i >= warmUps {
				best[k] = min(best[k], max(time.Since(at), 1))
			}
		}
	}
	return best[0], best[1], nil
}
