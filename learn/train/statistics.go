package train

import (
	"math"

	"tandem/learn/nn"
	"tandem/learn/optim"
)

// statistics collects what the batch normalisations of a step's runs measure. The running statistics follow their mean
// once a step, after the step has succeeded, so that they do not depend on a step that failed.
type statistics struct {
	batch  []float32     // of the last run, laid out as the parameters' buffers
	sum    []float64     // over the runs of a step
	ranges []optim.Range // that the runs of a step have measured
	runs   int
}

func (s *statistics) begin() {
	clear(s.sum)
	s.ranges, s.runs = nil, 0
}

// add takes in what a run has measured. All runs of a network measure the same ranges.
func (s *statistics) add(ranges []optim.Range) {
	s.ranges = ranges
	s.runs++
	for _, r := range ranges {
		for i := r.Lo; i < r.Hi; i++ {
			s.sum[i] += float64(s.batch[i])
		}
	}
}

// wild returns a statistic that is not finite, and whether there is one: a variance overflows before a loss does, since what
// is divided by it is 0.
func (s *statistics) wild() (float64, bool) {
	for _, r := range s.ranges {
		for _, v := range s.sum[r.Lo:r.Hi] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return v, true
			}
		}
	}
	return 0, false
}

// follow moves the running statistics.
func (s *statistics) follow(buffers []float32) {
	for _, r := range s.ranges {
		for i := r.Lo; i < r.Hi; i++ {
			mean := s.sum[i] / float64(s.runs)
			buffers[i] += float32(nn.NormMomentum * (mean - float64(buffers[i])))
		}
	}
}
