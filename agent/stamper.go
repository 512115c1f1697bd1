package agent

import "tandem/sync/dejitter"

// stamper makes the times of a live camera whose frames carry none. The camera's latency is taken off by the capture.
type stamper struct{ d *dejitter.Dejitter }

func newStamper() (*stamper, error) {
	d, err := dejitter.New(dejitter.Config{})
	if err != nil {
		return nil, err
	}
	return &stamper{d}, nil
}

// Stamp implements capture.Stamper.
func (s *stamper) Stamp(arrival int64) (at, bound int64) {
	f := s.d.Next(arrival)
	return f.Time, f.Bound()
}

// Restart implements capture.Stamper.
func (s *stamper) Restart() { s.d.Restart() }
