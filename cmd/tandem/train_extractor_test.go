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
	"tandem/trainer"
	"tandem/trainer/backbone"
	"tandem/trainer/dataset"
)

// smallTakes renders takes of a few seconds in small pictures.
func smallTakes(t *testing.T, n int, cameras ...string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "takes")
	b := sim.Batch{Config: sim.Config{Seed: 1, Length: 6 * time.Second, FPS: 4, Cameras: sim.DefaultCameras(cameras...)}}
	for i := range b.Config.Cameras {
		b.Config.Cameras[i].Width, b.Config.Cameras[i].Height = 64, 48
	}
	for i := range n {
		b.Takes = append(b.Takes, sim.TakeSpec{Index: i})
	}
	if _, err := b.Render(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTrainExtractor(t *testing.T) {
	root, out := smallTakes(t, 6, "exo1"), filepath.Join(t.TempDir(), "extractor")
	args := []string{"train", "extractor", "--labelled", root, "--out", out, "--epochs", "1", "--batch", "12", "--seed", "4", "--features", "32", "--grid", "2"}
	stdout, stderr := succeed(t, append(args, "--json")...)
	var told backbone.Backbone
	if err := json.Unmarshal([]byte(stdout), &told); err != nil {
		t.Fatal(err)
	}
	b, err := backbone.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	// Of six takes the second chooses, the fifth is reported on.
	if h := b.Training; h.Seed != 4 || h.Split.Train < 45 || h.Split.Train > 55 || h.Split.Choose < 11 || h.Split.Choose > 14 || h.Split.Test < 11 || h.Split.Test > 14 ||
		len(h.TestTakes) != 1 || h.TestTakes[0] != "takes/take-005" || h.Best != 1 || told.Training.Test != h.Test {
		t.Errorf("it was trained as %+v", h)
	}
	if b.Contract.Dim != 32 || b.Network.Grid != 2 || b.Network.Width != 112 {
		t.Errorf("it is %+v", b.Network)
	}
	if !strings.Contains(stderr, "seed 4, ") || !strings.Contains(stderr, "epoch 1 of 1: loss") {
		t.Errorf("stderr %q", stderr)
	}
	if _, err := os.Stat(out + ".training"); !os.IsNotExist(err) {
		t.Errorf("the state was left behind: %v", err)
	}
	// What was trained makes features, and keeps pictures to be trained on.
	own := filepath.Join(t.TempDir(), "own")
	succeed(t, "train", "import", "--from", smallTakes(t, 2, "exo1", "ego"), "--extractor", out, "--frames", "--rate", "4", "--folds", "2", "--out", own)
	d, err := dataset.Open(t.Context(), own, dataset.Auto, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // only read
	take := d.Takes()[0]
	p, err := take.Pictures("ego")
	if err != nil || p.Len() != take.Samples || d.Views()[0].Dim != 32 || d.Extractor().Network.Grid != 2 {
		t.Errorf("%d samples, views %+v: %v", take.Samples, d.Views(), err)
	}
	var stdouts, errs bytes.Buffer
	code := run(t.Context(), []string{"train", "import", "--from", root, "--extractor", trainer.FilterBank, "--frames", "--check"}, &stdouts, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "extractor filterbank can't be trained on") {
		t.Errorf("pictures for the filter bank: exit %d, %s", code, errs.String())
	}
}

func TestTrainExtractorWrongUse(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ args, want string }{
		{"", "--labelled is missing: name a directory with labelled takes"},
		{"--labelled x", "--out is missing: name a directory to write to"},
		{"--labelled x --out DIR", "--out: DIR exists already; name another directory"},
		{"--labelled x --out y --rate 0", "--rate 0: expected more than 0 and at most 60"},
		{"--labelled x --out y --epochs 0", "--epochs 0 --batch 32: expected at least 1 and 2"},
		{"--labelled x --out y --threads 0", "--threads 0: expected 1 or more"},
		{"--labelled x --out y --features 100 --grid 4",
			"cnn: a grid of 4 for last maps of 7x7 and 100 features, expected 1 to 7 and a multiple of its square as features"},
	} {
		args := append([]string{"train", "extractor"}, strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))...)
		var out, errs bytes.Buffer
		code := run(t.Context(), args, &out, &errs)
		first, _, _ := strings.Cut(strings.ReplaceAll(errs.String(), dir, "DIR"), "\n")
		if code != exitUsage || first != "tandem: "+test.want {
			t.Errorf("%s: exit %d\ngot  %s\nwant %s", test.args, code, first, test.want)
		}
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"train", "extractor", "--labelled", dir, "--out", filepath.Join(dir, "out")}, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "holds no take") {
		t.Errorf("no takes: exit %d, %s", code, errs.String())
	}
	code = run(t.Context(), []string{"train", "extractor", "--labelled", smallTakes(t, 1, "exo1"), "--out", filepath.Join(dir, "out")}, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "give more takes, or --choose and --test") {
		t.Errorf("one take: exit %d, %s", code, errs.String())
	}
}
