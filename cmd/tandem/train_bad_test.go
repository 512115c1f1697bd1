package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a data set stops training and comparing alike, with one line that names the file, and the frame or
// line in it. ROOT is the data set's directory.
func TestBadDataThroughTheCommand(t *testing.T) {
	values := func(frames int, bad float64) []float32 {
		list := make([]float32, 3*frames)
		for i := range list {
			list[i] = float32(i % 7)
		}
		if frames > 41 {
			list[41*3+2] = float32(bad)
		}
		return list
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, root string)
		want  string
	}{
		{"not a number", func(t *testing.T, root string) { putArray(t, root, "features_exo/b.npy", 3, values(60, math.NaN())) },
			"ROOT/features_exo/b.npy: feature 2 of frame 41 is NaN, expected a finite number"},
		{"infinite", func(t *testing.T, root string) { putArray(t, root, "features_ego/b.npy", 3, values(60, math.Inf(1))) },
			"ROOT/features_ego/b.npy: feature 2 of frame 41 is +Inf, expected a finite number"},
		{"another dimension", func(t *testing.T, root string) { putArray(t, root, "features_exo/c.npy", 4, make([]float32, 240)) },
			"ROOT/features_exo/c.npy has 4 features a frame, ROOT/features_exo/a.npy has 3"},
		{"views of other lengths", func(t *testing.T, root string) { putArray(t, root, "features_ego/c.npy", 3, values(50, 0)) },
			"ROOT/features_ego/c.npy has 50 frames, ROOT/features_exo/c.npy has 60"},
		{"a label of no class", func(t *testing.T, root string) {
			putText(t, root, "groundTruth/a.txt", strings.Repeat("step_0\n", 40)+strings.Repeat("hammer\n", 20))
		}, `ROOT/groundTruth/a.txt:41: the label "hammer" is none of the 3 classes of mapping.txt`},
		{"too few labels", func(t *testing.T, root string) {
			putText(t, root, "groundTruth/a.txt", strings.Repeat("step_0\n", 59))
		}, "ROOT/groundTruth/a.txt has 59 labels, ROOT/features_exo/a.npy has 60 frames"},
		{"one frame", func(t *testing.T, root string) {
			putArray(t, root, "features_exo/d.npy", 3, values(1, 0))
			putArray(t, root, "features_ego/d.npy", 3, values(1, 0))
			putText(t, root, "groundTruth/d.txt", "step_0\n")
		}, "take d has 1 sample, expected at least 2"},
		{"an empty split", func(t *testing.T, root string) { putText(t, root, "splits/test.split1.bundle", "\n") },
			"ROOT/splits/test.split1.bundle: the split is empty, expected one take a line"},
		{"no mapping", func(t *testing.T, root string) {
			if err := os.Remove(filepath.Join(root, "mapping.txt")); err != nil {
				t.Fatal(err)
			}
		}, "ROOT/mapping.txt"},
	} {
		root := trainSet(t)
		c.spoil(t, root)
		out := filepath.Join(t.TempDir(), "out")
		for _, args := range [][]string{
			quickTraining("train run", root, "--method", "tas", "--fold", "1", "--out", out),
			quickTraining("train compare", root, "--methods", "tas", "--seeds", "1"),
			{"train", "import", "--from", root, "--out", out},
		} {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(stderr.String(), root, "ROOT")), "\n")
			if last := lines[len(lines)-1]; code != exitFailed || !strings.HasPrefix(last, "tandem: ") || !strings.Contains(last, c.want) || stdout.Len() > 0 {
				t.Errorf("%s, %s: status %d, %q", c.name, strings.Join(args[:2], " "), code, lines)
			}
			if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
				t.Errorf("%s, %s: left is %v, %v", c.name, strings.Join(args[:2], " "), left, err)
			}
		}
	}
}

// What can't be trained though the data set is in order.
func TestTrainRunNeedsEnough(t *testing.T) {
	root := trainSet(t)
	unlabelled := trainSet(t)
	for _, dir := range []string{"groundTruth", "groundTruth_ego", "splits"} {
		if err := os.RemoveAll(filepath.Join(unlabelled, dir)); err != nil {
			t.Fatal(err)
		}
	}
	few := trainSet(t)
	putText(t, few, "splits/train.split1.bundle", "a\nb\n")
	for _, c := range []struct {
		root, args, want string
	}{
		{root, "--fold 9", `has no fold "9", expected one of ["1"]`},
		{unlabelled, "--make-folds 2", "the train split of fold 1 is empty"},
		{few, "--fold 1", "2 pairs are too few to train on"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		args := quickTraining("train run", c.root, append(strings.Fields(c.args), "--method", "tas", "--out", out)...)
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: status %d, %q, want %q", c.args, code, stderr.String(), c.want)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	succeed(t, quickTraining("train run", few, "--fold", "1", "--method", "tas", "--gate", "0", "--choose", "0", "--out", out)...)
	if _, _, r := student(t, out); r.Agreement != nil || len(r.Pairs) != 2 {
		t.Errorf("%+v", r)
	}
}
