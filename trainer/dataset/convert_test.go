package dataset

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tandem/trainer/dataset/npy"
)

// imported imports a data set and opens what was written.
func imported(t *testing.T, d *Dataset) (*Dataset, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "deep", "own")
	calls := 0
	if _, err := d.Import(t.Context(), out, func(done, total int, _ string) {
		if done != calls || total != len(d.Takes()) {
			t.Errorf("progress %d of %d after %d calls", done, total, calls)
		}
		calls++
	}); err != nil {
		t.Fatal(err)
	}
	x := open(t, out, Options{})
	s, err := x.Check(t.Context(), nil)
	if err != nil || len(s.Problems) > 0 {
		t.Fatalf("%v, problems %q", err, s.Problems)
	}
	if x.Format != "tandem" || x.Digest == "" {
		t.Errorf("format %s, digest %q", x.Format, x.Digest)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return x, out
}

// same compares two data sets sample by sample.
func same(t *testing.T, got, want *Dataset) {
	t.Helper()
	if got.Name != want.Name || got.RateHz != want.RateHz || !slices.Equal(got.Background, want.Background) ||
		!slices.Equal(got.Labels.Names(), want.Labels.Names()) || !slices.Equal(got.Views(), want.Views()) ||
		!reflect.DeepEqual(got.Folds(), want.Folds()) || !slices.Equal(got.Notes, want.Notes) {
		t.Errorf("got  %+v %v %v %q\nwant %+v %v %v %q", got.Summary(), got.Views(), got.Folds(), got.Notes,
			want.Summary(), want.Views(), want.Folds(), want.Notes)
	}
	oracle, err := NewOracle(Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Takes()) != len(want.Takes()) {
		t.Fatalf("%d takes, want %d", len(got.Takes()), len(want.Takes()))
	}
	for i, x := range got.Takes() {
		y := want.Takes()[i]
		if x.Name != y.Name || x.Samples != y.Samples || x.Labelled != y.Labelled || x.EgoLabelled != y.EgoLabelled || !slices.Equal(x.Views(), y.Views()) {
			t.Fatalf("take %+v, want %+v", x, y)
		}
		for _, v := range x.Views() {
			f, g := features(t, got, x.Name, v), features(t, want, x.Name, v)
			if f.View != g.View || !slices.Equal(f.Data, g.Data) || !slices.Equal(f.Times, g.Times) || !slices.Equal(f.Weights, g.Weights) {
				t.Errorf("take %s: the features of %s differ", x.Name, v)
			}
		}
		l, errL := x.Labels(t.Context())
		m, errM := y.Labels(t.Context())
		if !slices.Equal(l, m) || (errL == nil) != (errM == nil) {
			t.Errorf("take %s: labels %v (%v), want %v (%v)", x.Name, l, errL, m, errM)
		}
		l, errL = got.EgoLabels(t.Context(), x.Name, oracle)
		m, errM = want.EgoLabels(t.Context(), x.Name, oracle)
		if !slices.Equal(l, m) || (errL == nil) != (errM == nil) {
			t.Errorf("take %s: ego labels %v (%v), want %v (%v)", x.Name, l, errL, m, errM)
		}
	}
}

func TestImport(t *testing.T) {
	root := small(t)
	put(t, root, "groundTruth_ego/a.txt", strings.Repeat("two\n", 6))
	put(t, root, "splits/pairs.split1.bundle", "b\n")
	if err := os.Remove(filepath.Join(root, "features_ego2", "d.npy")); err != nil {
		t.Fatal(err)
	}
	d := open(t, root, Options{SourceHz: 15, Stride: 2, Pool: Mean})
	x, out := imported(t, d)
	same(t, x, d)
	// What reads two-stream data sets reads it too.
	y, err := Open(t.Context(), out, "two-stream", Options{SourceHz: 7.5, Name: "small"})
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	same(t, y, d)
	// A frame's features lie together, though the shape is [D, T].
	f, err := npy.Open(filepath.Join(out, "features_exo", "b.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := make([]float32, 3)
	if err := f.Floats(3, row); err != nil || !f.Fortran || !slices.Equal(f.Shape, []int{3, 4}) || !slices.Equal(row, features(t, d, "b", "exo").Row(1)) {
		t.Errorf("%+v, %v, %v", f.Array, row, err)
	}
	if _, err := os.Stat(filepath.Join(out, "groundTruth_ego", "b.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ego labels of b are those of exo, but are written again: %v", err)
	}
	// An import of an import is the same but for the notes' second telling.
	z, _ := imported(t, x)
	same(t, z, x)
	// A lower rate.
	slow := open(t, out, Options{RateHz: 3.75})
	if a, _ := slow.Take("a"); slow.RateHz != 3.75 || a.Samples != 2 {
		t.Errorf("rate %g, %d samples", slow.RateHz, a.Samples)
	}
}

func TestImportDoesNotOverwrite(t *testing.T) {
	d := open(t, small(t), Options{})
	out := t.TempDir()
	if _, err := d.Import(t.Context(), out, nil); err != nil { // an empty directory
		t.Fatal(err)
	}
	_, err := d.Import(t.Context(), out, nil)
	if err == nil || err.Error() != "import into "+out+": it is not empty; name another directory" {
		t.Errorf("a directory with a data set: %v", err)
	}
}

func TestAChangedImport(t *testing.T) {
	root := small(t)
	put(t, root, "groundTruth_ego/a.txt", strings.Repeat("two\n", 6))
	d := open(t, root, Options{})
	manifestText := func(change func(m map[string]any)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			text, err := os.ReadFile(filepath.Join(dir, manifestFile))
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			change(m)
			if text, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			put(t, dir, manifestFile, string(text))
		}
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { put(t, dir, name, text) }
	}
	for _, test := range []struct {
		name        string
		change      func(t *testing.T, dir string)
		want, check string
	}{
		{"a value", write("features_exo/b.npy", numpy(t, 3, 7, func(int, int) float32 { return 1 })), "",
			"take b: DIR/features_exo/b.npy has changed since it was imported: its SHA-256 is "},
		{"a label", write("groundTruth/b.txt", strings.Repeat("one\n", 7)), "",
			"take b: DIR/groundTruth/b.txt has changed since it was imported: its SHA-256 is "},
		{"a split", write("splits/test.split1.bundle", "d\n"),
			"DIR/splits/test.split1.bundle has changed since it was imported: its SHA-256 is ", ""},
		{"the classes", write("mapping.txt", "0 background\n1 two\n2 one\n"),
			"DIR/mapping.txt has other classes than DIR/dataset.json; import the data set again", ""},
		{"a take less", remove("features_exo/b.npy"), "DIR/features_exo/b.npy is missing, which DIR/dataset.json lists; import the data set again", ""},
		{"a take more", func(t *testing.T, dir string) {
			for view, dim := range map[string]int{"exo": 3, "ego2": 2} {
				put(t, dir, "features_"+view+"/e.npy", numpy(t, dim, 4, func(int, int) float32 { return 1 }))
			}
		}, "take e is not in DIR/dataset.json; import the data set again", ""},
		{"another length", func(t *testing.T, dir string) {
			for view, dim := range map[string]int{"exo": 3, "ego2": 2} {
				put(t, dir, "features_"+view+"/b.npy", numpy(t, dim, 4, func(int, int) float32 { return 1 }))
			}
		}, "take b has 4 samples, DIR/dataset.json says 7; import the data set again", ""},
		{"unlabelled", manifestText(func(m map[string]any) { m["takes"].([]any)[0].(map[string]any)["labelled"] = false }),
			"DIR/dataset.json says otherwise whether take a has labels; import the data set again", ""},
		{"dimension", manifestText(func(m map[string]any) { m["views"].([]any)[1].(map[string]any)["dim"] = 5 }),
			"DIR/features_ego2 has 2 features a frame, DIR/dataset.json says 5; import the data set again", ""},
		{"schema", manifestText(func(m map[string]any) { m["schema"] = 2 }), "DIR/dataset.json: schema is 2, this program reads 1", ""},
		{"unknown field", manifestText(func(m map[string]any) { m["colour"] = "red" }), `DIR/dataset.json: json: unknown field "colour"`, ""},
		{"way out", manifestText(func(m map[string]any) { m["files"].(map[string]any)["../x"] = strings.Repeat("0", 64) }),
			`DIR/dataset.json: files: "../x" points out of the data set`, ""},
		{"digest", manifestText(func(m map[string]any) { m["files"].(map[string]any)["x"] = "abc" }),
			`DIR/dataset.json: files: the digest of "x" is "abc", expected a SHA-256 as 64 lower-case hex digits`, ""},
		{"order", manifestText(func(m map[string]any) { m["takes"].([]any)[0].(map[string]any)["name"] = "z" }),
			`DIR/dataset.json: takes[1]: "b" stands after "z", expected each name once in their order`, ""},
		{"a name", manifestText(func(m map[string]any) { m["takes"].([]any)[0].(map[string]any)["name"] = "a/../../b" }),
			`DIR/dataset.json: takes[0]: the take "a/../../b" can't be the name of a file: expected at most 200 bytes without slashes, not beginning with a dot`, ""},
		{"cut off", write(manifestFile, `{"schema": 1,`), "DIR/dataset.json: unexpected EOF", ""},
		{"twice", write(manifestFile, `{} {}`), "DIR/dataset.json: there is text after the manifest", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "own")
			if _, err := d.Import(t.Context(), dir, nil); err != nil {
				t.Fatal(err)
			}
			test.change(t, dir)
			x, err := Open(t.Context(), dir, Auto, Options{})
			if test.want != "" {
				if err == nil {
					x.Close()
					t.Fatalf("was opened, want %s", test.want)
				}
				if got := strings.ReplaceAll(err.Error(), dir, "DIR"); !strings.HasPrefix(got, "tandem data set: "+test.want) {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			s, err := x.Check(t.Context(), nil)
			if err != nil || len(s.Problems) != 1 || !strings.HasPrefix(strings.ReplaceAll(s.Problems[0], dir, "DIR"), test.check) {
				t.Errorf("got  %q, %v\nwant %s", s.Problems, err, test.check)
			}
		})
	}
}

// A method that sees garbage for ego labels and one that sees the right ones see the same blind data set.
func TestGarbageEgoLabelsChangeNothingForTheBlind(t *testing.T) {
	right, garbage := small(t), small(t)
	for i, take := range []string{"a", "b", "c", "d"} {
		put(t, garbage, "groundTruth_ego/"+take+".txt", strings.Repeat("two\n", 6+i))
	}
	var blind [2]*Dataset
	for i, root := range []string{right, garbage} {
		x, _ := imported(t, open(t, root, Options{}))
		var err error
		if blind[i], err = x.Blind([]string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, blind[1], blind[0])
}
