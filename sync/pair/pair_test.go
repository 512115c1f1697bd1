package pair

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func newJoiner(t *testing.T, c Config) *Joiner {
	t.Helper()
	j, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{MaxDt: 1, Buffer: 2}, "no exo camera"},
		{Config{Exo: []string{"a", "b", "a"}, MaxDt: 1, Buffer: 2}, `two exo cameras are named "a"`},
		{Config{Exo: []string{"a"}, Buffer: 2}, "max_dt"},
		{Config{Exo: []string{"a"}, MaxDt: 1, Buffer: 1}, "buffer is 1"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want an error with %q", c.cfg, err, c.want)
		}
	}
}

func TestGradeOf(t *testing.T) {
	for _, c := range []struct {
		bound int64
		want  Grade
	}{{0, Gold}, {5 * ms, Gold}, {5*ms + 1, Silver}, {20 * ms, Silver}, {20*ms + 1, Bronze}, {100 * ms, Bronze}, {100*ms + 1, Rejected}} {
		if got := GradeOf(c.bound); got != c.want {
			t.Errorf("GradeOf(%d) = %v, want %v", c.bound, got, c.want)
		}
	}
}

func TestJoinPicksTheNearestAndSaysWhyNot(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"exo1"}, MaxDt: 50 * time.Millisecond, Buffer: 100})
	for i, at := range []int64{0, 33, 66, 100, 400, 433} {
		if err := j.Exo(0, Sample{Seq: int64(i), Time: at * ms, Bound: ms}); err != nil {
			t.Fatal(err)
		}
	}
	type want struct {
		seq    int64
		dt     int64
		grade  Grade
		reason Reason
	}
	cases := []struct {
		at, bound int64
		want      want
	}{
		{2, ms, want{0, 2 * ms, Gold, ""}},
		{40, ms, want{1, 7 * ms, Silver, ""}},
		{83, ms, want{2, 17 * ms, Silver, ""}}, // as near to 66 as to 100: the earlier
		{90, 95 * ms, want{reason: TooWide}},
		{250, ms, want{reason: TooFar}},
		{420, ms, want{5, -13 * ms, Silver, ""}},
	}
	for i, c := range cases {
		if err := j.Ego(Sample{Seq: int64(i), Time: c.at * ms, Bound: c.bound}); err != nil {
			t.Fatal(err)
		}
	}
	j.EndExo(0)
	for i, c := range cases {
		row, ok := j.Next()
		if !ok {
			t.Fatalf("ego sample %d is not decided", i)
		}
		m := row.Matches[0]
		if c.want.reason != "" {
			if m.Exo != nil || m.Grade != Rejected || m.Reason != c.want.reason {
				t.Errorf("ego at %d ms: %+v, want rejected with %q", c.at, m, c.want.reason)
			}
			continue
		}
		if m.Exo == nil || m.Exo.Seq != c.want.seq || m.Dt != c.want.dt || m.Grade != c.want.grade || m.Bound != c.bound+ms {
			t.Errorf("ego at %d ms: %+v, want %+v", c.at, m, c.want)
		}
	}
}

func TestJoinWaitsForWhatMayStillComeNearer(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a", "b"}, MaxDt: 50 * time.Millisecond, Buffer: 10})
	must(t, j.Ego(Sample{Time: 100 * ms}))
	must(t, j.Exo(0, Sample{Time: 90 * ms}))
	must(t, j.Exo(1, Sample{Time: 160 * ms}))
	if got := j.Behind(); !slices.Equal(got, []int{0}) {
		t.Fatalf("behind is %v, want the first camera", got)
	}
	if _, ok := j.Next(); ok {
		t.Fatal("decided although camera a may still send a nearer sample")
	}
	must(t, j.Exo(0, Sample{Seq: 1, Time: 101 * ms}))
	must(t, j.Exo(0, Sample{Seq: 2, Time: 151 * ms}))
	row, ok := j.Next()
	if !ok || row.Matches[0].Exo == nil || row.Matches[0].Exo.Seq != 1 {
		t.Fatalf("got %+v %v, want sample 1 of a", row, ok)
	}
	if row.Matches[1].Reason != TooFar {
		t.Fatalf("camera b: %+v, want %q", row.Matches[1], TooFar)
	}
}

func TestExpireGivesUpOnlyWhatWaits(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 10})
	must(t, j.Ego(Sample{Time: 100 * ms}))
	j.Expire(0)
	if row, ok := j.Next(); !ok || row.Matches[0].Reason != NoExo {
		t.Fatalf("got %+v %v, want %q", row, ok, NoExo)
	}
	must(t, j.Ego(Sample{Time: 200 * ms}))
	if _, ok := j.Next(); ok {
		t.Fatal("a sample that came after Expire was given up")
	}
}

func TestTimeThatGoesBackIsRefused(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: time.Second, Buffer: 10})
	must(t, j.Ego(Sample{Time: 100}))
	must(t, j.Exo(0, Sample{Time: 100}))
	if err := j.Ego(Sample{Time: 99}); err == nil {
		t.Error("an ego sample that goes back was taken")
	}
	if err := j.Exo(0, Sample{Time: 99}); err == nil {
		t.Error("an exo sample that goes back was taken")
	}
	if j.Back() != 2 {
		t.Errorf("%d refusals are counted, want 2", j.Back())
	}
}

func TestANewEgoTakeMayBeginEarlier(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 10})
	must(t, j.Ego(Sample{Take: "one", Time: 1000 * ms}))
	if err := j.Ego(Sample{Take: "two", Time: 100 * ms}); err == nil {
		t.Error("an earlier take was begun while the one before waits")
	}
	j.Expire(0)
	if _, ok := j.Next(); !ok {
		t.Fatal("given up, and yet not decided")
	}
	if err := j.Ego(Sample{Take: "one", Time: 100 * ms}); err == nil {
		t.Error("time went back within a take")
	}
	must(t, j.Ego(Sample{Take: "two", Time: 100 * ms}))
	if last, ok := j.LastEgo(); !ok || last != 100*ms {
		t.Errorf("the newest ego sample is of %d, %v", last, ok)
	}
	if _, ok := j.Next(); ok {
		t.Error("the sample was given up together with those of the take before")
	}
	must(t, j.Exo(0, Sample{Time: 99 * ms}))
	j.EndExo(0)
	if row, ok := j.Next(); !ok || row.Matches[0].Exo == nil {
		t.Errorf("got %+v %v, want a pair", row, ok)
	}
}

func TestMessagesThatComeTwiceChangeNothing(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 10})
	must(t, j.Ego(Sample{Time: 100 * ms}))
	must(t, j.Ego(Sample{Seq: 1, Time: 200 * ms}))
	for range 3 {
		err := j.Exo(0, Sample{Seq: 6, Time: 60 * ms})
		if last := j.exo[0].newest.Seq; last == 7 && err == nil {
			t.Error("a sample that came again after a later one was taken")
		}
		must(t, j.Exo(0, Sample{Seq: 7, Time: 70 * ms}))
		j.EndExo(0)
	}
	if n := j.exo[0].n; n > 2 {
		t.Errorf("%d samples are kept of two", n)
	}
	if row, ok := j.Next(); !ok || row.Matches[0].Exo == nil || row.Matches[0].Exo.Seq != 7 {
		t.Errorf("got %+v %v, want a pair with sample 7", row, ok)
	}
	if row, ok := j.Next(); ok {
		t.Errorf("%+v is decided, which a later take of the camera may be near to", row)
	}
}

func TestWhatIsPastIsNotKept(t *testing.T) {
	j := newJoiner(t, Config{Exo: []string{"a"}, MaxDt: 50 * time.Millisecond, Buffer: 4})
	for i := range int64(100) {
		must(t, j.Ego(Sample{Seq: i, Time: i * 33 * ms, Features: []byte{1}}))
		must(t, j.Exo(0, Sample{Seq: i, Time: i*33*ms + 1, Features: []byte{1}}))
		for _, ok := j.Next(); ok; _, ok = j.Next() {
		}
	}
	held := 0
	for _, q := range []*queue{&j.ego, &j.exo[0].queue} {
		for _, s := range q.items {
			if s.Features != nil {
				held++
			}
		}
	}
	if held > 3 {
		t.Errorf("the memory of %d samples is held after all have been paired", held)
	}
}

// TestJoinDoesNotDependOnArrival interleaves the same three streams in many ways, with small buffers, and compares with
// the nearest neighbour found by looking at everything.
func TestJoinDoesNotDependOnArrival(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	stream := func(n int, period int64) []Sample {
		var list []Sample
		at := int64(0)
		for i := range n {
			if rng.IntN(20) > 0 { // else the same stamp twice
				at += period + rng.Int64N(period/2) - period/4
			}
			if rng.IntN(10) == 0 {
				at += 3 * period // lost samples
			}
			list = append(list, Sample{Seq: int64(i), Time: at, Bound: rng.Int64N(ms)})
		}
		return list
	}
	ego, exo := stream(600, 66*ms), [][]Sample{stream(1300, 33*ms), stream(700, 60*ms)}
	maxDt := 60 * ms
	var want []string
	for _, e := range ego {
		s := fmt.Sprint(e.Seq)
		for _, x := range exo {
			best := x[0]
			for _, c := range x {
				// Of several with one stamp, the one on the near side counts: the stream passes it last.
				if d := abs(e.Time-c.Time) - abs(e.Time-best.Time); d < 0 || d == 0 && c.Time == best.Time && c.Time < e.Time {
					best = c
				}
			}
			if abs(e.Time-best.Time) > maxDt || GradeOf(abs(e.Time-best.Time)+e.Bound+best.Bound) == Rejected {
				s += " -"
			} else {
				s += fmt.Sprint(" ", best.Seq)
			}
		}
		want = append(want, s)
	}
	for round := range 21 {
		// Buffers of 2 hold less than MaxDt: no size may block the join or change it.
		j := newJoiner(t, Config{Exo: []string{"a", "b"}, MaxDt: time.Duration(maxDt), Buffer: 2 + 7*(round%3)})
		var got []string
		ei, xi := 0, []int{0, 0}
		// When the streams have ended they are given up as the agent does: what is missing can't come.
		for len(got) < len(ego) {
			blocked := (ei == len(ego) || !j.WantsEgo())
			for i := range exo {
				blocked = blocked && xi[i] < len(exo[i]) && !j.WantsExo(i)
			}
			if blocked {
				t.Fatalf("round %d: no stream has room, and nothing is decided", round)
			}
			if ei < len(ego) && j.WantsEgo() && rng.IntN(3) == 0 {
				must(t, j.Ego(ego[ei]))
				ei++
			}
			for i := range exo {
				for xi[i] < len(exo[i]) && j.WantsExo(i) && rng.IntN(3) > 0 {
					must(t, j.Exo(i, exo[i][xi[i]]))
					xi[i]++
				}
				if xi[i] == len(exo[i]) && ei == len(ego) {
					j.Expire(i)
				}
			}
			for row, ok := j.Next(); ok; row, ok = j.Next() {
				s := fmt.Sprint(row.Ego.Seq)
				for _, m := range row.Matches {
					if m.Exo == nil {
						s += " -"
					} else {
						s += fmt.Sprint(" ", m.Exo.Seq)
					}
				}
				got = append(got, s)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: the pairs depend on the order of arrival", round)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
