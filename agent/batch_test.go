package agent

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tandem/runtime/bundle"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// testBundle is a bundle as the batcher sees it.
func testBundle(release string, rate float64, dim int) *bundle.Dir {
	d := &bundle.Dir{}
	d.Release, d.RateHz = release, rate
	d.Extractor.Dim, d.Extractor.SHA256 = dim, strings.Repeat("ab", 32)
	return d
}

const ofStamps = wire.ClockSource_CLOCK_SOURCE_RECORDED

var testLabels = strings.Repeat("cd", 32)

func newBatcher(rate float64, dim int) *batcher {
	b := &batcher{device: "exo1"}
	b.use(testBundle("r1", rate, dim), testLabels)
	b.begin("t1", camera{})
	return b
}

// feed adds samples and returns the batches, the last one included.
func feed(t *testing.T, b *batcher, list ...sample) []*wire.SampleBatch {
	t.Helper()
	var out []*wire.SampleBatch
	next := int64(0)
	for i := range list {
		next = list[i].seq + 1
		if done, _ := b.add(&list[i]); done != nil {
			out = append(out, done)
		}
	}
	out = append(out, b.end(next))
	for _, b := range out {
		if _, err := wire.Encode(b); err != nil {
			t.Errorf("batch %d: %v", b.FirstSeq, err)
		}
	}
	return out
}

func plain(seqs ...int64) []sample {
	var list []sample
	for _, s := range seqs {
		list = append(list, sample{seq: s, raw: s * 100, site: s*100 + 7, bound: 1000, kind: frame.Sidecar, source: ofStamps, features: []float32{float32(s), -1}})
	}
	return list
}

// spans writes batches as first+length, "." behind the last.
func spans(list []*wire.SampleBatch) string {
	var parts []string
	for _, b := range list {
		s := fmt.Sprintf("%d+%d", b.FirstSeq, b.Len())
		if b.Last {
			s += "."
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func TestBatchBorders(t *testing.T) {
	inf := func(s sample) sample {
		s.features = []float32{1, 70000}
		return s
	}
	p := plain(0, 1, 2, 3, 4, 5, 6, 7)
	arrived := func(s sample) sample {
		s.kind = frame.Arrival
		return s
	}
	asked := func(s sample) sample {
		s.source = wire.ClockSource_CLOCK_SOURCE_NTP
		return s
	}
	for name, c := range map[string]struct {
		list []sample
		want string
	}{
		"another source of time":    {[]sample{p[0], p[1], asked(p[2]), asked(p[3]), p[4]}, "0+2 2+2 4+1."},
		"a second each":             {p, "0+3 3+3 6+2."},
		"the last one is empty":     {p[:6], "0+3 3+3 6+0."},
		"no sample at all":          {nil, "0+0."},
		"a gap":                     {plain(0, 1, 5, 6, 7, 8), "0+2 5+3 8+1."},
		"a take that begins late":   {plain(4, 5), "4+2."},
		"overflow in the middle":    {[]sample{p[0], inf(p[1]), p[2], p[3]}, "0+1 2+2."},
		"overflow at the beginning": {[]sample{inf(p[0]), p[1], p[2]}, "1+2."},
		"overflow at the end":       {[]sample{p[0], inf(p[1])}, "0+1 2+0."},
		"overflow after a gap":      {[]sample{p[0], inf(p[4]), p[5]}, "0+1 5+1."},
		"only overflow":             {[]sample{inf(p[0]), inf(p[1])}, "2+0."},
		"stamps of another kind":    {[]sample{p[0], p[1], arrived(p[2]), arrived(p[3]), p[4]}, "0+2 2+2 4+1."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := spans(feed(t, newBatcher(3, 2), c.list...)); got != c.want {
				t.Errorf("batches %s, want %s", got, c.want)
			}
		})
	}
}

func TestABatchHasTheBoundsOfItsSamples(t *testing.T) {
	for _, c := range []struct{ bounds, own []int64 }{
		{[]int64{5, 5, 5}, nil},
		{[]int64{5, 7, 0}, []int64{5, 7, 0}},
		{[]int64{5, wire.UnknownBound, 3}, []int64{5, wire.UnknownBound, 3}},
	} {
		p := plain(0, 1, 2)
		for i := range p {
			p[i].bound = c.bounds[i]
		}
		b := feed(t, newBatcher(3, 2), p...)[0]
		if own := wire.AppendValues(nil, b.SampleBoundNs); b.BoundNs != slices.Max(c.bounds) || !slices.Equal(own, c.own) || !slices.Equal(b.Bounds(nil), c.bounds) {
			t.Errorf("bounds %d: %d and %d", c.bounds, b.BoundNs, own)
		}
	}
}

func TestBatchOfOneSample(t *testing.T) {
	// At a sample a second, a gap and a full batch come at once.
	got := feed(t, newBatcher(1, 2), plain(0, 1, 5, 6, 9)...)
	n := 0
	for _, b := range got {
		n += b.Len()
	}
	if n != 5 {
		t.Errorf("batches %s hold %d samples, want 5", spans(got), n)
	}
}

func TestBatchIsBoundedInBytes(t *testing.T) {
	const dim = 32768
	b := newBatcher(30, dim)
	var list []sample
	for _, s := range plain(0, 1, 2, 3, 4, 5, 6, 7, 8, 9) {
		s.features = make([]float32, dim)
		list = append(list, s)
	}
	for _, batch := range feed(t, b, list...) {
		if len(batch.Features) > maxBatchBytes {
			t.Errorf("batch %d has %d bytes", batch.FirstSeq, len(batch.Features))
		}
	}
}

func TestScoresHaveTheirOwnSequenceNumbers(t *testing.T) {
	list := plain(0, 1, 2, 3, 4, 5, 6)
	for i := range list {
		if s := &list[i]; s.seq >= 2 {
			s.scores, s.scoreSeq = []float32{float32(s.seq), 0, -3}, s.seq-2
		}
	}
	list[4].scores[1] = float32(math.Inf(-1)) // can't be sent: only the score is missing
	var got [][]int64
	for _, b := range feed(t, newBatcher(3, 2), list...) {
		seqs := wire.AppendValues(nil, b.ScoreSeq)
		got = append(got, seqs)
		values := make([]float32, len(b.Scores)/wire.F16Size)
		wire.F16(values, b.Scores)
		for i, s := range seqs {
			if values[3*i] != float32(s+2) || b.Labels != testLabels || b.Classes != 3 {
				t.Errorf("score of sample %d: %v", s, values[3*i:3*i+3])
			}
		}
	}
	if fmt.Sprint(got) != "[[0] [1 3] [4]]" {
		t.Errorf("scores of %v", got)
	}
}

func TestNothingOfABrokenTakeIsInTheNext(t *testing.T) {
	b := newBatcher(10, 2)
	for _, s := range plain(0, 1, 2) {
		b.add(&s)
	}
	b.skip("extractor", 3)
	b.begin("t2", camera{live: true})
	got := feed(t, b, plain(3, 4)...)
	if spans(got) != "3+2." || got[0].Take != "t2" || got[0].RawNs[0] != 300 || got[0].Skipped != nil {
		t.Errorf("batches %s: %+v", spans(got), got[0])
	}
}

func TestBatchSaysWhereStampsComeFrom(t *testing.T) {
	const (
		none     = wire.ClockSource_CLOCK_SOURCE_NONE
		recorded = wire.ClockSource_CLOCK_SOURCE_RECORDED
	)
	for _, c := range []struct {
		camera camera
		kind   frame.RawKind
		stamp  wire.StampKind
		clock  wire.ClockSource
	}{
		{camera{live: true}, frame.Arrival, wire.StampKind_STAMP_KIND_ARRIVAL, none},
		{camera{live: true}, frame.Driver, wire.StampKind_STAMP_KIND_DRIVER, none},
		{camera{}, frame.Driver, wire.StampKind_STAMP_KIND_MEDIA, none},
		{camera{start: true}, frame.Driver, wire.StampKind_STAMP_KIND_MEDIA, recorded},
		{camera{}, frame.Sidecar, wire.StampKind_STAMP_KIND_SIDECAR, recorded},
		{camera{}, frame.Nominal, wire.StampKind_STAMP_KIND_COUNTER, none},
	} {
		b := newBatcher(10, 2)
		b.begin("t1", c.camera)
		s := plain(0)
		where := siteTime{camera: c.camera}
		at, _ := where.place(&frame.Frame{RawKind: c.kind})
		s[0].kind, s[0].source = c.kind, at.source
		got := feed(t, b, s...)[0]
		if got.StampKind != c.stamp || got.ClockSource != c.clock {
			t.Errorf("%+v, %v: %v, %v", c.camera, c.kind, got.StampKind, got.ClockSource)
		}
	}
}

// TestBatchesHoldEverySampleOnce feeds random streams: gaps, overflows, changing stamps and bounds, changing releases, scores.
func TestBatchesHoldEverySampleOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		rate := []float64{0.5, 1, 7.5, 30}[rng.IntN(4)]
		b := newBatcher(rate, 3)
		want, got := map[int64]sample{}, map[int64]bool{}
		overflows, skipped := 0, 0
		check := func(batch *wire.SampleBatch) {
			t.Helper()
			if batch == nil {
				return
			}
			if _, err := wire.Encode(batch); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if limit := max(1, int(rate+0.5)) + 1; batch.Len() > limit {
				t.Fatalf("round %d: a batch of %d samples, at most %d make a second", round, batch.Len(), limit)
			}
			raw, site := wire.AppendValues(nil, batch.RawNs), wire.AppendValues(nil, batch.SiteNs)
			bounds := batch.Bounds(nil)
			values := make([]float32, len(batch.Features)/wire.F16Size)
			wire.F16(values, batch.Features)
			for i := range raw {
				seq := int64(batch.FirstSeq) + int64(i)
				s, ok := want[seq]
				if !ok || got[seq] {
					t.Fatalf("round %d: sample %d, which was not made or is there already", round, seq)
				}
				got[seq] = true
				if raw[i] != s.raw || site[i] != s.site || bounds[i] != s.bound || batch.ClockSource != s.source || !slices.Equal(values[3*i:3*i+3], s.features) || batch.StampKind != b.camera.stampKind(s.kind) {
					t.Fatalf("round %d: sample %d came out as raw %d, site %d, %v, %v; it was %+v", round, seq, raw[i], site[i],
						values[3*i:3*i+3], batch.StampKind, s)
				}
			}
			if n := batch.Skipped["fp16_overflow"]; int(n) > overflows {
				t.Fatalf("round %d: %d overflows told of %d", round, n, overflows)
			}
			skipped = int(batch.Skipped["fp16_overflow"])
		}
		seq := int64(-1)
		for range 300 {
			seq++
			if rng.IntN(15) == 0 {
				seq += rng.Int64N(5)
			}
			if rng.IntN(60) == 0 {
				check(b.flush(false))
				b.use(testBundle(fmt.Sprintf("r%d", seq), rate, 3), testLabels)
			}
			s := sample{
				seq: seq, raw: rng.Int64(), site: seq * 1e7, bound: rng.Int64N(3), kind: frame.RawKind(rng.IntN(20) / 18),
				source:   wire.ClockSource(1 + rng.IntN(20)/19),
				features: []float32{float32(rng.IntN(100)), 0.5, float32(seq)},
			}
			s.raw >>= 3 // raw stamps are below 2^62
			if rng.IntN(3) == 0 {
				s.scores, s.scoreSeq = []float32{1, 2}, max(0, seq-4)
			}
			if rng.IntN(25) == 0 {
				s.features = []float32{float32(math.Inf(1)), 0, float32(math.NaN())}
			}
			// Only rising score numbers are the pipeline's promise.
			if n := len(b.seqs); s.scores != nil && n > 0 && b.seqs[n-1] >= s.scoreSeq {
				s.scores = nil
			}
			done, overflow := b.add(&s)
			if overflow {
				overflows++
				b.skip("fp16_overflow", 1)
			} else {
				want[seq] = s
			}
			check(done)
		}
		check(b.end(seq + 1))
		if len(got) != len(want) || skipped != overflows {
			t.Fatalf("round %d: %d of %d samples came out, %d of %d overflows are told", round, len(got), len(want), skipped, overflows)
		}
	}
}
