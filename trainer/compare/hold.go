package compare

import (
	"slices"

	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/method"
)

// HoldAuto as Plan.Hold takes the hold from the lengths of the segments in the labels that the teacher is trained on.
const HoldAuto = -1

// holdPercentile is the percentile of the segments' lengths that an automatic hold is.
const holdPercentile = 10

// held returns the label hold in frames. labels are the teacher's, never those of the ego side.
func (p Plan) held(labels []method.Labelled) int {
	if p.Hold != HoldAuto {
		return p.Hold
	}
	var lengths []int
	for _, l := range labels {
		for _, s := range tas.Runs(l.Classes) {
			lengths = append(lengths, s.End-s.Start)
		}
	}
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	return lengths[len(lengths)*holdPercentile/100]
}

// score judges takes and compares with their labels, after the hold.
func score(m *method.Model, takes []method.Labelled, hold int) (tas.Scores, error) {
	if hold <= 1 {
		return m.Score(takes)
	}
	predictions, err := m.PredictAll(takes)
	if err != nil {
		return tas.Scores{}, err
	}
	videos := make([]tas.Video, len(takes))
	for i, l := range takes {
		v := tas.Video{Name: l.Name}
		if v.GT, err = m.Labels.Decode(l.Classes); err != nil {
			return tas.Scores{}, err
		}
		if v.Pred, err = m.Labels.Decode(segment.Hold(predictions[i].Classes, hold)); err != nil {
			return tas.Scores{}, err
		}
		videos[i] = v
	}
	return tas.Score(videos, m.Background...)
}
