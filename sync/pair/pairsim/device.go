// Package pairsim measures on simulated takes how true the bounds of pairs are, and how many of the pairs are made that
// could be. Stamps go the way that they go on a site: the device's clock stamps the arrival, package dejitter makes it the
// instant of capture, an estimate of the device's clock makes that site time, and package pair joins.
package pairsim

import (
	"math"
	"math/rand/v2"
	"time"

	"tandem/sim"
	"tandem/sync/dejitter"
	"tandem/sync/pair"
)

// What is known of a device's clock and camera, and how wrong it is. The bounds are kept, as package clock's figures show
// of its own; within them the errors are as bad as can be: they go to the ends.
const (
	clockPeriod  = 97 * time.Second       // in which the site clock's error goes from end to end of its interval
	latencyBound = 500 * time.Microsecond // of the measured latency, half of it used up by its error
)

// device is one camera of a take with its clock, as the site sees it.
type device struct {
	truth *sim.TakeCamera
	start int64   // of the take
	bound int64   // half-width of the site clock's interval, ns
	phase float64 // of the clock's error
	wrong int64   // error of the latency, ns
}

func newDevice(t *sim.Take, c *sim.TakeCamera, bound time.Duration, rng *rand.Rand) *device {
	return &device{truth: c, start: t.StartNS, bound: int64(bound), phase: 2 * math.Pi * rng.Float64(), wrong: int64((rng.Float64() - 0.5) * float64(latencyBound))}
}

// site returns the site clock's estimate of an instant that the device's clock stamped.
func (d *device) site(stamp int64) int64 {
	since := float64(stamp-d.start-d.truth.OffsetNS) / (1 + d.truth.SkewPPM/1e6)
	wrong := float64(d.bound) * math.Sin(d.phase+2*math.Pi*since/float64(clockPeriod))
	return d.start + int64(since+wrong)
}

// samples returns the samples of all frames of the device, and how many came before the rate was learned.
func (d *device) samples(t *sim.Take) ([]pair.Sample, int, error) {
	dj, err := dejitter.New(dejitter.Config{Latency: time.Duration(d.truth.LatencyNS + d.wrong)})
	if err != nil {
		return nil, 0, err
	}
	raw := t.RawNS(d.truth)
	list := make([]pair.Sample, len(raw))
	unlearned, last := 0, int64(math.MinInt64)
	for i, at := range raw {
		s := dj.Next(at)
		if !s.Learned {
			unlearned++
		}
		last = max(last, d.site(s.Time)) // site time never runs back
		list[i] = pair.Sample{
			Take: t.Name, Seq: int64(i), Raw: at, Time: last,
			Bound: d.bound + int64(latencyBound) + s.Bound(),
		}
	}
	return list, unlearned, nil
}
