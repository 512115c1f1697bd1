package agent

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

// cell is what a rig and its fixed cameras see: something happens every second or so, and everyone sees it in his own way.
type cell struct {
	seed    uint64
	seconds int
	rate    int
	mode    string
	late    []time.Duration // of the exo cameras' stamps
	strange int             // the exo camera that sees something else; -1 for none
	off     int             // second from which no camera is late any more; 0 for never
}

const cellDim = 12

// film makes a camera's stream of batches. Stamps are late by late(capture).
func (w cell) film(name string, stream uint64, strange bool, late func(at int64) int64) []*wire.SampleBatch {
	happens := rand.New(rand.NewPCG(w.seed, 7))
	if strange {
		happens = rand.New(rand.NewPCG(w.seed+1000, 7))
	}
	rng := rand.New(rand.NewPCG(w.seed, stream))
	mix := make([]float64, 6*cellDim)
	for i := range mix {
		mix[i] = rng.NormFloat64()
	}
	var list []*wire.SampleBatch
	var raw, site []int64
	class, until := 0, int64(0)
	var features []byte
	first := 0
	flush := func(next int, last bool) {
		if len(site) > 0 || last {
			list = append(list, &wire.SampleBatch{
				Device: name, Take: "t-" + name, Release: "r-1", Extractor: strings.Repeat("ab", 32), RateHz: float64(w.rate), FirstSeq: uint64(first),
				RawNs: wire.AppendDeltas(nil, raw), SiteNs: wire.AppendDeltas(nil, site), StampKind: wire.StampKind_STAMP_KIND_ARRIVAL,
				ClockSource: wire.ClockSource_CLOCK_SOURCE_NTP, BoundNs: 2 * ms, Dim: cellDim, Features: features, Last: last,
			})
		}
		first, raw, site, features = next, nil, nil, nil
	}
	for seq := range w.seconds * w.rate {
		at := int64(seq)*int64(time.Second)/int64(w.rate) + int64(stream)*7*ms
		for at >= until {
			class, until = happens.IntN(6), until+int64(5e8+happens.Float64()*3e9)
		}
		if len(site) == w.rate || rng.IntN(60) == 0 { // some are lost
			flush(seq, false)
			if rng.IntN(60) == 0 {
				first++
				continue
			}
		}
		row := make([]float32, cellDim)
		for d := range row {
			row[d] = float32(mix[class*cellDim+d] + 0.4*rng.NormFloat64())
		}
		features, _ = wire.AppendF16(features, row)
		stamp := clipStart + at + late(at) + int64(rng.NormFloat64()*3e5)
		raw, site = append(raw, stamp-99), append(site, stamp)
	}
	flush(w.seconds*w.rate, true)
	return list
}

// outcome is what a rig made of a cell.
type outcome struct {
	out      []*wire.PairBatch
	pairing  *pairing
	log      string
	lateness []func(at int64) int64
}

// run plays the cell on a rig.
func (w cell) run(t testing.TB) outcome {
	t.Helper()
	var names []string
	var films [][]*wire.SampleBatch
	var o outcome
	for i, late := range w.late {
		names = append(names, fmt.Sprintf("exo%d", i+1))
		o.lateness = append(o.lateness, func(at int64) int64 {
			if w.off > 0 && at > int64(w.off)*int64(time.Second) {
				return 0
			}
			return int64(late)
		})
		films = append(films, w.film(names[i], uint64(i+2), w.strange == i, o.lateness[i]))
	}
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	var err error
	publish := func(_ context.Context, b *wire.PairBatch) error {
		if _, err := wire.Encode(b); err != nil {
			t.Error(err)
		}
		o.out = append(o.out, b)
		return nil
	}
	o.pairing, err = newPairing(pair.Config{Exo: names, MaxDt: 100 * time.Millisecond, Buffer: 4096, Spare: spare}, 10*time.Second, publish, newCounters(), log)
	must(t, err)
	o.pairing.content = newContent(w.mode, names, 4096, o.pairing.count, log)
	rig := w.film("rig", 1, false, func(int64) int64 { return 0 })
	ctx := t.Context()
	for k := 0; k < len(rig) || slices.ContainsFunc(films, func(f []*wire.SampleBatch) bool { return k < len(f) }); k++ {
		if k < len(rig) {
			must(t, o.pairing.ego(ctx, rig[k]))
		}
		for i, f := range films {
			if k < len(f) {
				must(t, o.pairing.exo(ctx, i, f[k]))
			}
		}
	}
	must(t, o.pairing.stop(ctx))
	o.log = text.String()
	return o
}

// pairs calls fn for each row on a camera: partner or not, how far apart the two truly were, and what the batch says.
func (o outcome) pairs(camera int, fn func(x *wire.ExoTrack, second float64, paired bool, apart, dt, bound int64)) {
	name := o.pairing.cameras[camera]
	for _, b := range o.out {
		ego := wire.AppendValues(nil, b.Ego.SiteNs)
		for _, x := range b.Exo {
			if x.Device != name {
				continue
			}
			exo := wire.AppendValues(nil, x.SiteNs)
			for i, k := range x.Index {
				second := float64(ego[i]-clipStart) / 1e9
				if k < 0 {
					fn(x, second, false, 0, 0, 0)
					continue
				}
				at := exo[k] - clipStart
				capture := at - o.lateness[camera](at)
				fn(x, second, true, ego[i]-clipStart-capture, x.DtNs[i], x.BoundNs[i])
			}
		}
	}
}

func (o outcome) counted(name string) uint64 { return o.pairing.count.get(name) }

// A camera that is 0.8 s late, which no clock can see, is noticed; a good one and one that shows something else are not
// blamed.
func TestContentAlarm(t *testing.T) {
	for seed := range uint64(2) {
		w := cell{seed: seed, seconds: 125, rate: 15, mode: ContentReport, late: []time.Duration{800 * time.Millisecond, 0, 0}, strange: 2}
		o := w.run(t)
		if n := o.counted("content_alarms"); n != 1 || strings.Count(o.log, "level=WARN") != 1 || !strings.Contains(o.log, "camera=exo1") {
			t.Errorf("seed %d: %d alarms, and in the log\n%s", seed, n, o.log)
		}
		tally := o.pairing.tally()
		for i, want := range []float64{-800, 0} {
			e := tally[i].Content
			if e == nil || math.Abs(float64(e.OffsetNs)/1e6-want) > min(float64(e.ErrorNs)/1e6, 67) || tally[i].ContentAlarm != (i == 0) {
				t.Errorf("seed %d: %v, alarm %v, want %g ms", seed, e, tally[i].ContentAlarm, want)
			}
		}
		if tally[2].Content != nil || tally[2].ContentAlarm {
			t.Errorf("seed %d: of an unrelated camera %v", seed, tally[2].Content)
		}
		if s := o.pairing.trouble(); !strings.Contains(s, "what exo camera exo1 shows is ") || !strings.Contains(s, "pairs are made by the clock") {
			t.Errorf("seed %d: status says %q", seed, s)
		}
		told := 0
		o.pairs(0, func(x *wire.ExoTrack, _ float64, _ bool, _, _, _ int64) {
			if x.ContentOffset != nil {
				told++
			}
			if x.CorrectionNs != 0 {
				t.Fatal("a correction nobody asked for")
			}
		})
		if told < 15*45 {
			t.Errorf("seed %d: %d rows say what was estimated", seed, told)
		}
		if o.counted("pairs_rejected_content") != 0 || o.counted("pairs_gold")+o.counted("pairs_silver")+o.counted("pairs_bronze") < 5500 {
			t.Errorf("seed %d: %s", seed, counted(o.pairing.count, "pairs_"))
		}
	}
}

// By configuration, pairs are made by what the cameras show, or not made.
func TestContentCorrectsAndRejects(t *testing.T) {
	const known = 110 // seconds, after which three estimates say the same
	for seed := range uint64(2) {
		w := cell{seed: 20 + seed, seconds: 130, rate: 15, mode: ContentCorrect, late: []time.Duration{800 * time.Millisecond, 0}, strange: -1}
		o := w.run(t)
		n, corrected := 0, 0
		o.pairs(0, func(x *wire.ExoTrack, second float64, paired bool, apart, dt, bound int64) {
			if second < known || !paired {
				return
			}
			n++
			if x.CorrectionNs != 0 {
				corrected++
			}
			if max(apart, -apart) > int64(time.Second)/15 || max(apart-dt, dt-apart) > bound {
				t.Errorf("seed %d: after %.1f s a pair is truly %v apart, said %v ± %v", seed, second, time.Duration(apart), time.Duration(dt), time.Duration(bound))
			}
		})
		if n < 15*(130-known-3) || corrected != n {
			t.Errorf("seed %d: %d pairs, %d of them corrected", seed, n, corrected)
		}
		o.pairs(1, func(x *wire.ExoTrack, _ float64, _ bool, _, _, _ int64) {
			if x.CorrectionNs != 0 {
				t.Fatal("a good camera was corrected")
			}
		})
		w.mode = ContentReject
		o = w.run(t)
		rejected := 0
		o.pairs(0, func(x *wire.ExoTrack, second float64, paired bool, _, _, _ int64) {
			if second < known {
				return
			}
			if rejected++; paired {
				t.Errorf("seed %d: a pair after %.1f s", seed, second)
			}
		})
		if got := o.counted("pairs_rejected_content"); got < uint64(rejected) || rejected < 15*(130-known-3) {
			t.Errorf("seed %d: %d rows without a pair, %d counted", seed, rejected, got)
		}
		last := o.out[len(o.out)-2]
		if last.Rejected["exo1/content"] == 0 || last.Exo[0].Len() == 0 {
			t.Errorf("seed %d: rejected %v; the samples stay for a later alignment, here %d", seed, last.Rejected, last.Exo[0].Len())
		}
	}
}

// When the camera is mended, the alarm ends, and with it what it did.
func TestContentAlarmEnds(t *testing.T) {
	w := cell{seed: 40, seconds: 350, rate: 15, mode: ContentCorrect, late: []time.Duration{800 * time.Millisecond}, off: 150, strange: -1}
	o := w.run(t)
	if n := o.counted("content_alarms"); n != 1 || !strings.Contains(o.log, "again") || o.pairing.trouble() != "" {
		t.Errorf("%d alarms, status %q, and in the log\n%s", n, o.pairing.trouble(), o.log)
	}
	o.pairs(0, func(x *wire.ExoTrack, second float64, paired bool, apart, _, _ int64) {
		if second > 330 && paired && (x.CorrectionNs != 0 || max(apart, -apart) > 70*ms) {
			t.Fatalf("after %.1f s corrected by %d ns, %v apart", second, x.CorrectionNs, time.Duration(apart))
		}
	})
}

func TestContentOff(t *testing.T) {
	w := cell{seed: 50, seconds: 120, rate: 15, mode: ContentOff, late: []time.Duration{800 * time.Millisecond}, strange: -1}
	o := w.run(t)
	if o.counted("content_estimates")+o.counted("content_unsure")+o.counted("content_alarms") != 0 || o.pairing.tally()[0].Content != nil || o.pairing.trouble() != "" {
		t.Errorf("something was compared: %s", counted(o.pairing.count, "content_"))
	}
}

// Estimates depend on the streams and not on when they come: a rig that catches up has the same.
func TestContentIsAFunctionOfTheStreams(t *testing.T) {
	w := cell{seed: 60, seconds: 120, rate: 15, strange: -1}
	zero := func(int64) int64 { return 0 }
	rig, exo := w.film("rig", 1, false, zero), w.film("exo1", 2, false, func(int64) int64 { return 300 * ms })
	var want []int64
	for name, order := range map[string]func(k int) (a, b int){
		"together":  func(k int) (int, int) { return k, k },
		"rig first": func(k int) (int, int) { return k, k - len(rig) },
		"rig last":  func(k int) (int, int) { return k - len(exo), k },
	} {
		c := newContent(ContentReport, []string{"exo1"}, 4096, newCounters(), quiet)
		var got []int64
		note := func() {
			if e := c.cameras[0].estimate; e != nil && (len(got) == 0 || got[len(got)-1] != e.OffsetNs) {
				got = append(got, e.OffsetNs)
			}
		}
		feed := func(list []*wire.SampleBatch, k int, to func(b *wire.SampleBatch, site, bound []int64)) {
			if k >= 0 && k < len(list) {
				b := list[k]
				to(b, wire.AppendValues(nil, b.SiteNs), b.Bounds(nil))
				note()
			}
		}
		for k := range len(rig) + len(exo) {
			a, b := order(k)
			feed(rig, a, c.ego)
			feed(exo, b, func(b *wire.SampleBatch, site, bound []int64) { c.exo(0, b, site, bound) })
		}
		if n := c.count.get("content_estimates"); n < 3 {
			t.Errorf("%s: %d estimates", name, n)
		}
		last := got[len(got)-1:]
		if want == nil {
			want = last
		}
		if !slices.Equal(last, want) || math.Abs(float64(last[0])+3e8) > 3.4e7 {
			t.Errorf("%s: %v, before %v", name, last, want)
		}
	}
}

// A sample costs no memory once a stream is known.
func TestContentAllocatesNothingASample(t *testing.T) {
	c := newCurve(500)
	c.use("e", cellDim)
	features, _ := wire.AppendF16(nil, make([]float32, cellDim))
	at := int64(0)
	step := func() {
		at += 66 * ms
		c.add(at, ms, features)
	}
	for range 1000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%g allocations a sample", n)
	}
	if first, last, ok := c.reach(); !ok || c.len != 500 || last-first != 499*66*ms {
		t.Errorf("the curve reaches from %d to %d with %d values", first, last, c.len)
	}
}

// BenchmarkContent plays b.N cells with a camera that is 0.8 s late, a good one and an unrelated one.
func BenchmarkContent(b *testing.B) {
	var late, good, strange, claims, right, estimates float64
	seed := uint64(100)
	for b.Loop() {
		w := cell{seed: seed, seconds: 150, rate: 15, mode: ContentReport, late: []time.Duration{800 * time.Millisecond, 0, 0}, strange: 2}
		seed++
		o := w.run(b)
		for i, of := range []*float64{&late, &good, &strange} {
			if o.pairing.content.cameras[i].alarm {
				*of++
			}
		}
		o.pairs(2, func(x *wire.ExoTrack, _ float64, _ bool, _, _, _ int64) {
			if x.ContentOffset != nil {
				claims++
			}
		})
		for i, want := range []float64{-8e8, 0} {
			if e := o.pairing.content.cameras[i].estimate; e != nil {
				estimates++
				if math.Abs(float64(e.OffsetNs)-want) <= float64(e.ErrorNs) {
					right++
				}
			}
		}
	}
	b.ReportMetric(late, "late-alarms")
	b.ReportMetric(good, "good-alarms")
	b.ReportMetric(strange, "unrelated-alarms")
	b.ReportMetric(claims, "unrelated-rows-with-a-claim")
	b.ReportMetric(estimates, "estimates")
	b.ReportMetric(right, "within-their-error")
}

// BenchmarkContentSample is what the check costs a sample of 512 features.
func BenchmarkContentSample(b *testing.B) {
	c := newCurve(4096)
	c.use("e", 512)
	var rows [7][]byte
	rng := rand.New(rand.NewPCG(1, 1))
	for k := range rows {
		for range 512 {
			rows[k], _ = wire.AppendF16(rows[k], []float32{float32(rng.NormFloat64())})
		}
	}
	b.ReportAllocs()
	at := int64(0)
	for k := 0; b.Loop(); k++ {
		at += 66 * ms
		c.add(at, ms, rows[k%len(rows)])
	}
}

// What comes again, goes back, or is lost.
func TestContentCurveGaps(t *testing.T) {
	c := newCurve(100)
	c.use("e", 1)
	add := func(at int64) {
		f, _ := wire.AppendF16(nil, []float32{float32(at % 7)})
		c.add(at*ms, ms, f)
	}
	for k := range int64(20) {
		add(k * 100)
		add(k * 50) // again
	}
	if c.len != 13 {
		t.Errorf("%d values of 20 samples", c.len)
	}
	add(10_000)
	if c.len != 0 {
		t.Errorf("%d values after a gap", c.len)
	}
	for k := range int64(10) {
		add(10_100 + k*100)
	}
	if c.len != 4 {
		t.Errorf("%d values of 11 samples after a gap", c.len)
	}
	c.use("f", 2) // another release
	if f, _ := wire.AppendF16(nil, []float32{1, 2}); c.len != 4 {
		t.Errorf("another extractor took the curve: %d", c.len)
	} else {
		c.add(11_300*ms, ms, f)
	}
	add2 := func(at int64) {
		f, _ := wire.AppendF16(nil, []float32{1, 2})
		c.add(at*ms, ms, f)
	}
	add2(-600_000) // another recording
	if c.len != 0 || c.run != 1 {
		t.Errorf("%d values, run %d after time went back", c.len, c.run)
	}
}
