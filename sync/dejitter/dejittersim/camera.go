// Package dejittersim measures on simulated cameras how near package dejitter's stamps come to the instants of capture.
package dejittersim

import (
	"math"
	"math/rand/v2"
)

// Camera is a simulated camera and the way of its frames.
type Camera struct {
	Name     string
	FPS      float64
	Noise    string  // law of the arrivals' noise: "normal" or "exponential"
	NoiseSD  float64 // its standard deviation, s
	Outliers float64 // share of frames that come up to OutlierS later
	OutlierS float64
	Drop     float64 // share of frames that never come
	Double   float64 // share of frames that come twice, the second a third of a period later
	// Queue: no frame overtakes another, as in a driver's or network's queue: behind a late one all are late. Otherwise
	// each frame is late for itself, and arrivals may go back.
	Queue bool
}

// latency is the constant part of the way, s. It cannot be seen from stamps.
const latency = 0.030

// mean returns the mean of the time from capture to arrival of a frame, s, what queueing adds left out.
func (c *Camera) mean() float64 {
	m := latency + c.Outliers*c.OutlierS/2
	if c.Noise == "exponential" {
		m += c.NoiseSD
	}
	return m
}

// arrival is a frame's arrival and the instant of its capture, ns.
type arrival struct{ at, truth int64 }

// arrivals simulates n captures from instant start on.
func (c *Camera) arrivals(n int, start int64, rng *rand.Rand) []arrival {
	list := make([]arrival, 0, n+n/50)
	last := int64(math.MinInt64)
	period := 1e9 / c.FPS
	put := func(truth int64, delay float64) {
		at := truth + int64(1e9*delay)
		if c.Queue {
			at = max(at, last+1000)
			last = at
		}
		list = append(list, arrival{at, truth})
	}
	for k := range n {
		truth := start + int64(math.Round(float64(k)*period))
		delay := latency
		if c.Noise == "exponential" {
			delay += rng.ExpFloat64() * c.NoiseSD
		} else {
			delay += rng.NormFloat64() * c.NoiseSD
		}
		if rng.Float64() < c.Outliers {
			delay += rng.Float64() * c.OutlierS
		}
		if rng.Float64() < c.Drop {
			continue
		}
		put(truth, delay)
		if rng.Float64() < c.Double {
			put(truth, delay+period/3e9)
		}
	}
	return list
}
