package tas

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldenDir is published data with scores of an independent scorer; it is beside the module, not in it.
const goldenDir = "../../shared/data/metrics-golden"

func TestScoreEqualsAnIndependentScorer(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldenDir, "gt", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skipf("%s is not here", goldenDir)
	}
	var videos []Video
	for _, path := range paths {
		name := filepath.Base(path)
		videos = append(videos, Video{
			Name: strings.TrimSuffix(name, ".txt"),
			GT:   mustReadFrames(t, path),
			Pred: mustReadFrames(t, filepath.Join(goldenDir, "pred", name)),
		})
	}
	for file, background := range map[string][]string{
		"expected.json":               {"background"},
		"expected-no-background.json": nil,
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(goldenDir, file))
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]float64
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			scores, err := Score(videos, background...)
			if err != nil {
				t.Fatal(err)
			}
			got := asMap(t, scores)
			if len(got) != len(want) {
				t.Errorf("got the keys of %v, want those of %v", got, want)
			}
			for key, value := range want {
				if math.Abs(got[key]-value) > 1e-9 {
					t.Errorf("%s = %.12f, want %.12f", key, got[key], value)
				}
			}
		})
	}
}

func mustReadFrames(t *testing.T, path string) []string {
	t.Helper()
	frames, err := ReadFrames(path)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func asMap(t *testing.T, s Scores) map[string]float64 {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]float64
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
