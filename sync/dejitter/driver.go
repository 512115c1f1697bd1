package dejitter

import "math"

// Constants of the trust in driver stamps.
const (
	trustAfter  = 64  // frames
	repeatsMost = 3   // equal stamps in a row
	lateMost    = 1e9 // ns that an arrival may be later than its driver stamp says
	earlyLeast  = 5e7 // ns that it may always be earlier
)

// driver is what is known of the stamps of a camera's driver, and a line of the arrivals over them.
type driver struct {
	line    line // over seconds of the driver's clock
	last    int64
	run     int // good stamps in a row
	repeats int
	jitter  float64 // mean distance of their spacing to whole periods, ns
}

// Driver is Next for a camera whose driver stamped the frame, too; driver counts nanoseconds from a zero of its own. Its
// stamps are trusted once 64 in a row have risen and gone with the arrivals; they are used while they spread less around
// whole periods than arrivals do. A stamp that goes back, stands still for three frames, or leaves the arrivals by more
// than they can be late ends the trust, and stamps go on by the frames' numbers.
func (d *Dejitter) Driver(arrival, driver int64) Stamp {
	gap, fresh := sub(arrival, d.last), !d.begun
	s := d.count(arrival)
	trusted := d.driver.run >= trustAfter
	if fresh {
		gap = 0
	}
	steady := d.steady()
	period := 0.0
	if steady {
		period = d.line.slope
	}
	if !d.driver.next(arrival, driver, gap, period) && trusted {
		d.stats.DriverLost++
	}
	if d.driver.run < trustAfter || steady && d.driver.jitter > 0.7*d.line.sd() {
		return d.finish(s)
	}
	l := &d.driver.line
	s.Time, s.Driver, s.Learned, s.Doubt = l.whole, true, true, 0
	s.Error = max(toInt(l.stdErr()), 1)
	if steady {
		s.Error = max(toInt(math.Hypot(l.stdErr(), d.driver.jitter)), 1)
	}
	s.Doubled = d.driver.repeats > 0
	return d.finish(s)
}

// steady reports whether frames come at a rate that they can be counted by.
func (d *Dejitter) steady() bool { return d.learned && d.line.sd() < d.line.slope/5 }

// next takes a stamp and reports whether it goes with those before. period is the camera's, 0 while it is unknown.
func (v *driver) next(arrival, stamp, gap int64, period float64) bool {
	by := sub(stamp, v.last)
	v.last = stamp
	if v.run == 0 || by < 0 || gap < 0 || by > lateMost+gap || by == 0 && v.repeats == repeatsMost-1 {
		return v.restart(arrival)
	}
	if by == 0 {
		v.repeats++
		return true
	}
	v.repeats = 0
	dx := float64(by) / 1e9
	r := v.line.residual(arrival, dx)
	if r > lateMost || r < -max(earlyLeast, none*v.line.spread(dx)) {
		return v.restart(arrival)
	}
	v.line.advance(dx)
	v.line.correct(r)
	if v.line.misfit > 0.75 {
		return v.restart(arrival)
	}
	v.run++
	if period > 0 {
		off := math.Remainder(float64(by), period)
		v.jitter += (math.Abs(off)/math.Sqrt2 - v.jitter) / driftOver // a spacing has the noise of two
	}
	return true
}

func (v *driver) restart(arrival int64) bool {
	*v = driver{last: v.last, run: 1, line: start(arrival, 1e9, 5e6, 1e6)}
	return false
}
