package quantize

import (
	"slices"
	"time"
)

// turns times two models that take turns, so that what else the machine does meanwhile slows down both.
type turns struct{ was, is []time.Duration }

// run runs both, and tells the first error.
func (t *turns) run(was, is func() error) error {
	for _, x := range []struct {
		run   func() error
		times *[]time.Duration
	}{{was, &t.was}, {is, &t.is}} {
		began := time.Now()
		if err := x.run(); err != nil {
			return err
		}
		*x.times = append(*x.times, time.Since(began))
	}
	return nil
}

// into puts the medians into a report, if there were turns, and begins anew.
func (t *turns) into(p *Part) {
	if n := len(t.was); n > 0 {
		slices.Sort(t.was)
		slices.Sort(t.is)
		p.FromNs, p.Ns = int64(t.was[n/2]), int64(t.is[n/2])
	}
	*t = turns{}
}
