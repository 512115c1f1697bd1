package offset

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Search says how activities are compared. The zero value of a field gives its default.
type Search struct {
	// Band is the largest offset that is looked for; default 5 s.
	Band time.Duration
	// Hz is the rate of the common time base; default 20.
	Hz float64
	// Smooth and Drop are the standard deviations of the Gaussian means between which activity counts: what is quicker is
	// noise, what is slower is common to many takes. Default 50 ms and 1 s.
	Smooth, Drop time.Duration
	// Apart is how far from the peak the next one is looked for; default 300 ms.
	Apart time.Duration
	// Sure is the smallest height at which an offset is claimed, Related at which two activities are taken to have something
	// in common, both in standard deviations of the other lags; default 7.5 and 6.
	Sure, Related float64
	// Confidence is the smallest ratio of the peak to the next one at which an offset is claimed; default 1.25.
	Confidence float64
	// Floor is what no amount of content makes better, and part of each standard error: cameras see different parts of a
	// motion at different times. Default 4 ms.
	Floor time.Duration
}

func (s Search) defaults() Search {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&s.Band, 5 * time.Second}, {&s.Smooth, 50 * time.Millisecond}, {&s.Drop, time.Second}, {&s.Apart, 300 * time.Millisecond}, {&s.Floor, 4 * time.Millisecond}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	for _, d := range []struct {
		v *float64
		d float64
	}{{&s.Hz, 20}, {&s.Sure, 7.5}, {&s.Related, 6}, {&s.Confidence, 1.25}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	return s
}

func (s Search) check() error {
	switch {
	case s.Band < 0 || s.Smooth < 0 || s.Drop <= s.Smooth || s.Apart < 0 || s.Floor < 0:
		return fmt.Errorf("offset: band %v, smooth %v, drop %v, apart %v, floor %v: expected none below 0, and smooth less than drop", s.Band, s.Smooth, s.Drop, s.Apart, s.Floor)
	case !(s.Hz > 0 && s.Hz <= 1000):
		return fmt.Errorf("offset: a time base of %g Hz, expected more than 0 and at most 1000", s.Hz)
	case s.Band.Seconds()*s.Hz < 2:
		return fmt.Errorf("offset: a band of %v, expected at least two steps of %g ms", s.Band, 1000/s.Hz)
	}
	return nil
}

// Shortest is the shortest time in common from which an offset is estimated: four times the band, and ten seconds.
func (s Search) Shortest() time.Duration { return max(4*s.defaults().Band, 10*time.Second) }

// reserve is how many bands on either side of the searched one tell what a peak by chance looks like.
const reserve = 1

// blocks into which the common time is cut for the standard error (jackknife) and, in halves, for the drift.
const blocks = 10

// Match is where two activities agree best. Times are in seconds.
type Match struct {
	// Offset is how much later the other activity shows things, on its own clock: what the one shows at t, the other shows at
	// t + Offset. With a drift it is that of the middle of the common time.
	Offset float64 `json:"offset"`
	// StdErr is the standard error of Offset, from the scatter over parts of the time and a floor (Search.Floor).
	StdErr float64 `json:"std_err"`
	// Drift is by how much the offset grows with time, in s/s, from its first and its second half; DriftErr is its standard
	// error. Both are NaN where a half alone tells nothing.
	Drift    float64 `json:"-"`
	DriftErr float64 `json:"-"`
	// Confidence is the ratio of the peak to the next one, both above the usual; at least 1. +Inf where there is no next.
	Confidence float64 `json:"-"`
	// Height is how far the peak stands above the usual, in standard deviations of the lags that are not near it.
	Height float64 `json:"height"`
	// Common is how long both activities last together at the offset.
	Common float64 `json:"common"`

	// Lags and Curve are the agreement at each lag of the band: Σ r² over pairs of whitened channels.
	Lags  []float64 `json:"-"`
	Curve []float64 `json:"-"`

	drift bool // found from halves that are both sure
}

// Bound is how far off the offset may be: three standard errors.
func (m Match) Bound() float64 { return 3 * m.StdErr }

// Compare finds by how much the activity other is behind the activity one. An offset that is not sure enough to be claimed
// comes with an error that wraps ErrUnsure and says why; it wraps ErrUnrelated, too, where nothing in common was found. The
// Match is what was found nevertheless, for diagnosis. Other errors are of wrong input.
func Compare(one, other Activity, s Search) (Match, error) {
	m, err := Joint(one, []Activity{other}, s)
	return m, err
}

// Joint is Compare for several others that share one clock, such as fixed cameras with a common trigger: the agreement is
// summed over them.
func Joint(one Activity, others []Activity, s Search) (Match, error) {
	s = s.defaults()
	if err := s.check(); err != nil {
		return Match{}, err
	}
	if len(others) == 0 {
		return Match{}, fmt.Errorf("offset: nothing to compare with")
	}
	for i, a := range append([]Activity{one}, others...) {
		if err := a.check(); err != nil {
			return Match{}, fmt.Errorf("offset: activity %d: %w", i, err)
		}
	}
	m, err := s.match(one, others, 0)
	// A drift smears the peak. One that both halves agree on is taken out, and the peak looked for again.
	for range 2 {
		if !m.drift || math.Abs(m.Drift) < 3*m.DriftErr {
			break
		}
		again, err2 := s.match(one, others, m.Drift)
		if again.Height <= m.Height {
			break
		}
		m, err = again, err2
	}
	return m, err
}

// match compares with the others' clocks corrected by the drift that is known already.
func (s Search) match(one Activity, others []Activity, drift float64) (Match, error) {
	g := grid{origin: one.Times[0], step: 1e9 / s.Hz}
	k := int(math.Round(s.Band.Seconds() * s.Hz))
	reach := k * (1 + reserve)
	pivot := one.Times[0] + (one.Times[len(one.Times)-1]-one.Times[0])/2
	a, err := s.prepare(one, g, pivot, 0)
	if err != nil {
		return Match{}, fmt.Errorf("offset: %w", err)
	}
	sum := newAgreement(reach)
	most := 0
	for _, other := range others {
		b, err := s.prepare(other, g, pivot, drift)
		if err != nil {
			return Match{}, fmt.Errorf("offset: %w", err)
		}
		common := min(a.end(), b.end()) - max(a.first, b.first)
		if need := int(s.Shortest().Seconds() * s.Hz); common < need {
			return Match{}, &TooShort{Common: time.Duration(max(common, 0)) * time.Duration(g.step), Need: s.Shortest()}
		}
		most = max(most, common)
		sum.add(a, b)
	}
	m, err := s.read(sum, k)
	m.Common = float64(most) / s.Hz
	if !math.IsNaN(m.Drift) {
		half := m.Common / 2
		m.Drift, m.DriftErr = drift+m.Drift/half, m.DriftErr/half
	}
	return m, err
}

// read finds the peak within k lags of 0.
func (s Search) read(sum *agreement, k int) (Match, error) {
	m := Match{Drift: math.NaN(), DriftErr: math.NaN(), Lags: make([]float64, 2*k+1), Curve: make([]float64, 2*k+1)}
	from := sum.reach - k
	for i := range m.Lags {
		m.Lags[i], m.Curve[i] = float64(i-k)/s.Hz, sum.all[from+i]
	}
	apart := max(1, int(math.Round(s.Apart.Seconds()*s.Hz)))
	p := s.peak(sum.all, from, from+2*k, apart)
	m.Offset = (p.at - float64(sum.reach)) / s.Hz
	m.Height, m.Confidence = p.height, p.ratio
	var errs [2]float64
	m.StdErr = math.Hypot(sum.spread(p.at, apart, 0, blocks)/s.Hz, s.Floor.Seconds())
	sure := m.Height >= s.Sure && m.Confidence >= s.Confidence
	var halves [2]float64
	m.drift = true
	for h := range 2 {
		q := s.peak(sum.half[h], from, from+2*k, apart)
		if q.height < s.Related || q.ratio < 1.1 {
			// A half alone has less to stand out with than the whole, near whose peak its own can't be far.
			m.drift = false
			near := int(math.Round(p.at))
			q = s.peak(sum.half[h], max(from, near-apart), min(from+2*k, near+apart), apart)
		}
		halves[h] = q.at / s.Hz
		errs[h] = math.Hypot(sum.spread(q.at, apart, h*blocks/2, (h+1)*blocks/2)/s.Hz, s.Floor.Seconds())
	}
	if m.drift || sure {
		m.Drift, m.DriftErr = halves[1]-halves[0], math.Hypot(errs[0], errs[1])
	}
	switch i := int(math.Round(p.at)) - from; {
	case !(m.Height >= s.Related):
		return m, fmt.Errorf("%w: %w: the highest peak stands %.1f standard deviations out, expected at least %.1f", ErrUnsure, ErrUnrelated, m.Height, s.Related)
	case m.Height < s.Sure:
		return m, fmt.Errorf("%w: the highest peak stands %.1f standard deviations out, expected at least %.1f", ErrUnsure, m.Height, s.Sure)
	case m.Confidence < s.Confidence:
		return m, fmt.Errorf("%w: the peak is %.2f times the next one, expected at least %.2f", ErrUnsure, m.Confidence, s.Confidence)
	case i <= 0 || i >= 2*k:
		return m, fmt.Errorf("%w: the peak lies at the end of the band of %v; take a wider one", ErrUnsure, s.Band)
	}
	return m, nil
}

// peakAt is the highest point of a curve.
type peakAt struct {
	at            float64 // place, refined to a part of a step
	height, ratio float64
}

// peak finds the highest place from lo to hi. What it stands out of are all places that are not near it.
func (s Search) peak(curve []float64, lo, hi, apart int) peakAt {
	best := lo
	for i := lo; i <= hi; i++ {
		if curve[i] > curve[best] {
			best = i
		}
	}
	rest := make([]float64, 0, len(curve))
	next := math.Inf(-1)
	for i, v := range curve {
		if i < best-apart || i > best+apart {
			if i >= lo && i <= hi {
				next = max(next, v)
			}
			if i < best-3*apart || i > best+3*apart {
				rest = append(rest, v)
			}
		}
	}
	p := peakAt{at: float64(best) + vertex(curve, best), ratio: math.Inf(1)}
	if len(rest) < 3 {
		return p
	}
	slices.Sort(rest)
	usual := rest[len(rest)/2]
	var square float64
	for _, v := range rest {
		square += (v - usual) * (v - usual)
	}
	if sd := math.Sqrt(square / float64(len(rest))); sd > 0 {
		p.height = (curve[best] - usual) / sd
	}
	if next > usual {
		p.ratio = (curve[best] - usual) / (next - usual)
	}
	return p
}
