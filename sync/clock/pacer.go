package clock

// Pacer makes a time out of estimates that never runs backwards: what is wrong is made good by running a little faster or
// slower. Its methods must not be called at the same time. The zero value is ready.
type Pacer struct {
	started  bool
	catching bool  // slowed down for a large difference, until it is made up for
	m, t     int64 // the latest local instant asked for, and the time returned for it
}

const (
	slewSmall = 500e-6 // how much faster or slower time runs to make up for a difference
	slewLarge = 0.5    // the same once the difference is so large that no pair could be made anyway
	largeSlew = int64(10e6)
)

// Read returns the reading of a local instant. Readings of the latest instant so far or of later ones never run backwards.
// An instant before it is read on the same line. The interval is that of the estimate, widened to hold Time.
func (p *Pacer) Read(m int64, e Estimate) Reading {
	if !e.Known {
		return Reading{}
	}
	target := m + e.Offset
	r := Reading{Earliest: m + e.Lo, Latest: m + e.Hi, State: e.State, Known: true}
	switch {
	case !p.started:
		p.started, p.m, p.t = true, m, target
		r.Time = target
	case m >= p.m:
		r.Time = p.advance(m, target)
		p.m, p.t = m, r.Time
	default:
		// The time of the latest instant stands; back from it, time passes as the local clock's.
		r.Time = p.t - (p.m - m)
	}
	r.Earliest, r.Latest = min(r.Earliest, r.Time), max(r.Latest, r.Time)
	return r
}

// advance returns the time of an instant that is not before the last one. Forwards it may jump, since nothing breaks by that.
func (p *Pacer) advance(m, target int64) int64 {
	passed := m - p.m
	t := p.t + passed
	wrong := target - t
	p.catching = wrong < 0 && (p.catching || wrong < -largeSlew)
	switch {
	case wrong > largeSlew:
		return target
	case wrong > 0:
		return t + min(wrong, int64(float64(passed)*slewSmall))
	case p.catching:
		return t - min(-wrong, int64(float64(passed)*slewLarge))
	default:
		return t - min(-wrong, int64(float64(passed)*slewSmall))
	}
}
