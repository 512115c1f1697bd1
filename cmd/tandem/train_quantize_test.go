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
		"share":        {[]string{b.Path, "--out", dir + "2", "--data", "x", "--share", "2"}, "--share is 2"},
	} {
		if code, _, stderr := quantizeWith(c.args...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}
