package agent

import (
	"context"
	"math"
	"testing"

	"tandem/runtime/segment"
	"tandem/stream/wire"
)

// same fails unless two rigs' networks say the same of the newest sample.
func same(t *testing.T, a, b *rig) {
	t.Helper()
	for h := range a.model.Bundle.Segmenter.Heads {
		x, y := a.model.Segmenter.Scores(h), b.model.Segmenter.Scores(h)
		for k := range x {
			if math.Abs(float64(x[k]-y[k])) > 1e-4 {
				t.Fatalf("head %d: %v, the one that ran all the time says %v", h, y, x)
			}
		}
	}
}

// TestReleaseThatTakesOverKnowsWhatWasBefore: with or without gaps before it, a release that takes over in mid-take says
// what it would have said had it run all the time.
func TestReleaseThatTakesOverKnowsWhatWasBefore(t *testing.T) {
	t.Parallel()
	for name, feed := range map[string]func(r *rig){
		"no gap":          func(r *rig) { r.shots(0, 40) },
		"a bridged gap":   func(r *rig) { r.shots(0, 30); r.shots(34, 40) },
		"gap at the swap": func(r *rig) { r.shots(0, 37) },
		"a long gap":      func(r *rig) { r.shots(0, 30); r.shots(37, 40) },
		"long, at swap":   func(r *rig) { r.shots(0, 30) },
		"short take":      func(r *rig) { r.shots(36, 40) },
		"first sample":    func(*rig) {},
	} {
		t.Run(name, func(t *testing.T) {
			always, swapped := newRig(t, RoleExo, newer), newRig(t, RoleExo, older)
			for _, r := range []*rig{always, swapped} {
				feed(r)
			}
			done := swapped.offerNow(openModel(t, newer))
			for n := int64(40); n < 60; n++ {
				always.shots(n, n+1)
				swapped.shots(n, n+1)
				same(t, always, swapped)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := swapped.running.Load().bundle.Release; got != "r2" {
				t.Errorf("%s runs", got)
			}
		})
	}
}

func TestNothingIsLostInASwap(t *testing.T) {
	t.Parallel()
	r := newRig(t, RoleExo, older)
	r.shots(0, 33)
	done := r.offerNow(openModel(t, newer))
	r.shots(33, 70)
	must(t, <-done)
	done = r.offerNow(openModel(t, older))
	r.shots(73, 90) // a bridged gap at the swap
	must(t, <-done)
	must(t, r.end(t.Context(), r.src))
	if got := r.samples(); len(got) != 87 {
		t.Errorf("%d samples came out of 87: %v", len(got), got)
	}
	r.covered(89)
	swaps := 0
	for _, e := range r.out.committed() {
		if e.Reason == segment.Swap {
			swaps++
		}
		if want := map[bool]string{true: "r2", false: "r1"}[e.FirstSeq >= 33 && e.LastSeq < 73]; e.release != want {
			t.Errorf("segment %+v is of release %s", e.Event, e.release)
		}
	}
	if swaps != 2 {
		t.Errorf("%d segments were ended by the swaps", swaps)
	}
	for _, b := range r.out.batches {
		first, last := int64(b.FirstSeq), int64(b.FirstSeq)+int64(b.Len())-1
		if want := map[bool]string{true: "r2", false: "r1"}[first >= 33 && last < 73]; b.Len() > 0 && b.Release != want {
			t.Errorf("samples %d to %d are of release %s", first, last, b.Release)
		}
	}
	if r.count.get("releases_adopted") != 3 || r.count.get("samples") != 87 {
		t.Errorf("counters %v", r.count.snapshot())
	}
}

func TestSegmentsEndWhereALongGapBegins(t *testing.T) {
	r := newRig(t, RoleExo, older)
	r.shots(0, 20)
	done := r.offerNow(openModel(t, newer))
	r.shots(40, 60)
	must(t, <-done)
	must(t, r.end(t.Context(), r.src))
	for _, e := range r.out.committed() {
		if e.release == "r1" && e.End > clipStart+20*1e8+2e7 {
			t.Errorf("segment %+v reaches into the gap", e.Event)
		}
	}
}

func TestOfferThatIsTakenBack(t *testing.T) {
	r := newRig(t, RoleExo, older)
	r.shots(0, 10)
	m := openModel(t, newer)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	<-nothing(r.offered)
	go func() { done <- r.swap(ctx, m, "") }()
	<-r.offered
	cancel()
	if err := <-done; err != context.Canceled { //nolint:errorlint // exactly this
		t.Fatalf("got %v", err)
	}
	must(t, m.Close())
	r.shots(10, 20)
	if got := r.running.Load().bundle.Release; got != "r1" {
		t.Errorf("%s runs", got)
	}
}

// nothing empties a channel.
func nothing(c chan struct{}) <-chan struct{} {
	for len(c) > 0 {
		<-c
	}
	ok := make(chan struct{})
	close(ok)
	return ok
}

func TestReleaseThatCannotBeBroughtUpIsNotUsed(t *testing.T) {
	r := newRig(t, RoleExo, older)
	r.shots(0, 20)
	m := openModel(t, newer)
	done := r.offerNow(m)
	// Something has spoiled the model since it was warmed: it can't be warmed further.
	if _, err := m.Segmenter.Push(0, 1, make([]float32, m.Extractor.Dim())); err != nil {
		t.Fatal(err)
	}
	r.shots(20, 40)
	if err := <-done; err == nil {
		t.Fatal("it was taken")
	}
	must(t, r.end(t.Context(), r.src))
	r.covered(39)
	for _, e := range r.out.committed() {
		if e.release != "r1" || e.Reason == segment.Swap {
			t.Errorf("segment %+v of %s", e.Event, e.release)
		}
	}
	if n := len(r.samples()); n != 40 {
		t.Errorf("%d samples of 40", n)
	}
}

func TestReleaseOfferedInOneTakeAndAdoptedInTheNext(t *testing.T) {
	t.Parallel()
	fresh, r := newRig(t, RoleExo, newer), newRig(t, RoleExo, older)
	r.shots(0, 30)
	done := r.offerNow(openModel(t, newer)) // warmed with take 1
	must(t, r.end(t.Context(), r.src))
	r.take("t2")
	for n := range int64(12) {
		fresh.shots(100+n, 101+n)
		r.shots(100+n, 101+n)
		same(t, fresh, r)
	}
	must(t, <-done)

	done = r.offerNow(openModel(t, older))
	must(t, r.end(t.Context(), r.src))
	r.adopt() // between takes
	must(t, <-done)
	r.take("t3")
	again := newRig(t, RoleExo, older)
	for n := range int64(12) {
		again.shots(200+n, 201+n)
		r.shots(200+n, 201+n)
		same(t, again, r)
	}
}

func TestReleaseWithOtherFeaturesStartsCold(t *testing.T) {
	t.Parallel()
	other := newer
	other.Orientations = 3
	r, fresh := newRig(t, RoleExo, older), newRig(t, RoleExo, other)
	r.shots(0, 30)
	done := r.offerNow(openModel(t, other))
	for n := int64(30); n < 50; n++ {
		r.shots(n, n+1)
		fresh.shots(n, n+1)
		same(t, fresh, r)
	}
	must(t, <-done)
	must(t, r.end(t.Context(), r.src))
	r.covered(49)
	scored := map[int64]bool{}
	for _, b := range r.out.batches {
		for _, s := range wire.AppendValues(nil, b.ScoreSeq) {
			scored[s] = true
		}
		if b.Dim == 0 || b.Release == "r2" && int(b.FirstSeq) < 30 {
			t.Errorf("batch %+v", b)
		}
	}
	for s := range int64(50) {
		// The old network can't score its last samples, the new one hasn't seen them.
		if want := s < 25 || s >= 30 && s < 45; scored[s] != want {
			t.Errorf("sample %d has scores: %v", s, scored[s])
		}
	}
}

func TestReleaseWithOtherRate(t *testing.T) {
	t.Parallel()
	quick := newer
	quick.RateHz = 20
	r := newRig(t, RoleEgo, older)
	at := func(n int64) int64 { return clipStart + n*25e6 } // a camera of 40 Hz
	for n := range int64(80) {
		r.shot(n, at(n))
	}
	done := r.offerNow(openModel(t, quick))
	for n := int64(80); n < 160; n++ {
		r.shot(n, at(n))
	}
	must(t, <-done)
	must(t, r.end(t.Context(), r.src))
	got := r.samples()
	// The frame at 1.95 s is tick 20 already.
	if len(got) != 21+40 || got[len(got)-1] != 60 {
		t.Errorf("%d samples, the last number %d; want 21 at 10 Hz and 40 at 20 Hz", len(got), got[len(got)-1])
	}
	for _, b := range r.out.batches {
		if want := map[string]float64{"r1": 10, "r2": 20}[b.Release]; b.RateHz != want || b.Release == "r2" && b.FirstSeq < 20 {
			t.Errorf("batch %d of %s has %g Hz", b.FirstSeq, b.Release, b.RateHz)
		}
	}
	if n := r.count.snapshot(); n["frames"] != n["samples"]+n["frames_surplus"] || n["dropped_no_frame_for_tick"] != 0 {
		t.Errorf("counters %v", n)
	}
	r.covered(60)
}
