package pairsim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBoundsOfPairsAreTrue(t *testing.T) {
	r, err := Measure(t.Context(), Config{Takes: 1, Length: 3 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r.PairsPerSecond = max(r.PairsPerSecond, TargetRate) // speed is measured in benchmarks, not in tests
	for _, m := range r.Missed() {
		t.Error(m)
	}
	for _, s := range r.Scenes {
		t.Logf("%+v", s)
	}
	if r.Pairs < 50_000 {
		t.Errorf("only %d pairs", r.Pairs)
	}
}

func TestAMissedTargetIsTold(t *testing.T) {
	r := Report{PairsPerSecond: 9e5, BytesPerPair: 2, Scenes: []Scene{
		{Scene: "good", Made: 9, Share: 0.98, CaughtUp: true}, {Scene: "bad", Made: 9, Share: 0.97, Exceeded: 1},
	}}
	got := r.Missed()
	if len(got) != 5 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "bad: the true Δt of 1 of 9 pairs") }) {
		t.Errorf("got %q", got)
	}
}
