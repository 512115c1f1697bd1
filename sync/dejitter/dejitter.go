package dejitter

import (
	"fmt"
	"math"
	"time"
)

// Config says what is known of a camera.
type Config struct {
	// Latency is how long after its capture a frame typically arrives, measured or from the data sheet, 0 to 10 s.
	Latency time.Duration
}

// Stamp is when a frame was captured.
type Stamp struct {
	// Time is the instant of capture on the clock of the arrivals, ns. It never goes back from frame to frame.
	Time int64
	// Error is the standard error of Time, ns, as far as the number of the frame is right. What the configured latency
	// is off by is not in it.
	Error int64
	// Doubt is by how much Time is off if the frame has another number than spacing suggests, ns; 0 for most frames.
	Doubt int64
	// Learned is false until the camera's rate is known: Time is the arrival then.
	Learned bool
	// Doubled: the frame is the last one delivered again, and has its stamp.
	Doubled bool
	// Missed is how many frames seem to have been lost before this one.
	Missed int
	// Driver: the driver's stamps are what Time rests on.
	Driver bool
}

// boundErrors is how many standard errors a bound holds. Normal errors exceed it once in 1.7 million.
const boundErrors = 5

// Bound returns the half-width of the interval around Time that holds the instant of capture, ns.
func (s *Stamp) Bound() int64 { return add(toInt(boundErrors*float64(s.Error)), s.Doubt) }

// Stats counts what a Dejitter has seen.
type Stats struct {
	Frames   uint64 `json:"frames"`
	Doubled  uint64 `json:"doubled"`  // frames delivered again
	Missed   uint64 `json:"missed"`   // frames that seem lost
	Late     uint64 `json:"late"`     // frames that noise does not explain
	Doubtful uint64 `json:"doubtful"` // stamps with a doubt
	// Restarts counts how often the rate was learned anew: after a gap, when time went back, when the rate changed.
	Restarts uint64 `json:"restarts"`
	// DriverLost counts how often the driver's stamps lost their trust.
	DriverLost uint64 `json:"driver_lost"`
}

// Limits.
const (
	learnOver  = 32                    // spacings that a rate is learned from
	checkOver  = 64                    // spacings that it is checked by
	unlearned  = 50 * time.Millisecond // standard error of a stamp before that
	leastGap   = time.Second           // silence after which the camera may be another one
	gapPeriods = 30                    // the same in periods, for slow cameras
	mostPeriod = 10 * time.Second
)

// Dejitter is one camera's. Make it with New. It is not safe for concurrent use.
type Dejitter struct {
	latency int64
	last    int64 // newest arrival
	out     int64 // newest stamp
	begun   bool
	stats   Stats

	learned bool
	line    line // over the frames' numbers
	number  numbering

	first  [learnOver + 1]int64 // arrivals that the rate is learned from
	firsts int
	recent [checkOver]float64 // spacings that it is checked by
	checks int
	strays int // checks in a row that it failed

	driver driver
}

// New returns a dejitter that knows nothing yet.
func New(cfg Config) (*Dejitter, error) {
	if cfg.Latency < 0 || cfg.Latency > 10*time.Second {
		return nil, fmt.Errorf("dejitter: latency is %v, expected 0 to 10s", cfg.Latency)
	}
	return &Dejitter{latency: int64(cfg.Latency)}, nil
}

// Next returns the stamp of the next frame, which arrived at the given instant, ns. Any int64 is taken.
func (d *Dejitter) Next(arrival int64) Stamp { return d.finish(d.count(arrival)) }

// Stats returns the counts so far.
func (d *Dejitter) Stats() Stats { return d.stats }

// Rate returns the camera's frames a second on the clock of the arrivals, 0 while it is unknown.
func (d *Dejitter) Rate() float64 {
	if !d.learned {
		return 0
	}
	return 1e9 / d.line.slope
}

// Noise returns the standard deviation of the arrivals around the fit, ns, 0 while it is unknown.
func (d *Dejitter) Noise() float64 {
	if !d.learned {
		return 0
	}
	return d.line.sd()
}

// count stamps by the frame's number.
func (d *Dejitter) count(arrival int64) Stamp {
	d.stats.Frames++
	gap := sub(arrival, d.last)
	if d.begun && (gap < -int64(leastGap) || gap > d.mostGap()) {
		d.restart()
	}
	fresh := !d.begun
	d.begun, d.last = true, arrival
	if !d.learned {
		return d.learn(arrival)
	}
	if fresh {
		gap = 0
	}
	gap = max(gap, 0) // stamps that were read in another order
	d.check(float64(gap))
	if !d.learned || d.line.misfit > 0.75 || d.number.crowd > 0.3 {
		if d.learned {
			d.restart()
		}
		return d.learn(arrival)
	}
	s := d.step(arrival, float64(gap))
	if s.Doubt > 0 {
		d.stats.Doubtful++
	}
	return s
}

// step infers the frame's number and fits.
func (d *Dejitter) step(arrival int64, gap float64) Stamp {
	v := d.number.next(&d.line, arrival, gap)
	s := Stamp{Learned: true, Doubled: v.by == 0, Missed: max(v.by-1, 0)}
	if v.by > 0 {
		r := d.line.residual(arrival, float64(v.by))
		d.line.advance(float64(v.by))
		d.line.correct(r)
	} else {
		d.stats.Doubled++
	}
	if v.late {
		d.stats.Late++
	}
	d.stats.Missed += uint64(s.Missed)
	s.Time, s.Error = d.line.whole, max(toInt(d.line.stdErr()), 1)
	s.Doubt = toInt(float64(v.doubt) * d.line.slope)
	return s
}

// finish takes the latency off and keeps time from going back.
func (d *Dejitter) finish(s Stamp) Stamp {
	s.Time = sub(s.Time, d.latency)
	if d.stats.Frames > 1 && s.Time < d.out {
		if back := sub(d.out, s.Time); back > 4*s.Error {
			s.Doubt = add(s.Doubt, back)
		}
		s.Time = d.out
	}
	d.out = s.Time
	return s
}

func (d *Dejitter) mostGap() int64 {
	if !d.learned {
		return int64(mostPeriod)
	}
	return max(int64(leastGap), toInt(gapPeriods*d.line.slope))
}

// Restart says that the camera was connected to anew: its rhythm is learned again.
func (d *Dejitter) Restart() {
	if d.learned {
		d.restart()
	}
	d.firsts = 0
	d.driver.run = 0
}

// restart forgets the rate.
func (d *Dejitter) restart() {
	d.stats.Restarts++
	d.learned, d.firsts, d.checks, d.strays = false, 0, 0, 0
}

// learn gathers arrivals until they tell a rate.
func (d *Dejitter) learn(arrival int64) Stamp {
	d.first[d.firsts] = arrival
	d.firsts++
	if d.firsts == len(d.first) {
		if d.begin() {
			return Stamp{Time: d.line.whole, Error: max(toInt(d.line.stdErr()), 1), Learned: true, Doubt: toInt(d.line.slope)}
		}
		// No rate yet: on with the newer half.
		d.firsts = copy(d.first[:], d.first[len(d.first)/2:])
	}
	return Stamp{Time: arrival, Error: int64(unlearned)}
}

// begin fits the line to the arrivals gathered, and reports false if they have no steady rate.
func (d *Dejitter) begin() bool {
	at, period, sd, ok := grid(&d.first)
	if !ok {
		return false
	}
	d.line = start(at, period, sd, max(period/200, 2*sd*math.Sqrt(12)/math.Pow(learnOver, 1.5)))
	d.number.begin()
	odd := 0
	for i, at := range d.first[1:] {
		v := d.number.next(&d.line, at, max(float64(at-d.first[i]), 0))
		if v.by > 0 {
			r := d.line.residual(at, float64(v.by))
			d.line.advance(float64(v.by))
			d.line.correct(r)
		}
		if v.by != 1 {
			odd++
		}
	}
	if odd > learnOver/3 || d.line.misfit > 0.5 {
		return false
	}
	d.line.misfit, d.number.crowd = 0, 0
	d.learned, d.checks, d.strays = true, 0, 0
	return true
}

// check compares the fitted rate with the newest spacings: numbers can be found that fit a wrong rate.
func (d *Dejitter) check(gap float64) {
	d.recent[d.checks] = gap
	if d.checks++; d.checks < len(d.recent) {
		return
	}
	d.checks = 0
	period, ok := rate(d.recent[:])
	if off := math.Abs(period - d.line.slope); !ok || off < max(0.08*d.line.slope, 0.85*d.line.sd()) {
		d.strays = 0
		return
	}
	if d.strays++; d.strays == 2 {
		d.restart()
	}
}
