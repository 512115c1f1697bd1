package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestBenchTrainTimesANetwork(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"bench", "train", "--only", "encoder-256", "--threads", "2", "--rounds", "1", "--steps", "2", "--json"}
	if code := run(t.Context(), args, &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var report benchTrainReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 1 || report.Host.Cores < 1 || report.ONNXRuntime == "" || report.Started.IsZero() {
		t.Fatalf("report %+v", report)
	}
	r := report.Results[0]
	if r.Name != "encoder-256" || r.Threads != 2 || r.Steps != 2 || r.BestMs <= 0 || r.Compared == nil || r.Compared.MedianMs != 54 {
		t.Errorf("result %+v", r)
	}
	var table bytes.Buffer
	if err := report.writeTable(&table); err != nil || !strings.Contains(table.String(), "encoder-256") {
		t.Errorf("table %q, %v", table.String(), err)
	}
}

func TestBenchTrainRefusesWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`no benchmark "resnet"`: {"--only", "resnet"},
		"--steps 0":             {"--steps", "0"},
		"--threads 0":           {"--threads", "1,0"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"bench", "train"}, args...), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit %d, %q", args, code, errs.String())
		}
	}
}
