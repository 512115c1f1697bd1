package segment_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// TestSegmentersThatShareAModelHaveHistoriesOfTheirOwn: two cameras on one loaded model say what each would alone, and the model
// lives as long as one of them.
func TestSegmentersThatShareAModelHaveHistoriesOfTheirOwn(t *testing.T) {
	d := modeltest.New(t, modeltest.Options{})
	open := func() *segment.Segmenter {
		s, err := segment.Open(d, ort.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open()
	second, err := first.Share()
	if err != nil {
		t.Fatal(err)
	}
	alone := [2]*segment.Segmenter{open(), open()}
	shared := [2]*segment.Segmenter{first, second}
	rng := rand.New(rand.NewPCG(1, 1))
	row := make([]float32, d.Extractor.Dim)
	push := func(i int, seq int64) {
		for k := range row {
			row[k] = rng.Float32()
		}
		got, err := shared[i].Push(seq, seq*1e8, row)
		if err != nil {
			t.Fatal(err)
		}
		want, err := alone[i].Push(seq, seq*1e8, row)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) || !slices.Equal(shared[i].Scores(1), alone[i].Scores(1)) {
			t.Fatalf("segmenter %d at sample %d: %v %v, alone %v %v", i, seq, got, shared[i].Scores(1), want, alone[i].Scores(1))
		}
	}
	for seq := range int64(60) {
		push(0, seq)
		push(1, seq)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	push(1, 60)
	for _, s := range []*segment.Segmenter{second, alone[0], alone[1]} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
