package pair

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// event is a step of a camera's stream: a sample, or the end of a take.
type event struct {
	s   Sample
	end bool
}

// randomStream makes a stream in takes, with equal stamps, gaps, and takes that follow closely.
func randomStream(rng *rand.Rand, n int, period int64) []event {
	var list []event
	at, take := rng.Int64N(200), 0
	for i := range n {
		list = append(list, event{s: Sample{Take: fmt.Sprint("t", take), Seq: int64(i), Time: at * ms, Bound: rng.Int64N(4 * ms), Raw: at}})
		switch rng.IntN(25) {
		case 0: // the same stamp again
		case 1:
			at += rng.Int64N(10 * period) // lost samples
		case 2:
			list = append(list, event{end: true})
			take++
			at += rng.Int64N(6 * period)
		default:
			at += period + rng.Int64N(period/2) - period/4
		}
	}
	return append(list, event{end: true}, event{s: Sample{Take: "last", Seq: 1 << 20, Time: 1 << 40 * ms}})
}

// disorder moves samples within lateness, and doubles some. Ends of takes stay behind what was before them.
func disorder(rng *rand.Rand, list []event, lateness int64) []event {
	if lateness == 0 {
		return list
	}
	var out []event
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(e event) bool { return e.end })
		if n < 0 {
			n = len(list)
		}
		part := slices.Clone(list[:n])
		due := map[int64]int64{}
		for i := range part {
			due[part[i].s.Seq] = part[i].s.Time + rng.Int64N(lateness+1)
		}
		slices.SortStableFunc(part, func(a, b event) int { return int(due[a.s.Seq] - due[b.s.Seq]) })
		for _, e := range part {
			out = append(out, e)
			if rng.IntN(10) == 0 {
				out = append(out, e)
			}
		}
		if n < len(list) {
			out = append(out, list[n])
			n++
		}
		list = list[n:]
	}
	return out
}

// play joins the streams, whose next event pick chooses (0 is the rig) among those that have room.
func play(t *testing.T, cfg Config, ego []event, exo [][]event, pick func(open []int) int) []string {
	t.Helper()
	j := newJoiner(t, cfg)
	streams := append([][]event{ego}, exo...)
	var got []string
	for {
		for row, ok := j.Next(); ok; row, ok = j.Next() {
			got = append(got, describe(row))
		}
		var open []int
		left := 0
		for i, s := range streams {
			left += len(s)
			if len(s) > 0 && (s[0].end || i == 0 && j.WantsEgo() || i > 0 && j.WantsExo(i-1)) {
				open = append(open, i)
			}
		}
		if left == 0 {
			break
		}
		if len(open) == 0 {
			// A sample that came out of order may have been waited for until now.
			if row, ok := j.Next(); ok {
				got = append(got, describe(row))
				continue
			}
			if len(streams[0]) == 0 {
				break // what is left of the cameras is beyond the rig's last sample
			}
			t.Fatal("no stream has room, and nothing is decided")
		}
		i := pick(open)
		e := streams[i][0]
		streams[i] = streams[i][1:]
		switch {
		case e.end && i == 0:
		case e.end:
			j.EndExo(i - 1)
		case i == 0:
			if err := j.Ego(e.s); err != nil && !errors.Is(err, ErrDoubled) {
				// A copy that comes after its sample was decided is late.
				if cfg.Lateness == 0 {
					t.Fatal(err)
				}
			}
		default:
			if err := j.Exo(i-1, e.s); err != nil && cfg.Lateness == 0 {
				t.Fatal(err)
			}
		}
	}
	j.EndEgo()
	for row, ok := j.Next(); ok; row, ok = j.Next() {
		got = append(got, describe(row))
	}
	sum := j.Counts(0)
	if n := sum.Pairs() + sum.TooFar + sum.TooWide + sum.NoExo; n != uint64(len(got)) {
		t.Fatalf("%d rows, and the counts say %d: %+v", len(got), n, sum)
	}
	if sum.Overrun != 0 || j.EgoCounts().Overrun != 0 {
		t.Fatal("the buffers were too small for the test")
	}
	return got
}

func describe(r Row) string {
	s := fmt.Sprint(r.Ego.Take, "/", r.Ego.Seq)
	for _, m := range r.Matches {
		if m.Exo == nil {
			s += " " + string(m.Reason)
			continue
		}
		s += fmt.Sprintf(" %s/%d %d %d %v", m.Exo.Take, m.Exo.Seq, m.Dt, m.Bound, m.Grade)
		if m.Other != nil {
			s += fmt.Sprintf("+%s/%d*%.3f", m.Other.Take, m.Other.Seq, m.Weight)
		}
	}
	for i, list := range r.Spare {
		var names []string // in any order
		for _, x := range list {
			names = append(names, fmt.Sprintf(" spare %d: %s/%d", i, x.Take, x.Seq))
		}
		slices.Sort(names)
		s += strings.Join(names, "")
	}
	return s
}

// TestPairsAreAFunctionOfTheStreams joins the same streams as a rig online would, as one that was offline and catches up,
// the other way round, and in random order; in the order of time and out of it. All pairs must be the same.
func TestPairsAreAFunctionOfTheStreams(t *testing.T) {
	for seed := range uint64(36) {
		rng := rand.New(rand.NewPCG(seed, 3))
		ego := randomStream(rng, 150, 66)
		exo := [][]event{randomStream(rng, 300, 33), randomStream(rng, 170, 60)}
		cfg := Config{Exo: []string{"a", "b"}, MaxDt: 60 * time.Millisecond, Buffer: 1000, Interpolate: seed%2 == 1}
		cfg.Lateness = []time.Duration{0, 100 * time.Millisecond, time.Second}[seed%3]
		if cfg.Lateness == 0 {
			cfg.Buffer, cfg.Spare = []int{2, 5, 1000}[seed/3%3], time.Duration(seed%4)*150*time.Millisecond
		}
		online := func(open []int) int { return open[0] }
		want := play(t, cfg, ego, exo, online)
		if len(want) < 150 {
			t.Fatalf("seed %d: %d rows", seed, len(want))
		}
		rigLast := func(open []int) int { return open[len(open)-1] }
		random := func(open []int) int { return open[rng.IntN(len(open))] }
		bursts, k := 0, 0
		inBursts := func(open []int) int {
			if bursts--; bursts <= 0 {
				bursts, k = rng.IntN(100), rng.IntN(3)
			}
			if slices.Contains(open, k) {
				return k
			}
			return open[0]
		}
		for name, pick := range map[string]func([]int) int{"rig last": rigLast, "random": random, "bursts": inBursts} {
			for range 3 {
				var mixed [][]event
				for _, s := range exo {
					mixed = append(mixed, disorder(rng, s, int64(cfg.Lateness)))
				}
				got := play(t, cfg, disorder(rng, ego, int64(cfg.Lateness)), mixed, pick)
				if i := slices.IndexFunc(got, func(s string) bool { return !slices.Contains(want, s) }); i >= 0 || len(got) != len(want) {
					t.Fatalf("seed %d, %s, lateness %v: %d rows instead of %d, row %d is %q, want %q",
						seed, name, cfg.Lateness, len(got), len(want), i, got[max(i, 0)], want[min(max(i, 0), len(want)-1)])
				}
			}
		}
	}
}

// Every sample that lies between a take's rows is somebody's partner or a spare one, once.
func TestSpareSamplesAreAllThere(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		j := newJoiner(t, Config{
			Exo: []string{"a"}, MaxDt: 40 * time.Millisecond, Buffer: 4, Spare: 300 * time.Millisecond, Interpolate: seed%2 == 0,
		})
		seen := map[int64]string{}
		last := int64(0)
		egos, exos := int64(0), int64(0)
		for egos < 300 {
			switch {
			case j.WantsEgo() && rng.IntN(2) == 0:
				must(t, j.Ego(Sample{Take: "one", Seq: egos, Time: 10_000*ms + egos*66*ms}))
				egos++
			case j.WantsExo(0):
				must(t, j.Exo(0, Sample{Take: "one", Seq: exos, Time: exos * 20 * ms}))
				exos++
			}
			for row, ok := j.Next(); ok; row, ok = j.Next() {
				last = row.Ego.Time
				for _, s := range row.Spare[0] {
					if was := seen[s.Seq]; was != "" {
						t.Fatalf("seed %d: %d is spare, and was %s", seed, s.Seq, was)
					}
					seen[s.Seq] = "spare"
				}
				for _, s := range []*Sample{row.Matches[0].Exo, row.Matches[0].Other} {
					if s != nil && seen[s.Seq] == "spare" {
						t.Fatalf("seed %d: %d is a partner, and was spare", seed, s.Seq)
					} else if s != nil {
						seen[s.Seq] = "partner"
					}
				}
			}
		}
		for seq := range exos {
			at := seq * 20 * ms
			if between := at >= 9700*ms && at < last-66*ms; between != (seen[seq] != "") && at < last-66*ms {
				t.Fatalf("seed %d: sample %d at %d ms, of rows from 10000 to %d ms, is %q", seed, seq, at/ms, last/ms, seen[seq])
			}
		}
		if c := j.Counts(0); c.Unkept > 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestSamplesOutOfOrder(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 10, Lateness: 100 * time.Millisecond})
	must(t, j.Ego(Sample{Seq: 1, Time: 200 * ms}))
	must(t, j.Ego(Sample{Seq: 0, Time: 150 * ms}))
	if err := j.Ego(Sample{Seq: 0, Time: 150 * ms}); !errors.Is(err, ErrDoubled) {
		t.Errorf("a sample that came twice: %v", err)
	}
	must(t, j.Exo(0, Sample{Seq: 3, Time: 220 * ms}))
	must(t, j.Exo(0, Sample{Seq: 2, Time: 151 * ms}))
	must(t, j.Exo(0, Sample{Seq: 2, Time: 151 * ms}))
	if row, ok := j.Next(); ok {
		t.Errorf("%+v is decided, and a nearer one may come", row)
	}
	must(t, j.Ego(Sample{Seq: 5, Time: 400 * ms}))
	must(t, j.Exo(0, Sample{Seq: 9, Time: 400 * ms}))
	for _, want := range []int64{2, 3} {
		if row, ok := j.Next(); !ok || row.Matches[0].Exo == nil || row.Matches[0].Exo.Seq != want {
			t.Errorf("got %+v %v, want a pair with %d", row, ok, want)
		}
	}
	if err := j.Exo(0, Sample{Seq: 4, Time: 299 * ms}); err == nil {
		t.Error("a sample was taken that is later than allowed")
	}
	if err := j.Ego(Sample{Seq: 2, Time: 299 * ms}); err == nil {
		t.Error("an ego sample was taken that is later than allowed")
	}
	if c := j.Counts(0); c.Back != 1 || c.Doubled != 1 || c.Silver != 1 || c.Gold != 1 {
		t.Errorf("counts are %+v", c)
	}
	if c := j.EgoCounts(); c.Back != 1 || c.Doubled != 1 || j.Back() != 2 {
		t.Errorf("ego's counts are %+v", c)
	}
}

// Buffers that are smaller than the disorder neither grow nor block.
func TestSmallBuffersCutTheWaitShort(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 3, Lateness: time.Hour})
	rows, egos, exos := 0, int64(0), int64(0)
	for egos < 100 || exos < 100 {
		progress := false
		if egos < 100 && j.WantsEgo() {
			must(t, j.Ego(Sample{Seq: egos, Time: egos * 33 * ms}))
			egos, progress = egos+1, true
		}
		if exos < 100 && j.WantsExo(0) {
			must(t, j.Exo(0, Sample{Seq: exos, Time: exos*33*ms + 1}))
			exos, progress = exos+1, true
		}
		for row, ok := j.Next(); ok; row, ok = j.Next() {
			if row.Matches[0].Exo == nil || row.Matches[0].Exo.Seq != row.Ego.Seq {
				t.Fatalf("%+v", row)
			}
			rows, progress = rows+1, true
		}
		if !progress && egos == 100 {
			break // what is left of the camera waits for more of the rig
		}
		if !progress {
			t.Fatalf("stuck after %d and %d samples", egos, exos)
		}
	}
	if rows < 95 || j.Counts(0).Overrun == 0 {
		t.Errorf("%d rows, %+v", rows, j.Counts(0))
	}
}

func TestInterpolation(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 10, Interpolate: true})
	for _, at := range []int64{110, 120, 145, 170, 180, 230} {
		must(t, j.Ego(Sample{Time: at * ms, Bound: ms}))
	}
	for i, at := range []int64{100, 140, 145} {
		must(t, j.Exo(0, Sample{Take: "one", Seq: int64(i), Time: at * ms, Bound: int64(i+1) * ms}))
	}
	for i, at := range []int64{185, 290} {
		must(t, j.Exo(0, Sample{Take: "two", Seq: int64(i), Time: at * ms, Bound: ms}))
	}
	for _, want := range []string{
		"/0 one/0 0 3000000 gold+one/1*0.250", // 1/4 of the way
		"/0 one/0 0 3000000 gold+one/1*0.500",
		"/0 one/2 0 4000000 gold",           // hit
		"/0 two/0 -15000000 2000000 silver", // between two takes
		"/0 two/0 -5000000 2000000 silver",
		"/0 two/0 45000000 2000000 bronze", // the other one is too far
	} {
		row, ok := j.Next()
		if got := describe(row); !ok || got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
