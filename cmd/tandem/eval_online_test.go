package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/tas"
)

// onlineFiles writes a truth of 8 frames, "aaaabbbb", and a device's events of it, 4 frames a second.
func onlineFiles(t *testing.T, change func(list []tas.Event) []tas.Event) (events, gt string) {
	t.Helper()
	dir := t.TempDir()
	gt = filepath.Join(dir, "gt")
	if err := os.Mkdir(gt, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(gt, "one.txt"), []byte(strings.Repeat("a\n", 4)+strings.Repeat("b\n", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	const start = int64(5e9)
	e := func(kind, label string, first uint64, from, to, decided int64) tas.Event {
		return tas.Event{Device: "rig", Take: "one", Kind: kind, Label: label, Start: start + from*1e6, End: start + to*1e6, Decided: start + decided*1e6,
			FirstSeq: first, LastSeq: first}
	}
	list := []tas.Event{
		e(tas.EventConfirmed, "a", 0, 0, 250, 0), e(tas.EventCommitted, "a", 0, 0, 1000, 1500),
		e(tas.EventConfirmed, "b", 4, 1000, 1250, 1500), e(tas.EventCommitted, "b", 4, 1000, 2000, 2000),
		e(tas.EventProvisional, "a", 0, 0, 1250, 0), e(tas.EventProvisional, "b", 5, 1250, 2000, 1250),
	}
	if change != nil {
		list = change(list)
	}
	events = filepath.Join(dir, "events.jsonl")
	if err := tas.WriteEvents(events, list); err != nil {
		t.Fatal(err)
	}
	return events, gt
}

func onlineRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"eval"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestEvalOnline(t *testing.T) {
	events, gt := onlineFiles(t, nil)
	code, stdout, stderr := onlineRun(t, "--online", events, "--gt", gt, "--fps", "4", "--json", "--per-video")
	var r onlineReport
	if err := json.Unmarshal([]byte(stdout), &r); code != 0 || err != nil {
		t.Fatalf("exit %d: %v %s", code, err, stderr)
	}
	if r.Videos != 1 || r.Frames != 8 || r.Committed.MoF != 100 || r.Provisional.MoF != 87.5 || r.Starts.Found != 2 || r.Starts.Delay.Max != .5 {
		t.Errorf("%+v", r)
	}
	if r.RevisionsPerMinute != 30 || len(r.PerVideo) != 1 || r.PerVideo[0].Video != "one" || r.PerVideo[0].Committed.F1At50 != 100 {
		t.Errorf("%g revisions a minute, per video %+v", r.RevisionsPerMinute, r.PerVideo)
	}
	code, stdout, _ = onlineRun(t, "--online", events, "--gt", gt, "--fps", "4", "--per-video")
	if code != 0 || !strings.Contains(stdout, "all takes (1) provisional") || !strings.Contains(stdout, "revisions   30.00 a minute") {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
}

func TestEvalOnlineOrigin(t *testing.T) {
	// The truth began a frame before the first sample, and another take is nobody's business.
	events, gt := onlineFiles(t, func(list []tas.Event) []tas.Event {
		other := list[1]
		other.Take = "two"
		return append(list, other, tas.Event{Take: "one", Kind: tas.EventOrigin, Start: 4750e6})
	})
	code, stdout, stderr := onlineRun(t, "--online", events, "--gt", gt, "--fps", "4", "--json", "--device", "rig")
	var r onlineReport
	if err := json.Unmarshal([]byte(stdout), &r); code != 0 || err != nil {
		t.Fatalf("exit %d: %v %s", code, err, stderr)
	}
	if r.Committed.MoF != 75 || !strings.Contains(stderr, "without ground truth, which are left out: two") {
		t.Errorf("MoF %g, %s", r.Committed.MoF, stderr)
	}
}

func TestEvalOnlineRefuses(t *testing.T) {
	events, gt := onlineFiles(t, nil)
	two, _ := onlineFiles(t, func(list []tas.Event) []tas.Event {
		list[0].Device = "exo"
		return list
	})
	origins, _ := onlineFiles(t, func(list []tas.Event) []tas.Event {
		return append(list, tas.Event{Take: "one", Kind: tas.EventOrigin, Start: 1}, tas.Event{Take: "one", Kind: tas.EventOrigin, Start: 2})
	})
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"--fps is 0", 2, []string{"--online", events, "--gt", gt}},
		{"give one of them", 2, []string{"--online", events, "--gt", gt, "--pred", gt, "--fps", "4"}},
		{"--gt is missing", 2, []string{"--online", events, "--fps", "4"}},
		{"by the devices exo, rig; name one with --device", 1, []string{"--online", two, "--gt", gt, "--fps", "4"}},
		{"two origins", 1, []string{"--online", origins, "--gt", gt, "--fps", "4"}},
		{"has no events of take one by device cam", 1, []string{"--online", events, "--gt", gt, "--fps", "4", "--device", "cam"}},
		{"one.txt:1: invalid character", 1, []string{"--online", filepath.Join(gt, "one.txt"), "--gt", gt, "--fps", "4"}},
	} {
		code, _, stderr := onlineRun(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit %d, %s, want %d, %q", c.args, code, stderr, c.code, c.want)
		}
	}
}
