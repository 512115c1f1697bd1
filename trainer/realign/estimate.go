package realign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tandem/stream/wire"
	"tandem/sync/offset"
)

// scales are the half-widths of the windows of the novelty curves that are compared, in samples.
var scales = []int{1, 2, 4}

// search says how curves of samples that come so often are compared. Steps of work last for seconds. No peak is more exact
// than half a sample: something that happens between two samples is seen by the next one.
func search(rateHz float64) offset.Search {
	return offset.Search{
		Band: 5 * time.Second, Smooth: 70 * time.Millisecond, Drop: 3 * time.Second, Floor: time.Duration(1e9 / rateHz / 6),
	}
}

// lead is what an offset has to be beyond all bounds before it contradicts the clocks: a head turns before hands move, so a
// rig shows what happens up to so much earlier than a fixed camera.
const lead = 500 * time.Millisecond

// errAgrees says that a camera's content does not contradict its clock.
var errAgrees = errors.New("agrees with the clocks")

// errMixed says that a camera's features can't be compared.
var errMixed = errors.New("the features are of two extractors")

// sureDrift is how many standard errors a drift has to have. It is looked for in every take, so a few by chance are large.
const sureDrift = 4

// estimated is an offset that was told from what the cameras show.
type estimated struct {
	Offset
	confidence float64
	by         string // the fixed camera that it was compared with; the rig if empty
}

// guess is what can be told of a camera.
type guess struct {
	estimated
	match offset.Match
	err   error // why its pairs stay as they are
	seen  offset.Activity
}

// estimate tells by how much cameras are late from the features of their samples and the rig's.
func (t *take) estimate(ctx context.Context, cameras []*camera) (map[string]*guess, error) {
	guesses := map[string]*guess{}
	for _, c := range cameras {
		g := &guess{}
		guesses[c.name] = g
		ego, exo, err := t.films(ctx, c)
		switch {
		case errors.Is(err, errMixed):
			g.err = err
			continue
		case err != nil:
			return nil, err
		}
		one, err := ego.activity()
		if err != nil {
			g.err = fmt.Errorf("the rig: %w", err)
			continue
		}
		if g.seen, g.err = exo.activity(); g.err != nil {
			continue
		}
		g.match, g.err = offset.Compare(one, g.seen, search(min(ego.head.rateHz, exo.head.rateHz)))
		g.of(c)
		if g.err == nil {
			g.err = t.agrees(c, g)
		}
	}
	for _, c := range cameras {
		if g := guesses[c.name]; g.err == nil {
			t.refine(c, g, cameras, guesses)
		}
	}
	return guesses, nil
}

// of makes the offset of the match.
func (g *guess) of(c *camera) {
	m := g.match
	g.Offset = Offset{Camera: c.name, OffsetMS: round(m.Offset * 1e3), ErrorMS: round(m.Bound() * 1e3)}
	if g.confidence = m.Confidence; math.IsInf(g.confidence, 0) || math.IsNaN(g.confidence) {
		g.confidence = 0 // there is no next peak
	}
	if math.Abs(m.Drift) > sureDrift*m.DriftErr { // never for NaN
		// What the drift is uncertain by, an offset is most at the ends.
		g.DriftPPM = round(m.Drift * 1e6)
		g.ErrorMS = round((m.Bound() + 3*m.DriftErr*m.Common/2) * 1e3)
	}
}

// agrees returns an error that says so if an estimate does not contradict the clocks.
func (t *take) agrees(c *camera, g *guess) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if beyond := math.Abs(g.match.Offset) - g.match.Bound() - t.clockBound(c).Seconds(); beyond <= lead.Seconds() {
		return fmt.Errorf("%w: %+.0f ± %.0f ms, and up to %v may be a head that turns before hands move", errAgrees, g.OffsetMS, g.ErrorMS, lead)
	}
	return nil
}

// refine compares a camera with another one that agrees with its clock. Two fixed cameras see the same hands, and no head
// leads them. Without such a camera, or if it doesn't bear the rig's estimate out, that one remains.
func (t *take) refine(c *camera, g *guess, cameras []*camera, guesses map[string]*guess) {
	for _, r := range cameras {
		ref := guesses[r.name]
		if !errors.Is(ref.err, errAgrees) {
			continue
		}
		m, err := offset.Compare(ref.seen, g.seen, search(c.rateHz()))
		if err != nil || math.Abs(m.Offset-g.match.Offset) > g.match.Bound()+lead.Seconds() {
			continue
		}
		g.match = m
		g.of(c)
		g.ErrorMS = round(g.ErrorMS + float64(t.clockBound(r))/1e6)
		g.by = r.name
		return
	}
}

// rateHz returns the camera's samples a second.
func (c *camera) rateHz() float64 {
	for _, s := range c.samples {
		return s.head.rateHz
	}
	return 1
}

// clockBound is what the bounds of a sample of the rig and of one of the camera add up to.
func (t *take) clockBound(c *camera) time.Duration {
	var rig, exo []int64
	for _, r := range t.records {
		for _, b := range r.bound {
			rig = append(rig, min(b, wire.UnknownBound/2))
		}
	}
	for _, s := range c.samples {
		exo = append(exo, min(max(s.bound, 0), wire.UnknownBound/2))
	}
	return time.Duration(median(rig) + median(exo))
}

func median(v []int64) int64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// round rounds to thousandths: nothing is known more precisely, and it reads better.
func round(x float64) float64 { return math.Round(x*1e3) / 1e3 }

// film is what a camera showed.
type film struct {
	times []int64
	rows  []float32
	dim   int
	head  *header
}

// films reads the features of the rig and of a camera.
func (t *take) films(ctx context.Context, c *camera) (ego, exo *film, err error) {
	at := map[int64][]*sample{}
	for _, s := range c.samples {
		at[s.at] = append(at[s.at], s)
	}
	ego, exo = &film{}, &film{}
	type row struct {
		time     int64
		features []byte
	}
	var egoRows, exoRows []row
	for _, r := range t.records {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		b, err := t.file.Read(r.at)
		if err != nil {
			return nil, nil, err
		}
		if b.Ego.Len() > 0 {
			if err := ego.of(&header{extractor: b.Ego.Extractor, dim: b.Ego.Dim, rateHz: b.Ego.RateHz}); err != nil {
				return nil, nil, fmt.Errorf("the rig: %w", err)
			}
		}
		for i, v := range r.site {
			if r.bound[i] < wire.UnknownBound {
				egoRows = append(egoRows, row{v, vector(b.Ego.Features, i, b.Ego.Dim)})
			}
		}
		for _, s := range at[r.at] {
			if err := exo.of(s.head); err != nil {
				return nil, nil, err
			}
			exoRows = append(exoRows, row{s.site, vector(b.Exo[s.track].Features, s.row, s.head.dim)})
		}
	}
	for f, rows := range map[*film][]row{ego: egoRows, exo: exoRows} {
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.time, b.time) })
		rows = slices.CompactFunc(rows, func(a, b row) bool { return a.time == b.time })
		for _, r := range rows {
			f.times = append(f.times, r.time)
			f.rows = append(f.rows, make([]float32, f.dim)...)
			wire.F16(f.rows[len(f.rows)-f.dim:], r.features)
		}
	}
	return ego, exo, nil
}

func vector(features []byte, row int, dim uint32) []byte {
	width := int(dim) * wire.F16Size
	return features[row*width : (row+1)*width]
}

// of says what the next samples are of: all must be of one extractor.
func (f *film) of(h *header) error {
	if f.head == nil {
		f.head, f.dim = h, int(h.dim)
	}
	if h.extractor != f.head.extractor || h.dim != f.head.dim {
		return errMixed
	}
	return nil
}

// activity is how much changed when.
func (f *film) activity() (offset.Activity, error) {
	if f.dim == 0 {
		return offset.Activity{}, fmt.Errorf("%w: there are no features", offset.ErrUnsure)
	}
	a := offset.Activity{Times: slices.Clone(f.times)}
	for i := 1; i < len(a.Times); i++ { // what changes, changes between two samples
		a.Times[i] = f.times[i-1] + (f.times[i]-f.times[i-1])/2
	}
	for _, half := range scales {
		curve, err := offset.Novelty(f.rows, f.dim, half)
		if err != nil {
			return a, err
		}
		a.Channels = append(a.Channels, curve)
	}
	return a, nil
}
