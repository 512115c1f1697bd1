package clock

import (
	"fmt"
	"math"
	"time"
)

// How a server is asked unless the configuration says otherwise. A step of its clock shows in the next burst.
const (
	DefaultPoll    = 500 * time.Millisecond // from one burst to the next
	DefaultBurst   = 4                      // exchanges of a burst
	DefaultGap     = 20 * time.Millisecond  // between them
	DefaultTimeout = 400 * time.Millisecond // for an answer; one that comes later is lost
)

// Limits are what a filter takes for granted of clocks, and what it calls good. A zero field means its default.
type Limits struct {
	// MaxSkew is how fast any two clocks may run apart, in parts per million. Default 500, the most that a kernel's NTP
	// discipline turns a clock.
	MaxSkew float64 `yaml:"max_skew"`
	// MaxDrift is how fast the skew may change, ppm a second. Default 0.02: a plain crystal of 1 ppm/K that warms up by
	// 1.2 K a minute.
	MaxDrift float64 `yaml:"max_drift"`
	// MaxWander is how far the skew may get from its value a while ago however long that is, ppm. Default 10.
	MaxWander float64 `yaml:"max_wander"`
	// Window is how many bursts are kept. Default 128, a good minute of DefaultPoll.
	Window int `yaml:"window"`
	// MinBursts and MinSpan are how many bursts over how long make a locked clock. Defaults 8 and 5 s.
	MinBursts int           `yaml:"min_bursts"`
	MinSpan   time.Duration `yaml:"min_span"`
	// HoldoverAfter is how long nothing is heard before the state is Holdover. Default 5 s.
	HoldoverAfter time.Duration `yaml:"holdover_after"`
	// MaxBound is the half-width beyond which the state is Unsynchronized. Default 1 s.
	MaxBound time.Duration `yaml:"max_bound"`
}

// complete fills in defaults.
func (l Limits) complete() Limits {
	def := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.MaxSkew, 500)
	def(&l.MaxDrift, 0.02)
	def(&l.MaxWander, 10)
	if l.Window == 0 {
		l.Window = 128
	}
	if l.MinBursts == 0 {
		l.MinBursts = 8
	}
	if l.MinSpan == 0 {
		l.MinSpan = 5 * time.Second
	}
	if l.HoldoverAfter == 0 {
		l.HoldoverAfter = 5 * time.Second
	}
	if l.MaxBound == 0 {
		l.MaxBound = time.Second
	}
	return l
}

// Check returns an error that names the field, its value and what was expected.
func (l Limits) Check() error {
	l = l.complete()
	for _, f := range []struct {
		name string
		v    float64
	}{{"max_skew", l.MaxSkew}, {"max_drift", l.MaxDrift}, {"max_wander", l.MaxWander}} {
		if !(f.v > 0 && f.v <= 1e5) {
			return fmt.Errorf("limits.%s: %g, expected more than 0 and at most 100000", f.name, f.v)
		}
	}
	if l.MinBursts < 2 || l.Window < l.MinBursts || l.Window > 1024 {
		return fmt.Errorf("limits.window: %d, limits.min_bursts: %d, expected 2 ≤ min_bursts ≤ window ≤ 1024", l.Window, l.MinBursts)
	}
	if l.MinSpan < 0 || l.HoldoverAfter < 0 || l.MaxBound < 0 {
		return fmt.Errorf("limits: min_span %v, holdover_after %v, max_bound %v: expected nothing negative", l.MinSpan, l.HoldoverAfter, l.MaxBound)
	}
	return nil
}

// bend is how far an offset may be from the line through its value and skew at an instant, age seconds away from it, ns:
// Taylor's remainder of a skew that changes by MaxDrift until it is MaxWander off.
func (l Limits) bend(age float64) float64 {
	age = math.Abs(age)
	drift, wander := l.MaxDrift*1e3, l.MaxWander*1e3 // ns/s², ns/s
	if until := wander / drift; age > until {
		return wander * (age - until/2)
	}
	return drift * age * age / 2
}
