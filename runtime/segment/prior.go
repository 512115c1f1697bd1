package segment

import (
	"math"

	"tandem/runtime/bundle"
)

// leastProb keeps the logarithm of a class probability finite.
const leastProb = 1e-10

// prior follows the best path of labels under a transition prior, one frame at a time: the Viterbi algorithm (Forney, "The
// Viterbi algorithm", Proc. IEEE 61, 1973, section VI.A on truncated survivors). A frame is decided lag frames after it, by
// the path that is best then. Work and memory of a frame are constant.
type prior struct {
	classes, lag int
	trans        []float64 // weighted log transitions, from a row's class to a column's
	best, next   []float64 // log score of the best path that ends in each class; the largest is 0, so that hours don't add up
	back         []uint16  // ring of lag+1 rows: the class before, on the best path to each class
	probs        []float32 // ring of lag+1 rows: class probabilities
	count        int64     // frames
}

// newPrior returns the decoder of a prior, nil without one.
func newPrior(p *bundle.Prior, classes int) *prior {
	if p == nil {
		return nil
	}
	d := &prior{
		classes: classes, lag: p.Lag, trans: make([]float64, 0, classes*classes), best: make([]float64, classes), next: make([]float64, classes),
		back: make([]uint16, (p.Lag+1)*classes), probs: make([]float32, (p.Lag+1)*classes),
	}
	for _, row := range p.LogTransitions {
		for _, v := range row {
			d.trans = append(d.trans, p.Weight*v)
		}
	}
	return d
}

// row returns the place in a ring of what belongs to a frame.
func (d *prior) row(frame int64) (from, to int) {
	at := int(frame%int64(d.lag+1)) * d.classes
	return at, at + d.classes
}

// push takes the class probabilities of the next frame.
func (d *prior) push(probs []float32) {
	from, to := d.row(d.count)
	back := d.back[from:to]
	copy(d.probs[from:to], probs)
	top := math.Inf(-1)
	for c := range d.next {
		before, score := 0, 0.0
		if d.count > 0 {
			score = d.best[0] + d.trans[c]
			for f := 1; f < d.classes; f++ {
				if s := d.best[f] + d.trans[f*d.classes+c]; s > score {
					before, score = f, s
				}
			}
		}
		back[c] = uint16(before)
		d.next[c] = score + logOf(probs[c])
		top = max(top, d.next[c])
	}
	for c := range d.next {
		d.next[c] -= top
	}
	d.best, d.next = d.next, d.best
	d.count++
}

// label returns the class, on the path that is best now, of the frame that is age frames old (0 is the newest, at most lag), and
// its probability.
func (d *prior) label(age int) (int, float32) {
	c := 0
	for i, v := range d.best {
		if v > d.best[c] {
			c = i
		}
	}
	frame := d.count - 1
	for ; age > 0; age-- {
		from, _ := d.row(frame)
		c = int(d.back[from+c])
		frame--
	}
	from, _ := d.row(frame)
	return c, d.probs[from+c]
}

func logOf(p float32) float64 { return math.Log(max(float64(p), leastProb)) }

func (d *prior) reset() { d.count = 0 }
