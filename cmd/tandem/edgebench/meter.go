package edgebench

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"
)

// work is done frame by frame, by one goroutine.
type work interface {
	step() error
	io.Closer
}

// meter times works and keeps what it saw, round by round.
type meter struct {
	rates []float64       // frames a second of each round
	steps []time.Duration // of single frames, in no order
}

// mostSteps bounds how many single frames a meter keeps.
const mostSteps = 1 << 16

// round does the works at once, each in a loop of its own, for so long, and keeps how fast the first one was, or of equal ones
// their mean. Works that are done at once share the machine: that is how a core is timed while the others are busy.
func (m *meter) round(ctx context.Context, length time.Duration, works ...work) error {
	loops := make([]loop, len(works))
	for i := range loops {
		loops[i] = loop{work: works[i], took: make([]time.Duration, 0, mostSteps/8)}
	}
	var wg sync.WaitGroup
	for i := range loops {
		wg.Go(func() { loops[i].run(ctx, length) })
	}
	wg.Wait()
	rate := 0.0
	for i, l := range loops {
		if l.err != nil {
			return l.err
		}
		if reflect.TypeOf(l.work) != reflect.TypeOf(works[0]) {
			continue
		}
		rate += (l.rate() - rate) / float64(i+1)
		if room := mostSteps - len(m.steps); room > 0 {
			m.steps = append(m.steps, l.took[:min(len(l.took), room)]...)
		}
	}
	m.rates = append(m.rates, rate)
	return ctx.Err()
}

// loop is one work done over and over.
type loop struct {
	work    work
	done    int
	elapsed time.Duration
	took    []time.Duration
	err     error
}

func (l *loop) run(ctx context.Context, length time.Duration) {
	start := time.Now()
	for last := start; ; {
		if err := l.work.step(); err != nil {
			l.err = err
			return
		}
		now := time.Now()
		if len(l.took) < cap(l.took) {
			l.took = append(l.took, now.Sub(last))
		}
		l.done++
		last = now
		if l.elapsed = now.Sub(start); l.elapsed >= length || ctx.Err() != nil {
			return
		}
	}
}

func (l *loop) rate() float64 { return float64(l.done) / max(l.elapsed.Seconds(), 1e-9) }

// Speed is how fast something was.
type Speed struct {
	FPS   float64   `json:"fps"`    // median of the rounds
	Round []float64 `json:"rounds"` // frames a second in each
	Times           // of a frame
}

// Times are quantiles of durations, in milliseconds.
type Times struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// speed sums a meter up.
func (m *meter) speed() Speed {
	return Speed{FPS: median(m.rates), Round: slices.Clone(m.rates), Times: timesOf(m.steps)}
}

// timesOf sorts the list and returns its quantiles.
func timesOf(list []time.Duration) Times {
	if len(list) == 0 {
		return Times{}
	}
	slices.Sort(list)
	at := func(q float64) float64 { return ms(list[int(q*float64(len(list)-1)+0.5)]) }
	return Times{P50: at(.5), P99: at(.99), Max: at(1)}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns the middle of a list, the mean of the two in the middle of an even one; 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func closeAll[T io.Closer](list []T) error {
	for _, c := range list {
		if err := c.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}
