package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const evalGolden = "../../../shared/data/metrics-golden"

// evalFiles writes two folders of label files, gt and pred, into a temporary folder and returns that.
func evalFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, side := range []string{"gt", "pred"} {
		if err := os.Mkdir(filepath.Join(dir, side), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// evalIn runs `tandem eval` on the folders gt and pred of a folder.
func evalIn(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	args = append([]string{"eval", "--gt", filepath.Join(dir, "gt"), "--pred", filepath.Join(dir, "pred")}, args...)
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestEvalEqualsTheGoldenFiles(t *testing.T) {
	if _, err := os.Stat(evalGolden); err != nil {
		t.Skipf("%s is not here", evalGolden)
	}
	for file, args := range map[string][]string{
		"expected.json":               {"--json", "--background", "background"},
		"expected-no-background.json": {"--json"},
	} {
		t.Run(file, func(t *testing.T) {
			code, out, errs := evalIn(t, evalGolden, args...)
			if code != 0 || errs != "" {
				t.Fatalf("exit %d: %s", code, errs)
			}
			got := evalNumbers(t, []byte(out))
			text, err := os.ReadFile(filepath.Join(evalGolden, file))
			if err != nil {
				t.Fatal(err)
			}
			want := evalNumbers(t, text)
			want["videos"], want["frames"] = 7, 9110
			if len(got) != len(want) {
				t.Errorf("got %v, want the keys of %v", got, want)
			}
			for key, value := range want {
				if math.Abs(got[key]-value) > 1e-9 {
					t.Errorf("%s = %v, want %v", key, got[key], value)
				}
			}
		})
	}
}

func evalNumbers(t *testing.T, text []byte) map[string]float64 {
	t.Helper()
	var m map[string]float64
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}

func TestEvalTable(t *testing.T) {
	dir := evalFiles(t, map[string]string{
		"gt/one.txt":       "pick up\npick up\nnothing\n",
		"pred/one.txt":     "pick up\r\npick up\r\nnothing\r\n",
		"gt/two.txt":       "nothing\n",
		"pred/two.txt":     "pick up\n",
		"gt/notes.md":      "not a label file",
		"pred/.hidden.txt": "left by an editor",
	})
	code, out, errs := evalIn(t, dir, "--background", "nothing", "--per-video")
	want := `
                  frames     MoF    Edit   F1@10   F1@25   F1@50
one                    3  100.00  100.00  100.00  100.00  100.00
two                    1    0.00    0.00    0.00    0.00    0.00
all videos (2)         4   75.00   50.00   66.67   66.67   66.67
`
	if code != 0 || errs != "" || "\n"+out != want {
		t.Errorf("exit %d, %q, got%s\nwant%s", code, errs, "\n"+out, want)
	}
	code, out, _ = evalIn(t, dir, "--background", "nothing")
	if code != 0 || strings.Contains(out, "one") || strings.Count(out, "\n") != 2 {
		t.Errorf("without --per-video: exit %d, %s", code, out)
	}
}

func TestEvalJSONPerVideo(t *testing.T) {
	dir := evalFiles(t, map[string]string{
		"gt/one.txt": "a\na\n", "pred/one.txt": "a\na\n",
		"gt/two.txt": "a\n", "pred/two.txt": "b\n",
	})
	code, out, errs := evalIn(t, dir, "--json", "--per-video")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var report struct {
		MoF      float64          `json:"mof"`
		PerVideo []map[string]any `json:"per_video"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if math.Abs(report.MoF-200.0/3) > 1e-9 || len(report.PerVideo) != 2 {
		t.Fatalf("got %s", out)
	}
	two := report.PerVideo[1]
	if two["video"] != "two" || two["frames"] != 1.0 || two["mof"] != 0.0 || len(two) != 7 {
		t.Errorf("got %v", two)
	}
}

func TestEvalTakesSeveralBackgroundClasses(t *testing.T) {
	dir := evalFiles(t, map[string]string{
		"gt/a.txt":   "action start\nglue\naction end\n",
		"pred/a.txt": "action end\nglue\naction start\n",
	})
	code, out, errs := evalIn(t, dir, "--json", "--background", "action start, action end")
	if code != 0 || errs != "" || evalNumbers(t, []byte(out))["f1_50"] != 100 {
		t.Errorf("exit %d, %s, %s", code, errs, out)
	}
	code, out, errs = evalIn(t, dir, "--json", "--background", "action start", "--background", "Action End")
	if code != 0 || !strings.Contains(errs, `no frame is of the background class "Action End"`) {
		t.Errorf("a misspelt class: exit %d, %s", code, errs)
	}
	if got := evalNumbers(t, []byte(out))["f1_50"]; got != 50 {
		t.Errorf("F1@50 = %v, want 50: glue hits, action end does not", got)
	}
}

func TestEvalNamesWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a missing prediction", map[string]string{"gt/a.txt": "x\n", "gt/b.txt": "x\n", "pred/a.txt": "x\n"},
			[]string{"pred/b.txt is missing: the prediction for", "gt/b.txt"}},
		{"many missing predictions", map[string]string{"gt/a.txt": "x", "gt/b.txt": "x", "gt/c.txt": "x", "gt/d.txt": "x", "gt/e.txt": "x", "gt/f.txt": "x", "pred/a.txt": "x"},
			[]string{"pred/b.txt is missing", "(so are c.txt, d.txt, e.txt and 1 more)"}},
		{"an extra prediction", map[string]string{"gt/a.txt": "x\n", "pred/a.txt": "x\n", "pred/b.txt": "x\n", "pred/c.txt": "x\n"},
			[]string{"pred/b.txt has no ground truth", "(so are c.txt)"}},
		{"an empty folder", map[string]string{"gt/a.txt": "x\n"},
			[]string{"pred holds no label files"}},
		{"an empty folder of ground truth", map[string]string{"pred/a.txt": "x\n", "gt/a.csv": "x\n"},
			[]string{"gt holds no label files"}},
		{"an empty file", map[string]string{"gt/a.txt": "x\n", "pred/a.txt": ""},
			[]string{"pred/a.txt is empty"}},
		{"a blank line", map[string]string{"gt/a.txt": "x\n\ny\n", "pred/a.txt": "x\n"},
			[]string{"gt/a.txt:2: the line is blank"}},
		{"different lengths", map[string]string{"gt/a.txt": "x\nx\nx\n", "pred/a.txt": "x\nx\n"},
			[]string{"pred/a.txt: the prediction has 2 frames, the ground truth 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, errs := evalIn(t, evalFiles(t, test.files))
			if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d, %q, %q", code, out, errs)
			}
			for _, part := range test.want {
				if !strings.Contains(errs, part) {
					t.Errorf("got %s\nwant %s", errs, part)
				}
			}
		})
	}
}

func TestEvalRefusesWrongUse(t *testing.T) {
	dir := evalFiles(t, map[string]string{"gt/a.txt": "x\n", "pred/a.txt": "x\n"})
	gt, pred := filepath.Join(dir, "gt"), filepath.Join(dir, "pred")
	for want, args := range map[string][]string{
		"--gt is missing":                  {"--pred", pred},
		"--pred is missing":                {"--gt", gt},
		"--background holds an empty name": {"--gt", gt, "--pred", pred, "--background", "x,"},
		`unexpected argument "more"`:       {"--gt", gt, "--pred", pred, "more"},
		"unknown flag: --labels":           {"--gt", gt, "--labels", pred},
		"flag needs an argument: --gt":     {"--pred", pred, "--gt"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), slices.Concat([]string{"eval"}, args), &out, &errs)
		if code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit %d, %q, %q; want %s", args, code, out.String(), errs.String(), want)
		}
	}
}

func TestEvalWhereThereIsNoFolder(t *testing.T) {
	var out, errs bytes.Buffer
	missing := filepath.Join(t.TempDir(), "missing")
	code := run(t.Context(), []string{"eval", "--gt", missing, "--pred", missing}, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), missing) {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}
