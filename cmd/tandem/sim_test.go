package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/sim"
)

// simRun runs tandem sim and returns its exit status and what it printed.
func simRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"sim"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestSimRendersTakes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "takes")
	code, out, errs := simRun(t, "--out", dir, "--takes", "2", "--first", "3", "--seed", "5", "--minutes", "0.02", "--size", "96x64",
		"--cameras", "exo1,ego", "--offset-ms", "ego=130", "--latency-ms", "20", "--skew-ppm", "ego=40,exo1=-40", "--drop", "0.1", "--jitter-ms", "0", "--json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var r simReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(r.Takes) != 2 || r.Seed != 5 || r.Pictures < 100 || r.Takes[0].Dir != filepath.Join(dir, "take-003") {
		t.Errorf("report %+v", r)
	}
	take, err := sim.ReadTake(filepath.Join(dir, "take-004"))
	if err != nil {
		t.Fatal(err)
	}
	ego, _ := take.Camera("ego")
	exo, _ := take.Camera("exo1")
	if ego.OffsetNS != 130e6 || exo.OffsetNS != 0 || ego.SkewPPM != 40 || exo.SkewPPM != -40 || exo.LatencyNS != 20e6 || exo.JitterSDNS != 0 ||
		exo.DropRate != 0.1 || ego.Width != 96 || len(take.Cameras) != 2 || take.Frames != 36 {
		t.Errorf("flags got lost: %+v %+v", ego, exo)
	}
	if code, _, errs := simRun(t, "--out", dir, "--seed", "5", "--first", "3"); code != exitFailed || !strings.Contains(errs, "take-003") {
		t.Errorf("over an old take: exit %d, %s", code, errs)
	}
}

func TestSimFollowsAProcessFile(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.tsv"), filepath.Join(dir, "bad.tsv")
	if err := os.WriteFile(good, []byte("0\t20\tcut bread\n20\t40\tput on plate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, []byte("0\t20\tcut bread\n10\t40\tput on plate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := simRun(t, "--out", filepath.Join(dir, "a"), "--process", good, "--size", "64x48", "--cameras", "ego")
	if code != exitOK || !strings.Contains(out, "2 segments of 2 labels") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	code, _, errs = simRun(t, "--out", filepath.Join(dir, "b"), "--process", bad)
	if code != exitFailed || !strings.Contains(errs, bad+":2: ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("bad file: exit %d, %q", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); !os.IsNotExist(err) {
		t.Errorf("a failed run leaves %s: %v", filepath.Join(dir, "b"), err)
	}
}

func TestSimNamesWrongFlags(t *testing.T) {
	out := t.TempDir()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "--out is missing"},
		{[]string{"--out", out, "--takes", "0"}, "--takes 0"},
		{[]string{"--out", out, "--first", "0"}, "--first 0"},
		{[]string{"--out", out, "--minutes", "-1"}, "--minutes -1"},
		{[]string{"--out", out, "--minutes", "NaN"}, "--minutes NaN"},
		{[]string{"--out", out, "--parallel", "-1"}, "--parallel -1"},
		{[]string{"--out", out, "--fps", "0.5"}, "fps 0.5"},
		{[]string{"--out", out, "--cameras", "exo9"}, `camera "exo9"`},
		{[]string{"--out", out, "--size", "ego=320"}, `--size "ego=320"`},
		{[]string{"--out", out, "--size", "321x240"}, "width 321"},
		{[]string{"--out", out, "--drop", "half"}, `--drop "half"`},
		{[]string{"--out", out, "--drop", "ego=2"}, `camera "ego": drop 2`},
		{[]string{"--out", out, "--offset-ms", "exo7=2"}, `camera "exo7" doesn't record`},
		{[]string{"--out", out, "--cameras", "ego", "--skew-ppm", "exo1=2"}, `camera "exo1" doesn't record`},
		{[]string{"--out", out, "extra"}, `unexpected argument "extra"`},
		{[]string{"--out", out, "--speed", "3"}, "unknown flag: --speed"},
	} {
		code, _, errs := simRun(t, tc.args...)
		if code != exitUsage || !strings.Contains(errs, tc.want) {
			t.Errorf("%q: exit %d, %s; want 2 and %q", tc.args, code, errs, tc.want)
		}
	}
}
