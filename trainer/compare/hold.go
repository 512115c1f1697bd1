package compare

import (
	"slices"

	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/method"
)

// HoldAuto as Plan.Hold makes the hold a third of the median length of the segments in the labels that the teacher is
// trained on. Low percentiles won't do: with labels that flicker they are one frame, with clean ones a tenth of what really
// happens is shorter. A third was chosen on exo labels alone: of the two-stream data set, for the judgement of a causal
// network on the exo side of held-out training takes, 4 to 5 frames of a median of 12 were best on F1@50.
const HoldAuto = -1

// holdFrames returns the label hold. labels are the teacher's, never those of the ego side.
func (p Plan) holdFrames(labels []method.Labelled) int {
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
	return max(1, lengths[len(lengths)/2]/3)
}

// held is a take's labels after the hold.
func held(classes []int, frames int) []int {
	if frames <= 1 {
		return classes
	}
	return segment.Hold(classes, frames)
}

// score judges takes and compares with their labels, after the hold.
func score(m *method.Model, takes []method.Labelled, hold int) (tas.Scores, error) {
	if hold <= 1 {
		return m.Score(takes)
	}
	sequences := make([]method.Sequence, len(takes))
	for i, l := range takes {
		sequences[i] = l.Sequence
	}
	predictions, err := m.Judge(sequences)
	if err != nil {
		return tas.Scores{}, err
	}
	videos := make([]tas.Video, len(takes))
	for i, l := range takes {
		v := tas.Video{Name: l.Name}
		if v.GT, err = m.Labels.Decode(l.Classes); err != nil {
			return tas.Scores{}, err
		}
		if v.Pred, err = m.Labels.Decode(held(predictions[i].Classes, hold)); err != nil {
			return tas.Scores{}, err
		}
		videos[i] = v
	}
	return tas.Score(videos, m.Background...)
}
