package tas

import (
	"bytes"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const origin = int64(1_000_000_000_000)

// at is a time in seconds after the origin.
func at(s float64) int64 { return origin + int64(math.Round(s*1e9)) }

func event(kind, label string, first uint64, start, end, decided float64) Event {
	return Event{Take: "t", Kind: kind, Label: label, Start: at(start), End: at(end), Decided: at(decided), FirstSeq: first, LastSeq: first,
		Open: kind == EventConfirmed}
}

// example is worked through in docs/metrics.md: 20 frames at 2 a second.
func example() OnlineVideo {
	//                     0    1    2    3    4    5    6    7    8    9
	gt := strings.Split("- - A A A A A A B B B B B B - - A A A A", " ")
	return OnlineVideo{Name: "t", GT: gt, Rate: 2, Origin: origin, Events: []Event{
		event(EventConfirmed, "-", 0, 0, .5, 0),
		event(EventCommitted, "-", 0, 0, 1.5, 3),
		event(EventConfirmed, "A", 3, 1.5, 2.5, 3),
		event(EventCommitted, "A", 3, 1.5, 4, 6),
		event(EventConfirmed, "B", 8, 4, 5, 6),
		event(EventCommitted, "B", 8, 4, 8, 10),
		event(EventCommitted, "A", 16, 8, 9.5, 10), // never confirmed before it ended; the last frame is in no segment

		event(EventProvisional, "-", 0, 0, .5, 0), // replaced below
		{Take: "t", Kind: EventProvisional, Label: "-", Start: at(0), End: at(1), Decided: at(1), Revision: 1},
		event(EventProvisional, "A", 2, 1, 3, 3),
		event(EventProvisional, "C", 6, 3, 3.5, 3.5),
		event(EventProvisional, "A", 7, 3.5, 4, 4),
		event(EventProvisional, "B", 8, 4, 8, 8),
		event(EventProvisional, "A", 16, 8, 10, 10),
	}}
}

func TestScoreOnline(t *testing.T) {
	s, err := ScoreOnline([]OnlineVideo{example()}, "-")
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %.6f, want %.6f", what, got, want)
		}
	}
	// Committed frames: ---AAAAA BBBBBBBB AAA and one that nothing holds. Frames 2, 14, 15 and 19 are wrong.
	near("committed MoF", s.Committed.MoF, 80)
	near("committed Edit", s.Committed.Edit, 100)
	// A [3,8) of [2,8): 5/6; B [8,16) of [8,14): 6/8; A [16,19) of [16,20): 3/4.
	near("committed F1@50", s.Committed.F1At50, 100)
	near("committed segments per true one", s.Committed.SegmentsPerTrue, 1)
	// Provisional: --AAAACA BBBBBBBB AAAA: frames 6, 14, 15 are wrong, runs A C A B A for A B A.
	near("provisional MoF", s.Provisional.MoF, 85)
	near("provisional Edit", s.Provisional.Edit, 60)
	near("provisional F1@10", s.Provisional.F1At10, 75) // hits A, B, A; false alarms C and the second A
	near("provisional segments per true one", s.Provisional.SegmentsPerTrue, 5./3)
	// They differ at frame 2 (A, committed -) and at frame 6 (C, committed A): 2 in 10 s.
	near("revisions a minute", s.RevisionsPerMinute, 12)
	// True starts 1, 4 and 8 s; confirmed at 3, 6 and, with its end, 10 s.
	if s.Starts.True != 3 || s.Starts.Found != 3 {
		t.Errorf("starts %+v", s.Starts)
	}
	near("median delay", s.Starts.Delay.Median, 2)
	near("delay p95", s.Starts.Delay.P95, 2)
	near("within 1 s", s.Starts.Within1, 100)
	// After their own starts: 0, 1.5, 2 and 2 s.
	near("median lag", s.Lag.Median, 1.75)
	near("longest lag", s.Lag.Max, 2)
}

func TestScoreOnlineStarts(t *testing.T) {
	gt := make([]string, 100)
	for i := range gt {
		gt[i] = string("AB"[i/50])
	}
	v := OnlineVideo{Name: "t", GT: gt, Rate: 1, Origin: origin, Events: []Event{
		event(EventCommitted, "A", 0, 0, 20, 21),
		event(EventCommitted, "A", 20, 20, 47, 49), // goes on: a change of release, say
		event(EventCommitted, "B", 47, 47, 100, 101),
	}}
	s, err := ScoreOnline([]OnlineVideo{v, v})
	if err != nil {
		t.Fatal(err)
	}
	// A is one segment, decided at 21; B begins 3 s early.
	if x := s.Starts; x.True != 4 || x.Found != 4 || x.Within1 != 50 || x.Within2 != 50 || x.Within5 != 100 || x.Delay != (Spread{36, 51, 51}) {
		t.Errorf("starts %+v", x)
	}
	if s.Provisional != nil || s.RevisionsPerMinute != 0 {
		t.Errorf("without provisional events: %+v, %g", s.Provisional, s.RevisionsPerMinute)
	}
	// Nothing found.
	v.Events = []Event{event(EventCommitted, "C", 0, 0, 100, 100)}
	if s, err = ScoreOnline([]OnlineVideo{v}); err != nil || s.Starts.Found != 0 || s.Starts.Delay != (Spread{}) || s.Starts.Within5 != 0 {
		t.Errorf("%+v, %v", s.Starts, err)
	}
}

func TestScoreOnlineRefuses(t *testing.T) {
	twice := example()
	twice.Events = append(twice.Events, twice.Events[3])
	noRate := example()
	noRate.Rate = 0
	noFrames := example()
	noFrames.GT = nil
	for want, list := range map[string][]OnlineVideo{
		"no takes":               nil,
		"t: committed stream: ":  {twice},
		"0 frames a second":      {noRate},
		"the video has no frame": {noFrames},
	} {
		if _, err := ScoreOnline(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSpread(t *testing.T) {
	list := make([]float64, 40)
	for i := range list {
		list[i] = float64(40 - i)
	}
	if got := spread(list); got != (Spread{20.5, 38, 40}) { // 38 of 40 are 95 %
		t.Errorf("%+v", got)
	}
	if got := spread([]float64{3}); got != (Spread{3, 3, 3}) {
		t.Errorf("%+v", got)
	}
}

func TestEventsRoundTrip(t *testing.T) {
	want := example().Events
	want = append(want, Event{Take: "t", Kind: EventOrigin, Start: origin})
	want[0].Device, want[0].Release, want[0].Reason, want[0].Confidence, want[0].Bound = "rig", "r1", "gap", .5, 7
	want[0].Bridged, want[0].Rushed = 1, 2
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := WriteEvents(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadEvents(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

const goodEvent = `{"take":"t","kind":"committed","label":"a","start_ns":1,"end_ns":2,"decided_ns":3,"first_seq":0,"last_seq":4,"revision":0,"confidence":1,"bound_ns":0}`

func TestEventsRefused(t *testing.T) {
	change := func(from, to string) string { return "\n" + strings.Replace(goodEvent, from, to, 1) }
	for text, want := range map[string]string{
		"":                                       "f is empty",
		"{":                                      "f:1: unexpected EOF",
		"[]":                                     "f:1: json:",
		goodEvent + " {}":                        "f:1: text follows",
		change(`"t"`, `""`):                      "f:2: take is missing",
		change(`"committed"`, `"final"`):         `f:2: kind is "final"`,
		change(`"label":"a"`, `"label":""`):      "f:2: the label is empty",
		change(`"start_ns":1`, `"x":1`):          `f:2: json: unknown field "x"`,
		change(`"start_ns":1`, `"start_ns":-1`):  "f:2: start_ns is -1",
		change(`"end_ns":2`, `"end_ns":1`):       "f:2: end_ns is 1",
		change(`"decided_ns":3,`, ``):            "f:2: decided_ns is 0",
		change(`"first_seq":0`, `"first_seq":9`): "f:2: last_seq is 4, before",
		change(`"take"`, `"open":true,"take"`):   "f:2: a committed segment has ended",
		strings.Repeat(" ", maxEventLine+1):      "f:1: the line is longer",
	} {
		if _, err := parseEvents("f", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(goodEvent + "\n\n" + goodEvent))
	f.Add([]byte(`{"take":"t","kind":"origin","start_ns":5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseEvents("f", bytes.NewReader(data))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f") && !strings.HasPrefix(err.Error(), "read f") {
				t.Fatalf("%v does not name the file", err)
			}
			return
		}
		var b bytes.Buffer
		for i := range list {
			if err := WriteEvent(&b, &list[i]); err != nil {
				t.Fatal(err)
			}
		}
		again, err := parseEvents("f", &b)
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("%+v, %v after writing %+v", again, err, list)
		}
		// Any events can be scored, or are refused.
		_, _ = ScoreOnline([]OnlineVideo{{Name: "v", GT: []string{"a", "b"}, Rate: 1, Events: list}})
	})
}
