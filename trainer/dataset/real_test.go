package dataset

import (
	"path/filepath"
	"slices"
	"testing"
)

// The real data set that the project's figures are measured on.
func TestTwoStream50Salads(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "two-stream-50salads")
	if !isDir(dir) {
		t.Skipf("%s is not there", dir)
	}
	d, err := Open(t.Context(), dir, Auto, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := d.Check(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []ViewSummary{{View{"exo", Exo, 10}, 50}, {View{"ego", Ego, 16}, 50}}
	if s.Format != "two-stream" || s.Name != "two-stream-50salads" || s.Takes != 50 || s.Labelled != 50 || s.EgoLabels != 50 ||
		!slices.Equal(s.Views, want) || len(s.Classes) != 10 || len(s.Folds) != 5 || len(s.Problems) != 0 {
		t.Errorf("%+v", s)
	}
	for _, f := range s.Folds {
		if f.Train != 40 || f.Test != 10 || f.Pairs != 40 {
			t.Errorf("fold %+v, want 40 takes to train on and 10 to test on", f)
		}
	}
	take, ok := d.Take("fold1-video01")
	if !ok {
		t.Fatal("fold1-video01 is missing")
	}
	exo, err := take.Features(t.Context(), "exo")
	if err != nil {
		t.Fatal(err)
	}
	labels, err := take.Labels(t.Context())
	if err != nil || len(labels) != exo.Samples || len(exo.Data) != 10*exo.Samples {
		t.Errorf("%d labels, %d samples, %d values, %v", len(labels), exo.Samples, len(exo.Data), err)
	}
	// The exo stream is class scores of a good model: the best one is mostly right.
	right := 0
	for i, c := range labels {
		row := exo.Row(i)
		if slices.Index(row, slices.Max(row)) == c {
			right++
		}
	}
	if got := float64(right) / float64(len(labels)); got < 0.5 {
		t.Errorf("the best score is right on %.0f %% of the frames: are the features the other way round?", 100*got)
	}
	t.Logf("%d samples, shortest %d, longest %d, %d bytes; notes %q", s.Samples, s.Shortest, s.Longest, s.Bytes, s.Notes)
}
