package vision

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"

	"golang.org/x/sync/errgroup"

	"tandem/learn/net"
	"tandem/learn/train"
	"tandem/runtime/bundle"
	"tandem/trainer/backbone"
)

// loader makes batches of augmented pictures. The same seed and step give the same batch.
type loader struct {
	pictures Pictures
	batch    int
	seed     uint64
	augment  Augment
	im       bundle.Image
	// target adds to a sample what the pictures chosen for it should give, and their weights.
	target func(s *train.Sample, chosen []int)

	order    []int
	epoch    int // of order
	data     []float32
	canvases []*canvas
	raw      [][]byte
}

func newLoader(p Pictures, c Config, target func(s *train.Sample, chosen []int)) *loader {
	im := backbone.Contract(c.Network).Input
	l := &loader{pictures: p, batch: c.Batch, seed: c.Seed, augment: c.Augment, im: im, target: target, epoch: -1, data: make([]float32, c.Batch*p.Size())}
	for range max(1, min(runtime.GOMAXPROCS(0), 4)) {
		l.canvases = append(l.canvases, newCanvas(c.Augment, im.Width, im.Height))
		l.raw = append(l.raw, make([]byte, p.Size()))
	}
	return l
}

// slots are n placeholders for batches. Their names are what a state file knows a run by, so all is in them that training
// depends on and that train.Fit doesn't see.
func (l *loader) slots(n int) []train.Sample {
	list := make([]train.Sample, n)
	for i := range list {
		list[i] = train.Sample{Name: fmt.Sprintf("batch %d of %d pictures, %+v", i, l.pictures.Len(), l.augment), Frames: l.batch}
	}
	return list
}

// prepare is train.Hooks.Prepare.
func (l *loader) prepare(ctx context.Context, step int, _ []train.Sample) ([]train.Sample, error) {
	n, all := l.batch, l.pictures.Len()
	per := max(1, all/n)
	if e := step / per; e != l.epoch {
		l.epoch = e
		l.order = rand.New(rand.NewPCG(l.seed, uint64(e)+1<<32)).Perm(all)
	}
	chosen := l.order[min(step%per*n, all-1):]
	for len(chosen) < n { // fewer than a batch in all
		chosen = append(chosen[:len(chosen):len(chosen)], l.order...)
	}
	chosen = chosen[:n]
	s := train.Sample{Name: fmt.Sprintf("step %d", step), Frames: n, Weights: make([]float32, n),
		Float: map[string][]float32{net.Image: l.data}, Labels: map[string][]int64{}}
	l.target(&s, chosen)
	g, ctx := errgroup.WithContext(ctx)
	workers := len(l.canvases)
	for k := range workers {
		g.Go(func() error {
			for i := k; i < n; i += workers {
				if err := l.pictures.Read(chosen[i], l.raw[k]); err != nil {
					return err
				}
				rng := rand.New(rand.NewPCG(l.seed, uint64(step*n+i)))
				size := len(l.raw[k])
				l.canvases[k].draw(l.data[i*size:][:size], l.raw[k], rng, float32(l.im.Mean[0]), float32(l.im.Std[0]))
			}
			return ctx.Err()
		})
	}
	return []train.Sample{s}, g.Wait()
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
