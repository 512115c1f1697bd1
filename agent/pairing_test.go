package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

const ms = int64(time.Millisecond)

// batchOf makes a batch of samples from seq on at the given times, in milliseconds after clipStart.
func batchOf(device, take, release string, seq int64, last bool, times ...int64) *wire.SampleBatch {
	var raw, site []int64
	var features []byte
	for i, t := range times {
		raw = append(raw, t)
		site = append(site, clipStart+t*ms)
		features, _ = wire.AppendF16(features, []float32{float32(seq + int64(i)), 1})
	}
	return &wire.SampleBatch{
		Device: device, Take: take, Release: release, Extractor: strings.Repeat("ab", 32), RateHz: 10, FirstSeq: uint64(seq),
		RawNs: wire.AppendDeltas(nil, raw), SiteNs: wire.AppendDeltas(nil, site), StampKind: wire.StampKind_STAMP_KIND_SIDECAR,
		ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED, BoundNs: ms, Dim: 2, Features: features, Last: last,
	}
}

// bench is a pairing whose output is kept.
type bench struct {
	*pairing
	t     *testing.T
	mu    sync.Mutex
	out   []*wire.PairBatch
	fault func() error // of publishing
}

func newBench(t *testing.T, buffer int, cameras ...string) *bench {
	t.Helper()
	b := &bench{t: t, fault: func() error { return nil }}
	var err error
	b.pairing, err = newPairing(pair.Config{Exo: cameras, MaxDt: 60 * time.Millisecond, Buffer: buffer}, 10*time.Second, b.collect, newCounters(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) collect(ctx context.Context, p *wire.PairBatch) error {
	if err := b.fault(); err != nil {
		return err
	}
	if _, err := wire.Encode(p); err != nil {
		b.t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out = append(b.out, p)
	return ctx.Err()
}

func (b *bench) published() []*wire.PairBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.out)
}

// check fails unless the ego batches have come out, each once and in order.
func (b *bench) check(ego ...*wire.SampleBatch) {
	b.t.Helper()
	out := b.published()
	if len(out) != len(ego) {
		b.t.Fatalf("%d batches of pairs for %d ego batches", len(out), len(ego))
	}
	for i, p := range out {
		if p.Ego != ego[i] || p.Last != ego[i].Last {
			b.t.Errorf("batch %d of pairs is %s (last %v), want %s (last %v)", i, p.ID(), p.Last, ego[i].ID(), ego[i].Last)
		}
	}
}

// partners writes for each ego sample of a batch the matched exo samples, as device/take:sequence number, "-" for none.
func partners(p *wire.PairBatch) string {
	rows := make([]string, p.Ego.Len())
	for i := range rows {
		var with []string
		for _, x := range p.Exo {
			if k := x.Index[i]; k >= 0 {
				with = append(with, fmt.Sprintf("%s/%s:%d", x.Device, x.Take, wire.AppendValues(nil, x.Seq)[k]))
			}
		}
		rows[i] = strings.Join(with, ",")
		if rows[i] == "" {
			rows[i] = "-"
		}
	}
	return strings.Join(rows, " ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counted returns the counters whose names begin with prefix, as text.
func counted(c *counters, prefix string) string {
	m := c.snapshot()
	maps.DeleteFunc(m, func(k string, _ uint64) bool { return !strings.HasPrefix(k, prefix) })
	return strings.TrimPrefix(fmt.Sprint(m), "map")
}

func TestPairsOfOneCamera(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	one := batchOf("rig", "e", "s", 0, false, 0, 100, 200)
	two := batchOf("rig", "e", "s", 3, false, 300, 400, 500)
	last := batchOf("rig", "e", "s", 6, true)
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 3, 103)))
	must(t, b.ego(ctx, one))
	if n := len(b.published()); n != 0 {
		t.Fatalf("%d batches are published before the exo camera has passed them", n)
	}
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 2, false, 203, 420, 421)))
	must(t, b.ego(ctx, two))
	must(t, b.ego(ctx, last))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 5, true, 503)))
	must(t, b.settle(ctx))
	b.check(one, two, last)
	out := b.published()
	if got, want := partners(out[0])+" | "+partners(out[1]), "exo1/x:0 exo1/x:1 exo1/x:2 | - exo1/x:3 exo1/x:5"; got != want {
		t.Errorf("pairs %s, want %s", got, want)
	}
	x := out[1].Exo[0]
	if x.DtNs[1] != -20*ms || x.BoundNs[1] != 2*ms || x.Grade[1] != wire.Grade_GRADE_BRONZE || x.Grade[2] != wire.Grade_GRADE_GOLD || x.Release != "r" {
		t.Errorf("track %+v", x)
	}
	if n := out[2].Rejected["exo1/too_far"]; n != 1 {
		t.Errorf("rejected %v", out[2].Rejected)
	}
	if got, want := counted(b.count, "pair"), "[pair_batches:3 pairs_bronze:1 pairs_gold:4 pairs_rejected_too_far:1]"; got != want {
		t.Errorf("counters %s, want %s", got, want)
	}
}

func TestEndOfAnExoTakeIsNotWaitedFor(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	ego := batchOf("rig", "e", "s", 0, true, 0, 101)
	must(t, b.ego(ctx, ego))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, true, 0, 100)))
	b.check(ego) // although the camera has not passed the last sample, and nobody gives it up
	if got, want := partners(b.published()[0]), "exo1/x:0 exo1/x:1"; got != want {
		t.Errorf("pairs %s, want %s", got, want)
	}
}

func TestExoTakeChangesWithinAnEgoBatch(t *testing.T) {
	b := newBench(t, 100, "exo1", "exo2")
	ctx := t.Context()
	ego := batchOf("rig", "e", "s", 0, true, 0, 100, 200, 300)
	must(t, b.ego(ctx, ego))
	must(t, b.exo(ctx, 0, batchOf("exo1", "one", "r", 7, true, 0, 100)))
	must(t, b.exo(ctx, 1, batchOf("exo2", "x", "r", 0, true, 0, 100, 200, 300)))
	must(t, b.exo(ctx, 0, batchOf("exo1", "two", "r", 0, true, 200, 300)))
	must(t, b.settle(ctx))
	b.check(ego)
	want := "exo1/one:7,exo2/x:0 exo1/one:8,exo2/x:1 exo2/x:2,exo1/two:0 exo2/x:3,exo1/two:1"
	if got := partners(b.published()[0]); got != want {
		t.Errorf("pairs %s, want %s", got, want)
	}
}

func TestExoReleaseChangesWithinAnEgoBatch(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	one := batchOf("rig", "e", "s", 0, false, 0, 100, 200, 300)
	two := batchOf("rig", "e", "s", 4, true, 400)
	must(t, b.ego(ctx, one))
	must(t, b.ego(ctx, two))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r1", 0, false, 0, 100)))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r2", 2, true, 200, 300, 400)))
	must(t, b.settle(ctx))
	b.check(one, two)
	out := b.published()
	if got, want := partners(out[0])+" | "+partners(out[1]), "exo1/x:0 exo1/x:1 - - | exo1/x:4"; got != want {
		t.Errorf("pairs %s, want %s: features of two releases must not be in one track", got, want)
	}
	if out[1].Exo[0].Release != "r2" || out[1].Rejected["exo1/release_changed"] != 2 {
		t.Errorf("release %s, rejected %v", out[1].Exo[0].Release, out[1].Rejected)
	}
}

func TestEgoTimeThatGoesBack(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 0, 100, 200, 300, 400, 500)))
	one := batchOf("rig", "e", "s", 0, false, 200, 100, 150, 300)
	must(t, b.ego(ctx, one))
	waits := batchOf("rig", "e", "s", 4, true, 900)
	must(t, b.ego(ctx, waits))
	// A take of an earlier time: the sample that waits is given up for it, and later takes aren't spoiled.
	two := batchOf("rig", "f", "s", 0, false, 310, 400)
	must(t, b.ego(ctx, two))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 6, true, 600)))
	must(t, b.settle(ctx))
	b.check(one, waits, two)
	out := b.published()
	var got []string
	for _, p := range out {
		got = append(got, partners(p))
	}
	if want := "exo1/x:2 - - exo1/x:3 | - | exo1/x:3 exo1/x:4"; strings.Join(got, " | ") != want {
		t.Errorf("pairs %s, want %s", strings.Join(got, " | "), want)
	}
	if r := out[1].Rejected; r["exo1/time_went_back"] != 2 || r["exo1/no_exo"] != 1 || len(out[2].Rejected) != 0 {
		t.Errorf("rejected %v, then %v", r, out[2].Rejected)
	}
}

func TestExoMessagesThatComeAgain(t *testing.T) {
	b := newBench(t, 100, "exo1")
	ctx := t.Context()
	first, second := batchOf("exo1", "x", "r", 0, false, 0, 100), batchOf("exo1", "x", "r", 2, true, 200)
	for _, x := range []*wire.SampleBatch{first, first, second, first, second} {
		must(t, b.exo(ctx, 0, x))
	}
	ego := batchOf("rig", "e", "s", 0, true, 0, 100, 200)
	must(t, b.ego(ctx, ego))
	must(t, b.settle(ctx))
	b.check(ego)
	if got, want := partners(b.published()[0]), "exo1/x:0 exo1/x:1 exo1/x:2"; got != want {
		t.Errorf("pairs %s, want %s", got, want)
	}
}

func TestSilentCameraIsGivenUpAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100, "exo1", "exo2")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		began := time.Now()
		one := batchOf("rig", "e", "s", 0, false, 0, 100)
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 0, 100, 200, 300)))
		must(t, b.ego(ctx, one))
		must(t, b.settle(ctx))
		if d := time.Since(began); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("the silent camera was given up after %v, the wait is 10s", d)
		}
		if got, want := partners(b.published()[0]), "exo1/x:0 exo1/x:1"; got != want {
			t.Errorf("pairs %s, want %s: the other camera's", got, want)
		}
		// Only what waited has been given up: the next sample waits anew, and the camera comes back in time.
		two := batchOf("rig", "e", "s", 2, true, 200)
		must(t, b.ego(ctx, two))
		<-time.After(9 * time.Second)
		must(t, b.exo(ctx, 1, batchOf("exo2", "x", "r", 0, false, 201)))
		must(t, b.settle(ctx))
		b.check(one, two)
		if got, want := partners(b.published()[1]), "exo1/x:2,exo2/x:0"; got != want {
			t.Errorf("pairs %s, want %s", got, want)
		}
		if got, want := counted(b.count, "exo")+counted(b.count, "pairs_rej"), "[exo_given_up:1][pairs_rejected_no_exo:2]"; got != want {
			t.Errorf("counters %s, want %s", got, want)
		}
		cancel()
		must(t, <-done)
	})
}

func TestSilenceSaysNothingWhileTheHubIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100, "exo1")
		var mu sync.Mutex
		online := false
		b.online = func() bool { mu.Lock(); defer mu.Unlock(); return online }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		ego := batchOf("rig", "e", "s", 0, true, 0, 100)
		must(t, b.ego(ctx, ego))
		<-time.After(5 * time.Hour)
		b.check()
		mu.Lock()
		online = true
		mu.Unlock()
		<-time.After(8 * time.Second) // the camera's messages are on their way
		must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, true, 0, 100)))
		must(t, b.settle(ctx))
		b.check(ego)
		if got := partners(b.published()[0]); got != "exo1/x:0 exo1/x:1" {
			t.Errorf("pairs %s", got)
		}
		cancel()
		must(t, <-done)
	})
}

func TestRecordingWaitsForRoomAndALiveRigDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		ego := batchOf("rig", "e", "s", 0, true, 0, 100, 200, 300, 400)
		recording := newBench(t, 3, "exo1")
		done := make(chan error, 1)
		go func() { done <- recording.ego(ctx, ego) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("a recording went on without room: %v", err)
		default:
		}
		must(t, recording.exo(ctx, 0, batchOf("exo1", "x", "r", 0, true, 0, 100, 200, 300, 400)))
		must(t, <-done)
		recording.check(ego)
		if got, want := partners(recording.published()[0]), "exo1/x:0 exo1/x:1 exo1/x:2 exo1/x:3 exo1/x:4"; got != want {
			t.Errorf("pairs %s, want %s", got, want)
		}

		rig := newBench(t, 3, "exo1")
		rig.begin(true)
		must(t, rig.ego(ctx, ego)) // returns
		must(t, rig.exo(ctx, 0, batchOf("exo1", "x", "r", 0, true, 300, 400)))
		rig.check(ego)
		if got, want := partners(rig.published()[0]), "- - - exo1/x:0 exo1/x:1"; got != want {
			t.Errorf("pairs %s, want %s", got, want)
		}
	})
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, "exo1")
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 3)
		go func() { errs <- b.ego(ctx, batchOf("rig", "e", "s", 0, false, 0, 100, 200)) }()
		synctest.Wait()
		go func() { errs <- b.settle(ctx) }()
		far := newBench(t, 2, "exo1")
		go func() { errs <- far.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 900, 1000, 1100)) }()
		synctest.Wait()
		cancel()
		for range 3 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestBatchThatCouldNotBePublishedIsNotLost(t *testing.T) {
	b := newBench(t, 10, "exo1")
	ctx := t.Context()
	ego := batchOf("rig", "e", "s", 0, false, 0)
	must(t, b.ego(ctx, ego))
	broken := errors.New("broken")
	b.fault = func() error { return broken }
	if err := b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 0)); !errors.Is(err, broken) || errors.Is(err, wire.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	b.fault = func() error { return nil }
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 1, true, 100)))
	last := batchOf("rig", "e", "s", 1, true)
	must(t, b.ego(ctx, last))
	b.check(ego, last)
}

func TestStopDecidesWhatWaits(t *testing.T) {
	b := newBench(t, 10, "exo1", "exo2")
	ctx := t.Context()
	ego := batchOf("rig", "e", "s", 0, true, 0, 100)
	must(t, b.ego(ctx, ego))
	must(t, b.exo(ctx, 0, batchOf("exo1", "x", "r", 0, false, 0)))
	must(t, b.stop(ctx))
	must(t, b.settle(ctx))
	b.check(ego)
	if got := partners(b.published()[0]); got != "exo1/x:0 -" {
		t.Errorf("pairs %s", got)
	}
}
