package train_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

// BenchmarkTCN times forward, backward and Adam for one sequence of the student's size.
func BenchmarkTCN(b *testing.B) {
	c := net.TCN{In: 512, Channels: 64, Layers: 9, Classes: 12, Lags: []int{0, 15}, Dropout: 0.3}
	const frames = 900
	rng := rand.New(rand.NewPCG(1, 1))
	s := train.Sample{Name: "noise", Frames: frames, Float: map[string][]float32{net.Features: make([]float32, frames*c.In)},
		Labels: map[string][]int64{net.Labels: make([]int64, frames)}}
	for i := range s.Float[net.Features] {
		s.Float[net.Features][i] = float32(rng.NormFloat64())
	}
	for i := range s.Labels[net.Labels] {
		s.Labels[net.Labels][i] = int64(i / 75)
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			p, err := c.NewParams(1)
			if err != nil {
				b.Fatal(err)
			}
			tr := newTrainer(b, p, func(nb *nn.Build) *graph.Tensor {
				return c.Loss(nb, net.Objective{Labels: 1, Smooth: 0.15})
			}, train.Config{Clip: 5, Buckets: []int{frames}, Session: ort.Options{Threads: threads}})
			batch := []train.Sample{s}
			step := func() {
				if _, err := tr.Step(b.Context(), batch, 1e-3); err != nil {
					b.Fatal(err)
				}
			}
			step() // opens the session
			b.ReportAllocs()
			best := time.Duration(math.MaxInt64) // what other work on the machine disturbs least
			for b.Loop() {
				start := time.Now()
				step()
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms/op")
		})
	}
}
