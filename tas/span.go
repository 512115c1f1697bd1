package tas

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Span is a label on the half-open interval [Start, End) of site time.
type Span struct {
	Label      string
	Start, End int64   // nanoseconds since the Unix epoch, Start < End
	Confidence float32 // of the label, 0 to 1; 0 where nobody knows
}

// FrameSpans is the spans of per-frame labels at rate (more than 0) frames a second, of which the first begins at start:
// frame i covers [start + i/rate, start + (i+1)/rate), rounded to nanoseconds. Equal neighbours are one span; the
// confidence is 0. SampleSpans at the middle of the frames gives them back.
func FrameSpans(frames []string, start int64, rate float64) []Span {
	at := func(frame int) int64 { return start + int64(math.Round(float64(frame)/rate*1e9)) }
	runs := Runs(make(classIDs).ids(frames))
	spans := make([]Span, len(runs))
	for i, r := range runs {
		spans[i] = Span{Label: frames[r.Start], Start: at(r.Start), End: at(r.End)}
	}
	return spans
}

// SampleSpans is the label at each of the instants (site time, in any order): that of the span that holds it, or gap where
// none does. The spans may come in any order. A span that ends before it has begun, and two that overlap, are errors:
// a label that depends on the order of spans would be a guess.
func SampleSpans(spans []Span, instants []int64, gap string) ([]string, error) {
	sorted := slices.SortedStableFunc(slices.Values(spans), func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	for i, s := range sorted {
		if s.Start >= s.End {
			return nil, fmt.Errorf("span %q [%d, %d) is empty; its end must be after its start", clip(s.Label), s.Start, s.End)
		}
		if i > 0 && s.Start < sorted[i-1].End {
			before := sorted[i-1]
			return nil, fmt.Errorf("spans %q [%d, %d) and %q [%d, %d) overlap", clip(before.Label), before.Start, before.End, clip(s.Label), s.Start, s.End)
		}
	}
	frames := make([]string, len(instants))
	for i, t := range instants {
		after, _ := slices.BinarySearchFunc(sorted, t, func(s Span, t int64) int {
			if s.Start <= t {
				return -1
			}
			return 1
		})
		frames[i] = gap
		if after > 0 && t < sorted[after-1].End {
			frames[i] = sorted[after-1].Label
		}
	}
	return frames, nil
}
