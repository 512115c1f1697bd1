package method

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"tandem/sync/offset"
)

// Offset is what was found of a pair's clock error.
type Offset struct {
	Pair string `json:"pair"`
	// Frames is the offset: ego frame t is of the instant of exo frame t+Frames.
	Frames float64 `json:"frames"`
	// Confidence is the estimate's, its peak to the next one; Sure says whether it was claimed. Where it was not, Frames is
	// the median of the sure ones.
	Confidence float64 `json:"confidence"`
	Sure       bool    `json:"sure"`

	first     int // lag of the first of
	posterior []float64
}

// Windows of the novelty curves, in frames; their curves are added.
var noveltyWindows = []int{3, 6, 10}

// Of what is left of the error after the estimate: how many frames on either side are averaged over, and how peaked.
const (
	residualReach = 2
	sharpness     = 30
)

// align estimates the offset of each lesson's ego features from the teacher's stream (design: change points show in both).
// Pairs of which nothing can be claimed take the median of the others: a camera's latency is much the same in each take.
func (o Options) align(lessons []lesson, k int) ([]Offset, error) {
	list := make([]Offset, len(lessons))
	var sure []float64
	for i, l := range lessons {
		r, err := o.estimate(l, k)
		if err != nil && !errors.Is(err, offset.ErrUnsure) {
			return nil, fmt.Errorf("the pair %s: %w", l.pair.Name, err)
		}
		list[i] = Offset{Pair: l.pair.Name, Frames: r.Frames, Confidence: r.Confidence, Sure: err == nil}
		if err == nil {
			list[i].first, list[i].posterior = r.Posterior(residualReach, sharpness)
			sure = append(sure, r.Frames)
		}
	}
	common := median(sure)
	for i := range list {
		if !list[i].Sure {
			list[i].Frames = common
			list[i].first, list[i].posterior = int(math.Round(common)), []float64{1}
		}
	}
	return list, nil
}

// estimate compares the novelty curves of the teacher's stream and of the ego features.
func (o Options) estimate(l lesson, k int) (offset.Result, error) {
	ego, err := curve(l.pair.Ego.Features, l.pair.Ego.Dim)
	if err != nil {
		return offset.Result{}, err
	}
	exo, err := curve(joint(l.logits, k, 2), k)
	if err != nil {
		return offset.Result{}, err
	}
	return offset.Estimate(ego, exo, o.Offset)
}

func curve(features []float32, dim int) ([]float64, error) {
	var curves [][]float64
	for _, half := range noveltyWindows {
		c, err := offset.Novelty(features, dim, half)
		if err != nil {
			return nil, err
		}
		curves = append(curves, c)
	}
	return offset.Sum(curves...)
}

// realign looks at the pairs again with a student that was trained on the first estimate: the offset is the lag at which
// the student's judgement agrees best with the teacher's,
//
//	argmax over k of mean over t of Σ_c q_{t+k,c} log p_{t,c}
//
// within the band. Where classes follow each other, that is much sharper than curves of change. A pair whose best lag is
// at the end of the band keeps what it had.
func (o Options) realign(student *Model, lessons []lesson, list []Offset, k int) (_ []Offset, err error) {
	p, err := student.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	band := o.Offset.Band
	if band == 0 {
		band = defaultBand
	}
	out := slices.Clone(list)
	for i, l := range lessons {
		got, err := p.predict(l.pair.Ego)
		if err != nil {
			return nil, err
		}
		best, ok := agree(joint(l.logits, k, 1), got.Probs, l.weights, k, min(band, len(l.weights)/4))
		if ok {
			out[i].Frames, out[i].Sure = best, true
		}
	}
	shrink(out)
	return out, nil
}

// Of the estimate by agreement: its variance in frames², and how many pairs it takes to tell that of the clocks.
const (
	agreeVariance = 0.5
	fewPairs      = 5
)

// shrink draws the offsets to their median, the less the more they differ (James & Stein, 1961, in the form of empirical
// Bayes): by the factor 1 - σ²/s², with σ² the estimate's own variance and s the spread of all, from the median absolute
// deviation. Clocks that are all right give one offset, whatever the single estimates say.
func shrink(list []Offset) {
	var frames []float64
	for _, f := range list {
		frames = append(frames, f.Frames)
	}
	factor, common := 1.0, median(frames)
	if len(list) >= fewPairs {
		apart := make([]float64, len(frames))
		for i, f := range frames {
			apart[i] = math.Abs(f - common)
		}
		s := 1.4826 * median(apart) // a normal distribution's standard deviation
		factor = max(0, 1-agreeVariance/max(s*s, 1e-9))
	}
	for i := range list {
		list[i].Frames = common + factor*(list[i].Frames-common)
		list[i].first, list[i].posterior = between(list[i].Frames)
	}
}

// median of a list, 0 of an empty one.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

const defaultBand = 20

// agree returns the lag of the best agreement, to a part of a frame.
func agree(teacher, student, weights []float32, k, band int) (float64, bool) {
	if band < 1 {
		return 0, false
	}
	logs := make([]float64, len(student))
	for i, v := range student {
		logs[i] = math.Log(max(float64(v), 1e-4))
	}
	score := make([]float64, 2*band+1)
	best := 0
	for i := range score {
		lag := i - band
		var sum, n float64
		for t := max(0, -lag); t < min(len(weights), len(weights)-lag); t++ {
			w := float64(weights[t+lag])
			if w == 0 {
				continue
			}
			n += w
			for c := range k {
				sum += w * float64(teacher[(t+lag)*k+c]) * logs[t*k+c]
			}
		}
		score[i] = math.Inf(-1)
		if n > 0 {
			score[i] = sum / n
		}
		if score[i] > score[best] {
			best = i
		}
	}
	if best == 0 || best == 2*band {
		return 0, false
	}
	part := 0.0
	if bend := score[best-1] - 2*score[best] + score[best+1]; bend < 0 && !math.IsInf(bend, 0) {
		part = max(-0.5, min(0.5, (score[best-1]-score[best+1])/(2*bend)))
	}
	return float64(best-band) + part, true
}

// between is the distribution over the two lags around an offset that has it as its mean.
func between(frames float64) (first int, p []float64) {
	first = int(math.Floor(frames))
	part := frames - float64(first)
	return first, []float64{1 - part, part}
}

// shift returns the teacher's probabilities of each ego frame, [T, k]: the mean over the offset's posterior π,
//
//	q'_t = Σ_δ π(δ) q_{t+δ}
//
// which is the marginal over what is left of the error. weights are 0 where that lies beyond the ends.
func (f Offset) shift(probs, weights []float32, k int) (shifted, shiftedWeights []float32) {
	frames := len(weights)
	shifted, shiftedWeights = make([]float32, len(probs)), make([]float32, frames)
	for t := range frames {
		var w float64
		for i, p := range f.posterior {
			at := t + f.first + i
			if at >= 0 && at < frames {
				w += p * float64(weights[at])
			}
			at = max(0, min(frames-1, at))
			for c := range k {
				shifted[t*k+c] += float32(p) * probs[at*k+c]
			}
		}
		shiftedWeights[t] = float32(w)
	}
	return shifted, shiftedWeights
}
