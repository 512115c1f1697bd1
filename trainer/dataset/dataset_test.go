package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestOpenedDataset(t *testing.T) {
	d := open(t, small(t), Options{SourceHz: 15})
	if d.Name != "small" || d.Format != "two-stream" || d.RateHz != 15 || !slices.Equal(d.Background, []string{"background"}) {
		t.Errorf("name %q, format %q, rate %g, background %q", d.Name, d.Format, d.RateHz, d.Background)
	}
	if got, want := d.Labels.Names(), []string{"background", "one", "two"}; !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
	if got, want := d.Views(), []View{{"exo", Exo, 3}, {"ego2", Ego, 2}}; !slices.Equal(got, want) {
		t.Errorf("views %v, want %v", got, want)
	}
	if ego, ok := d.EgoView(); !ok || ego.Name != "ego2" || len(d.ExoViews()) != 1 {
		t.Errorf("ego view %v, exo views %v", ego, d.ExoViews())
	}
	var names []string
	for _, x := range d.Takes() {
		names = append(names, fmt.Sprint(x.Name, x.Samples, x.Labelled, x.EgoLabelled, x.Views()))
	}
	if want := []string{"a6 true true [exo ego2]", "b7 true true [exo ego2]", "c8 true true [exo ego2]", "d9 true true [exo ego2]"}; !slices.Equal(names, want) {
		t.Errorf("takes %q, want %q", names, want)
	}
	ab, cd := []string{"a", "b"}, []string{"c", "d"}
	if got, want := d.Folds(), []Fold{{"1", ab, cd, ab}, {"2", cd, ab, cd}}; !reflect.DeepEqual(got, want) {
		t.Errorf("folds %v, want %v", got, want)
	}
	f := features(t, d, "b", "ego2")
	if f.Samples != 7 || f.View.Dim != 2 || len(f.Data) != 14 || f.Times != nil || f.Weights != nil {
		t.Fatalf("%+v", f)
	}
	for i := range f.Samples {
		if want := []float32{at("ego2", 0, i), at("ego2", 1, i)}; !slices.Equal(f.Row(i), want) {
			t.Errorf("frame %d is %v, want %v", i, f.Row(i), want)
		}
	}
	if again := features(t, d, "b", "ego2"); again != f {
		t.Error("the features were read again, though the cache has room")
	}
	x, _ := d.Take("b")
	if got, err := x.Labels(t.Context()); err != nil || !slices.Equal(got, []int{0, 0, 1, 1, 2, 2, 2}) {
		t.Errorf("labels %v, %v", got, err)
	}
	if _, err := x.Features(t.Context(), "exo9"); err == nil || err.Error() != `take b: there is no view "exo9", there are exo, ego2` {
		t.Errorf("a view that is not there: %v", err)
	}
	if _, ok := d.Take("e"); ok || x.Has("exo9") || !x.Has("exo") {
		t.Error("takes or views are there that aren't, or not there that are")
	}
}

func TestLowerRates(t *testing.T) {
	root := small(t)
	// Seven frames of b in groups of three: 0-2, 3-5, 6. Their values rise.
	for _, test := range []struct {
		o      Options
		rate   float64
		first  []float32 // of feature 0 of exo, less 3000
		labels []int
	}{
		{Options{Stride: 3}, 0, []float32{0, 3, 6}, []int{0, 1, 2}},
		{Options{Stride: 3, Pool: Max, SourceHz: 30}, 10, []float32{2, 5, 6}, []int{0, 2, 2}},
		{Options{RateHz: 10, Pool: Mean, SourceHz: 30}, 10, []float32{1, 4, 6}, []int{0, 2, 2}},
		{Options{RateHz: 2.5, Pool: Max, SourceHz: 5}, 2.5, []float32{1, 3, 5, 6}, []int{0, 1, 2, 2}},
		// A tie goes to the first class.
		{Options{Stride: 4, Pool: Max}, 0, []float32{3, 6}, []int{0, 2}},
	} {
		d := open(t, root, test.o)
		x, _ := d.Take("b")
		f := features(t, d, "b", "exo")
		var got []float32
		for i := range f.Samples {
			got = append(got, f.Row(i)[0]-3000)
		}
		labels, err := x.Labels(t.Context())
		if err != nil || d.RateHz != test.rate || x.Samples != len(test.first) || !slices.Equal(got, test.first) || !slices.Equal(labels, test.labels) {
			t.Errorf("%+v: rate %g, %d samples, features %v, labels %v, %v", test.o, d.RateHz, x.Samples, got, labels, err)
		}
	}
}

func TestPools(t *testing.T) {
	rows := func() []float32 { return []float32{1, 10, 3, -20, 2, 30, 8, 5, 9, 4} } // five samples of two features
	for p, want := range map[Pool][]float32{
		First: {1, 10, 2, 30, 9, 4}, Max: {3, 10, 8, 30, 9, 4}, Mean: {2, -5, 5, 17.5, 9, 4},
	} {
		if got := p.rows(rows(), 2, 2); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", p, got, want)
		}
	}
	huge := []float32{3e38, 3e38, 3e38}
	if got := Mean.rows(huge, 1, 3); got[0] < 2.99e38 || got[0] > 3.01e38 {
		t.Errorf("the mean of huge numbers is %g", got[0])
	}
	weights := []float32{1, 0, 0, 0, 1}
	if got := Max.weights(weights, 2); !slices.Equal(got, []float32{.5, 0, 1}) {
		t.Errorf("weights %v", got)
	}
	if got := First.weights(weights, 2); !slices.Equal(got, []float32{1, 0, 1}) {
		t.Errorf("weights of first %v", got)
	}
}

func TestMSTCN(t *testing.T) {
	root := filepath.Join(t.TempDir(), "gtea")
	for _, take := range []string{"a", "b"} {
		put(t, root, "features/"+take+".npy", numpy(t, 3, 6, func(d, i int) float32 { return at("exo", d, i) }))
		put(t, root, "groundTruth/"+take+".txt", strings.ReplaceAll(labelText(6), "background", "SIL"))
	}
	put(t, root, "mapping.txt", "0 SIL\r\n1 one\r\n2 two\r\n")
	put(t, root, "splits/train.split1.bundle", "a.txt\r\n")
	put(t, root, "splits/test.split1.bundle", "b.txt\r\n")
	d := open(t, root, Options{Background: []string{"SIL"}, Stride: 2})
	if d.Format != "ms-tcn" || !slices.Equal(d.Views(), []View{{"exo", Exo, 3}}) || !slices.Equal(d.Background, []string{"SIL"}) {
		t.Errorf("format %s, views %v, background %v", d.Format, d.Views(), d.Background)
	}
	if f := features(t, d, "a", "exo"); f.Samples != 3 || f.Row(1)[2] != at("exo", 2, 2) {
		t.Errorf("%+v", f)
	}
	if folds := d.Folds(); len(folds) != 1 || len(folds[0].Pairs) != 0 {
		t.Errorf("folds %v: there is no ego view, so there are no pairs", folds)
	}
	x, _ := d.Take("a")
	if x.EgoLabelled {
		t.Error("there is no ego view, but it has labels")
	}
}

func TestTimeMajorArrays(t *testing.T) {
	root := small(t)
	for i, take := range []string{"a", "b", "c", "d"} {
		for view, dim := range map[string]int{"exo": 3, "ego2": 2} {
			put(t, root, "features_"+view+"/"+take+".npy", numpy(t, 6+i, dim, func(i, d int) float32 { return at(view, d, i) }))
		}
	}
	d := open(t, root, Options{TimeMajor: true})
	if f := features(t, d, "c", "exo"); f.Samples != 8 || f.Row(5)[2] != at("exo", 2, 5) {
		t.Errorf("%+v", f)
	}
}

func TestViewsAreChosen(t *testing.T) {
	root := small(t)
	for i, take := range []string{"a", "b", "c"} { // d is not seen
		put(t, root, "features_exo2/"+take+".npy", numpy(t, 4, 6+i, func(d, i int) float32 { return at("exo2", d, i) }))
	}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{}, "exo exo, exo2 exo, ego2 ego"},
		{Options{Exo: []string{"exo2"}}, "exo2 exo, ego2 ego"},
		{Options{Exo: []string{"ego2"}, Ego: "exo"}, "ego2 exo, exo ego"},
		{Options{Ego: "exo2"}, "exo exo, exo2 ego"},
	} {
		var got []string
		for _, v := range open(t, root, test.o).Views() {
			got = append(got, v.Name+" "+string(v.Role))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%+v: %s, want %s", test.o, strings.Join(got, ", "), test.want)
		}
	}
	d := open(t, root, Options{})
	if want := []string{"view exo2 did not see 1 take (d)"}; !slices.Equal(d.Notes, want) {
		t.Errorf("notes %q, want %q", d.Notes, want)
	}
	x, _ := d.Take("d")
	if _, err := x.Features(t.Context(), "exo2"); x.Has("exo2") || err == nil || err.Error() != "take d: view exo2 did not see it" {
		t.Errorf("a view that did not see the take: %v", err)
	}
}

func TestFoldsOnDemand(t *testing.T) {
	root := small(t)
	if err := os.RemoveAll(filepath.Join(root, "splits")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "groundTruth", "b.txt")); err != nil {
		t.Fatal(err)
	}
	want := []Fold{{"1", []string{"c"}, []string{"a", "d"}, []string{"c"}}, {"2", []string{"a", "d"}, []string{"c"}, []string{"a", "d"}}}
	if got := open(t, root, Options{Folds: 2}).Folds(); !reflect.DeepEqual(got, want) {
		t.Errorf("folds %v, want %v", got, want)
	}
}

func TestPairsOfTheirOwn(t *testing.T) {
	root := small(t)
	put(t, root, "splits/train.split1.bundle", "a\n")
	put(t, root, "splits/pairs.split1.bundle", "b\n")
	if f := open(t, root, Options{}).Folds()[0]; !slices.Equal(f.Train, []string{"a"}) || !slices.Equal(f.Pairs, []string{"b"}) {
		t.Errorf("fold %v", f)
	}
}

func TestEgoLabelsNeedAnOracle(t *testing.T) {
	root := small(t)
	// The ego view's labels are others than those of exo.
	put(t, root, "groundTruth_ego/a.txt", strings.Repeat("two\n", 6))
	d := open(t, root, Options{})
	oracle, err := NewOracle(Evaluation)
	if err != nil {
		t.Fatal(err)
	}
	for take, want := range map[string][]int{"a": {2, 2, 2, 2, 2, 2}, "b": {0, 0, 1, 1, 2, 2, 2}} {
		if got, err := d.EgoLabels(t.Context(), take, oracle); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", take, got, err)
		}
	}
	a, _ := d.Take("a")
	if got, err := a.Labels(t.Context()); err != nil || got[0] != 0 {
		t.Errorf("the exo labels are those of ego: %v, %v", got, err)
	}
	if _, err := d.EgoLabels(t.Context(), "a", Oracle{}); !errors.Is(err, ErrEgoLabels) ||
		err.Error() != "take a: ego labels are not for methods that train without them: an Oracle is needed" {
		t.Errorf("without an oracle: %v", err)
	}
	if _, err := d.EgoLabels(t.Context(), "x", oracle); err == nil || err.Error() != `there is no take "x" in small` {
		t.Errorf("no take: %v", err)
	}
	if _, err := NewOracle("curiosity"); err == nil || err.Error() != `ego labels for "curiosity": expected "evaluation" or "ego-oracle"` {
		t.Errorf("another purpose: %v", err)
	}
}

func TestABlindDatasetHasNoOtherLabels(t *testing.T) {
	d := open(t, small(t), Options{})
	oracle, err := NewOracle(Supervised)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Blind([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.EgoLabels(t.Context(), "a", oracle); !errors.Is(err, ErrEgoLabels) ||
		err.Error() != "take a: ego labels are not for methods that train without them: the data set is blind" {
		t.Errorf("ego labels of a blind data set: %v", err)
	}
	for _, x := range b.Takes() {
		_, err := x.Labels(t.Context())
		if x.EgoLabelled || x.Labelled != (x.Name == "a") || (err == nil) != x.Labelled || err != nil && !errors.Is(err, ErrNoLabels) {
			t.Errorf("take %s: labelled %v, ego %v, %v", x.Name, x.Labelled, x.EgoLabelled, err)
		}
	}
	if features(t, b, "b", "exo") != features(t, d, "b", "exo") {
		t.Error("the blind data set does not share the cache")
	}
	again, err := b.Blind([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := again.Take("b"); x.Labelled {
		t.Error("a blind data set got a label back")
	}
	if _, err := d.Blind([]string{"x"}); err == nil {
		t.Error("a take that isn't there was accepted")
	}
	if s := b.Summary(); s.Labelled != 1 || s.EgoLabels != 0 {
		t.Errorf("the summary tells of labels: %+v", s)
	}
}

func TestCanceled(t *testing.T) {
	d := open(t, small(t), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, _ := d.Take("a")
	if _, err := x.Features(ctx, "exo"); !errors.Is(err, context.Canceled) {
		t.Errorf("features: %v", err)
	}
	if _, err := d.Check(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v", err)
	}
	features(t, d, "a", "exo") // the error was not kept
}

func TestCheckTellsOfUnusedClasses(t *testing.T) {
	root := small(t)
	put(t, root, "mapping.txt", "0 background\n1 one\n2 two\n3 three\n4 four\n")
	s, err := open(t, root, Options{}).Check(t.Context(), nil)
	if want := []string{"2 of 5 classes never occur (three, four)"}; err != nil || !slices.Equal(s.Notes, want) {
		t.Errorf("notes %q, %v; want %q", s.Notes, err, want)
	}
	if s.Takes != 4 || s.Samples != 30 || s.Shortest != 6 || s.Longest != 9 || s.Bytes != 4*30*5 || s.Labelled != 4 || s.EgoLabels != 4 {
		t.Errorf("%+v", s)
	}
}
