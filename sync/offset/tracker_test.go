package offset_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/sync/offset"
)

// feed gives a tracker both sides of a stream in the order of their times.
func feed(t *testing.T, tr *offset.Tracker, one, other offset.Activity) {
	t.Helper()
	row := make([]float32, 16)
	add := func(side offset.Side, a offset.Activity, i int) {
		for c, v := range a.Channels {
			row[c] = float32(v[i])
		}
		if err := tr.Add(side, a.Times[i], row[:len(a.Channels)]); err != nil {
			t.Fatal(err)
		}
	}
	for i, j := 0, 0; i < len(one.Times) || j < len(other.Times); {
		if j == len(other.Times) || i < len(one.Times) && one.Times[i] <= other.Times[j] {
			add(offset.One, one, i)
			i++
		} else {
			add(offset.Other, other, j)
			j++
		}
	}
}

func TestTrackerFollowsAnOffsetThatChanges(t *testing.T) {
	tr, err := offset.NewTracker(offset.TrackerConfig{Dim: [2]int{3, 5}, Window: time.Minute, Activity: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Estimate(); !errors.Is(err, offset.ErrUnsure) {
		t.Errorf("without samples: %v", err)
	}
	events := scene(11, 60)
	feed(t, tr, watch(events, 1, 3, 15, 60, 0, 0), watch(events, 2, 5, 30, 60, 0.7, 0))
	if m, err := tr.Estimate(); err != nil || math.Abs(m.Offset-0.7) > 0.02 {
		t.Errorf("found %.3f, %v", m.Offset, err)
	}
	// The clock was set: after a window nothing is left of the old offset.
	events = scene(12, 70)
	feed(t, tr, watch(events, 1, 3, 15, 70, 100, 0), watch(events, 2, 5, 30, 70, 100-1.2, 0))
	if m, err := tr.Estimate(); err != nil || math.Abs(m.Offset+1.2) > 0.02 {
		t.Errorf("found %.3f, %v", m.Offset, err)
	}
	if err := tr.Add(offset.One, 5, make([]float32, 3)); err != nil || tr.Late(offset.One) != 1 || tr.Late(offset.Other) != 0 {
		t.Errorf("a sample out of order: %v, %d late", err, tr.Late(offset.One))
	}
	tr.Reset()
	if _, err := tr.Estimate(); !errors.Is(err, offset.ErrUnsure) {
		t.Errorf("after a reset: %v", err)
	}
}

// Features that change when a class changes, in mixes of each side's own.
func TestTrackerComparesFeatures(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var mix [2][6][8]float64
	for s := range mix {
		for c := range mix[s] {
			for d := range mix[s][c] {
				mix[s][c][d] = rng.NormFloat64()
			}
		}
	}
	const frames, late = 1800, 12 // at 10 Hz
	class := make([]int, frames+2*late)
	for i := 0; i < len(class); {
		c := rng.IntN(6)
		for range 8 + rng.IntN(30) {
			if i < len(class) {
				class[i] = c
				i++
			}
		}
	}
	tr, err := offset.NewTracker(offset.TrackerConfig{Dim: [2]int{8, 8}, Hz: 10, Search: offset.Search{Hz: 10}})
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 8)
	for i := range frames {
		for side := range 2 {
			for d := range row {
				row[d] = float32(mix[side][class[i+late-late*side]][d] + 0.4*rng.NormFloat64())
			}
			if err := tr.Add(offset.Side(side), int64(i)*1e8, row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m, err := tr.Estimate(); err != nil || math.Abs(m.Offset-0.1*late) > 0.05 {
		t.Errorf("found %.3f at %.1f, %v", m.Offset, m.Height, err)
	}
	at := int64(frames) * 1e8
	if n := testing.AllocsPerRun(100, func() {
		at += 1e8
		if err := tr.Add(offset.One, at, row); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations a sample", n)
	}
}

func TestTrackersThatCannotBe(t *testing.T) {
	for _, cfg := range []offset.TrackerConfig{
		{},
		{Dim: [2]int{1, 1}, Hz: -1},
		{Dim: [2]int{1, 1}, Window: 5 * time.Second},
		{Dim: [2]int{1, 1}, Window: 1e6 * time.Hour},
		{Dim: [2]int{1, 1}, Search: offset.Search{Band: -1}},
	} {
		if _, err := offset.NewTracker(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	tr, err := offset.NewTracker(offset.TrackerConfig{Dim: [2]int{2, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Add(offset.One, 1, []float32{1}); err == nil {
		t.Error("a sample of one value was taken for two")
	}
	if err := tr.Add(offset.Other, 1, []float32{float32(math.Inf(1))}); err == nil {
		t.Error("an infinite value was taken")
	}
}

func TestPoolLearnsWhatCorresponds(t *testing.T) {
	var pairs []offset.PoolPair
	var late []int
	for i := range 12 {
		d := 2*i - 12
		events := scene(uint64(40+i), 30)
		one, other := watch(events, 1, 4, 10, 29, 0, 0), watch(events, 2, 5, 10, 29, 0, 0)
		rows := func(a offset.Activity, from int) (out []float32) {
			for t := from; t < from+250; t++ {
				for _, c := range a.Channels {
					out = append(out, float32(c[t]))
				}
			}
			return out
		}
		pairs = append(pairs, offset.PoolPair{One: rows(one, 20), Other: rows(other, 20-d)})
		late = append(late, d)
	}
	results, err := offset.Pool(pairs, offset.PoolConfig{Dim: [2]int{4, 5}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if math.Abs(r.Frames-float64(late[i])) > 1 {
			t.Errorf("take %d is %d late, found %.2f", i, late[i], r.Frames)
		}
	}
	if _, err := offset.Pool(pairs, offset.PoolConfig{}); err == nil {
		t.Error("features of no dimension were taken")
	}
	pairs[3].One[5] = float32(math.NaN())
	if _, err := offset.Pool(pairs, offset.PoolConfig{Dim: [2]int{4, 5}}); err == nil {
		t.Error("NaN was taken")
	}
	if r, err := offset.Pool(nil, offset.PoolConfig{Dim: [2]int{4, 5}}); err != nil || len(r) != 0 {
		t.Errorf("no takes: %v, %v", r, err)
	}
}
