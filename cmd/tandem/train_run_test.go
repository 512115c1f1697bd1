package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/learn/nn"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/trainer/compare"
	"tandem/trainer/method"
)

// student reads what a training has written.
func student(t *testing.T, dir string) (model, checkpoint []byte, report compare.Report) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if err := json.Unmarshal(read(studentReport), &report); err != nil {
		t.Fatal(err)
	}
	return read(studentModel), read(studentCheckpoint), report
}

func TestTrainRunWritesTheStudent(t *testing.T) {
	root, out := trainSet(t), filepath.Join(t.TempDir(), "runs", "tandem")
	args := quickTraining("train run", root, "--method", "tandem", "--fold", "1", "--network", "causal", "--lags", "0,2",
		"--teacher-network", "tcn", "--seed", "7", "--hold", "3")
	stdout, stderr := succeed(t, append(args, "--out", out)...)
	for _, want := range []string{"student    tandem on pumps, fold 1, seed 7: causal of 2 pairs", "agreement  with the teacher on 1 held-out pairs: MoF",
		"next:      tandem train compare --data " + root, "--teacher-network tcn --hold 3\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "teacher: 1 of 1, loss ") || !strings.Contains(stderr, "tandem: 1 of 1, loss ") {
		t.Errorf("progress %q", stderr)
	}
	model, checkpoint, r := student(t, out)
	if err := ort.Init(""); err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(model, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if in := s.Inputs(); len(in) != 1 || in[0].Shape[2] != 3 || len(s.Outputs()) != 2 {
		t.Errorf("inputs %v, outputs %v", in, s.Outputs())
	}
	c, err := nn.DecodeCheckpoint(checkpoint)
	if err != nil || c.Meta["method"] != "tandem" || len(c.Tensors) == 0 {
		t.Errorf("checkpoint %v, %v", c.Meta, err)
	}
	all := slices.Concat(r.Pairs, r.Chosen, r.Gate)
	slices.Sort(all)
	if !slices.Equal(all, []string{"a", "b", "c", "d"}) || len(r.Chosen) != 1 || len(r.Gate) != 1 {
		t.Errorf("trained on %q, chosen by %q, checked with %q", r.Pairs, r.Chosen, r.Gate)
	}
	if r.Seed != 7 || r.Network != "causal" || r.Teacher != "tcn" || r.Hold != 3 || r.Agreement == nil || len(r.Offsets) != 2 || len(r.InputDigest) != 64 {
		t.Errorf("%+v", r)
	}
	if r.Test != nil || r.UsesEgoLabels {
		t.Errorf("test scores nobody asked for: %+v", r.Test)
	}
	if _, err := os.Stat(out + ".last-good.checkpoint"); !os.IsNotExist(err) {
		t.Error("something is left beside the directory")
	}

	// The same with other words, and with scores.
	again := filepath.Join(t.TempDir(), "again")
	args[1] = "--score"
	succeed(t, append(args, "--out", again)...)
	m, k, scored := student(t, again)
	if !bytes.Equal(m, model) || !bytes.Equal(k, checkpoint) {
		t.Error("`train --method` gives another student than `train run`")
	}
	if scored.Test == nil || !slices.Equal(scored.Test.Takes, []string{"e"}) || scored.Test.Exo == nil || !strings.Contains(scored.Test.Warning, "ego labels") {
		t.Errorf("scores %+v", scored.Test)
	}
}

// Labels of the ego view that nobody can read change nothing for any method but the oracle, because nobody opens them.
func TestTrainRunNeverOpensEgoLabels(t *testing.T) {
	root := trainSet(t)
	spoilt := trainSet(t)
	for _, take := range []string{"a", "b", "c", "d", "e"} {
		putText(t, spoilt, "groundTruth_ego/"+take+".txt", "hammer\n")
	}
	for _, name := range method.Names() {
		if m, err := method.Get(name); err != nil || m.UsesOracle() || name == "feature-extractor" { // which learns from pictures
			continue
		}
		a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
		succeed(t, quickTraining("train", root, "--method", name, "--out", a)...)
		succeed(t, quickTraining("train", spoilt, "--method", name, "--out", b)...)
		modelA, checkpointA, _ := student(t, a)
		modelB, checkpointB, _ := student(t, b)
		if !bytes.Equal(modelA, modelB) || !bytes.Equal(checkpointA, checkpointB) {
			t.Errorf("%s: other ego labels give another student", name)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{{"--method", "ego-oracle"}, {"--method", "tas", "--fold", "1", "--score"}} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), quickTraining("train run", spoilt, append(args, "--out", out)...), &stdout, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), `groundTruth_ego`) || !strings.Contains(stderr.String(), `"hammer"`) {
			t.Errorf("%q: status %d, %s", args, code, stderr.String())
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%q: something was written", args)
		}
	}
}

func TestADivergedTrainingKeepsItsLastGoodParameters(t *testing.T) {
	root := trainSet(t)
	out := filepath.Join(t.TempDir(), "student")
	var stdout, stderr bytes.Buffer
	args := quickTraining("train run", root, "--method", "tas", "--rate", "1e30", "--out", out)
	kept := out + ".last-good.checkpoint"
	if code := run(t.Context(), append(args, "--epochs", "9"), &stdout, &stderr); code != exitFailed ||
		!strings.Contains(stderr.String(), "diverged at step") || !strings.Contains(stderr.String(), kept) {
		t.Fatalf("status %d, %s", code, stderr.String())
	}
	c, err := nn.ReadCheckpoint(kept) // which refuses what is not finite
	if err != nil || c.Meta["stage"] != "teacher" || len(c.Tensors) == 0 {
		t.Errorf("%v, %v", c.Meta, err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) || stdout.Len() > 0 {
		t.Error("something was written")
	}
}

func TestTrainRunMakesABundle(t *testing.T) {
	from := modeltest.New(t, modeltest.Options{Release: "line-0001", RateHz: 10})
	raw, root, out := trainSetOf(t, from.Extractor.Dim), filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "rig")
	succeed(t, "train", "import", "--from", raw, "--source-rate", "10", "--out", root)
	args := quickTraining("train run", root, "--method", "tandem", "--network", "causal", "--lags", "0,2", "--hold", "auto", "--seed", "4")
	stdout, _ := succeed(t, append(args, "--extractor", from.Path, "--out", out)...)
	if !strings.Contains(stdout, filepath.Join(out, studentBundle)+": release tandem-4, for rigs") {
		t.Errorf("stdout %s", stdout)
	}
	b, err := bundle.Read(filepath.Join(out, studentBundle))
	if err != nil {
		t.Fatal(err)
	}
	var r compare.Report
	if err := json.Unmarshal(b.Report, &r); err != nil || r.Method != "tandem" || r.Hold != b.Segmenter.Decode.MinFrames || r.Hold < 2 {
		t.Errorf("report %+v, %v; the hold is %d", r, err, b.Segmenter.Decode.MinFrames)
	}
	if b.Release != "tandem-4" || b.Parent != "line-0001" || b.RateHz != 10 || !slices.Equal(b.Labels, []string{"step_0", "step_1", "step_2"}) {
		t.Errorf("%+v", b.Manifest)
	}
	m, err := model.Open(b, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Probe(); err != nil {
		t.Error(err)
	}

	for _, c := range []struct{ data, extractor, want string }{
		{root, "builtin", "so they were made by another one"},
		{raw, from.Path, "the rate of pumps isn't known"},
		{root, modeltest.New(t, modeltest.Options{RateHz: 5}).Path, "is for 5"},
		{root, raw, "manifest.json"},
	} {
		var stdout, stderr bytes.Buffer
		args := quickTraining("train run", c.data, "--method", "tas", "--network", "causal", "--extractor", c.extractor, "--out", out+"2")
		if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: status %d, %s", c.want, code, stderr.String())
		}
	}
}

func TestTrainRunNamesWrongUse(t *testing.T) {
	there := t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"run", "--data is missing"},
		{"--seed 2", "--data is missing"},
		{"run --data x", "--method is missing"},
		{"run --data x --method magic", "--out is missing"},
		{"run --data x --method magic --out y", `no method "magic"`},
		{"run --data x --method tas --out THERE", "is there already"},
		{"run --data x --method tas --out y --seed 0", "--seed is 0"},
		{"run --data x --method tas --out y --threads 0", "--threads is 0"},
		{"run --data x --method tas --out y --choose 0.5", "expected 0 to 0.4"},
		{"run --data x --method tas --out y --gate -1", "expected 0 to 0.4"},
		{"run --data x --method tas --out y --score", "name a fold"},
		{"run --data x --method tas --out y --lags 0,2", "not causal"},
		{"run --data x --method tas --out y --extractor builtin --window 8,2", "FRAMES,HOP,RIGHT"},
		{"run --data x --method tas --out y --network causal --extractor builtin --window 8,2,2", "not causal"},
		{"run --data x --method tas --out y --extractor builtin --prior -1", "--prior is -1"},
		{"run --data x --method tas --out y --prior 1", "--extractor is missing"},
		{"run --data x --method tas --out y --release r", "--extractor is missing"},
		{"run --data x --method tas --out y --network causal --extractor builtin --release R!", `--release "R!"`},
		{"run --data x --method tas --out y now", `unexpected argument "now"`},
		{"walk", `unknown command "walk"`},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"train"}, strings.Fields(strings.ReplaceAll(c.args, "THERE", there))...)
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%q: status %d, %q", c.args, code, stderr.String())
		}
	}
}
