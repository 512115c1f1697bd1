package compare

import (
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/method"
)

// HoldAuto as Plan.Hold makes the hold a third of the median length of the segments in the labels that the teacher is
// trained on. Low percentiles won't do: with labels that flicker they are one frame, with clean ones a tenth of what really
// happens is shorter. A third was chosen on exo labels alone: of the two-stream data set, for the judgement of a causal
// network on the exo side of held-out training takes, 4 to 5 frames of a median of 12 were best on F1@50.
const HoldAuto = -1

// HoldClass is HoldAuto for each class by itself (segment.HoldFrames).
const HoldClass = -2

// holding is a label hold.
type holding struct {
	frames  int
	byClass []int // nil means frames for all
}

// holding returns the label hold. labels are the teacher's, never those of the ego side.
func (p Plan) holding(labels []method.Labelled, classes int) holding {
	if p.Hold >= 0 {
		return holding{frames: p.Hold}
	}
	h := holding{}
	h.frames, h.byClass = segment.HoldFrames(classesOf(labels), classes, 0)
	if p.Hold == HoldAuto {
		h.byClass = nil
	}
	return h
}

func classesOf(labels []method.Labelled) [][]int {
	list := make([][]int, len(labels))
	for i, l := range labels {
		list[i] = l.Classes
	}
	return list
}

// none tells whether nothing is held.
func (h holding) none() bool { return h.frames <= 1 && h.byClass == nil }

// apply returns a take's labels after the hold.
func (h holding) apply(classes []int) []int {
	switch {
	case h.none():
		return classes
	case h.byClass != nil:
		return segment.HoldEach(classes, h.byClass)
	}
	return segment.Hold(classes, h.frames)
}

// score judges takes and compares with their labels, after the hold.
func score(m *method.Model, takes []method.Labelled, hold holding) (tas.Scores, error) {
	if hold.none() {
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
		if v.Pred, err = m.Labels.Decode(hold.apply(predictions[i].Classes)); err != nil {
			return tas.Scores{}, err
		}
		videos[i] = v
	}
	return tas.Score(videos, m.Background...)
}
