package tas

import (
	"slices"
	"testing"
)

func TestSampleSpans(t *testing.T) {
	spans := []Span{
		{Label: "b", Start: 30, End: 40},
		{Label: "a", Start: 10, End: 20},
		{Label: "c", Start: 40, End: 41},
	}
	instants := []int64{-5, 9, 10, 19, 20, 29, 30, 39, 40, 41, 15, 1 << 62}
	want := []string{"-", "-", "a", "a", "-", "-", "b", "b", "c", "-", "a", "-"}
	got, err := SampleSpans(spans, instants, "-")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	if spans[0].Label != "b" {
		t.Error("the caller's spans were sorted")
	}
	if got, err := SampleSpans(nil, []int64{1, 2}, "gap"); err != nil || !slices.Equal(got, []string{"gap", "gap"}) {
		t.Errorf("without spans: %q, %v", got, err)
	}
	if got, err := SampleSpans(spans, nil, "gap"); err != nil || len(got) != 0 {
		t.Errorf("without instants: %q, %v", got, err)
	}
}

func TestFrameSpans(t *testing.T) {
	frames := []string{"a", "a", "b", "a", "a", "a", "c"}
	const start, rate = 1_700_000_000_000_000_000, 30
	spans := FrameSpans(frames, start, rate)
	want := []Span{
		{Label: "a", Start: start, End: start + 66_666_667},
		{Label: "b", Start: start + 66_666_667, End: start + 100_000_000},
		{Label: "a", Start: start + 100_000_000, End: start + 200_000_000},
		{Label: "c", Start: start + 200_000_000, End: start + 233_333_333},
	}
	if !slices.Equal(spans, want) {
		t.Errorf("got %v, want %v", spans, want)
	}
	var middles []int64
	for i := range frames {
		middles = append(middles, start+int64((float64(i)+0.5)/rate*1e9))
	}
	if got, err := SampleSpans(spans, middles, "gap"); err != nil || !slices.Equal(got, frames) {
		t.Errorf("sampled again: %q, %v", got, err)
	}
	if got := FrameSpans(nil, start, rate); len(got) != 0 {
		t.Errorf("spans of nothing: %v", got)
	}
}

func TestSampleSpansRefuses(t *testing.T) {
	for want, spans := range map[string][]Span{
		`spans "a" [0, 10) and "b" [9, 20) overlap`:                 {{Label: "b", Start: 9, End: 20}, {Label: "a", Start: 0, End: 10}},
		`spans "a" [0, 10) and "a" [0, 10) overlap`:                 {{Label: "a", Start: 0, End: 10}, {Label: "a", Start: 0, End: 10}},
		`span "a" [5, 5) is empty; its end must be after its start`: {{Label: "a", Start: 5, End: 5}},
		`span "a" [5, 4) is empty; its end must be after its start`: {{Label: "z", Start: 0, End: 1}, {Label: "a", Start: 5, End: 4}},
		`spans "long" [0, 100) and "inside" [50, 60) overlap`:       {{Label: "long", Start: 0, End: 100}, {Label: "inside", Start: 50, End: 60}},
	} {
		if _, err := SampleSpans(spans, []int64{0}, ""); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
