package clock

import (
	"math"
	"time"
)

// Filter estimates the offset of a server's clock to the local one from samples. It does no input or output and reads no
// clock. Its methods must not be called at the same time.
//
// Samples that agree with what is known make the interval narrower. One that does not is a suspect: from then on the interval
// covers what it says as well. If those after it agree with it, a clock was set or the way changed, and the filter starts anew
// from them; if they agree with what was known before, the suspect lied.
type Filter struct {
	limits   Limits
	samples  []Sample // that agree with each other
	suspects []Sample // that agree with each other, but not with samples
	certain  bool     // the suspects contradict the samples; false if they only stray

	main, alt solution
	solver    solver
	heard     int64 // local instant of the last sample taken in
	stats     FilterStats
}

// FilterStats count what a filter was given and what it made of it.
type FilterStats struct {
	Bursts    int `json:"bursts"`    // samples taken in
	Refused   int `json:"refused"`   // samples with impossible stamps or out of order
	Suspects  int `json:"suspects"`  // samples that contradicted what was known
	Outliers  int `json:"outliers"`  // of those, refuted by the ones after them
	Steps     int `json:"steps"`     // of those, confirmed: the filter started anew
	Truncated int `json:"truncated"` // old samples left out because a clock wandered more than Limits allow
}

// Event is what a sample did to a filter.
type Event uint8

// Events.
const (
	Taken   Event = iota // agrees with what is known
	Suspect              // contradicts it; the interval is wider from now on
	Stepped              // confirms a contradiction: a clock was set, or another server answers
	Refused              // not used: impossible stamps, or older than what is known
)

// How suspects become the truth.
const (
	confirmCertain = 2                // of samples that exclude each other from the others
	confirmStray   = 3                // of samples that only stray
	suspectAge     = 10 * time.Second // a suspect that nothing confirms is forgotten
)

// NewFilter returns a filter that knows nothing. The limits must have passed Check.
func NewFilter(limits Limits) *Filter { return &Filter{limits: limits.complete()} }

// Add takes in the best sample of a burst. The error says why a sample is Refused.
func (f *Filter) Add(s Sample) (Event, error) {
	if err := s.Check(); err != nil {
		f.stats.Refused++
		return Refused, err
	}
	if f.heard != 0 && s.T1 < f.heard {
		f.stats.Refused++
		return Refused, errOutOfOrder
	}
	f.heard = s.T4
	f.stats.Bursts++
	f.forget(s.T4)
	if len(f.samples) == 0 {
		f.restart(s)
		return Taken, nil
	}
	wrong := f.main.contradicts(s)
	off, strays := f.main.strays(s)
	strays = strays && len(f.samples) >= 2*f.limits.MinBursts // before, nobody knows how quick the way can be
	if !wrong && !strays {
		f.agree(s, off)
		return Taken, nil
	}
	f.stats.Suspects++
	f.suspect(s, wrong)
	confirm := confirmStray
	if f.certain {
		confirm = confirmCertain
	}
	if len(f.suspects) < confirm {
		return Suspect, nil
	}
	f.stats.Steps++
	f.restart(f.suspects...)
	return Stepped, nil
}

// agree takes in a sample that what is known doesn't exclude.
func (f *Filter) agree(s Sample, off float64) {
	if len(f.suspects) > 0 {
		// It may be so imprecise that it agrees with the suspects, too; then it decides nothing.
		distance, _ := f.alt.strays(s)
		if f.alt.contradicts(s) || math.Abs(off) < math.Abs(distance)/2 {
			f.stats.Outliers += len(f.suspects)
			f.suspects = f.suspects[:0]
		}
	}
	if len(f.samples) == f.limits.Window {
		f.samples = append(f.samples[:0], f.samples[1:]...)
	}
	f.samples = append(f.samples, s)
	f.solve()
}

// suspect takes in a sample that what is known excludes. Suspects that exclude each other say that neither is right.
func (f *Filter) suspect(s Sample, certain bool) {
	if len(f.suspects) > 0 && f.alt.contradicts(s) {
		f.stats.Outliers += len(f.suspects)
		f.suspects, f.certain = f.suspects[:0], false
	}
	f.certain = certain || f.certain && len(f.suspects) > 0
	f.suspects = append(f.suspects, s)
	f.solver.solve(f.limits, f.suspects, &f.alt)
}

// restart forgets all but the given samples.
func (f *Filter) restart(samples ...Sample) {
	f.samples = append(f.samples[:0], samples...)
	f.suspects, f.certain = f.suspects[:0], false
	f.solve()
}

func (f *Filter) solve() {
	used := f.solver.solve(f.limits, f.samples, &f.main)
	if extra := len(f.samples) - used; extra > 0 {
		f.stats.Truncated += extra
		f.samples = append(f.samples[:0], f.samples[extra:]...)
	}
}

// forget drops suspects that nothing confirmed in time.
func (f *Filter) forget(now int64) {
	if n := len(f.suspects); n > 0 && now-f.suspects[n-1].T4 > int64(suspectAge) {
		f.stats.Outliers += n
		f.suspects = f.suspects[:0]
	}
}

// Reset forgets everything: the local clock was interrupted, or another server is asked.
func (f *Filter) Reset() { f.samples, f.suspects = f.samples[:0], f.suspects[:0] }

// At is the estimate for a local instant, which may lie before or after the last sample.
func (f *Filter) At(m int64) Estimate {
	if len(f.samples) == 0 {
		return Estimate{}
	}
	e := f.main.interval(m)
	if len(f.suspects) > 0 {
		e = e.hull(f.alt.interval(m))
	}
	first, last := f.samples[0].T4, f.samples[len(f.samples)-1].T4
	switch {
	case e.Hi-e.Lo > 2*int64(f.limits.MaxBound):
		e.State = Unsynchronized
	case len(f.suspects) > 0:
		e.State = Converging
	case m-last > int64(f.limits.HoldoverAfter):
		e.State = Holdover
	case len(f.samples) < f.limits.MinBursts || last-first < int64(f.limits.MinSpan):
		e.State = Converging
	default:
		e.State = Locked
	}
	return e
}

// Skew is how much faster the server's clock runs than the local one, and by how much that may be wrong, in parts per million.
// Without samples the error is Limits.MaxSkew.
func (f *Filter) Skew() (ppm, plusMinus float64) {
	if len(f.samples) == 0 {
		return 0, f.limits.MaxSkew
	}
	lo, hi := f.main.proof.skews()
	b := f.main.line.b
	return b / 1e3, max(hi-b, b-lo) / 1e3
}

// RoundTrip is the smallest one known, 0 without samples.
func (f *Filter) RoundTrip() time.Duration {
	if len(f.samples) == 0 {
		return 0
	}
	return time.Duration(f.main.minTrip)
}

// Stats returns the counts so far.
func (f *Filter) Stats() FilterStats { return f.stats }
