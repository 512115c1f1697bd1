package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOptionsRefused(t *testing.T) {
	root := small(t)
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Pool: "median"}, `pool "median": expected "first", "max" or "mean"`},
		{Options{Stride: -1}, "stride -1: expected 1 or more"},
		{Options{RateHz: -1}, "rate -1 Hz: expected more than 0, at most 1000"},
		{Options{SourceHz: 1e9}, "source rate 1e+09 Hz: expected more than 0, at most 1000"},
		{Options{RateHz: 5, Stride: 2}, "a stride of 2 and a rate of 5 Hz: expected one of them"},
		{Options{Folds: 1}, "1 folds: expected 2 to 1000"},
		{Options{Clock: "sun"}, `clock "sun": expected "stamps" or "truth"`},
		{Options{RateHz: 5}, "two-stream data set ROOT: a rate of 5 Hz is wanted, but the files don't say theirs; say it, or give a stride"},
		{Options{RateHz: 7, SourceHz: 30}, "two-stream data set ROOT: a rate of 7 Hz is wanted of files with 30 Hz: expected 30 divided by a whole number"},
		{Options{Background: []string{"SIL"}}, `two-stream data set ROOT: the background label "SIL" is none of the 3 classes`},
		{Options{Exo: []string{"v4"}}, `two-stream data set: there is no view "v4", there are ego2, exo`},
		{Options{Exo: []string{"exo", "exo"}}, "two-stream data set ROOT: view exo is there twice"},
		{Options{Ego: "exo"}, "two-stream data set ROOT: there are 0 exo views and 1 ego views (exo), expected at least one exo view and at most one ego view"},
		{Options{Stride: 6}, "two-stream data set ROOT: take a has 1 sample, expected at least 2; take it out"},
	} {
		d, err := Open(t.Context(), root, Auto, test.o)
		if err == nil {
			t.Errorf("%+v was accepted, want %s", test.o, test.want)
			d.Close()
			continue
		}
		if got := strings.ReplaceAll(err.Error(), root, "ROOT"); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// Every kind of bad file, with the message that somebody gets. ROOT is the data set's directory.
func TestBadFiles(t *testing.T) {
	zeros := func(d, i int) float32 { return 0 }
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			if err := os.RemoveAll(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, root string) { put(t, root, name, text) }
	}
	array := func(name string, rows, columns int, value func(r, c int) float32) func(*testing.T, string) {
		return func(t *testing.T, root string) { put(t, root, name, numpy(t, rows, columns, value)) }
	}
	spoil := func(bad float32) func(d, i int) float32 {
		return func(d, i int) float32 {
			if d == 1 && i == 4 {
				return bad
			}
			return 0
		}
	}
	for _, test := range []struct {
		name   string
		change func(*testing.T, string)
		want   string // of opening
		check  string // of checking, if opening goes
	}{
		{"NaN", array("features_exo/b.npy", 3, 7, spoil(nan)), "",
			"take b: ROOT/features_exo/b.npy: feature 1 of frame 4 is NaN, expected a finite number; extract the features again or leave the take out"},
		{"infinity", array("features_ego2/b.npy", 2, 7, spoil(1/zeros(0, 0))), "",
			"take b: ROOT/features_ego2/b.npy: feature 1 of frame 4 is +Inf, expected a finite number; extract the features again or leave the take out"},
		{"another dimension", array("features_exo/c.npy", 5, 8, zeros),
			"two-stream data set: ROOT/features_exo/c.npy has 5 features a frame, ROOT/features_exo/a.npy has 3; is the array the other way round?", ""},
		{"other lengths of views", array("features_ego2/c.npy", 2, 7, zeros),
			"two-stream data set: ROOT/features_ego2/c.npy has 7 frames, ROOT/features_exo/c.npy has 8; the views of a take must have the same length", ""},
		{"three axes", write("features_exo/c.npy", strings.Replace(numpy(t, 1, 24, zeros), "(1, 24), }  ", "(3, 1, 8), }", 1)),
			"two-stream data set: ROOT/features_exo/c.npy is an array of shape [3 1 8] and type <f4, expected floats [D, T]", ""},
		{"no array", write("features_exo/c.npy", "features"),
			`two-stream data set: ROOT/features_exo/c.npy: it does not begin with "\x93NUMPY": it is no NumPy array file`, ""},
		{"no features", func(t *testing.T, root string) {
			remove("features_exo")(t, root)
			put(t, root, "features_exo/readme.md", "")
		}, "two-stream data set: ROOT/features_exo holds no features, expected TAKE.npy", ""},
		{"one frame", func(t *testing.T, root string) {
			put(t, root, "features_exo/c.npy", numpy(t, 3, 1, zeros))
			put(t, root, "features_ego2/c.npy", numpy(t, 2, 1, zeros))
		}, "two-stream data set ROOT: take c has 1 sample, expected at least 2; take it out", ""},
		{"unknown label", write("groundTruth/a.txt", "background\none\nthree\none\none\none\n"), "",
			`take a: ROOT/groundTruth/a.txt:3: the label "three" is none of the 3 classes of mapping.txt`},
		{"fewer labels", write("groundTruth/a.txt", labelText(5)), "",
			"take a: ROOT/groundTruth/a.txt has 5 labels, ROOT/features_exo/a.npy has 6 frames; they must be of the same length"},
		{"more labels", write("groundTruth/a.txt", labelText(7)), "",
			"take a: ROOT/groundTruth/a.txt has 7 labels, ROOT/features_exo/a.npy has 6 frames; they must be of the same length"},
		{"transposed", write("groundTruth/a.txt", "one\none\none\n"), "",
			"take a: ROOT/groundTruth/a.txt has 3 labels, ROOT/features_exo/a.npy has 6 frames; they must be of the same length; is the array [T, D]? Then say that it is time-major"},
		{"bad ego labels", write("groundTruth_ego/a.txt", "one\n"), "",
			"take a: ROOT/groundTruth_ego/a.txt has 1 label, ROOT/features_exo/a.npy has 6 frames; they must be of the same length"},
		{"empty labels", write("groundTruth/a.txt", ""), "", "take a: ROOT/groundTruth/a.txt is empty; expected one label a line"},
		{"no labels", remove("groundTruth/c.txt"),
			"two-stream data set: ROOT/groundTruth/c.txt is missing: take c stands in the splits of fold 1", ""},
		{"no mapping", remove("mapping.txt"), "two-stream data set: open ROOT/mapping.txt: no such file or directory", ""},
		{"bad mapping", write("mapping.txt", "0 a\n0 b\n"),
			`two-stream data set: ROOT/mapping.txt:2: id 0 is taken by "a" at line 1; each id must occur once`, ""},
		{"no splits", remove("splits"),
			"two-stream data set: open ROOT/splits: no such file or directory; for a data set without splits, say how many folds to make", ""},
		{"empty splits", func(t *testing.T, root string) {
			remove("splits")(t, root)
			put(t, root, "splits/readme.md", "")
		}, "two-stream data set: ROOT/splits holds no splits, expected train.split1.bundle and test.split1.bundle", ""},
		{"an empty split", write("splits/test.split2.bundle", "\n"),
			"two-stream data set: ROOT/splits/test.split2.bundle: the split is empty, expected one take a line", ""},
		{"a missing split", remove("splits/test.split2.bundle"),
			"two-stream data set: ROOT/splits/test.split2.bundle is missing, fold 2 needs it", ""},
		{"another bundle", write("splits/val.split1.bundle", "a\n"),
			"two-stream data set: ROOT/splits/val.split1.bundle: expected train.splitK.bundle, test.splitK.bundle or pairs.splitK.bundle", ""},
		{"a take of a split that is not there", write("splits/test.split1.bundle", "c.txt\nx.txt\n"),
			`two-stream data set: ROOT/splits/test.split1.bundle:2: there is no take "x": ROOT/features_exo/x.npy is missing`, ""},
		{"a take twice in a split", write("splits/test.split1.bundle", "c.txt\nd.txt\nc\n"),
			"two-stream data set: ROOT/splits/test.split1.bundle:3: take c stands at line 1 already", ""},
		{"a take in both splits", write("splits/test.split1.bundle", "c.txt\nb.txt\n"),
			"two-stream data set ROOT: take b stands in the train split of fold 1 and in its test split", ""},
		{"a test take among the pairs", write("splits/pairs.split1.bundle", "c.txt\n"),
			"two-stream data set ROOT: take c stands in the test split of fold 1 and in its pairs", ""},
		{"a pair without ego", func(t *testing.T, root string) {
			remove("features_ego2/a.npy")(t, root)
			put(t, root, "splits/pairs.split1.bundle", "a\n")
		}, "two-stream data set ROOT: take a stands in the pairs of fold 1, but was not seen by exo and ego views", ""},
		{"a split that is a video", write("splits/test.split1.bundle", "c\n"+strings.Repeat("x", 9000)),
			"two-stream data set: ROOT/splits/test.split1.bundle:2: the line has more than 4096 bytes; is this a text file?", ""},
		{"a split of bytes", write("splits/test.split1.bundle", "c\nd\xff\n"),
			`two-stream data set: ROOT/splits/test.split1.bundle:2: found "d\xff", expected UTF-8 text`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := small(t)
			test.change(t, root)
			d, err := Open(t.Context(), root, "two-stream", Options{})
			if test.want != "" {
				if err == nil {
					d.Close()
					t.Fatalf("was opened, want %s", test.want)
				}
				if got := strings.ReplaceAll(err.Error(), root, "ROOT"); got != test.want {
					t.Fatalf("got  %s\nwant %s", got, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			s, err := d.Check(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Problems) != 1 || strings.ReplaceAll(s.Problems[0], root, "ROOT") != test.check {
				t.Errorf("got  %s\nwant %s", strings.ReplaceAll(strings.Join(s.Problems, "\n     "), root, "ROOT"), test.check)
			}
			// An import stops at the same.
			out := filepath.Join(t.TempDir(), "out")
			if _, err := d.Import(t.Context(), out, nil); err == nil || strings.ReplaceAll(err.Error(), root, "ROOT") != test.check {
				t.Errorf("import: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); err != nil || len(left) > 0 {
				t.Errorf("import left %v", left)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); err != nil || len(left) > 0 {
				t.Errorf("import left %v", left)
			}
		})
	}
}

func TestWhatIsNoDataset(t *testing.T) {
	dir := t.TempDir()
	const expected = "; expected one of tandem: dataset.json; two-stream: features_exo/*.npy, features_ego/*.npy, groundTruth/*.txt, mapping.txt, splits/*.bundle; " +
		"ms-tcn: features/*.npy, groundTruth/*.txt, mapping.txt, splits/*.bundle; " +
		"assembly101: coarse-annotations/{actions.csv,coarse_labels,coarse_splits} and TSM_features/CAMERA/data.mdb; " +
		"ego-exo4d: takes.json, annotations/keystep_{train,val}.json and features/omnivore_video/UID_CAMERA_STREAM.pt; " +
		"pairs: DEVICE/TAKE.pairs of a trainer's store; sim: TAKE/truth.json with videos, as tandem sim renders"
	for _, test := range []struct{ make, format, want string }{
		{"", Auto, "DIR is in no format of a data set: it holds nothing" + expected},
		{"videos/a.mp4", Auto, "DIR is in no format of a data set: it holds videos/" + expected},
		{"x.csv", "", "DIR is in no format of a data set: it holds videos/, x.csv" + expected},
		{"", "coco", `there is no format "coco", expected tandem, two-stream, ms-tcn, assembly101, ego-exo4d, pairs, sim or auto`},
		{"", "ms-tcn", "ms-tcn data set: DIR/features holds no features, expected TAKE.npy"},
		{"", "tandem", "tandem data set: open DIR/dataset.json: no such file or directory"},
		{"", "two-stream", "two-stream data set: DIR holds no directory features_VIEW"},
		{"", "assembly101", "assembly101 data set: DIR holds no coarse-annotations with coarse_labels"},
		{"", "ego-exo4d", "ego-exo4d data set: DIR/features holds no UID_CAMERA_STREAM.pt, nor do omnivore_video and maws_clip_2b in it; download a part features/…"},
		{"", "pairs", "pairs data set: DIR holds no DEVICE/TAKE.pairs"},
		{"", "sim", "sim data set: DIR holds videos, not features; extract them first: tandem train import --from DIR --out DIR"},
	} {
		if test.make != "" {
			put(t, dir, test.make, "")
		}
		_, err := Open(t.Context(), dir, test.format, Options{})
		if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "no"), Auto, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "x.csv"), Auto, Options{}); err == nil || !strings.HasSuffix(err.Error(), "x.csv is a file, expected a directory") {
		t.Errorf("a file: %v", err)
	}
}
