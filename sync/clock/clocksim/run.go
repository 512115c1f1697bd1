package clocksim

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"tandem/sync/clock"
)

// Incident is what happens once in a run.
type Incident string

// Incidents; each run has one, in turn.
const (
	Nothing      Incident = "nothing"
	HubStep      Incident = "hub step"      // the hub's clock is set
	LocalStep    Incident = "local step"    // the device's monotonic clock jumps, as after a suspension or a migration
	ServerChange Incident = "server change" // another server answers from now on: another time, another way
	Outage       Incident = "outage"        // the hub goes away for a minute
	HubSlew      Incident = "hub slew"      // the hub's clock is turned by 5 to 200 ppm for a minute, as a daemon does to correct it
	Liar         Incident = "liar"          // for a while, single answers are wrong by seconds
)

var incidents = []Incident{Nothing, HubStep, LocalStep, ServerChange, HubSlew, Outage, Liar}

const (
	siteEpoch  = int64(1_700_000_000) * 1e9 // the hub's clock at the beginning
	localEpoch = int64(86_400) * 1e9        // the device's
	instants   = 10                         // a second at which the interval is asked for and compared
	burst      = clock.DefaultBurst
	burstGap   = float64(clock.DefaultGap)
	timeout    = float64(clock.DefaultTimeout)
	// incidentLasts is how long a slew, an outage or a liar's time lasts, ns.
	incidentLasts = 60e9
	pollEvery     = float64(clock.DefaultPoll)
)

// Run is what one simulated run shows.
type Run struct {
	Incident    Incident
	Instants    int           // at which something was claimed
	Inside      int           // of those, the truth was inside the interval
	Backwards   int           // readings before the one before them
	LockedAfter time.Duration // 0 if never
	Bounds      []time.Duration
	Errors      []time.Duration // of Time, without sign, when locked
	NoticedIn   time.Duration   // for how long the truth was outside at most, until the bound was widened; 0 if it never was
}

// world is the state of a run.
type world struct {
	rng    *rand.Rand
	net    *network
	osc    *oscillator
	hub    float64 // what the server's clock is off its beginning, ns
	slew   float64 // by how much it is turned for incidentLasts from slewAt on
	slewAt float64
	gone   bool
	lying  bool
	filter *clock.Filter
	pacer  clock.Pacer
	local0 float64
}

func (w *world) site(t float64) int64 {
	return siteEpoch + int64(math.Round(t+w.hub+w.slew*min(max(t-w.slewAt, 0), incidentLasts)))
}

func (w *world) local(t float64) int64 {
	return localEpoch + int64(math.Round(w.osc.local(t)-w.local0))
}

// exchange asks the server at a true time; it ends at done.
func (w *world) exchange(t float64) (s clock.Sample, done float64, ok bool) {
	s.T1 = w.local(t)
	there, ok1 := w.net.send(t, w.net.there)
	turn := 20e3 + w.rng.ExpFloat64()*20e3
	back, ok2 := w.net.send(t+there+turn, w.net.back)
	done = t + there + turn + back
	if !ok1 || !ok2 || w.gone || done-t > timeout {
		return s, t + timeout, false
	}
	s.T2, s.T3, s.T4 = w.site(t+there), w.site(t+there+turn), w.local(done)
	if w.lying && w.rng.IntN(3) == 0 {
		lie := int64((2*w.rng.Float64() - 1) * 10e9)
		s.T2, s.T3 = s.T2+lie, s.T3+lie
	}
	return s, done, true
}

// poll asks a burst and gives the filter the best of it, at the true time that it returns.
func (w *world) poll(t float64) (best clock.Sample, done float64, ok bool) {
	var samples []clock.Sample
	for range burst {
		s, end, ok := w.exchange(t)
		if ok {
			samples = append(samples, s)
		}
		t = end + burstGap
	}
	best, ok = clock.Best(samples)
	return best, t - burstGap, ok
}

// Simulate runs one device for a length of time.
func Simulate(link Link, seed uint64, length time.Duration) Run {
	rng := rand.New(rand.NewPCG(seed, 0x636c6f636b))
	w := &world{rng: rng, net: newNetwork(link, rng), osc: newOscillator(rng), filter: clock.NewFilter(clock.Limits{})}
	w.local0 = w.osc.local(0)
	run := Run{Incident: incidents[seed%uint64(len(incidents))]}
	incident := (0.15 + 0.7*rng.Float64()) * float64(length)
	happened, over := run.Incident == Nothing, run.Incident == Nothing
	var last int64
	var outside bool
	var left float64 // when the truth left the interval
	next := 0.0
	var pending clock.Sample
	var arrives float64
	waiting := false
	for i := range int(length.Seconds() * instants) {
		t := float64(i) * 1e9 / instants
		// What happens up to t, in its order.
		for {
			if !happened && incident <= t && (!waiting || arrives >= incident) && next >= incident {
				w.happen(run.Incident, incident)
				happened = true
			}
			if !over && happened && t > incident+incidentLasts {
				w.gone, w.lying, over = false, false, true
			}
			if waiting && arrives <= t {
				_, _ = w.filter.Add(pending)
				waiting = false
			}
			if waiting || next > t {
				break
			}
			if !happened && incident <= next {
				continue // it comes first
			}
			at := next
			pending, arrives, waiting = w.poll(at)
			next = max(at+pollEvery, arrives+burstGap)
		}
		m := w.local(t)
		r := w.pacer.Read(m, w.filter.At(m))
		if !r.Known {
			continue
		}
		run.Instants++
		truth := w.site(t)
		inside := r.Earliest <= truth && truth <= r.Latest
		if inside {
			run.Inside++
		}
		switch {
		case !inside && !outside:
			outside, left = true, t
		case inside && outside:
			// Up to an instant more, since it left between two of them.
			outside, run.NoticedIn = false, max(run.NoticedIn, time.Duration(t-left+1e9/instants))
		}
		if r.Time < last {
			run.Backwards++
		}
		last = r.Time
		if r.State == clock.Locked {
			if run.LockedAfter == 0 {
				run.LockedAfter = time.Duration(t)
			}
			run.Bounds = append(run.Bounds, r.Bound())
			run.Errors = append(run.Errors, time.Duration(max(truth-r.Time, r.Time-truth)))
		}
	}
	if outside {
		run.NoticedIn = max(run.NoticedIn, length-time.Duration(left))
	}
	slices.Sort(run.Bounds)
	slices.Sort(run.Errors)
	return run
}

// happen changes the world. Steps are between 0.1 ms and 10 s, evenly on a logarithmic scale, to either side.
func (w *world) happen(i Incident, at float64) {
	step := 1e5 * math.Pow(1e5, w.rng.Float64())
	if w.rng.IntN(2) == 0 {
		step = -step
	}
	switch i {
	case HubStep:
		w.hub += step
	case LocalStep:
		w.osc.jump += math.Abs(step) // a monotonic clock goes on, but it may have missed time or be given some
	case ServerChange:
		w.hub += step
		w.net = newNetwork(w.net.link, w.rng)
	case HubSlew:
		w.slew, w.slewAt = math.Copysign(5e-6*math.Pow(40, w.rng.Float64()), step), at
	case Outage:
		w.gone = true
	case Liar:
		w.lying = true
	}
}
