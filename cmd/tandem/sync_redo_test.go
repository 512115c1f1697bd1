package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/stream/wire"
	"tandem/trainer"
	"tandem/trainer/dataset"
	"tandem/trainer/realign"
)

// pairsArchive stores a take of six seconds in a trainer's archive. The camera is 0.4 s late.
func pairsArchive(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store", "pairs")
	a, err := trainer.OpenArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	const n, batches = 10, 6
	for k := range batches {
		stamps, seq, features := make([]int64, n), make([]int64, n), []byte(nil)
		x := &wire.ExoTrack{
			Device: "exo1", Take: "t-1", Release: "r-1", Extractor: strings.Repeat("e", 64), RateHz: 10, Dim: 2,
			StampKind: wire.StampKind_STAMP_KIND_ARRIVAL, ClockSource: wire.ClockSource_CLOCK_SOURCE_NTP,
		}
		for i := range n {
			at := int64(k*n + i)
			seq[i], stamps[i] = at, 1_790_000_000_000_000_000+at*1e8
			features, _ = wire.AppendF16(features, []float32{float32(at), 1})
			x.Index, x.DtNs, x.BoundNs = append(x.Index, int32(i)), append(x.DtNs, 0), append(x.BoundNs, 2e6)
			x.Grade = append(x.Grade, wire.Grade_GRADE_GOLD)
		}
		times := wire.AppendDeltas(nil, stamps)
		x.Seq, x.RawNs, x.SiteNs, x.Features = wire.AppendDeltas(nil, seq), times, times, features
		b := &wire.PairBatch{Exo: []*wire.ExoTrack{x}, Last: k == batches-1, Ego: &wire.SampleBatch{
			Device: "rig-1", Take: "take-1", Release: "r-1", Extractor: strings.Repeat("e", 64), RateHz: 10, FirstSeq: uint64(k * n),
			RawNs: times, SiteNs: times, StampKind: wire.StampKind_STAMP_KIND_ARRIVAL, ClockSource: wire.ClockSource_CLOCK_SOURCE_NTP,
			BoundNs: 1e6, Dim: 2, Features: features, Last: k == batches-1,
		}}
		if _, err := a.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runArgs runs a command line.
func runArgs(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, errs.String()
}

func TestSyncRedo(t *testing.T) {
	in := pairsArchive(t)
	for name, from := range map[string]string{"the pairs": in, "the store": filepath.Dir(in)} {
		out := filepath.Join(t.TempDir(), "aligned")
		stdout, stderr := succeed(t, "sync", "redo", from, "--out", out, "--offset", "rig-1/exo1=400±3")
		for _, want := range []string{
			"rig-1/take-1  exo1    realigned  +400.0 ms ±3.0  60      56     56    0       0       bound 1, no_exo 3  60           4\n",
			"Every sample was read again from " + out, "Next: tandem train import --from " + out + " --check",
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: no %q in\n%s", name, want, stdout)
			}
		}
		if !strings.Contains(stderr, "takes: 1 of 1, "+out) {
			t.Errorf("progress %q", stderr)
		}
		usable(t, out)
	}
}

// usable checks that the archive goes where archives go: into data sets, into trainings, and under a trainer.
func usable(t *testing.T, dir string) {
	t.Helper()
	if stdout, _ := succeed(t, "train", "import", "--from", dir, "--check"); !strings.Contains(stdout, "problems  none") {
		t.Errorf("import --check says\n%s", stdout)
	}
	imported := filepath.Join(t.TempDir(), "imported")
	succeed(t, "train", "import", "--from", dir, "--out", imported)
	d, err := dataset.Open(t.Context(), imported, dataset.Auto, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(d.Takes()) != 1 || d.Takes()[0].Samples != 60 {
		t.Errorf("imported %+v", d.Takes())
	}
	// A training reads it, and then misses the labels that an archive of pairs never has.
	for _, data := range []string{dir, imported} {
		code, stderr := runArgs(t, quickTraining("train run", data, "--method", "tandem", "--out", filepath.Join(t.TempDir(), "s"))...)
		if code != exitFailed || !strings.Contains(stderr, "has no takes with exo labels") {
			t.Errorf("train run: %d, %s", code, stderr)
		}
	}
	a, err := trainer.OpenArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if s := a.Stats(); s.Takes != 1 || s.Ended != 1 || s.Pairs != 56 || s.Unpaired != 4 || s.Torn != 0 {
		t.Errorf("a trainer finds %+v", s)
	}
}

// What is printed as JSON can be given to the next run.
func TestSyncRedoJSON(t *testing.T) {
	in, dir := pairsArchive(t), t.TempDir()
	one, two, back := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "back")
	stdout, _ := succeed(t, "sync", "redo", in, "--out", one, "--offset", "exo1=400+-3", "--json")
	var got struct {
		realign.Report
		Offsets []realign.Offset `json:"offsets"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if want := (realign.Offset{Device: "rig-1", Take: "take-1", Camera: "exo1", OffsetMS: 400, ErrorMS: 3}); len(got.Offsets) != 1 || got.Offsets[0] != want {
		t.Errorf("offsets %+v, want %+v", got.Offsets, want)
	}
	if c := got.Takes[0].Cameras[0]; c.After.Gold != 56 || c.Before.Gold != 60 || c.After.Rejected["no_exo"] != 3 || c.Samples != 60 || c.Unpaired != 4 {
		t.Errorf("%+v", c)
	}
	file := filepath.Join(dir, "offsets.json")
	if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, "sync", "redo", in, "--out", two, "--offsets", file)
	succeed(t, "sync", "redo", one, "--out", back, "--undo")
	read := func(dir string) string {
		data, err := os.ReadFile(filepath.Join(dir, "rig-1", "take-1.pairs"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if read(one) != read(two) || read(in) != read(back) || read(one) == read(in) {
		t.Error("the same offsets gave another archive, or --undo did not give the first one back")
	}
	// --offset counts before --offsets.
	stdout, _ = succeed(t, "sync", "redo", one, "--out", filepath.Join(dir, "three"), "--offsets", file, "--offset", "rig-1/take-1/exo1=100")
	if !strings.Contains(stdout, "+100.0 ms") {
		t.Errorf("got\n%s", stdout)
	}
}

func TestSyncRedoUsage(t *testing.T) {
	in, dir := pairsArchive(t), t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`[{"camera": "exo1", "offset_ms": 1e30}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--out " + out + " --undo", exitUsage, "0 archives: name one"},
		{in + " --undo", exitUsage, "--out is missing"},
		{in + " --out " + out, exitUsage, "no offset: give --offset or --offsets"},
		{in + " --out " + out + " --undo --estimate", exitUsage, "leave --offset, --offsets and --estimate out"},
		{in + " --out " + out + " --offset exo1", exitUsage, `offset "exo1": expected [DEVICE/[TAKE/]]CAMERA=MS`},
		{in + " --out " + out + " --offset exo1=soon", exitUsage, `"soon" is no number of milliseconds`},
		{in + " --out " + out + " --offset exo1=5±x", exitUsage, `"x" is no number of milliseconds`},
		{in + " --out " + out + " --offset a/b/c/d=5", exitUsage, "expected [DEVICE/"},
		{in + " --out " + out + " --offset Exo1=5", exitUsage, `camera: "Exo1" is not a token`},
		{in + " --out " + out + " --offset exo1=nan", exitUsage, "an offset of NaN ms"},
		{in + " --out " + out + " --undo --max-dt 2s", exitUsage, "--max-dt 2s"},
		{in + " --out " + dir + " --undo", exitUsage, "is not empty"},
		{in + " --out " + out + " --offsets " + bad, exitFailed, bad + ": element 1: exo1: an offset of 1e+30 ms, expected at most a day"},
		{in + " --out " + out + " --offsets " + out, exitFailed, "no such file"},
		{in + " --out " + out + " --offset exo2=5", exitFailed, "the offset for exo2 fits no camera of a take; there are rig-1/take-1/exo1"},
		{dir + " --out " + out + " --undo", exitFailed, "holds no DEVICE/TAKE.pairs"},
	} {
		code, stderr := runArgs(t, append([]string{"sync", "redo"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %d, %s; want %d, %s", c.args, code, stderr, c.code, c.want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
