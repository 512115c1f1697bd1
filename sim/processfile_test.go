package sim

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseProcess(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []Step
	}{
		{"half-open", "0\t30\tcut\n30\t60\tput\n", []Step{{0, 30, "cut"}, {30, 60, "put"}}},
		{"gap is kept", "0\t30\tcut\n32\t60\tput\n", []Step{{0, 30, "cut"}, {32, 60, "put"}}},
		{"inclusive ends are closed", "0\t29\tcut\n30\t59\tput\n60\t80\tcut\n", []Step{{0, 30, "cut"}, {30, 60, "put"}, {60, 80, "cut"}}},
		{"further columns", "0\t30\tcut\t17\tanything\n", []Step{{0, 30, "cut"}}},
		{"spaces in labels", "0\t30\tcut the bread \n", []Step{{0, 30, "cut the bread"}}},
		{"other systems", "\ufeff0\t30\tcut\r\n\r\n30\t40\tput", []Step{{0, 30, "cut"}, {30, 40, "put"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParseProcess("f.tsv", strings.NewReader(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p.Steps, tc.want) {
				t.Errorf("steps %v, want %v", p.Steps, tc.want)
			}
		})
	}
}

func TestParseProcessSaysWhereAndWhat(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "f.tsv: no steps"},
		{"only blank lines", "\n \n", "f.tsv: no steps"},
		{"spaces for tabs", "0 30 cut\n", "f.tsv:1: 1 columns"},
		{"two columns", "0\t30\tcut\n30\t60\n", "f.tsv:2: 2 columns"},
		{"heading", "start\tend\tlabel\n", `f.tsv:1: start "start" is not a frame number`},
		{"seconds", "0\t1.5\tcut\n", `f.tsv:1: end "1.5" is not a frame number`},
		{"negative", "-3\t5\tcut\n", `f.tsv:1: start "-3"`},
		{"too far", "0\t99999999999999999999\tcut\n", `f.tsv:1: end "99999999999999999999"`},
		{"a day", "0\t2592000\tcut\n", `f.tsv:1: end "2592000"`},
		{"nothing long", "7\t7\tcut\n", "f.tsv:1: end 7 is not after start 7"},
		{"backwards", "9\t7\tcut\n", "f.tsv:1: end 7 is not after start 9"},
		{"no label", "0\t30\t \n", "f.tsv:1: the label is empty"},
		{"long label", "0\t30\t" + strings.Repeat("x", 201) + "\n", "f.tsv:1: the label has 201 bytes"},
		{"control character", "0\t30\ta\x07b\n", "control character"},
		{"not text", "0\t30\t\xff\xfe\n", "f.tsv:1: not UTF-8"},
		{"overlap", "0\t30\tcut\n\n20\t60\tput\n", "f.tsv:3: step starts in frame 20, before the one above ends in frame 30"},
		{"one endless line", strings.Repeat("x", 70000), "f.tsv:1: line longer than 64 kB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParseProcess("f.tsv", strings.NewReader(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, error %v; want one with %q", p, err, tc.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
		})
	}
}

func TestReadProcessNamesAMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.tsv")
	if _, err := ReadProcess(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte("0\t30\tcut\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadProcess(path); err != nil || p.Name != path {
		t.Errorf("%v, %v", p, err)
	}
}

func TestProcessDrivesTheTimeline(t *testing.T) {
	p, err := ParseProcess("p", strings.NewReader("15\t45\tcut\n45\t60\tbackground\n60\t90\tput\n90\t120\tput\n"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseProcess("q", strings.NewReader("0\t60\tput\n"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Processes: []*Process{p, q}, FPS: 60}
	take := func(cfg Config, i int) *Take {
		t.Helper()
		s, err := NewScene(cfg, TakeSpec{Index: i})
		if err != nil {
			t.Fatal(err)
		}
		return s.Take()
	}
	want := []Segment{{0, 30, Background}, {30, 90, "cut"}, {90, 120, Background}, {120, 240, "put"}}
	if got := take(cfg, 0).Segments; !reflect.DeepEqual(got, want) {
		t.Errorf("segments %v, want %v", got, want)
	}
	if got := take(cfg, 3); got.Frames != 120 || got.Segments[0].Label != "put" {
		t.Errorf("take 3 follows the wrong process: %v", got.Segments)
	}
	cfg.Length = time.Second
	want = []Segment{{0, 30, Background}, {30, 60, "cut"}}
	if got := take(cfg, 0).Segments; !reflect.DeepEqual(got, want) {
		t.Errorf("cut after a second: %v, want %v", got, want)
	}
	cfg.Length = 3 * time.Second
	want = []Segment{{0, 120, "put"}, {120, 180, Background}}
	if got := take(cfg, 1).Segments; !reflect.DeepEqual(got, want) {
		t.Errorf("longer than the process: %v, want %v", got, want)
	}
}

func TestLabelsOfAProcessMoveAndLookDifferently(t *testing.T) {
	var p Process
	for i := range 60 {
		p.Steps = append(p.Steps, Step{i, i + 1, strings.Repeat("x", i+1)})
	}
	v, err := newVocabulary([]*Process{&p})
	if err != nil {
		t.Fatal(err)
	}
	type how struct {
		motion motion
		place  [3]float64
		finish int
	}
	seen := map[how]string{}
	for _, a := range v.actions[1:] {
		h := how{a.motion, [3]float64{a.spot.X, a.spot.Y, a.spot.Z}, a.finish}
		if other, ok := seen[h]; ok && v.looks[a.part] == v.looks[v.actions[v.index[other]].part] {
			t.Errorf("%q and %q are the same", a.name, other)
		}
		seen[h] = a.name
	}
	again, err := newVocabulary([]*Process{&p})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v.actions, again.actions) || !reflect.DeepEqual(v.looks, again.looks) {
		t.Error("the same labels look different the second time")
	}
	for len(p.Steps) <= maxLabels {
		i := len(p.Steps)
		p.Steps = append(p.Steps, Step{i, i + 1, strings.Repeat("y", i)})
	}
	if _, err := newVocabulary([]*Process{&p}); err == nil || !strings.Contains(err.Error(), "more than 1000") {
		t.Errorf("error %v", err)
	}
}

func FuzzParseProcess(f *testing.F) {
	f.Add("0\t30\tcut\n31\t60\tput\tx\n")
	f.Add("0\t30\tcut\n20\t60\tput\n")
	f.Add("\ufeff0\t648000\t\u00e9\r\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProcess("f", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("error doesn't name the file: %v", err)
			}
			return
		}
		at := 0
		for _, s := range p.Steps {
			if s.Start < at || s.End <= s.Start || strings.TrimSpace(s.Label) == "" || strings.ContainsAny(s.Label, "\t\n\r") {
				t.Fatalf("step %+v after frame %d", s, at)
			}
			at = s.End
		}
		if at > maxProcessFrames+1 {
			t.Fatalf("process of %d frames", at)
		}
	})
}
