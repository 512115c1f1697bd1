package dataset_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/stream/wire"
	"tandem/trainer"
	"tandem/trainer/dataset"
	"tandem/trainer/pairfile"
)

// pairBatch is a rig's batch of n samples of two features from first on: (number, -1).
func pairBatch(take string, first uint64, n int) *wire.PairBatch {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = first + uint64(i)
	}
	times := wire.AppendDeltas(nil, siteTimes(numbers))
	return &wire.PairBatch{Ego: &wire.SampleBatch{
		Device: "rig-1", Take: take, Release: "r-1", Extractor: strings.Repeat("e", 64), RateHz: 10, FirstSeq: first,
		RawNs: times, SiteNs: times, StampKind: wire.StampKind_STAMP_KIND_SIDECAR, ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED,
		Dim: 2, Features: pairVectors(numbers, -1),
	}}
}

func siteTimes(numbers []uint64) []int64 {
	var out []int64
	for _, n := range numbers {
		out = append(out, 1_700_000_000_000_000_000+int64(n)*1e8)
	}
	return out
}

func pairVectors(numbers []uint64, mark float32) []byte {
	var out []byte
	for _, n := range numbers {
		out, _ = wire.AppendF16(out, []float32{float32(n), mark})
	}
	return out
}

// addTrack gives samples of the batch a partner of an exo camera, with the features (number, mark); rejected ones have one
// that was rejected.
func addTrack(b *wire.PairBatch, device string, mark float32, partners func(n uint64) bool, rejected ...uint64) {
	x := &wire.ExoTrack{
		Device: device, Take: "t-" + device, Release: "r-1", Extractor: strings.Repeat("a", 64), RateHz: 10,
		StampKind: wire.StampKind_STAMP_KIND_SIDECAR, ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED, Dim: 2,
	}
	var numbers []uint64
	var seq []int64
	for i := range b.Ego.Len() {
		n := b.Ego.FirstSeq + uint64(i)
		index, grade := int32(-1), wire.Grade_GRADE_REJECTED
		if partners(n) {
			index, grade = int32(len(numbers)), wire.Grade_GRADE_SILVER
			numbers, seq = append(numbers, n), append(seq, int64(n))
		}
		if slices.Contains(rejected, n) {
			grade = wire.Grade_GRADE_REJECTED
		}
		x.Index, x.Grade, x.DtNs, x.BoundNs = append(x.Index, index), append(x.Grade, grade), append(x.DtNs, 0), append(x.BoundNs, 0)
	}
	times := wire.AppendDeltas(nil, siteTimes(numbers))
	x.Seq, x.RawNs, x.SiteNs, x.Features = wire.AppendDeltas(nil, seq), times, times, pairVectors(numbers, mark)
	b.Exo = append(b.Exo, x)
}

func all(uint64) bool { return true }

// archive stores batches in a trainer's archive and returns its directory.
func archive(t *testing.T, batches ...*wire.PairBatch) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store", "pairs")
	a, err := trainer.OpenArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, b := range batches {
		if _, err := a.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The archive is that of package trainer, which has it open meanwhile.
func TestPairs(t *testing.T) {
	one := pairBatch("take-1", 5, 4) // 5 to 8
	addTrack(one, "exo1", 1, func(n uint64) bool { return n != 5 && n != 7 }, 8)
	two := pairBatch("take-1", 11, 3) // 9 and 10 are lost
	addTrack(two, "exo1", 1, all)
	addTrack(two, "exo2", 2, func(n uint64) bool { return n == 12 })
	two.Last, two.Ego.Last = true, true
	three := pairBatch("take-2", 0, 2)
	addTrack(three, "exo1", 1, all)
	four := pairBatch("take-3", 0, 2) // no partner
	dir := archive(t, one, two, three, four)

	for _, from := range []string{dir, filepath.Dir(dir)} { // the archive, or the store it is in
		d, err := dataset.Open(t.Context(), from, dataset.Auto, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkPairs(t, d)
		out := filepath.Join(t.TempDir(), "out")
		if _, err := d.Import(t.Context(), out, nil); err != nil {
			t.Fatal(err)
		}
		x, err := dataset.Open(t.Context(), out, dataset.Auto, dataset.Options{Folds: 2})
		if err != nil {
			t.Fatal(err)
		}
		checkPairs(t, x)
		if s, err := x.Check(t.Context(), nil); err != nil || len(s.Problems) > 0 || len(s.Folds) != 2 {
			t.Errorf("%+v, %v", s, err)
		}
		x.Close()
		d.Close()
	}
}

func checkPairs(t *testing.T, d *dataset.Dataset) {
	t.Helper()
	if want := []dataset.View{{Name: "exo1", Role: dataset.Exo, Dim: 2}, {Name: "exo2", Role: dataset.Exo, Dim: 2}, {Name: "ego", Role: dataset.Ego, Dim: 2}}; !slices.Equal(d.Views(), want) {
		t.Errorf("views %v, want %v", d.Views(), want)
	}
	if d.RateHz != 10 || d.Labels.Len() != 0 || len(d.Takes()) != 2 {
		t.Errorf("rate %g, %d classes, %d takes", d.RateHz, d.Labels.Len(), len(d.Takes()))
	}
	want := []string{"1 take is not ended yet and may grow (rig-1/take-2)", "1 take was left out: not one pair (rig-1/take-3)", "view exo2 did not see 1 take (rig-1_take-2)"}
	if !slices.Equal(d.Notes, want) {
		t.Errorf("notes %q, want %q", d.Notes, want)
	}
	take, ok := d.Take("rig-1_take-1")
	if !ok || take.Samples != 9 || take.Labelled || take.EgoLabelled {
		t.Fatalf("take %+v", take)
	}
	for view, want := range map[string]struct{ numbers, weights []float32 }{
		"ego":  {[]float32{5, 6, 7, 8, 8, 8, 11, 12, 13}, []float32{1, 1, 1, 1, 0, 0, 1, 1, 1}},
		"exo1": {[]float32{6, 6, 6, 6, 6, 6, 11, 12, 13}, []float32{0, 1, 0, 0, 0, 0, 1, 1, 1}},
		"exo2": {[]float32{12, 12, 12, 12, 12, 12, 12, 12, 12}, []float32{0, 0, 0, 0, 0, 0, 0, 1, 0}},
	} {
		f, err := take.Features(t.Context(), view)
		if err != nil {
			t.Fatal(err)
		}
		mark := map[string]float32{"ego": -1, "exo1": 1, "exo2": 2}[view]
		var numbers []float32
		for i := range f.Samples {
			numbers = append(numbers, f.Row(i)[0])
			if f.Row(i)[1] != mark {
				t.Errorf("%s: sample %d is %v", view, i, f.Row(i))
			}
		}
		if !slices.Equal(numbers, want.numbers) || !slices.Equal(f.Weights, want.weights) {
			t.Errorf("%s: %v with weights %v, want %v with %v", view, numbers, f.Weights, want.numbers, want.weights)
		}
		if !slices.Equal(f.Times, siteTimes([]uint64{5, 6, 7, 8, 9, 10, 11, 12, 13})) {
			t.Errorf("%s: times %v", view, f.Times)
		}
	}
}

// source is a PairSource of batches in memory.
type source map[string][]*wire.PairBatch

func (s source) Takes() ([]pairfile.Take, error) {
	var takes []pairfile.Take
	for name := range s {
		takes = append(takes, pairfile.Take{Device: "rig-1", Name: name})
	}
	slices.SortFunc(takes, func(a, b pairfile.Take) int { return strings.Compare(a.Name, b.Name) })
	return takes, nil
}

func (s source) Read(t pairfile.Take, fn func(*wire.PairBatch) error) error {
	for _, b := range s[t.Name] {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

func TestPairsRefused(t *testing.T) {
	good := func(take string, first uint64) *wire.PairBatch {
		b := pairBatch(take, first, 3)
		addTrack(b, "exo1", 1, all)
		return b
	}
	change := func(b *wire.PairBatch, fn func(*wire.PairBatch)) *wire.PairBatch {
		fn(b)
		return b
	}
	other := strings.Repeat("b", 64)
	for _, test := range []struct {
		name string
		src  source
		o    dataset.Options
		want string
	}{
		{"nothing", source{}, dataset.Options{}, "there is no take with pairs"},
		{"no partner", source{"a": {pairBatch("a", 0, 3)}}, dataset.Options{}, "there is no take with pairs"},
		{"twice", source{"a": {good("a", 0), good("a", 2)}}, dataset.Options{}, "take rig-1/a: sample 2 comes twice"},
		{"long gap", source{"a": {good("a", 0), good("a", 60)}}, dataset.Options{},
			"take rig-1/a: 57 samples (5.7 s) are lost at once after sample 2, at most 5 s can be filled in"},
		{"another extractor of the rig", source{"a": {good("a", 0), change(good("a", 3), func(b *wire.PairBatch) { b.Ego.Extractor = other })}}, dataset.Options{},
			"take rig-1/a: the rig's extractor changed at sample 3"},
		{"another rate", source{"a": {good("a", 0), change(good("a", 3), func(b *wire.PairBatch) { b.Ego.RateHz = 15 })}}, dataset.Options{},
			"take rig-1/a: the rig's rate changed from 10 to 15 at sample 3"},
		{"another extractor of a camera", source{"a": {good("a", 0), change(good("a", 3), func(b *wire.PairBatch) { b.Exo[0].Extractor = other })}}, dataset.Options{},
			"take rig-1/a: the features of camera exo1 at sample 3 are of another extractor than those before"},
		{"another release", source{"a": {good("a", 0)}, "b": {change(good("b", 3), func(b *wire.PairBatch) { b.Exo[0].Extractor = other })}}, dataset.Options{},
			"take rig-1/b has features of other extractors than take rig-1/a; put the takes of each release in a directory of their own"},
		{"another rate of a take", source{"a": {good("a", 0)}, "b": {change(good("b", 3), func(b *wire.PairBatch) { b.Ego.RateHz = 15 })}}, dataset.Options{},
			"take rig-1/b has 15 samples a second, take rig-1/a 10"},
		{"view", source{"a": {good("a", 0)}}, dataset.Options{Exo: []string{"exo7"}}, `there is no view "exo7", there are exo1, ego`},
		{"one sample", source{"a": {change(good("a", 0), func(b *wire.PairBatch) {
			*b = *pairBatch("a", 0, 1)
			addTrack(b, "exo1", 1, all)
		})}}, dataset.Options{}, "take rig-1_a has 1 sample, expected at least 2; take it out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := dataset.OpenPairs(t.Context(), test.src, test.o)
			if err == nil {
				d.Close()
				t.Fatalf("was opened, want %s", test.want)
			}
			if err.Error() != "pairs data set: "+test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	// A take that grows between two readings is not cut to what it was.
	src := source{"a": {good("a", 0)}}
	d, err := dataset.OpenPairs(t.Context(), src, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src["a"] = append(src["a"], good("a", 3))
	take, _ := d.Take("rig-1_a")
	if _, err := take.Features(t.Context(), "ego"); err == nil || fmt.Sprint(err) != "take rig-1_a: rig-1/a of ego has 6 samples, expected 3" {
		t.Errorf("a take that grew: %v", err)
	}
}
