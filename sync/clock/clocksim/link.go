// Package clocksim measures package clock on simulated links, where the truth is known: oscillators with skew and drift, networks
// with delay, jitter, loss and asymmetry, clocks that are set, servers that change or go away. Time is simulated and seeds are
// fixed, so the figures repeat.
package clocksim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Link is a kind of network between a device and the hub. Delays are one way.
type Link struct {
	Name  string
	Delay time.Duration // of every packet
	// Jitter is added to it: exponential, or heavy-tailed (Lomax with shape 2.2, whose variance is finite but large).
	Jitter     time.Duration // mean
	HeavyTail  bool
	Loss       float64       // of packets, each way
	Bursts     bool          // the air is taken for a while now and then: jitter times ten, a third of the packets lost
	Asymmetry  time.Duration // at most; each run has a constant one, added to one of the ways
	MaxBound   time.Duration // what the median bound may be once locked
	MaxLocking time.Duration // how long locking may take
}

// Links are those of the figures in the documentation.
func Links() []Link {
	return []Link{
		{
			Name: "wired", Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Asymmetry: 200 * time.Microsecond,
			MaxBound: 500 * time.Microsecond, MaxLocking: 30 * time.Second,
		},
		{
			Name: "wifi", Delay: 2 * time.Millisecond, Jitter: 3 * time.Millisecond, HeavyTail: true, Loss: 0.01, Bursts: true,
			Asymmetry: time.Millisecond, MaxBound: 3 * time.Millisecond, MaxLocking: 30 * time.Second,
		},
	}
}

// burst of interference, as they come on a busy channel
const (
	burstEvery = 40.0 // s, mean
	burstLasts = 2.0  // s, mean
	burstTimes = 10.0
	burstLoss  = 0.33
)

const lomaxShape = 2.2

// network is a link of one run.
type network struct {
	link             Link
	rng              *rand.Rand
	there, back      float64 // constant part of the delay, ns
	burstAt, burstTo float64 // s
}

func newNetwork(link Link, rng *rand.Rand) *network {
	n := &network{link: link, rng: rng, there: float64(link.Delay), back: float64(link.Delay)}
	extra := rng.Float64() * float64(link.Asymmetry)
	if rng.IntN(2) == 0 {
		n.there += extra
	} else {
		n.back += extra
	}
	n.nextBurst(0)
	return n
}

func (n *network) nextBurst(after float64) {
	n.burstAt = after + n.rng.ExpFloat64()*burstEvery
	n.burstTo = n.burstAt + n.rng.ExpFloat64()*burstLasts
}

// send returns the delay of a packet sent at a true time, ns; false if it is lost.
func (n *network) send(at, constant float64) (delay float64, arrives bool) {
	jitter, loss := float64(n.link.Jitter), n.link.Loss
	if n.link.Bursts {
		for at/1e9 > n.burstTo {
			n.nextBurst(n.burstTo)
		}
		if at/1e9 >= n.burstAt {
			jitter, loss = jitter*burstTimes, burstLoss
		}
	}
	if n.rng.Float64() < loss {
		return 0, false
	}
	if n.link.HeavyTail {
		scale := jitter * (lomaxShape - 1)
		return constant + scale*(math.Pow(1-n.rng.Float64(), -1/lomaxShape)-1), true
	}
	return constant + n.rng.ExpFloat64()*jitter, true
}

// oscillator is a device's crystal: a skew of up to ±50 ppm and the slow changes of temperature.
type oscillator struct {
	skew, swing, period, phase float64
	jump                       float64 // what was added to the clock so far, ns
}

func newOscillator(rng *rand.Rand) *oscillator {
	return &oscillator{
		skew:   (2*rng.Float64() - 1) * 50e-6,
		swing:  (1 + 2*rng.Float64()) * 1e-6,       // 1 to 3 ppm
		period: (20 + 40*rng.Float64()) * 60 * 1e9, // 20 to 60 min
		phase:  rng.Float64() * 2 * math.Pi,
	}
}

// local is what the device's monotonic clock shows at a true time, both ns.
func (o *oscillator) local(t float64) float64 {
	w := 2 * math.Pi / o.period
	return t*(1+o.skew) + o.swing/w*(math.Sin(w*t+o.phase)-math.Sin(o.phase)) + o.jump
}
