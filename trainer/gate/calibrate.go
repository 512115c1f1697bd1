package gate

import (
	"errors"
	"fmt"
	"math"
)

// Rated is what a network says of a labelled sequence.
type Rated struct {
	Name    string
	Probs   []float32 // [T, classes]
	Classes []int     // [T], the labels
	Weights []float32 // [T], 0 for frames that don't count; nil means that all do
}

// Calibration makes a network's confidence a probability: its logits are divided by one temperature, which is the one of
// least negative log likelihood on labelled sequences that it wasn't trained on (Guo et al., "On Calibration of Modern Neural
// Networks", ICML 2017, section 4.2). The best class of a frame stays the same.
type Calibration struct {
	Temperature float64 `json:"temperature"`
	Frames      int     `json:"frames"` // labelled ones that it was found on
	// Mean negative log likelihood of the labels, and expected calibration error (see below), before and after.
	NLLBefore float64 `json:"nll_before"`
	NLLAfter  float64 `json:"nll_after"`
	ECEBefore float64 `json:"ece_before"`
	ECEAfter  float64 `json:"ece_after"`
}

// The temperatures that are looked at. A network that is never wrong on the labelled sequences would get 0.
const (
	coldest = 0.1
	hottest = 20
)

// least keeps the logarithm of a probability finite.
const least = 1e-8

// Calibrate finds the temperature for a network of k classes.
func Calibrate(list []Rated, k int) (Calibration, error) {
	n := 0
	for _, r := range list {
		if len(r.Probs) != k*len(r.Classes) || r.Weights != nil && len(r.Weights) != len(r.Classes) {
			return Calibration{}, fmt.Errorf("calibrate: %s has %d probabilities and %d weights for %d frames of %d classes",
				r.Name, len(r.Probs), len(r.Weights), len(r.Classes), k)
		}
		for t, c := range r.Classes {
			if c < 0 || c >= k {
				return Calibration{}, fmt.Errorf("calibrate: %s: frame %d has class %d, expected one of [0, %d)", r.Name, t, c, k)
			}
			if r.counts(t) {
				n++
			}
		}
	}
	if n == 0 {
		return Calibration{}, errors.New("calibrate: not one labelled frame")
	}
	nll := func(temperature float64) float64 {
		var sum float64
		row := make([]float64, k)
		for _, r := range list {
			for t, c := range r.Classes {
				if r.counts(t) {
					scaled(row, r.Probs[t*k:(t+1)*k], temperature)
					sum -= math.Log(max(row[c], least))
				}
			}
		}
		return sum / float64(n)
	}
	// In 1/T the likelihood is convex, so that in the logarithm there is one minimum.
	log := golden(math.Log(coldest), math.Log(hottest), func(x float64) float64 { return nll(math.Exp(x)) })
	c := Calibration{Temperature: math.Exp(log), Frames: n}
	c.NLLBefore, c.NLLAfter = nll(1), nll(c.Temperature)
	c.ECEBefore, c.ECEAfter = calibrationError(list, k, 1), calibrationError(list, k, c.Temperature)
	return c, nil
}

func (r Rated) counts(t int) bool { return r.Weights == nil || r.Weights[t] > 0 }

// Apply returns calibrated probabilities.
func (c Calibration) Apply(probs []float32, k int) []float32 {
	out := make([]float32, len(probs))
	row := make([]float64, k)
	for i := 0; i < len(probs); i += k {
		scaled(row, probs[i:i+k], c.Temperature)
		for j, v := range row {
			out[i+j] = float32(v)
		}
	}
	return out
}

// scaled is softmax(logits/T); the logarithms of the probabilities are the logits but for a constant, which falls out.
func scaled(dst []float64, probs []float32, temperature float64) {
	top := math.Inf(-1)
	for i, p := range probs {
		dst[i] = math.Log(max(float64(p), least)) / temperature
		top = max(top, dst[i])
	}
	var sum float64
	for i := range dst {
		dst[i] = math.Exp(dst[i] - top)
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
}

// calibrationError is the expected calibration error (Guo et al., section 2, after Naeini et al., AAAI 2015): the frames are
// put into 15 bins by the confidence in their best class, and
//
//	ECE = sum over bins b of |b|/n |accuracy(b) - confidence(b)|
func calibrationError(list []Rated, k int, temperature float64) float64 {
	const bins = 15
	var count, right, sure [bins]float64
	var n float64
	row := make([]float64, k)
	for _, r := range list {
		for t, c := range r.Classes {
			if !r.counts(t) {
				continue
			}
			scaled(row, r.Probs[t*k:(t+1)*k], temperature)
			best := 0
			for j, v := range row {
				if v > row[best] {
					best = j
				}
			}
			b := min(int(row[best]*bins), bins-1)
			n++
			count[b]++
			sure[b] += row[best]
			if best == c {
				right[b]++
			}
		}
	}
	var e float64
	for b := range bins {
		e += math.Abs(right[b] - sure[b])
	}
	return e / n
}

// golden finds the minimum of a function that falls and then rises, by golden section (Kiefer, 1953).
func golden(low, high float64, f func(float64) float64) float64 {
	const ratio, steps = 0.6180339887498949, 40
	a, b := high-ratio*(high-low), low+ratio*(high-low)
	fa, fb := f(a), f(b)
	for range steps {
		if fa <= fb {
			high, b, fb = b, a, fa
			a = high - ratio*(high-low)
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + ratio*(high-low)
			fb = f(b)
		}
	}
	return (low + high) / 2
}
