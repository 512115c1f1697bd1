package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"tandem/sync/clock/clocksim"
)

func TestBenchSyncMeasuresTheClock(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"bench", "sync", "--only", "clock", "--scale", "0.001", "--json"}, &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var report struct {
		Clock  clocksim.Report `json:"clock"`
		Missed []string        `json:"missed"`
		Scale  float64         `json:"scale"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Clock.Links) != 2 || report.Clock.Links[0].Link != "wired" || report.Clock.Links[0].Inside < clocksim.TargetInside ||
		report.Missed == nil || report.Scale != 0.001 {
		t.Errorf("report %+v", report)
	}
	var table bytes.Buffer
	if err := (syncClock{&report.Clock}).writeTable(&table); err != nil || !strings.Contains(table.String(), "server change") {
		t.Errorf("table %q, %v", table.String(), err)
	}
}

func TestBenchSyncRefusesWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`no part is called "clocks"`: {"--only", "clocks"},
		"--scale 0":                  {"--scale", "0"},
		"--scale NaN":                {"--scale", "NaN"},
		"--threads -1":               {"--threads", "-1"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"bench", "sync"}, args...), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit %d, %q", args, code, errs.String())
		}
	}
}
