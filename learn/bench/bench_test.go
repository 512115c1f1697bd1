package bench_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tandem/learn/bench"
)

func TestRunTimesACase(t *testing.T) {
	cases, err := bench.Named([]string{"encoder-256"})
	if err != nil {
		t.Fatal(err)
	}
	var progress []int
	results, err := bench.Run(t.Context(), bench.Config{Cases: cases, Threads: []int{1, 2}, Rounds: 2, Steps: 2,
		Progress: func(done, all int) { progress = append(progress, done, all) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || len(progress) != 8 || progress[6] != 4 || progress[7] != 4 {
		t.Fatalf("%d results, progress %v", len(results), progress)
	}
	for i, r := range results {
		if r.Threads != i+1 || r.Steps != 4 || r.BestMs <= 0 || r.MedianMs < r.BestMs || r.OpenMs <= 0 || r.Parameters != 789760 {
			t.Errorf("result %+v", r)
		}
		if compared := r.Compared != nil; compared != (r.Threads == 2) || (compared && r.MedianRatio != r.MedianMs/54) {
			t.Errorf("on %d threads: compared with %+v, ratio %g", r.Threads, r.Compared, r.MedianRatio)
		}
	}
}

func TestRunStopsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bench.Run(ctx, bench.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := bench.Run(t.Context(), bench.Config{Threads: []int{0}}); err == nil {
		t.Error("no threads were taken")
	}
	if _, err := bench.Named([]string{"resnet"}); err == nil || !strings.Contains(err.Error(), "c2ftcn-256, c2ftcn-1024, encoder-256, cnn-112") {
		t.Errorf("an unknown case gives %v", err)
	}
}
