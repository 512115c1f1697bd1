package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"testing"

	"tandem/cmd/tandem/edgebench"
	"tandem/runtime/model/modeltest"
)

// asCommand makes the test binary the command, so that tests can start processes of it.
const asCommand = "TANDEM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run()) //nolint:forbidigo // TestMain's way to report
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:forbidigo // as main does
}

func TestBenchPipelineMeasures(t *testing.T) {
	t.Setenv(asCommand, "1")
	dir := modeltest.New(t, modeltest.Options{RateHz: 15}).Path
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{
		"bench", "pipeline", "--bundle", dir, "--size", "64x48", "--length", "4", "--rounds", "1", "--seconds", "0.01", "--paced", "0.1",
		"--hours", "0.002", "--json",
	}, &out, &errs)
	var report struct {
		Host benchHost `json:"host"`
		edgebench.Report
		Missed []string `json:"missed"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: exit %d, %s", err, code, errs.String())
	}
	if (code == exitOK) != (len(report.Missed) == 0) || code == exitUsage {
		t.Errorf("exit %d, missed %q", code, report.Missed)
	}
	if len(report.Pipeline) != 2 || len(report.Paced) != 2 || report.Hours == nil || report.Host.Cores == 0 || report.Missed == nil {
		t.Errorf("report %s", out.String())
	}
	// The agent plays 4 s at 15 Hz and pairs with its own view's other half.
	if a := report.Agent; a == nil || a.Samples < 50 || a.PairBatches < 3 || a.Peak < a.RSS {
		t.Errorf("agent %+v", a)
	}
}

func TestBenchSoakRuns(t *testing.T) {
	dir := modeltest.New(t, modeltest.Options{RateHz: 15}).Path
	var out, errs bytes.Buffer
	// So short a run has not settled: its memory may grow.
	code := run(t.Context(), []string{"bench", "soak", "--bundle", dir, "--size", "64x48", "--frames", "100", "--json"}, &out, &errs)
	var report struct {
		edgebench.Soak
		Missed []string `json:"missed"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: exit %d, %s", err, code, errs.String())
	}
	if report.Frames < 100 || len(report.Left) > 0 || (code == exitOK) != (len(report.Missed) == 0) {
		t.Errorf("exit %d: %s", code, out.String())
	}
	for _, m := range report.Missed {
		if !strings.HasPrefix(m, "memory grew") {
			t.Error(m)
		}
	}
}

func TestBenchPipelineRefusesWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--cameras 0":    {"pipeline", "--cameras", "0"},
		"--rounds 0":     {"pipeline", "--rounds", "0"},
		"--seconds NaN":  {"pipeline", "--seconds", "NaN"},
		"--paced -1":     {"pipeline", "--paced", "-1"},
		"--hours 2000":   {"pipeline", "--hours", "2000"},
		"--fps 0":        {"pipeline", "--fps", "0"},
		"--length 0":     {"pipeline", "--length", "0"},
		"--threads 0":    {"pipeline", "--threads", "0"},
		`--size "64"`:    {"pipeline", "--size", "64"},
		`--size "65x48"`: {"pipeline", "--size", "65x48"},
		"--frames 0":     {"soak", "--frames", "0"},
		"--swaps -1":     {"soak", "--swaps", "-1"},
		`--size "axb"`:   {"soak", "--size", "axb"},
		"--cameras 65":   {"soak", "--cameras", "65"},
		`"left.mp4"`:     {"pipeline", "left.mp4"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"bench"}, args...), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit %d, %q", args, code, errs.String())
		}
	}
}
