package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"tandem/stream/wire"
	"tandem/sync/offset"
)

// What is done where a camera's content contradicts its clock.
const (
	ContentOff     = "off"     // nothing is compared
	ContentReport  = "report"  // the estimate is stored with the pairs, and an alarm is raised
	ContentCorrect = "correct" // and pairs are made by the content
	ContentReject  = "reject"  // and none are made
)

const (
	contentWindow = 2 * time.Minute  // that is compared
	contentLeast  = 60 * time.Second // of it must be there
	contentEvery  = 15 * time.Second // of the streams' time
	contentTimes  = 3                // estimates in a row that have to say the same before it counts
	contentSure   = 9                // height of the peak, in standard deviations: the question is asked again and again
	contentBand   = 5 * time.Second  // the largest offset that is looked for
	contentRate   = 30               // samples a second that fit a window; of more, it is shorter

	// contentLead is what an offset has to be beyond all bounds before it contradicts a clock: a head turns before hands
	// move, so a rig shows what happens up to so much earlier than a fixed camera.
	contentLead = 500 * time.Millisecond
)

// content compares what the rig and its exo cameras show. Clocks can't see how long a camera takes until it stamps a frame;
// but whatever happens in the cell, all see it happen. Its methods are called under the pairing's lock, but for trouble and
// estimateOf.
//
// An estimate is of the streams alone: it is made whenever both have passed the next multiple of contentEvery. Only what
// another camera refines depends on what has come of that one.
type content struct {
	mode    string
	rig     *curve
	cameras []contentCamera
	count   *counters
	log     *slog.Logger

	one, other offset.Activity // reused
	sorted     []float64

	mu sync.Mutex // guards what of cameras others ask: estimate, alarm
}

// contentCamera is what is known of one exo camera.
type contentCamera struct {
	name     string
	curve    *curve
	next     int64               // when the next estimate is due
	estimate *wire.ContentOffset // the newest; nil when there is none
	against  int                 // estimates in a row that contradict the clock, or the correction
	alarm    bool
	fix      contentFix
}

// contentFix is what is added to a camera's times before it is paired.
type contentFix struct{ ns, err int64 }

// newContent makes the check for cameras; buffer is how many samples one stream may be ahead of the other.
func newContent(mode string, cameras []string, buffer int, count *counters, log *slog.Logger) *content {
	c := &content{mode: mode, count: count, log: log}
	if mode == ContentOff || mode == "" {
		return c
	}
	capacity := int(contentWindow.Seconds()*contentRate) + buffer
	c.rig = newCurve(capacity)
	for _, name := range cameras {
		c.cameras = append(c.cameras, contentCamera{name: name, curve: newCurve(capacity)})
	}
	return c
}

func (c *content) off() bool { return c.rig == nil }

// feed takes the next batch of a stream whose times are known.
func (c *content) feed(v *curve, b *wire.SampleBatch, site, bound []int64) {
	if len(site) == 0 {
		return
	}
	v.use(b.Extractor, int(b.Dim))
	row := int(b.Dim) * wire.F16Size
	for i := range site {
		if bound[i] < wire.UnknownBound {
			v.add(site[i], bound[i], b.Features[i*row:(i+1)*row])
		}
	}
}

// ego takes the rig's next batch.
func (c *content) ego(b *wire.SampleBatch, site, bound []int64) {
	if c.off() {
		return
	}
	c.feed(c.rig, b, site, bound)
	for i := range c.cameras {
		c.look(&c.cameras[i])
	}
}

// exo takes camera i's next batch.
func (c *content) exo(i int, b *wire.SampleBatch, site, bound []int64) {
	if c.off() {
		return
	}
	c.feed(c.cameras[i].curve, b, site, bound)
	c.look(&c.cameras[i])
}

// look makes the estimates that are due.
func (c *content) look(x *contentCamera) {
	firstA, lastA, okA := c.rig.reach()
	firstB, lastB, okB := x.curve.reach()
	if !okA || !okB {
		return
	}
	every := int64(contentEvery)
	first, last := max(firstA, firstB), min(lastA, lastB)
	if earliest := first + int64(contentLeast); x.next < earliest || x.next > last+2*every {
		x.next = (earliest + every - 1) / every * every
	}
	for ; x.next <= last; x.next += every {
		c.compare(x, x.next)
	}
}

// compare makes the estimate of the time up to an instant.
func (c *content) compare(x *contentCamera, to int64) {
	from := to - int64(contentWindow)
	var rig, exo int64
	rig, c.sorted = c.rig.window(from, to, &c.one, c.sorted)
	exo, c.sorted = x.curve.window(from, to, &c.other, c.sorted)
	m, err := offset.Compare(c.one, c.other, contentSearch(rateOf(c.one.Times)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		x.estimate = nil
		x.against = 0
		c.count.add("content_unsure", 1)
		if !errors.Is(err, offset.ErrUnsure) {
			c.log.Error("content can't be compared", "camera", x.name, "error", err)
		}
		return
	}
	c.count.add("content_estimates", 1)
	x.estimate = contentOffset(m)
	if math.Abs(m.Offset) > contentLead.Seconds() { // not the head's
		if better, ok := c.refine(x, m, from, to); ok {
			x.estimate = contentOffset(better)
		}
	}
	c.judge(x, rig+exo)
}

func contentOffset(m offset.Match) *wire.ContentOffset {
	return &wire.ContentOffset{
		OffsetNs: -int64(math.Round(m.Offset * 1e9)), ErrorNs: int64(math.Round(m.Bound() * 1e9)), Confidence: min(m.Confidence, math.MaxFloat32),
	}
}

// refine compares a camera with another one that agrees with its clock. Two fixed cameras see the same hands, and no head
// leads them. It reports false where there is no such camera, or they don't bear the rig's estimate out.
func (c *content) refine(x *contentCamera, rig offset.Match, from, to int64) (offset.Match, bool) {
	for i := range c.cameras {
		r := &c.cameras[i]
		if r == x || r.estimate == nil || r.alarm || r.contradicts(0) {
			continue
		}
		_, c.sorted = r.curve.window(from, to, &c.one, c.sorted)
		if len(c.one.Times) < 2 {
			continue
		}
		m, err := offset.Compare(c.one, c.other, contentSearch(rateOf(c.one.Times)))
		if err == nil && math.Abs(m.Offset-rig.Offset) <= rig.Bound()+contentLead.Seconds() {
			return m, true
		}
	}
	return offset.Match{}, false
}

// rateOf is how many of the instants there are in a second.
func rateOf(times []int64) float64 {
	return float64(len(times)-1) / float64(max(times[len(times)-1]-times[0], 1)) * 1e9
}

// off reports whether the estimate is beyond its error and within from an offset.
func (x *contentCamera) off(from, within int64) bool {
	e := x.estimate
	return max(e.OffsetNs-from, from-e.OffsetNs) > e.ErrorNs+within
}

// contradicts reports whether the estimate contradicts the clock, which is bound off at most.
func (x *contentCamera) contradicts(bound int64) bool { return x.off(0, bound+int64(contentLead)) }

// contentSearch says how curves with so many values a second are compared. No peak is more exact than half a sample.
func contentSearch(rateHz float64) offset.Search {
	return offset.Search{
		Band: contentBand, Smooth: 70 * time.Millisecond, Drop: 3 * time.Second, Floor: time.Duration(1e9 / max(rateHz, 1) / 6), Sure: contentSure,
	}
}

// judge compares an estimate with the clock, which is bound off at most, and with what is corrected already.
func (c *content) judge(x *contentCamera, bound int64) {
	e := x.estimate
	contradicts := x.contradicts(bound)
	changed := contradicts != x.alarm
	if c.mode == ContentCorrect && x.alarm && contradicts {
		changed = x.off(x.fix.ns, x.fix.err)
	}
	if !changed {
		x.against = 0
		return
	}
	if x.against++; x.against < contentTimes {
		return
	}
	x.against, x.alarm, x.fix = 0, contradicts, contentFix{}
	late, within := -float64(e.OffsetNs)/1e6, float64(e.ErrorNs)/1e6
	if !contradicts {
		c.log.Info("exo camera shows things when its clock says again", "camera", x.name, "late_ms", late, "error_ms", within)
		return
	}
	c.count.add("content_alarms", 1)
	if c.mode == ContentCorrect {
		x.fix = contentFix{e.OffsetNs, e.ErrorNs}
	}
	c.log.Warn("exo camera shows things at other times than its clock says: is its latency configured?",
		"camera", x.name, "late_ms", late, "error_ms", within, "clocks_bound_ms", float64(bound)/1e6, "pairs", c.mode)
}

// trouble tells in one line whose content contradicts its clock, "" when nobody's does.
func (c *content) trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.cameras {
		x := &c.cameras[i]
		if !x.alarm {
			continue
		}
		late := "contradicts its clock"
		if e := x.estimate; e != nil {
			late = fmt.Sprintf("is %.0f ± %.0f ms later than its clock says", -float64(e.OffsetNs)/1e6, float64(e.ErrorNs)/1e6)
		}
		what := map[string]string{
			ContentReport: "pairs are made by the clock", ContentCorrect: "pairs are made by what it shows", ContentReject: "nothing is paired with it",
		}[c.mode]
		return fmt.Sprintf("what exo camera %s shows %s: check its latency; %s", x.name, late, what)
	}
	return ""
}

// fixOf returns what is added to the times of camera i.
func (c *content) fixOf(i int) contentFix {
	if c.off() {
		return contentFix{}
	}
	return c.cameras[i].fix
}

// rejects reports whether camera i's pairs are not made.
func (c *content) rejects(i int) bool {
	return c.mode == ContentReject && c.cameras[i].alarm
}

// estimateOf returns the newest estimate of camera i, nil for none, and whether there is an alarm.
func (c *content) estimateOf(i int) (*wire.ContentOffset, bool) {
	if c.off() {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cameras[i].estimate, c.cameras[i].alarm
}
