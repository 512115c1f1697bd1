package dataset

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzLines(f *testing.F) {
	f.Add("a.txt\r\n\n b \xff")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for l, err := range lines(strings.NewReader(text)) {
			if l.number <= last {
				t.Fatalf("line %d after line %d", l.number, last)
			}
			last = l.number
			if err == nil && (l.text == "" || l.text != strings.TrimSpace(l.text) || !utf8.ValidString(l.text)) {
				t.Fatalf("line %q", l.text)
			}
		}
	})
}

func FuzzSpan(f *testing.F) {
	f.Add("0000005\t0010\tone\tx")
	a := &assembly101{labels: map[string]int{"one": 0}}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := a.parseSpan(text); err == nil && (s.start < 0 || s.end <= s.start || s.end > maxFrames || s.class != 0) {
			t.Fatalf("%+v", s)
		}
	})
}

func FuzzActions(f *testing.F) {
	f.Add("action_id,action_cls\n1,b\n0,\"a, c\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := parseActions(strings.NewReader(text))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, n := range names {
			if n == "" || seen[n] {
				t.Fatalf("%q", names)
			}
			seen[n] = true
		}
	})
}

func FuzzFrameKey(f *testing.F) {
	f.Add("a/b/b_0000000012.jpg")
	f.Fuzz(func(t *testing.T, key string) {
		if n, err := frameOf(key, "a/b/b_"); err == nil && frameKey("a", "b", n) != key {
			t.Fatalf("%q is frame %d", key, n)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schema": 1, "views": [{"name": "exo", "role": "exo", "dim": 1}], "takes": [{"name": "a", "samples": 2, "views": ["exo"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		for _, x := range m.Takes {
			if x.Samples < 1 || checkName("take", x.Name) != nil {
				t.Fatalf("%+v", x)
			}
		}
	})
}

func FuzzKeysteps(f *testing.F) {
	f.Add([]byte(`{"vocabulary": {"7": "a"}, "x": [1], "annotations": {"u": {"segments": [{"start_time": 1, "end_time": 2, "step_unique_id": 7}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeysteps(bytes.NewReader(text))
		if err != nil {
			return
		}
		x := &egoExo4D{}
		if _, err := x.merge(k, &keysteps{}, nil); err != nil {
			return
		}
		for _, take := range k.takes {
			marks, err := x.readMarks(take)
			for _, m := range marks {
				if err == nil && (m.class < 1 || m.class >= len(x.labels)) && x.labels[m.class] != backgroundClass {
					t.Fatalf("%+v of %q", m, x.labels)
				}
			}
		}
	})
}

func FuzzTakes(f *testing.F) {
	f.Add([]byte(`[{"take_uid": "u", "take_name": "a", "duration_sec": 4.5, "capture": {"cameras": [{"cam_id": "cam01", "is_ego": true}]}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		takes, err := parseTakes(bytes.NewReader(text), map[string]keystepTake{"u": {}})
		if err == nil && len(takes) > 1 {
			t.Fatalf("%d takes of one id", len(takes))
		}
	})
}
