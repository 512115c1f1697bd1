package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"tandem/runtime/model/modeltest"
	"tandem/trainer/replay"
)

// TestEvalStream trains a causal student and one in windows, and replays the test take through them.
func TestEvalStream(t *testing.T) {
	from := modeltest.New(t, modeltest.Options{Release: "line-0001", RateHz: 10})
	raw, root, dir := trainSetOf(t, from.Extractor.Dim), filepath.Join(t.TempDir(), "own"), t.TempDir()
	succeed(t, "train", "import", "--from", raw, "--source-rate", "10", "--out", root)
	rig, windows := filepath.Join(dir, "rig"), filepath.Join(dir, "windows")
	args := quickTraining("train run", root, "--method", "tandem", "--fold", "1", "--seed", "4", "--extractor", from.Path)
	succeed(t, append(args, "--network", "causal", "--lags", "0,2", "--hold", "auto", "--commit-lag", "0.6", "--out", rig)...)
	succeed(t, append(args, "--prior", "1", "--window", "20,2,4", "--out", windows)...)

	var r replay.Report
	stdout, _ := succeed(t, "eval", "--stream", rig, "--data", root, "--json")
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	one := r.Students[0]
	if len(r.Takes) != 1 || r.Samples != 60 || r.View != "ego" || one.Network != "causal, lags 0, 2" || one.Difference == nil || *one.Difference > 1e-4 {
		t.Errorf("%+v", r)
	}
	last := r.Rows[len(r.Rows)-1]
	if want := (replay.Variant{Lag: true, Hold: true}); last.Stream != replay.Committed || last.Variant != want || last.Late > .6 || last.SD != nil {
		t.Errorf("the last row is %+v", last)
	}
	// A bundle alone is its own network over whole takes; two of them have a spread.
	stdout, _ = succeed(t, "eval", "--stream", filepath.Join(rig, "bundle"), "--stream", rig, "--data", root, "--lag", "0.4")
	for _, want := range []string{"their labels were read", "means over the 2", "committed  yes   yes     no     0.4", " ± 0.0"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	stdout, _ = succeed(t, "eval", "--stream", windows, "--data", root, "--window", "30,2,6")
	if !strings.Contains(stdout, "windows of 30, hop 2, right 6") || strings.Count(stdout, "committed  ") != 8 {
		t.Errorf("got\n%s", stdout)
	}

	stdout, _ = succeed(t, "eval", "--stream", windows, "--data", root, "--no-prior")
	if strings.Count(stdout, "committed  ") != 4 {
		t.Errorf("got\n%s", stdout)
	}

	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--data is missing", []string{"--stream", rig}},
		{exitUsage, "--stream, which is missing", []string{"--data", root}},
		{exitUsage, "takes the labels of --data", []string{"--stream", rig, "--data", root, "--gt", "x"}},
		{exitUsage, "--lag is -1", []string{"--stream", rig, "--data", root, "--lag", "-1"}},
		{exitUsage, "FRAMES,HOP,RIGHT", []string{"--stream", rig, "--data", root, "--window", "3"}},
		{exitFailed, "expected a bundle, or what tandem train run --extractor wrote", []string{"--stream", dir, "--data", root}},
		{exitFailed, "can't commit within 0.1 s", []string{"--stream", rig, "--data", root, "--lag", "0.1"}},
		{exitFailed, `has no view "left"`, []string{"--stream", rig, "--data", root, "--view", "left"}},
		{exitFailed, `has no fold "9", expected one of ["1"]`, []string{"--stream", rig, "--data", root, "--fold", "9"}},
		{exitFailed, "window.frames is 9, expected right, 4, and a multiple of hop, 2", []string{"--stream", windows, "--data", root, "--window", "9,2,4"}},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"eval"}, c.args...), &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: status %d, %s", c.args, code, stderr.String())
		}
	}
}

// TestACommitLagThatIsTooShortIsRefusedBeforeTraining: the network is late by itself.
func TestACommitLagThatIsTooShortIsRefusedBeforeTraining(t *testing.T) {
	from := modeltest.New(t, modeltest.Options{RateHz: 10})
	raw, root := trainSetOf(t, from.Extractor.Dim), filepath.Join(t.TempDir(), "own")
	succeed(t, "train", "import", "--from", raw, "--source-rate", "10", "--out", root)
	for _, more := range [][]string{{"--network", "causal", "--lags", "0,5"}, {"--window", "20,2,4"}, {}, {"--network", "causal", "--prior", "1"}} {
		var stdout, stderr bytes.Buffer
		args := quickTraining("train run", root, "--method", "tas", "--extractor", from.Path, "--commit-lag", "0.4", "--out", filepath.Join(t.TempDir(), "out"))
		if code := run(t.Context(), append(args, more...), &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "--commit-lag 0.4 is 4 samples") {
			t.Errorf("%q: status %d, %s", more, code, stderr.String())
		}
	}
}
