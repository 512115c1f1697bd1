package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"tandem/runtime/bundle"
	"tandem/runtime/model/modeltest"
	"tandem/trainer/quantize"
	"tandem/trainer/replay"
)

func TestTrainQuantize(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{Release: "r1"})
	first, second, dir := video(t), video(t), filepath.Join(t.TempDir(), "int8")
	quantizeWith := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"train", "quantize"}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	code, stdout, stderr := quantizeWith(b.Path, "--video", first, "--video", second, "--out", dir, "--json")
	var r quantize.Report
	if err := json.Unmarshal([]byte(stdout), &r); code != exitOK || err != nil {
		t.Fatalf("exit %d, %v, %s", code, err, stderr)
	}
	d, err := bundle.Read(dir)
	if err != nil || d.Release != "r1-int8" || r.Extractor.Nodes == 0 || r.Segmenter.Nodes != 0 || r.Extractor.Agreement.Samples == 0 {
		t.Errorf("%v, %+v", err, r)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no bundle":    {nil, "0 arguments"},
		"no out":       {[]string{b.Path}, "--out is missing"},
		"nothing":      {[]string{b.Path, "--out", dir + "2"}, "neither --data nor --video"},
		"one video":    {[]string{b.Path, "--out", dir + "2", "--video", first}, "at least two are needed"},
		"out is there": {[]string{b.Path, "--out", dir, "--video", first, "--video", second}, "is there already"},
		"no data":      {[]string{b.Path, "--out", dir + "2", "--video", first, "--video", second, "--score"}, "for which --data is missing"},
		"two views":    {[]string{b.Path, "--out", dir + "2", "--data", "x", "--view", "a,b", "--score"}, "--score needs one --view"},
		"share":        {[]string{b.Path, "--out", dir + "2", "--data", "x", "--share", "2"}, "--share is 2"},
	} {
		if code, _, stderr := quantizeWith(c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

// TestTrainQuantizeScores quantizes a trained student and scores both on the test take.
func TestTrainQuantizeScores(t *testing.T) {
	from := modeltest.New(t, modeltest.Options{RateHz: 10})
	raw, root, dir := trainSetOf(t, from.Extractor.Dim), filepath.Join(t.TempDir(), "own"), t.TempDir()
	succeed(t, "train", "import", "--from", raw, "--source-rate", "10", "--out", root)
	rig, int8 := filepath.Join(dir, "rig"), filepath.Join(dir, "int8")
	args := quickTraining("train run", root, "--method", "tandem", "--fold", "1", "--extractor", from.Path, "--network", "causal", "--lags", "0,2", "--out", rig)
	succeed(t, args...)
	bundleDir := filepath.Join(rig, studentBundle)
	stdout, _ := succeed(t, "train", "quantize", bundleDir, "--data", root, "--view", "ego", "--score", "--out", int8)
	if !strings.Contains(stdout, "scores     of 1 test takes, view ego, whose labels were read: float32 MoF ") {
		t.Errorf("got %s", stdout)
	}
	d, err := bundle.Read(int8)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Quantization quantize.Report `json:"quantization"`
	}
	if err := json.Unmarshal(d.Report, &r); err != nil {
		t.Fatal(err)
	}
	// The whole-sequence evaluation of the same bundle agrees with the report.
	stdout, _ = succeed(t, "eval", "--stream", bundleDir, "--data", root, "--json")
	var e replay.Report
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	x := r.Quantization.Scores
	if x == nil || x.Warning == "" || x.View != "ego" || x.Float32.MoF != e.Rows[len(e.Rows)-1].MoF || x.Int8.MoF == 0 || r.Quantization.Segmenter.Agreement.Samples != 60 {
		t.Errorf("%+v, %+v", r.Quantization, x)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"train", "quantize", bundleDir, "--data", root, "--view", "left", "--out", int8 + "2"}, &out, &errs); code != exitFailed ||
		!strings.Contains(errs.String(), `0 sequences of the views ["left"] to observe`) {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}
