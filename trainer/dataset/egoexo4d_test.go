package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tensor returns the file that torch.save writes for a tensor of float32.
func tensor(t testing.TB, data string, shape ...int) string {
	t.Helper()
	integer := func(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	text := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	sizes, strides := "", ""
	for i, n := range shape {
		step := 1
		for _, m := range shape[i+1:] {
			step *= m
		}
		sizes, strides = sizes+integer(n), strides+integer(step)
	}
	pickle := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") +
		integer(len(data)/4) + "tQ" + integer(0) + "(" + sizes + "t(" + strides + "t\x89ccollections\nOrderedDict\n)RtR."
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range [][2]string{{"archive/data.pkl", pickle}, {"archive/data/0", data}} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e[0], Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(e[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// windows is a tensor of n samples of two features: sample i is (add + i, add + 100 + i).
func windows(t testing.TB, n int, add float32) string {
	t.Helper()
	var data strings.Builder
	for i := range n {
		data.WriteString(featureBytes(add+float32(i), add+100+float32(i)))
	}
	return tensor(t, data.String(), n, 2)
}

// egoExo writes a small Ego-Exo4D: takes bike_1 and bike_2 to train on, bike_3 to test on, cook_1 of another scenario and
// bike_4 without features; bike_9 is not annotated.
func egoExo(t testing.TB) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "egoexo")
	take := func(i int, name, aria string) string {
		return fmt.Sprintf(`{"take_uid": "u%d", "take_name": %q, "duration_sec": 4.8, "is_dropped": false, "capture": {"cameras": [
			{"cam_id": "cam01", "is_ego": false, "device_type": "hero10"}, {"cam_id": %q, "is_ego": true}, {"cam_id": "cam02", "is_ego": false}]},
			"frame_aligned_videos": {"cam01": {"0": {"cam_id": "cam01"}}}}`, i, name, aria)
	}
	put(t, root, "takes.json", "["+strings.Join([]string{
		take(3, "bike_3", "aria02"), take(1, "bike_1", "aria01"), take(2, "bike_2", "aria01"), take(4, "bike_4", "aria01"),
		take(9, "bike_9", "aria01"), take(5, "cook_1", "aria01"),
	}, ",\n")+"]")
	annotation := func(uid, name, scenario, segments string) string {
		return fmt.Sprintf(`%q: {"take_uid": %q, "take_name": %q, "scenario": %q, "annotation_meta": {"x": [1, {}]}, "segments": [%s]}`, uid, uid, name, scenario, segments)
	}
	const vocabulary = `"vocabulary": {"7": "fix the chain", "21": "pump", "8": "stir", "99": "never"}`
	put(t, root, "annotations/keystep_train.json", `{"version": 2, "annotations": {`+
		annotation("u1", "bike_1", "Fix", `{"start_time": 1.0, "end_time": 2.5, "step_id": 1, "step_unique_id": 21, "step_name": "pump", "is_essential": true},
			{"start_time": 2.0, "end_time": 3.0, "step_unique_id": 7}`)+", "+
		annotation("u2", "bike_2", "Fix", `{"start_time": 0, "end_time": 10, "step_unique_id": 7}`)+", "+
		annotation("u4", "bike_4", "Fix", "")+", "+
		annotation("u5", "cook_1", "Cook", `{"start_time": 0, "end_time": 10, "step_unique_id": 8}`)+
		`}, "taxonomy": {"Fix": {"0": {"id": 0}}}, `+vocabulary+`}`)
	put(t, root, "annotations/keystep_val.json", `{`+vocabulary+`, "annotations": {`+annotation("u3", "bike_3", "Fix", "")+`}}`)
	for i, aria := range map[int]string{1: "aria01", 2: "aria01", 3: "aria02", 5: "aria01"} {
		add := float32(1000 * i)
		put(t, root, fmt.Sprintf("features/omnivore_video/u%d_%s_rgb.pt", i, aria), windows(t, 8, add+500))
		put(t, root, fmt.Sprintf("features/omnivore_video/u%d_cam01_0.pt", i), windows(t, 8, add))
	}
	put(t, root, "features/omnivore_video/u1_cam02_0.pt", tensor(t, featureBytes(make([]float32, 16)...), 8, 1, 2))
	put(t, root, "features/omnivore_video/u9_cam01_0.pt", windows(t, 8, 0))
	return root
}

func TestEgoExo4D(t *testing.T) {
	root := egoExo(t)
	d := open(t, root, Options{Scenarios: []string{"Fix"}})
	if d.Format != "ego-exo4d" || d.RateHz != 1.875 || !slices.Equal(d.Background, []string{"background"}) {
		t.Errorf("format %s, rate %g, background %q", d.Format, d.RateHz, d.Background)
	}
	if got, want := d.Labels.Names(), []string{"background", "fix the chain", "pump"}; !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
	if got, want := d.Views(), []View{{"cam01", Exo, 2}, {"cam02", Exo, 2}, {"ego", Ego, 2}}; !slices.Equal(got, want) {
		t.Errorf("views %v, want %v", got, want)
	}
	if f := d.Folds(); len(f) != 1 || !slices.Equal(f[0].Train, []string{"bike_1", "bike_2"}) || !slices.Equal(f[0].Test, []string{"bike_3"}) {
		t.Errorf("folds %v", f)
	}
	if want := []string{"1 annotated take was left out: no features in features/omnivore_video", "view cam02 did not see 2 takes (bike_2, bike_3)"}; !slices.Equal(d.Notes, want) {
		t.Errorf("notes %q, want %q", d.Notes, want)
	}
	for take, add := range map[string]float32{"bike_1": 1500, "bike_3": 3500} {
		if f := features(t, d, take, "ego"); f.Samples != 8 || !slices.Equal(f.Row(3), []float32{add + 3, add + 103}) {
			t.Errorf("%s: %v", take, f.Data)
		}
	}
	// The middles of the windows are at 0.533 s times 1 to 7, and for the last 4.267 s (it ends with the video).
	x, _ := d.Take("bike_1")
	if labels, err := x.Labels(t.Context()); err != nil || !slices.Equal(labels, []int{0, 2, 2, 1, 1, 0, 0, 0}) {
		t.Errorf("labels %v, %v", labels, err)
	}
	if got := open(t, root, Options{}).Labels.Names(); !slices.Equal(got, []string{"background", "fix the chain", "stir", "pump"}) {
		t.Errorf("classes of all scenarios %q", got)
	}
	y, _ := imported(t, d)
	same(t, y, d)
}

func TestEgoExo4DRefuses(t *testing.T) {
	edit := func(name, from, to string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), from) {
				t.Fatalf("%s does not contain %s", name, from)
			}
			put(t, root, name, strings.Replace(string(text), from, to, 1))
		}
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, root string) { put(t, root, name, text) }
	}
	const train, val, feature = "annotations/keystep_train.json", "annotations/keystep_val.json", "features/omnivore_video/u1_"
	for _, test := range []struct {
		name   string
		change func(*testing.T, string)
		o      Options
		want   string
		check  string
	}{
		{name: "scenario", o: Options{Scenarios: []string{"Dance"}}, want: `there is no scenario "Dance", there are Cook, Fix`},
		{name: "no test takes", o: Options{Scenarios: []string{"Cook"}}, want: " ROOT: the test split of fold 1 is empty"},
		{name: "view", o: Options{Exo: []string{"v4"}}, want: `there is no view "v4", there are cam01, cam02, ego`},
		{name: "takes are no list", change: write("takes.json", `{}`), want: `ROOT/takes.json: found {, expected "["`},
		{name: "takes end", change: write("takes.json", `[{"take_uid": "u1", "take_name": "a"}`), want: `ROOT/takes.json: unexpected EOF`},
		{name: "a take of another kind", change: write("takes.json", `[{"take_uid": 1}]`),
			want: `ROOT/takes.json: take 0: json: cannot unmarshal number into Go struct field egoExoTake.take_uid of type string`},
		{name: "take twice", change: edit("takes.json", "bike_3", "bike_1"), want: "ROOT/takes.json: take 1: bike_1 (u1) is there twice"},
		{name: "take's name", change: edit("takes.json", "bike_3", "../x"),
			want: `ROOT/takes.json: take 0: the take "../x" can't be the name of a file: expected at most 200 bytes without slashes, not beginning with a dot`},
		{name: "no annotations", change: write(val, `{"vocabulary": {"1": "a"}}`), want: "ROOT/annotations/keystep_val.json: it holds no annotations, expected annotations.UID.segments"},
		{name: "no vocabulary", change: write(val, `{"annotations": {"u3": {}}}`), want: "ROOT/annotations/keystep_val.json: it holds no vocabulary"},
		{name: "an id", change: edit(val, `"7"`, `"seven"`), want: `ROOT/annotations/keystep_val.json: vocabulary: the id is "seven", expected a whole number`},
		{name: "other words", change: edit(val, "pump", "blow"), want: `key step 21 is "pump" in keystep_train.json and "blow" in keystep_val.json`},
		{name: "unknown step", change: edit(train, `"step_unique_id": 21`, `"step_unique_id": 22`), want: "keystep_train.json: take u1 has key step 22, which is not in the vocabulary"},
		{name: "both splits", change: edit(val, `"u3"`, `"u1"`), want: "take u1 stands in keystep_train.json and in keystep_val.json"},
		{name: "time", change: edit(train, `"end_time": 2.5`, `"end_time": 0.5`), want: "take bike_1: segments[0] goes from 1 s to 0.5 s, expected 0 or more and rising"},
		{name: "annotation twice", change: edit(train, `"u2"`, `"u1"`), want: "ROOT/annotations/keystep_train.json: annotations: take u1 is there twice"},
		{name: "another length", change: func(t *testing.T, root string) { put(t, root, feature+"cam01_0.pt", windows(t, 7, 0)) },
			want: "ROOT/features/omnivore_video/u1_cam02_0.pt has 8 samples, ROOT/features/omnivore_video/u1_cam01_0.pt has 7; the views of a take must have the same length"},
		{name: "another dimension", change: func(t *testing.T, root string) {
			put(t, root, feature+"aria01_rgb.pt", tensor(t, featureBytes(make([]float32, 24)...), 8, 3))
		}, want: "ROOT/features/omnivore_video/u2_aria01_rgb.pt has 2 features a sample, others of view ego have 3"},
		{name: "axes", change: func(t *testing.T, root string) {
			put(t, root, feature+"cam01_0.pt", tensor(t, featureBytes(make([]float32, 16)...), 16))
		}, want: "ROOT/features/omnivore_video/u1_cam01_0.pt is of shape [16], expected [T, D]"},
		{name: "no tensor", change: write(feature+"cam01_0.pt", "x"),
			want: "ROOT/features/omnivore_video/u1_cam01_0.pt: it is no file of torch.save since PyTorch 1.6: zip: not a valid zip file; load it and save it again"},
		{name: "NaN", change: func(t *testing.T, root string) {
			put(t, root, feature+"cam02_0.pt", tensor(t, featureBytes(append(make([]float32, 11), nan, 0, 0, 0, 0)...), 8, 2))
		}, check: "take bike_1: ROOT/features/omnivore_video/u1_cam02_0.pt: feature 1 of frame 5 is NaN, expected a finite number; extract the features again or leave the take out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := egoExo(t)
			if test.change != nil {
				test.change(t, root)
			}
			d, err := Open(t.Context(), root, "ego-exo4d", test.o)
			if test.want != "" {
				if err == nil {
					d.Close()
					t.Fatalf("was opened, want %s", test.want)
				}
				want := "ego-exo4d data set: " + test.want
				if strings.HasPrefix(test.want, " ") {
					want = "ego-exo4d data set" + test.want
				}
				if got := strings.ReplaceAll(err.Error(), root, "ROOT"); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			s, err := d.Check(t.Context(), nil)
			if err != nil || len(s.Problems) != 1 || strings.ReplaceAll(s.Problems[0], root, "ROOT") != test.check {
				t.Errorf("got  %q, %v\nwant %s", s.Problems, err, test.check)
			}
		})
	}
}

func TestEgoExo4DFrameByFrame(t *testing.T) {
	root := egoExo(t)
	if err := os.Rename(filepath.Join(root, "features", "omnivore_video"), filepath.Join(root, "features", "maws_clip_2b")); err != nil {
		t.Fatal(err)
	}
	d := open(t, root, Options{})
	x, _ := d.Take("bike_2")
	if labels, err := x.Labels(t.Context()); err != nil || d.RateHz != 30 || !slices.Equal(labels, slices.Repeat([]int{1}, 8)) {
		t.Errorf("rate %g, labels %v, %v", d.RateHz, labels, err)
	}
}
