package bundle

import (
	"fmt"
	"math"
)

// Modes of a segmenter.
const (
	Causal = "causal" // one frame a run, with state
	Window = "window" // overlapping windows of a network that looks ahead
)

// Windows says how a network that sees whole sequences is run over a stream (mode "window"). Every Hop frames it is run on the
// newest Frames; of what it says, the newest Right frames wait for the next run, since what comes after them isn't known
// yet, and the Hop frames before those are the committed opinion. At the beginning of a take windows are shorter, as there is
// no more.
type Windows struct {
	Frames int `json:"frames"` // length of a window
	Hop    int `json:"hop"`    // from one window to the next
	Left   int `json:"left"`   // a frame is judged with at least this many frames before it, or all there are
	Right  int `json:"right"`  // and with this many after it
}

// Decoding turns scores into segments: prior, then label hold, within the commit lag.
type Decoding struct {
	// MinFrames is the label hold: a label change is believed when it has lasted this many frames, and then dated back
	// to where it began. 1 believes at once.
	MinFrames int `json:"min_frames"`
	// MinFramesByClass is the hold of each class, in the order of the labels; nil means MinFrames for all.
	MinFramesByClass []int `json:"min_frames_by_class,omitempty"`
	// CommitLag is how many frames after it a frame is committed at the latest: holds that would take longer are cut. 0 means
	// what the rest adds up to (Segmenter.CommitDelay).
	CommitLag int `json:"commit_lag,omitempty"`
	// Prior is what is known of which label follows which; nil means nothing.
	Prior *Prior `json:"prior,omitempty"`
}

// Prior is a transition prior. The path of labels that maximizes
//
//	Σ log p(label_t | features) + Weight · Σ LogTransitions[label_t-1][label_t]
//
// is followed by the Viterbi algorithm, and each frame is decided Lag frames after it by the best path until then.
type Prior struct {
	Lag            int         `json:"lag"`
	Weight         float64     `json:"weight"`
	LogTransitions [][]float64 `json:"log_transitions"` // natural logarithms, from a row's class to a column's, a frame later
}

// JudgeLag is by how many frames the committed opinion is behind the newest frame at most, before decoding: the last head's lag,
// or in windows the frames that wait for those after them and for the next run.
func (s *Segmenter) JudgeLag() int {
	if s.Window != nil {
		return s.Window.Right + s.Window.Hop - 1
	}
	return s.Heads[len(s.Heads)-1].Lag
}

// Holds is the label hold of each class in frames, cut to what the commit lag leaves for it.
func (s *Segmenter) Holds(classes int) []int {
	list := make([]int, classes)
	for i := range list {
		list[i] = s.Decode.MinFrames
		if i < len(s.Decode.MinFramesByClass) {
			list[i] = s.Decode.MinFramesByClass[i]
		}
		if s.Decode.CommitLag > 0 {
			list[i] = min(list[i], s.Decode.CommitLag-s.JudgeLag()-s.Decode.priorLag()+1)
		}
		list[i] = max(list[i], 1)
	}
	return list
}

// CommitDelay is how many frames after it a frame is committed at the latest: JudgeLag, the prior's lag, and the longest hold
// less one.
func (s *Segmenter) CommitDelay(classes int) int {
	longest := 1
	for _, h := range s.Holds(classes) {
		longest = max(longest, h)
	}
	return s.JudgeLag() + s.Decode.priorLag() + longest - 1
}

func (d *Decoding) priorLag() int {
	if d.Prior == nil {
		return 0
	}
	return d.Prior.Lag
}

const (
	maxHold  = 10000
	maxPrior = 1000 // frames that a prior may look back; each frame costs as many steps
)

// Check checks the decoder for a number of classes and a segmenter's JudgeLag. The error wraps ErrInvalid and names the field.
func (d *Decoding) Check(classes, judgeLag int) error {
	const at = "segmenter.decode."
	if d.MinFrames < 1 || d.MinFrames > maxHold {
		return bad(at+"min_frames", d.MinFrames, fmt.Sprintf("1 to %d", maxHold))
	}
	if n := len(d.MinFramesByClass); n > 0 && n != classes {
		return bad(at+"min_frames_by_class", fmt.Sprintf("a list of %d", n), fmt.Sprintf("one number for each of %d labels, or none", classes))
	}
	for i, h := range d.MinFramesByClass {
		if h < 1 || h > maxHold {
			return bad(fmt.Sprintf("%smin_frames_by_class[%d]", at, i), h, fmt.Sprintf("1 to %d", maxHold))
		}
	}
	if p := d.Prior; p != nil {
		if err := p.validate(at+"prior.", classes); err != nil {
			return err
		}
	}
	if least := judgeLag + d.priorLag(); d.CommitLag != 0 && (d.CommitLag < least || d.CommitLag > 10*maxHold) {
		return bad(at+"commit_lag", d.CommitLag, fmt.Sprintf("0, or at least %d, by which the segmenter and the prior are late", least))
	}
	return nil
}

func (p *Prior) validate(at string, classes int) error {
	switch {
	case p.Lag < 0 || p.Lag > maxPrior:
		return bad(at+"lag", p.Lag, fmt.Sprintf("0 to %d", maxPrior))
	case !(p.Weight > 0 && p.Weight <= 1000):
		return bad(at+"weight", p.Weight, "more than 0 and at most 1000")
	case len(p.LogTransitions) != classes:
		return bad(at+"log_transitions", fmt.Sprintf("%d rows", len(p.LogTransitions)), fmt.Sprintf("one for each of %d labels", classes))
	}
	for i, row := range p.LogTransitions {
		if len(row) != classes {
			return bad(fmt.Sprintf("%slog_transitions[%d]", at, i), fmt.Sprintf("%d numbers", len(row)), fmt.Sprintf("one for each of %d labels", classes))
		}
		var sum float64
		for j, v := range row {
			if !(v <= 0 && v >= -1000) {
				return bad(fmt.Sprintf("%slog_transitions[%d][%d]", at, i, j), v, "the logarithm of a probability, -1000 to 0")
			}
			sum += math.Exp(v)
		}
		if math.Abs(sum-1) > 1e-3 {
			return bad(fmt.Sprintf("%slog_transitions[%d]", at, i), fmt.Sprintf("probabilities that add up to %g", sum), "1")
		}
	}
	return nil
}

const maxWindow = 1 << 16

func (w *Windows) validate() error {
	const at = "segmenter.window."
	switch {
	case w.Frames < 1 || w.Frames > maxWindow:
		return bad(at+"frames", w.Frames, fmt.Sprintf("1 to %d", maxWindow))
	case w.Hop < 1 || w.Hop > w.Frames:
		return bad(at+"hop", w.Hop, fmt.Sprintf("1 to frames, %d", w.Frames))
	case w.Left < 0 || w.Left > w.Frames:
		return bad(at+"left", w.Left, fmt.Sprintf("0 to frames, %d", w.Frames))
	case w.Right < 0 || w.Right > w.Frames:
		return bad(at+"right", w.Right, fmt.Sprintf("0 to frames, %d", w.Frames))
	case (w.Frames-w.Right)%w.Hop != 0:
		return bad(at+"frames", w.Frames, fmt.Sprintf("right, %d, and a multiple of hop, %d", w.Right, w.Hop))
	case w.Left+w.Hop+w.Right > w.Frames:
		return bad(at+"frames", w.Frames, fmt.Sprintf("at least left, hop and right together, %d", w.Left+w.Hop+w.Right))
	}
	return nil
}
