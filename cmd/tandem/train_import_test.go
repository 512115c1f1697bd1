package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/sim"
	"tandem/trainer/dataset"
	"tandem/trainer/dataset/npy"
)

// twoStream writes a data set of two takes with 4 frames of 2 and 3 features.
func twoStream(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "pumps")
	write := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, take := range []string{"a", "b"} {
		for view, dim := range map[string]int{"exo": 2, "ego": 3} {
			var buf bytes.Buffer
			w, err := npy.NewWriter(&buf, npy.Float32, false, dim, 4)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Floats(make([]float32, 4*dim)); err != nil {
				t.Fatal(err)
			}
			write("features_"+view+"/"+take+".npy", buf.Bytes())
		}
		write("groundTruth/"+take+".txt", []byte("background\nscrew\nscrew\nbackground\n"))
	}
	write("mapping.txt", []byte("0 background\n1 screw\n"))
	write("splits/train.split1.bundle", []byte("a.txt\n"))
	write("splits/test.split1.bundle", []byte("b.txt\n"))
	return root
}

func TestTrainImport(t *testing.T) {
	root := twoStream(t)
	out := filepath.Join(t.TempDir(), "own")
	const want = `data set  pumps (tandem)
rate      5 Hz, 0.00 hours
takes     2: 2 with exo labels, 2 with ego labels
samples   4, a take has 2 to 2; 0.0 MB of features
classes   2, background: background
views     exo  exo      2 features      2 takes
          ego  ego      3 features      2 takes
folds     1    1 to train on, 1 to test on, 1 pairs
written   OUT
`
	stdout, stderr := succeed(t, "train", "import", "--from", root, "--source-rate", "10", "--rate", "5", "--out", out)
	if got := strings.ReplaceAll(stdout, out, "OUT"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(stderr, "import: 2 of 2, pumps") {
		t.Errorf("no progress: %q", stderr)
	}
	stdout, _ = succeed(t, "train", "import", "--from", out, "--check", "--json")
	var s dataset.Summary
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "pumps" || s.Format != "tandem" || s.RateHz != 5 || s.Takes != 2 || s.Samples != 4 || len(s.Problems) != 0 || len(s.Views) != 2 {
		t.Errorf("%+v", s)
	}
}

// succeed runs a command that must.
func succeed(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != exitOK {
		t.Fatalf("%q: exit %d, %s", args, code, errs.String())
	}
	return out.String(), errs.String()
}

func TestTrainImportListsProblems(t *testing.T) {
	root := twoStream(t)
	for take, text := range map[string]string{"a": "screw\nhammer\nscrew\nscrew\n", "b": "screw\n"} {
		if err := os.WriteFile(filepath.Join(root, "groundTruth", take+".txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first := `take a: ` + root + `/groundTruth/a.txt:2: the label "hammer" is none of the 2 classes of mapping.txt`
	second := `take b: ` + root + `/groundTruth/b.txt has 1 label, ` + root + `/features_exo/b.npy has 4 frames; they must be of the same length`
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"train", "import", "--from", root, "--check"}, &out, &errs); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
	if !strings.Contains(out.String(), "problems  "+first+"\n          "+second+"\n") {
		t.Errorf("the problems are not listed:\n%s", out.String())
	}
	if !strings.HasSuffix(errs.String(), "tandem: "+root+" has 2 problems, the first: "+first+"\n") {
		t.Errorf("stderr %q", errs.String())
	}
	errs.Reset()
	target := filepath.Join(t.TempDir(), "out")
	if code := run(t.Context(), []string{"train", "import", "--from", root, "--out", target}, &out, &errs); code != exitFailed || !strings.HasSuffix(errs.String(), "tandem: "+first+"\n") {
		t.Errorf("import: exit %d, %q", code, errs.String())
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}

func TestTrainImportExtractsFeatures(t *testing.T) {
	root := filepath.Join(t.TempDir(), "takes")
	b := sim.Batch{
		Config: sim.Config{Seed: 1, Length: 2 * time.Second, FPS: 5, Cameras: sim.DefaultCameras("exo1", "ego")},
		Takes:  []sim.TakeSpec{{Index: 0}, {Index: 1}},
	}
	for i := range b.Config.Cameras {
		b.Config.Cameras[i].Width, b.Config.Cameras[i].Height = 64, 48
	}
	if _, err := b.Render(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "own")
	succeed(t, "train", "import", "--from", root, "--rate", "5", "--folds", "2", "--out", out)
	d, err := dataset.Open(t.Context(), out, dataset.Auto, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := d.Summary()
	if s.RateHz != 5 || s.Takes != 2 || s.Samples != 20 || s.EgoLabels != 2 || len(s.Folds) != 2 || len(s.Views) != 2 {
		t.Errorf("%+v", s)
	}
	if s.Views[0].Dim < 10 || s.Views[0].Dim != s.Views[1].Dim {
		t.Errorf("views %+v", s.Views)
	}
}

func TestTrainImportWrongUse(t *testing.T) {
	root := twoStream(t)
	for _, test := range []struct{ args, want string }{
		{"", "--from is missing: name the data set's directory"},
		{"--from ROOT", "--out is missing: name a directory to write to, or use --check"},
		{"--from ROOT --check --out x", "--check writes nothing; leave --out x out"},
		{"--from ROOT --check --format coco", "--format coco: expected tandem, two-stream, ms-tcn, assembly101, ego-exo4d, pairs, sim or auto"},
		{"--from ROOT --check --pool median", `pool "median": expected "first", "max" or "mean"`},
		{"--from ROOT --check --rate 5 --stride 2", "a stride of 2 and a rate of 5 Hz: expected one of them"},
		{"--from ROOT --check --threads 0", "--threads 0: expected 1 or more"},
		{"--from ROOT --check --clock truth", "--extractor, --frames and --clock are for videos; ROOT is a two-stream data set, which holds features"},
		{"--from ROOT --check now", `unexpected argument "now"`},
	} {
		args := append([]string{"train", "import"}, strings.Fields(strings.ReplaceAll(test.args, "ROOT", root))...)
		var out, errs bytes.Buffer
		code := run(t.Context(), args, &out, &errs)
		first, _, _ := strings.Cut(strings.ReplaceAll(errs.String(), root, "ROOT"), "\n")
		if code != exitUsage || first != "tandem: "+test.want {
			t.Errorf("%s: exit %d\ngot  %s\nwant %s", test.args, code, first, test.want)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"train", "import", "--from", filepath.Join(root, "no"), "--check"}, &out, &errs); code != exitFailed {
		t.Errorf("a missing directory: exit %d, %s", code, errs.String())
	}
}
