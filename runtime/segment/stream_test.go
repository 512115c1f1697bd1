package segment

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/runtime/bundle"
)

// TestHoldByClass: class b is believed after two frames, class c after four; what lasts less belongs to what is around it.
func TestHoldByClass(t *testing.T) {
	s := newFake(0, bundle.Decoding{MinFrames: 1, MinFramesByClass: []int{1, 2, 4}})
	labels := []int{0, 0, 2, 2, 2, 1, 0, 1, 1, 2, 2, 2, 2, 2}
	list := say(t, s, Committed, 0, labels...)
	list = append(list, only(Committed, s.Finish(EndOfTake))...)
	expect(t, list, stretch{0, 0, 6, NextLabel}, stretch{1, 7, 8, NextLabel}, stretch{2, 9, 13, EndOfTake})
	if c := list[0].Confidence; c < .3 || c > .4 { // three of seven frames say so with 0.8; the others don't count
		t.Errorf("confidence %g of a segment that three of seven frames support by 0.8", c)
	}
	// The last class has too little time to be believed.
	say(t, s, Committed, 0, 0, 0, 2, 2)
	expect(t, only(Committed, s.Finish(EndOfTake)), stretch{0, 0, 3, EndOfTake})
}

// TestConfirmedStart: a start is confirmed as soon as the hold has run, long before the segment ends, and the committed
// segment has the same label and start.
func TestConfirmedStart(t *testing.T) {
	s := newFake(3, bundle.Decoding{MinFrames: 2})
	list := say(t, s, Confirmed, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	if len(list) != 2 {
		t.Fatalf("%+v, want two confirmed starts", list)
	}
	e := list[1]
	// Sample 5 is judged when sample 8 comes, its follower by sample 9.
	if e.Label != 1 || e.FirstSeq != 5 || e.Start != 6*second || !e.Open || e.DecidedSeq != 9 || e.Decided != 10*second || e.End != 8*second {
		t.Errorf("confirmed start %+v", e)
	}
	end := only(Committed, s.Finish(EndOfTake))
	if len(end) != 1 || end[0].Start != e.Start || end[0].Label != e.Label || end[0].FirstSeq != e.FirstSeq || end[0].Open {
		t.Errorf("it ended as %+v", end)
	}
	if end[0].Rushed != 3 {
		t.Errorf("%d samples were rushed, want the 3 that the last head has not seen the future of", end[0].Rushed)
	}
}

// TestFixedLag: with random labels, decoders of every kind keep their lag, the committed segments partition the take, each was
// confirmed before with the same label and start, and nothing that was committed is said otherwise later.
func TestFixedLag(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	prior := &bundle.Prior{Lag: 3, Weight: 1, LogTransitions: LogTransitions([][]int{{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0}}, classes)}
	for name, c := range map[string]struct {
		lag  int
		d    bundle.Decoding
		want int
	}{
		"nothing":          {0, bundle.Decoding{MinFrames: 1}, 0},
		"head":             {4, bundle.Decoding{MinFrames: 1}, 4},
		"head, hold":       {4, bundle.Decoding{MinFrames: 3, MinFramesByClass: []int{2, 5, 9}}, 12},
		"commit lag":       {4, bundle.Decoding{MinFrames: 30, CommitLag: 10}, 10},
		"tight commit lag": {4, bundle.Decoding{MinFrames: 30, CommitLag: 4}, 4},
		"prior":            {2, bundle.Decoding{MinFrames: 1, Prior: prior}, 5},
		"all":              {2, bundle.Decoding{MinFrames: 20, MinFramesByClass: []int{2, 2, 20}, Prior: prior, CommitLag: 11}, 11},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(c.lag, c.d)
			if err := s.b.Segmenter.Decode.Check(classes, s.Lag()); err != nil {
				t.Fatal(err)
			}
			if s.CommitDelay() != c.want {
				t.Fatalf("the commit delay is %d, want %d", s.CommitDelay(), c.want)
			}
			const n = 3000
			var open Event
			decided, covered, latest := int64(0), int64(0), int64(0)
			take := func(events []Event) {
				for _, e := range events {
					switch e.Kind {
					case Confirmed:
						if e.FirstSeq < decided || e.FirstSeq != covered {
							t.Fatalf("%+v confirms what was decided up to %d, ended up to %d", e, decided, covered)
						}
						latest = max(latest, e.DecidedSeq-e.FirstSeq)
						open = e
					case Committed:
						if e.FirstSeq != covered || e.Label != open.Label || e.Start != open.Start || e.FirstSeq != open.FirstSeq {
							t.Fatalf("%+v after %+v, ended up to %d", e, open, covered)
						}
						covered = e.LastSeq + 1
					}
				}
			}
			label := 0
			for i := range int64(n) {
				if rng.IntN(3) == 0 {
					label = rng.IntN(classes)
				}
				events, err := s.Push(i, (i+1)*second, []float32{float32(label), float32(label)})
				if err != nil {
					t.Fatal(err)
				}
				take(events)
				decided = max(decided, i-int64(c.want)+1) // all before this is decided, as a reader may rely on
			}
			take(s.Finish(EndOfTake))
			if covered != n || latest > int64(c.want) {
				t.Errorf("%d of %d samples are in segments; the latest start came %d samples after it, at most %d is allowed", covered, n, latest, c.want)
			}
		})
	}
}

func TestGapRules(t *testing.T) {
	s := newFake(1, bundle.Decoding{MinFrames: 1})
	say(t, s, Committed, 0, 0, 0, 0)
	// Two lost samples are bridged: the segment goes on, and says so.
	say(t, s, Committed, 5, 0, 0)
	// Three are not: it ends a period after the last sample, when the next one comes.
	list := say(t, s, Committed, 10, 0, 0)
	expect(t, list, stretch{0, 0, 6, Gap})
	if e := list[0]; e.End != 8*second || e.Bridged != 2 || e.DecidedSeq != 10 || e.Decided != 11*second || e.Rushed != 1 {
		t.Errorf("the segment before the gap is %+v", e)
	}
	// A camera that pauses and goes on with the next number is no gap: no sample was lost.
	events, err := s.Push(12, 100*second, []float32{0, 0})
	if err != nil || len(only(Committed, events)) > 0 {
		t.Errorf("%+v, %v after a pause without a lost sample", events, err)
	}
	// Another bundle: the segment ends where it stops.
	list = only(Committed, s.Finish(Swap))
	expect(t, list, stretch{0, 10, 12, Swap})
	if list[0].End != 101*second {
		t.Errorf("the segment before the swap ends at %d", list[0].End)
	}
	// Nothing is left of it.
	if got := s.Finish(EndOfTake); len(got) > 0 {
		t.Errorf("%+v after the end", got)
	}
	expect(t, append(say(t, s, Committed, 0, 1, 1), only(Committed, s.Finish(EndOfTake))...), stretch{1, 0, 1, EndOfTake})
}

// TestFailures: whatever fails, events are neither lost nor doubled, and the stream goes on.
func TestFailures(t *testing.T) {
	fails := func(s *Segmenter, seq int64, label float32, want error) {
		t.Helper()
		events, err := s.Push(seq, (seq+1)*second, []float32{label, 0})
		if !errors.Is(err, want) || len(events) > 0 || !strings.Contains(err.Error(), "sample") {
			t.Errorf("%+v, %v, want %v", events, err, want)
		}
	}
	s := newFake(0, bundle.Decoding{MinFrames: 1})
	say(t, s, Committed, 0, 0, 0)
	fails(s, 2, -1, errRun)
	fails(s, 3, classes, ErrNotFinite)
	// Samples 2 and 3 count as lost, and the features of sample 1 stand in for them.
	list := say(t, s, Committed, 4, 0, 1)
	expect(t, list, stretch{0, 0, 4, NextLabel})
	if list[0].Bridged != 2 {
		t.Errorf("%+v, want two bridged samples", list[0])
	}
	// A failure right after a gap: the end of the segment before comes with the next call, once.
	fails(s, 20, -1, errRun)
	list = say(t, s, Committed, 21, 2)
	expect(t, list, stretch{1, 5, 5, Gap})
	if list[0].DecidedSeq != 20 {
		t.Errorf("it was decided by sample %d, want the one that failed", list[0].DecidedSeq)
	}
	// A network that fails for good: it is bridged as far as any gap, then there are errors only.
	for i := range int64(30) {
		if _, err := s.Push(22+i, (23+i)*second, []float32{-1, 0}); err == nil {
			t.Fatal("no error")
		}
	}
	expect(t, only(Committed, s.Finish(EndOfTake)), stretch{2, 21, 23, Gap})
	// And it can go on.
	expect(t, append(say(t, s, Committed, 60, 0), only(Committed, s.Finish(EndOfTake))...), stretch{0, 60, 60, EndOfTake})
}

// TestPrior: a flicker that the transitions know as next to impossible is taken out, a real change stays.
func TestPrior(t *testing.T) {
	// a is followed by b only, b by c only; each lasts.
	var take []int
	for range 20 {
		for l := range classes {
			for range 10 {
				take = append(take, l)
			}
		}
	}
	d := bundle.Decoding{MinFrames: 1, Prior: &bundle.Prior{Lag: 6, Weight: 1, LogTransitions: LogTransitions([][]int{take}, classes)}}
	said := []int{0, 0, 0, 2, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2}
	s := newFake(0, d)
	list := append(say(t, s, Committed, 0, said...), only(Committed, s.Finish(EndOfTake))...)
	expect(t, list, stretch{0, 0, 6, NextLabel}, stretch{1, 7, 13, NextLabel}, stretch{2, 14, 19, EndOfTake})
	plain := newFake(0, bundle.Decoding{MinFrames: 1})
	if list := append(say(t, plain, Committed, 0, said...), plain.Finish(EndOfTake)...); len(only(Committed, list)) != 7 {
		t.Errorf("without the prior there are %d segments, want 7", len(only(Committed, list)))
	}
	// Offline it is the same.
	var probs []float32
	f := &fake{}
	for _, l := range said {
		probs = append(probs, f.probs(l)...)
	}
	offline := Decode(probs, classes, &s.b.Segmenter)
	for i, l := range offline {
		if want := []int{0, 1, 2}[min(i/7, 2)]; l != want {
			t.Errorf("frame %d is %d offline, want %d", i, l, want)
		}
	}
}

// TestPriorBestPath compares the path with that of all paths, on short sequences.
func TestPriorBestPath(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	trans := LogTransitions([][]int{{0, 0, 1, 1, 2, 0, 2, 2, 2, 1}}, classes)
	for range 50 {
		const n = 6
		p := newPrior(&bundle.Prior{Lag: n, Weight: 1.5, LogTransitions: trans}, classes)
		scores := make([]float32, n*classes)
		for i := range scores {
			scores[i] = .05 + .9*rng.Float32()
		}
		best, want := -1e300, make([]int, n)
		var walk func(path []int, score float64)
		walk = func(path []int, score float64) {
			if t := len(path); t < n {
				for c := range classes {
					next := score + logOf(scores[t*classes+c])
					if t > 0 {
						next += 1.5 * trans[path[t-1]][c]
					}
					walk(append(path, c), next)
				}
				return
			}
			if score > best {
				best = score
				copy(want, path)
			}
		}
		walk(nil, 0)
		for f := range n {
			p.push(scores[f*classes : (f+1)*classes])
		}
		for f := range n {
			if got, _ := p.label(n - 1 - f); got != want[f] {
				t.Fatalf("frame %d of the best path is %d, want %v", f, got, want)
			}
		}
	}
}

func TestNothingIsAllocatedADecision(t *testing.T) {
	prior := &bundle.Prior{Lag: 8, Weight: 1, LogTransitions: LogTransitions([][]int{{0, 1, 2}}, classes)}
	d := newDecoder(&bundle.Segmenter{Heads: []bundle.Head{{Lag: 4}}, Decode: bundle.Decoding{MinFrames: 3, Prior: prior}}, classes, second)
	events := make([]Event, 0, 8)
	f, i := &fake{}, int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		events = d.push(f.probs(int(i/5%classes)), verdict{sample: sample{seq: i, at: i}}, events[:0])
		i++
	}); n > 0 {
		t.Errorf("%g allocations a sample", n)
	}
}
