package dejitter

import (
	"math"
	"slices"
)

// Constants of the numbering.
const (
	earlyMost  = 3.5 // standard deviations by which noise makes a frame early
	surely     = 1.7 // times that: noise does so once in more than a million frames
	likely     = 1.3 // times that: once in ten thousand
	surelyNext = 1.5 // the same for a lost frame and an early one together
	lostMost   = 1   // frames lost in a row that are likelier than a frame that late
	clear      = 2   // frames on time after which a number is sure
	againIn    = 0.8 // periods within which a frame that is delivered twice comes again
	wary       = 3000
)

// numbering infers how many frames after the last one a frame is.
type numbering struct {
	backlog bool    // the last frame was late by a period or more: those behind it come at once
	over    int     // frames by which numbers may have gone ahead since they were last sure
	plain   int     // frames since then that came when the next one was due
	crowd   float64 // share of the newest frames that were doubled
	again   bool    // the last frame may have been a copy of the one before
	young   int     // frames for which numbers are in doubt anyway
	sure    bool    // the last frame had no doubt
	clean   int     // frames since the last one that was doubled

	least  [floorBlocks]float64 // earliest residuals of blocks of frames, in turn
	frames int                  // that they hold
}

func (n *numbering) begin() {
	// A camera is suspected of doubling until it has sent 1,000 frames without, and its first numbers may be wrong.
	*n = numbering{clean: wary - 1000, young: learnOver + 64}
}

// verdict is the number of a frame.
type verdict struct {
	by    int // frames after the last one, 0 for the same again
	doubt int // periods
	late  bool
}

// next decides on a frame that arrived gap after the last one.
func (n *numbering) next(l *line, arrival int64, gap float64) verdict {
	period := l.slope
	r := l.residual(arrival, 1)
	slack := n.slack(l)
	if r > -slack || r > -surely*slack && gap > againIn*period {
		n.seen(r)
	}
	v := verdict{by: 1}
	lost := math.Floor((r + slack) / period)        // frames that must have been lost if this one is not late
	again := n.clean < wary && gap < againIn*period // it may be the last one again
	plain := false
	switch {
	case r < -slack:
		v.by, n.backlog = 0, false
		if r > -surely*slack {
			v.doubt = 1
		}
		if r < -likely*slack && n.sure && gap < againIn*period {
			n.clean = 0
		}
	case lost < 1:
		plain, n.backlog = true, false
		// If the last one was a copy that was taken for a new frame, this one has its number, and is late.
		again = again || n.again && r < -slack/4
		if again || r > period-surelyNext*slack {
			v.doubt = 1
		}
	case n.backlog && gap < period/2:
		v.late, v.doubt = true, count(lost)
		if again {
			n.over++
		}
	case n.backlog || lost <= lostMost:
		// Frames behind a late one would have come with it.
		v.by, n.backlog = 1+count(lost), false
		n.over += count(lost)
	default:
		v.late, v.doubt, n.backlog = true, count(lost), true
	}
	n.again = again
	// A number that went ahead shows at once: what follows comes too early. Two frames on time clear it, unless the late
	// one has more of its kind behind it.
	if n.plain++; !plain {
		n.plain = 0
	}
	if n.plain >= clear {
		n.over = 0
	}
	v.doubt = count(float64(v.doubt) + float64(n.over))
	// Where noise is as wide as the period, or its rate is hardly known, no number is sure.
	n.young = max(n.young-1, 0)
	if l.sd() > period/5 || n.young > 0 {
		v.doubt = max(v.doubt, 1)
	}
	n.sure = v.doubt == 0
	n.crowd -= n.crowd / 32
	if v.by == 0 {
		n.crowd += 1.0 / 32
	}
	n.clean = min(n.clean+1, wary)
	return v
}

// Frames in a block, and blocks, that the earliest residual is looked for in.
const (
	floorOver   = 256
	floorBlocks = 8
)

// seen keeps a residual if it is an early one.
func (n *numbering) seen(r float64) {
	b := &n.least[n.frames/floorOver%floorBlocks]
	if n.frames%floorOver == 0 {
		*b = 0
	}
	*b = min(*b, r)
	n.frames++
}

// slack returns by how much noise can make a frame early: by what its spread suggests, or by little more than it has in
// the last minute. The noise of a queue ends at a floor.
func (n *numbering) slack(l *line) float64 {
	slack := earlyMost * l.spread(1)
	if n.frames >= 2*floorOver {
		slack = min(slack, 1.25*-slices.Min(n.least[:]))
	}
	return min(l.slope/2, max(slack, l.slope/50))
}

func count(f float64) int { return int(min(max(f, 0), 1<<30)) }

// rate returns the period that most spacings agree on. False: too few agree. The slice must hold at most checkOver spacings.
func rate(gaps []float64) (period float64, ok bool) {
	var buf [checkOver]float64
	sorted := buf[:copy(buf[:], gaps)]
	slices.Sort(sorted)
	median := sorted[len(sorted)/2]
	if median < 1e4 || median > float64(mostPeriod) {
		return 0, false
	}
	sum, n := 0.0, 0.0
	for _, g := range sorted {
		if g > 0.6*median && g < 1.4*median {
			sum += g
			n++
		}
	}
	if n < float64(len(sorted))/2 {
		return 0, false
	}
	return sum / n, true
}
