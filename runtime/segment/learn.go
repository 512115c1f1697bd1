package segment

import (
	"math"
	"slices"

	"tandem/tas"
)

// fewSegments of a class say too little about how long it lasts.
const fewSegments = 5

// HoldFrames chooses label holds from the labels of takes, those that a teacher is trained on: a third of the median length of all
// segments, and for each class a third of its own median. Classes with fewer than 5 segments get that of all. No hold is longer
// than limit frames, if that is more than 0.
//
// Low percentiles won't do: with labels that flicker they are one frame, with clean ones a tenth of what really happens is
// shorter. A third was chosen on exo labels alone (docs/segments.md).
func HoldFrames(takes [][]int, classes, limit int) (all int, byClass []int) {
	var lengths []int
	own := make([][]int, classes)
	for _, labels := range takes {
		for _, s := range tas.Runs(labels) {
			lengths = append(lengths, s.Len())
			own[s.Label] = append(own[s.Label], s.Len())
		}
	}
	hold := func(lengths []int) int {
		if len(lengths) == 0 {
			return 1
		}
		slices.Sort(lengths)
		h := max(1, lengths[len(lengths)/2]/3)
		if limit > 0 {
			h = min(h, limit)
		}
		return h
	}
	all = hold(lengths)
	byClass = make([]int, classes)
	for c := range byClass {
		byClass[c] = all
		if len(own[c]) >= fewSegments {
			byClass[c] = hold(own[c])
		}
	}
	return all, byClass
}

// LogTransitions are the logarithms of the probabilities with which a label follows another from one frame to the next, in the
// labels of takes, those that a teacher is trained on. What was never seen counts as one frame, shared by all classes.
func LogTransitions(takes [][]int, classes int) [][]float64 {
	out := make([][]float64, classes)
	for c := range out {
		out[c] = make([]float64, classes)
		for k := range out[c] {
			out[c][k] = 1 / float64(classes)
		}
	}
	for _, labels := range takes {
		for t := 1; t < len(labels); t++ {
			out[labels[t-1]][labels[t]]++
		}
	}
	for _, row := range out {
		var sum float64
		for _, v := range row {
			sum += v
		}
		for k, v := range row {
			row[k] = math.Log(v / sum)
		}
	}
	return out
}
