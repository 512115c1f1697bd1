package agent

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

// lost makes a batch one of a device that doesn't know the site's time.
func lost(b *wire.SampleBatch) *wire.SampleBatch {
	b.BoundNs, b.ClockSource = wire.UnknownBound, wire.ClockSource_CLOCK_SOURCE_NONE
	return b
}

// bounded gives each sample of a batch its own bound.
func bounded(b *wire.SampleBatch, bounds ...int64) *wire.SampleBatch {
	b.BoundNs, b.SampleBoundNs = slices.Max(bounds), wire.AppendDeltas(nil, bounds)
	return b
}

func TestEachPairHasTheBoundOfItsSamples(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	must(t, b.exo(ctx, 0, bounded(batchOf("exo1", "x", "r", 0, true, 0, 101, 200), ms, 2*ms, 300*ms)))
	ego := bounded(batchOf("rig", "e", "s", 0, true, 0, 100, 200), ms, 10*ms, ms)
	must(t, b.ego(ctx, ego))
	b.check(ego)
	p := b.published()[0]
	x := p.Exo[0]
	if !slices.Equal(x.BoundNs, []int64{2 * ms, 12 * ms, 0}) || x.Grade[0] != wire.Grade_GRADE_GOLD || x.Grade[1] != wire.Grade_GRADE_SILVER || x.Index[2] != -1 {
		t.Errorf("bounds %v, grades %v", x.BoundNs, x.Grade)
	}
	if got := wire.AppendValues(nil, x.SampleBoundNs); !slices.Equal(got[:2], []int64{ms, 2 * ms}) {
		t.Errorf("bounds of the exo samples: %v", got)
	}
	if p.Rejected["exo1/bound"] != 1 || p.MaxDtNs != 60*ms {
		t.Errorf("rejected %v, max dt %d", p.Rejected, p.MaxDtNs)
	}
}

// What a rig takes while it doesn't know the time stays without partners, however well its own clock may fit.
func TestRigWithoutSiteTime(t *testing.T) {
	b := newBench(t, 100, "exo1", "exo2")
	ctx := t.Context()
	one, two := lost(batchOf("rig", "e", "s", 0, false, 5000, 5100)), batchOf("rig", "e", "s", 2, true, 200, 300)
	must(t, b.ego(ctx, one)) // its own clock is 5 s ahead
	b.check(one)             // nothing has to be waited for
	must(t, b.ego(ctx, two))
	for i := range 2 {
		must(t, b.exo(ctx, i, batchOf(b.cameras[i], "x", "r", 0, true, 0, 100, 200, 300)))
	}
	b.check(one, two)
	out := b.published()
	if got, want := partners(out[0])+" | "+partners(out[1]), "- - | exo1/x:2,exo2/x:2 exo1/x:3,exo2/x:3"; got != want {
		t.Errorf("pairs %s, want %s", got, want)
	}
	if r := out[0].Rejected; r["exo1/unsynchronized"] != 2 || r["exo2/unsynchronized"] != 2 || len(r) != 2 {
		t.Errorf("rejected %v", r)
	}
	if got, want := counted(b.count, "pairs"), "[pairs_gold:4 pairs_rejected_unsynchronized:4]"; got != want {
		t.Errorf("counters %s, want %s", got, want)
	}
}

// A camera that doesn't know the time does not spoil what it sends once it does, and the reason is told.
func TestExoCameraWithoutSiteTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100, "exo1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		one, two := batchOf("rig", "e", "s", 0, false, 0, 100), batchOf("rig", "e", "s", 2, true, 200, 300)
		must(t, b.ego(ctx, one))
		must(t, b.exo(ctx, 0, lost(batchOf("exo1", "x", "r", 0, true, 3_600_000, 3_600_100)))) // an hour ahead
		if got := b.trouble(); !strings.Contains(got, "exo1 doesn't know the site's time") {
			t.Errorf("trouble %q", got)
		}
		must(t, b.settle(ctx)) // it is given up after a while
		must(t, b.ego(ctx, two))
		must(t, b.exo(ctx, 0, batchOf("exo1", "y", "r", 0, true, 200, 300)))
		must(t, b.settle(ctx))
		b.check(one, two)
		out := b.published()
		if got, want := partners(out[0])+" | "+partners(out[1]), "- - | exo1/y:0 exo1/y:1"; got != want {
			t.Errorf("pairs %s, want %s", got, want)
		}
		if r := out[1].Rejected; r["exo1/unsynchronized"] != 2 || len(r) != 1 {
			t.Errorf("rejected %v", r)
		}
		if got, want := counted(b.count, "dropped"), "[dropped_exo_unsynchronized:2]"; got != want {
			t.Errorf("counters %s, want %s", got, want)
		}
		if got := b.trouble(); got != "" {
			t.Errorf("trouble %q after it is over", got)
		}
		c := b.tally()
		if len(c) != 1 || c[0].Exo != "exo1" || c[0].Gold != 2 || c[0].Rejected["unsynchronized"] != 2 {
			t.Errorf("tally %v", c)
		}
		cancel()
		must(t, <-done)
	})
}

// Two cameras send under one name: their takes go on in turn. Nobody knows whose samples are right.
func TestTwoCamerasUnderOneName(t *testing.T) {
	b := newBench(t, 1000, "exo1")
	ctx := t.Context()
	second := func(take string, i int64) *wire.SampleBatch {
		return batchOf("exo1", take, "r", i*10, false, i*1000, i*1000+500)
	}
	var ego []*wire.SampleBatch
	for i := range int64(4) {
		ego = append(ego, batchOf("rig", "e", "s", i*2, false, i*1000, i*1000+500))
		must(t, b.ego(ctx, ego[i]))
	}
	for i := range int64(2) {
		must(t, b.exo(ctx, 0, second("a", i)))
	}
	must(t, b.exo(ctx, 0, second("b", 2))) // a take that begins: so far there may be one camera
	if got := b.trouble(); got != "" {
		t.Errorf("trouble %q", got)
	}
	must(t, b.exo(ctx, 0, second("a", 2)))
	must(t, b.exo(ctx, 0, second("b", 3)))
	must(t, b.exo(ctx, 0, second("a", 3)))
	if got := b.trouble(); !strings.Contains(got, "two cameras send under the name exo1: give one of them another") {
		t.Errorf("trouble %q", got)
	}
	must(t, b.stop(ctx))
	b.check(ego...)
	out := b.published()
	if got := partners(out[3]); got != "- -" || out[3].Rejected["exo1/two_cameras"] != 2 {
		t.Errorf("pairs %s, rejected %v", got, out[3].Rejected)
	}
	if got, want := counted(b.count, "dropped"), "[dropped_exo_two_cameras:6]"; got != want {
		t.Errorf("counters %s, want %s", got, want)
	}
	// A minute after the last change of takes it is one camera again.
	late := batchOf("rig", "e", "s", 100, true, 70_000)
	must(t, b.ego(ctx, late))
	must(t, b.exo(ctx, 0, batchOf("exo1", "a", "r", 900, true, 70_000)))
	if got := partners(b.published()[4]); got != "exo1/a:900" || b.trouble() != "" {
		t.Errorf("pairs %s, trouble %q", got, b.trouble())
	}
}

func TestTakesOfOneCameraAreNoRivals(t *testing.T) {
	var r rivals
	for i := range int64(100) {
		for k := range int64(3) {
			if first := i*100 + k*30; r.contested(fmt.Sprint("t", i), first, first+20) {
				t.Fatalf("take %d is contested", i)
			}
		}
	}
	for i := range int64(100) { // recordings that are played again
		if r.contested(fmt.Sprint("t", i), i*100, i*100+20) {
			t.Fatalf("take %d is contested when it is played again", i)
		}
	}
}

func TestLateSamplesAndMixtures(t *testing.T) {
	b := &bench{t: t, fault: func() error { return nil }}
	cfg := pair.Config{Exo: []string{"exo1"}, MaxDt: 60 * time.Millisecond, Buffer: 100, Lateness: 100 * time.Millisecond, Interpolate: true}
	var err error
	b.pairing, err = newPairing(cfg, 10*time.Second, b.collect, newCounters(), quiet)
	must(t, err)
	ctx := t.Context()
	for take := range 2 { // the second take is of an earlier time
		at := int64(1-take) * 10_000
		name := fmt.Sprint("e", take)
		ego := batchOf("rig", name, "s", 0, true, at+25, at+75, at+130)
		must(t, b.ego(ctx, ego))
		if take == 1 {
			// A camera's earlier time is not paired after a later one.
			must(t, b.stop(ctx))
			break
		}
		// Sample 1 comes after sample 2.
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, at)))
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 2, false, at+100)))
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 1, false, at+50)))
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 3, true, at+150)))
		must(t, b.settle(ctx))
	}
	p := b.published()[0]
	x := p.Exo[0]
	if got := wire.AppendValues(nil, x.Seq); !slices.Equal(got, []int64{0, 1, 2, 3}) {
		t.Fatalf("samples %v", got)
	}
	for i, want := range []struct {
		index, other int32
		weight       float64
	}{{0, 1, 0.5}, {1, 2, 0.5}, {3, 2, 0.4}} {
		if x.Index[i] != want.index || x.Other[i] != want.other || math.Abs(float64(x.Weight[i])-want.weight) > 1e-6 || x.DtNs[i] != 0 || x.BoundNs[i] != 2*ms || x.Grade[i] != wire.Grade_GRADE_GOLD {
			t.Errorf("row %d: sample %d and %d by %g, Δt %d ± %d, %v", i, x.Index[i], x.Other[i], x.Weight[i], x.DtNs[i], x.BoundNs[i], x.Grade[i])
		}
	}
	if len(b.published()) != 2 {
		t.Errorf("%d batches", len(b.published()))
	}
}

// Samples that nobody is paired with are there all the same, so that time can be aligned again.
func TestSpareSamplesAreUploaded(t *testing.T) {
	b := &bench{t: t, fault: func() error { return nil }}
	cfg := pair.Config{Exo: []string{"exo1"}, MaxDt: 20 * time.Millisecond, Buffer: 100, Spare: time.Second}
	var err error
	b.pairing, err = newPairing(cfg, 10*time.Second, b.collect, newCounters(), quiet)
	must(t, err)
	ctx := t.Context()
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, true, 1000, 1030, 1060, 1090, 1120, 1150, 1180)))
	ego := batchOf("rig", "e", "s", 0, true, 1062, 1152)
	must(t, b.ego(ctx, ego))
	b.check(ego)
	x := b.published()[0].Exo[0]
	if got := wire.AppendValues(nil, x.Seq); !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5}) || x.Index[0] != 2 || x.Index[1] != 5 {
		t.Errorf("samples %v, partners %v", got, x.Index)
	}
	values := make([]float32, 12)
	wire.F16(values, x.Features)
	if values[2*2] != 2 || values[2*5] != 5 {
		t.Errorf("features %v: each sample has its own", values)
	}
}
