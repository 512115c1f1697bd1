package gate

import (
	"fmt"
	"slices"

	"tandem/tas"
)

// Exam is a held-out take with what the teacher says of it.
type Exam struct {
	Name    string
	RateHz  float64
	Teacher []int     // [T], the teacher's committed labels
	Probs   []float32 // [T, classes], the teacher's calibrated probabilities
	Weights []float32 // [T], 0 where there is no partner: such frames are cut out
}

// Answers are a network's committed labels of each exam's frames, in the exams' order.
type Answers [][]int

// Scores say how a network agrees with the teacher on exams. All but the last are in per cent.
type Scores struct {
	// Agreement is the share of frames with the teacher's label, each counted by the calibrated probability that the teacher
	// gives it: Σ q_t(l_t) [y_t = l_t] / Σ q_t(l_t). Where the teacher doubts, little is asked.
	Agreement float64 `json:"agreement"`
	// Expected is the accuracy to expect if the teacher's calibrated probabilities are right: the mean of q_t(y_t).
	Expected float64 `json:"expected_accuracy"`
	// The figures of segmentation against the teacher's committed segments (tas.Scores).
	tas.Scores
	// Changes is how often the label changes in a minute.
	Changes float64 `json:"changes_per_minute"`
}

// part is a run of the teacher's segments in an exam, with what a network got right there: what is drawn at random to see
// how far the figures hang on the takes that happened to be held out.
type part struct {
	agreed, asked           float64 // Σ of the teacher's confidence
	hits, missed, unfounded float64 // segments: found with half an overlap, not found, claimed where there is none
}

func (p *part) add(q part) {
	p.agreed += q.agreed
	p.asked += q.asked
	p.hits += q.hits
	p.missed += q.missed
	p.unfounded += q.unfounded
}

// merit is the one figure that the verdict is about: the mean of Agreement and F1@50, in per cent. The one counts frames,
// the other whole segments, claimed or missed.
func (p part) merit() float64 {
	agreement, f1 := 100.0, 100.0
	if p.asked > 0 {
		agreement = 100 * p.agreed / p.asked
	}
	if n := 2*p.hits + p.missed + p.unfounded; n > 0 {
		f1 = 100 * 2 * p.hits / n
	}
	return (agreement + f1) / 2
}

// paper is an exam reduced to the frames that count.
type paper struct {
	Exam
	frames []int
	cuts   []int // where its parts begin, in frames that count
}

// known returns the labels of the frames that count.
func (p paper) known(labels []int) []int {
	out := make([]int, len(p.frames))
	for i, t := range p.frames {
		out[i] = labels[t]
	}
	return out
}

// partsWanted is into how many parts exams are cut, if the teacher has seen as many segments.
const partsWanted = 24

// papers checks exams and cuts them into parts: whole takes where there are many, else runs of the teacher's segments. It
// returns the number of parts.
func papers(exams []Exam, k int) ([]paper, int, error) {
	var list []paper
	segments := 0
	for _, e := range exams {
		if len(e.Probs) != k*len(e.Teacher) || len(e.Weights) != len(e.Teacher) || !(e.RateHz > 0) {
			return nil, 0, fmt.Errorf("gate: %s has %d probabilities and %d weights for %d frames of %d classes at %g Hz",
				e.Name, len(e.Probs), len(e.Weights), len(e.Teacher), k, e.RateHz)
		}
		p := paper{Exam: e}
		for t, w := range e.Weights {
			if w > 0 {
				p.frames = append(p.frames, t)
			}
		}
		if len(p.frames) > 0 {
			list = append(list, p)
			segments += len(tas.Runs(p.known(e.Teacher)))
		}
	}
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("gate: not one frame of %d held-out takes has a partner", len(exams))
	}
	each := max(1, segments/partsWanted)
	parts := 0
	for i := range list {
		p := &list[i]
		for j, s := range tas.Runs(p.known(p.Teacher)) {
			if j == 0 || len(list) < partsWanted && j%each == 0 {
				p.cuts = append(p.cuts, s.Start)
				parts++
			}
		}
	}
	return list, parts, nil
}

// mark scores answers, as a whole and part by part.
func mark(list []paper, k int, answers Answers, labels tas.Labels, background []string) (Scores, []part, error) {
	var s Scores
	var whole part
	var parts []part
	var videos []tas.Video
	var frames, changes int
	var seconds, expected float64
	hidden := map[int]bool{}
	for _, b := range background {
		if i, ok := labels.Index(b); ok {
			hidden[i] = true
		}
	}
	for i, p := range list {
		truth, got := p.known(p.Teacher), p.known(answers[i])
		mine := make([]part, len(p.cuts))
		at := func(frame int) *part {
			j, exact := slices.BinarySearch(p.cuts, frame)
			if !exact {
				j--
			}
			return &mine[j]
		}
		for j, t := range p.frames {
			if c := got[j]; c < 0 || c >= k {
				return s, nil, fmt.Errorf("gate: %s: frame %d has class %d, expected one of [0, %d)", p.Name, t, c, k)
			}
			q := float64(p.Probs[t*k+truth[j]])
			at(j).asked += q
			if truth[j] == got[j] {
				at(j).agreed += q
			}
			expected += float64(p.Probs[t*k+got[j]])
			if j > 0 && got[j] != got[j-1] {
				changes++
			}
		}
		frames += len(p.frames)
		seconds += float64(len(p.frames)) / p.RateHz
		match(visible(truth, hidden), visible(got, hidden), at)
		v := tas.Video{Name: p.Name}
		var err error
		if v.GT, err = labels.Decode(truth); err == nil {
			v.Pred, err = labels.Decode(got)
		}
		if err != nil {
			return s, nil, fmt.Errorf("gate: %s: %w", p.Name, err)
		}
		videos = append(videos, v)
		parts = append(parts, mine...)
	}
	for _, p := range parts {
		whole.add(p)
	}
	var err error
	s.Scores, err = tas.Score(videos, background...)
	if whole.asked > 0 {
		s.Agreement = 100 * whole.agreed / whole.asked
	}
	s.Expected = 100 * expected / float64(frames)
	s.Changes = float64(changes) / (seconds / 60)
	return s, parts, err
}

func visible(frames []int, hidden map[int]bool) []tas.Segment {
	return slices.DeleteFunc(tas.Runs(frames), func(s tas.Segment) bool { return hidden[s.Label] })
}

// match finds the teacher's segments by the rule of F1@50 (tas.Scores) and books each hit, miss and unfounded claim at the
// part in which its segment lies.
func match(truth, claim []tas.Segment, at func(frame int) *part) {
	used := make([]bool, len(truth))
	for _, c := range claim {
		best, inter, union := -1, 0, 1
		for i, t := range truth {
			in := min(c.End, t.End) - max(c.Start, t.Start)
			if t.Label != c.Label || in <= 0 {
				continue
			}
			if un := c.Len() + t.Len() - in; in*union > inter*un {
				best, inter, union = i, in, un
			}
		}
		if best >= 0 && 2*inter >= union && !used[best] {
			used[best] = true
			at(truth[best].Start).hits++
		} else {
			at((c.Start+c.End)/2).unfounded++
		}
	}
	for i, t := range truth {
		if !used[i] {
			at(t.Start).missed++
		}
	}
}
