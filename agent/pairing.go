package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

// Reasons for which a pair is not made, beside the joiner's.
const (
	releaseChanged pair.Reason = "release_changed" // the exo camera changed its release within the ego batch
	timeWentBack   pair.Reason = "time_went_back"  // the ego sample is earlier than one before it
	unsynchronized pair.Reason = "unsynchronized"  // the rig or the exo camera doesn't know the site's time
	twoCameras     pair.Reason = "two_cameras"     // two cameras send under the exo camera's name

	contradicted      pair.Reason = "content"            // what the exo camera shows contradicts its clock
	correctionChanged pair.Reason = "correction_changed" // its times were corrected otherwise within the ego batch
)

// pairing joins the rig's batches with those of the exo cameras and publishes a PairBatch for each ego batch. ego is
// called by the pipeline, exo by one consumer for each camera, run by a goroutine of its own that gives cameras up which
// stay silent.
//
// ego and exo block while there is no room: a recording is then read no faster than pairs can be made, and the teacher's
// stream waits in JetStream. A live rig does not wait: when its samples have no room left, the cameras that hold them up
// are given up for them.
type pairing struct {
	cameras []string
	wait    time.Duration // how long a silent camera is waited for
	publish func(context.Context, *wire.PairBatch) error
	online  func() bool // whether the hub can be reached: otherwise a camera's silence says nothing
	count   *counters
	log     *slog.Logger
	names   []map[pair.Reason]string // by camera: keys of PairBatch.rejected
	maxDt   time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when room may have appeared or a batch is done
	waiters int           // for changed
	join    *pair.Joiner
	open    []*openBatch // ego batches that are not published, oldest first
	take    *egoTake     // the newest
	live    bool
	moved   time.Time // when a row was last decided, or began to wait
	warn    throttle
	content *content

	told    sync.Mutex // guards what of sources others ask: mu may be held as long as the hub is away
	sources []exoSource
}

// exoSource is what is known of one exo camera.
type exoSource struct {
	rivals rivals
	why    pair.Reason      // why its newest samples can't be paired, "" when they can
	counts *wire.PairCounts // of its pairs
}

func newPairing(cfg pair.Config, wait time.Duration, publish func(context.Context, *wire.PairBatch) error, count *counters, log *slog.Logger) (*pairing, error) {
	j, err := pair.New(cfg)
	if err != nil {
		return nil, err
	}
	p := &pairing{
		cameras: cfg.Exo, wait: wait, publish: publish, online: func() bool { return true }, count: count, log: log,
		changed: make(chan struct{}), join: j, take: &egoTake{}, moved: time.Now(), maxDt: cfg.MaxDt,
		sources: make([]exoSource, len(cfg.Exo)), warn: throttle{log: log},
		content: newContent(ContentOff, nil, 0, count, log),
	}
	for i, c := range cfg.Exo {
		names := map[pair.Reason]string{}
		for r := range rejectedCounts {
			names[r] = c + "/" + string(r)
		}
		p.names = append(p.names, names)
		p.sources[i].counts = &wire.PairCounts{Exo: c, Rejected: map[string]uint64{}}
	}
	return p, nil
}

// begin is told of the rig's next take.
func (p *pairing) begin(live bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = live
}

// ego takes the rig's next batch.
func (p *pairing) ego(ctx context.Context, b *wire.SampleBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, site, bound := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs), b.Bounds(nil)
	if b.Take != p.take.name {
		p.take = &egoTake{name: b.Take, rejected: map[string]uint64{}}
	}
	// The batch becomes open piece by piece; rows of it may be decided before its end is pushed.
	o := newOpenBatch(p.take, b, len(raw))
	p.open = append(p.open, o)
	p.content.ego(b, site, bound)
	for i := range raw {
		if bound[i] >= wire.UnknownBound {
			// When it was taken is not known. The sample stays in the upload, without a partner.
			p.pass(o, i, unsynchronized)
			continue
		}
		if last, ok := p.join.LastEgo(); ok && !p.take.begun && site[i] < last {
			// The take is of an earlier time than the one before: what still waits has to go first.
			if err := p.giveUp(ctx); err != nil {
				return err
			}
		}
		p.take.begun = true
		if err := p.room(ctx); err != nil {
			return err
		}
		if p.join.Waiting() == 0 {
			p.moved = time.Now()
		}
		err := p.join.Ego(pair.Sample{Take: b.Take, Seq: int64(b.FirstSeq) + int64(i), Raw: raw[i], Time: site[i], Bound: bound[i]})
		if err != nil {
			p.pass(o, i, timeWentBack) // such time can't be paired
			continue
		}
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	if b.Last {
		p.join.EndEgo()
		return errors.Join(p.drain(ctx), p.finish(ctx))
	}
	return p.finish(ctx)
}

// pass leaves a row of a batch without partners: it does not go into the joiner.
func (p *pairing) pass(o *openBatch, row int, why pair.Reason) {
	o.skip(row)
	for c := range p.cameras {
		p.reject(o, c, why)
	}
}

// room waits until the joiner takes another ego sample.
func (p *pairing) room(ctx context.Context) error {
	for !p.join.WantsEgo() {
		if err := p.decide(ctx); err != nil { // with lateness, a row may be ready only now
			return err
		}
		if p.join.WantsEgo() {
			return nil
		}
		if !p.live {
			if err := p.unlocked(ctx); err != nil {
				return err
			}
			continue
		}
		for _, i := range p.join.Behind() {
			p.count.add("exo_given_up", 1)
			p.join.Expire(i)
		}
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// exo takes camera i's next batch. Its error is never the batch's fault.
func (p *pairing) exo(ctx context.Context, i int, b *wire.SampleBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, site, bound := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs), b.Bounds(nil)
	row := int(b.Dim) * wire.F16Size
	if why := p.refuses(i, b, site, bound); why != "" {
		p.count.add(exoCounts[why], uint64(len(raw)))
		return nil
	}
	p.content.exo(i, b, site, bound)
	origin := &exoOrigin{b, p.content.fixOf(i)}
	for k := range raw {
		if err := p.roomFor(ctx, i); err != nil {
			return err
		}
		err := p.join.Exo(i, pair.Sample{
			Take: b.Take, Seq: int64(b.FirstSeq) + int64(k), Raw: raw[k], Time: site[k] + origin.fix.ns, Bound: bound[k] + origin.fix.err,
			Features: b.Features[k*row : (k+1)*row], Origin: origin,
		})
		if err != nil {
			p.count.drop("exo_time_went_back", 1) // a take played again, or a camera whose clock was set back
			continue
		}
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	if b.Last {
		p.join.EndExo(i)
		return p.drain(ctx)
	}
	return nil
}

// refuses tells why a batch's samples are not for pairs: their time would be a guess. A batch with nothing in it passes.
func (p *pairing) refuses(i int, b *wire.SampleBatch, site, bound []int64) pair.Reason {
	if len(site) == 0 {
		return ""
	}
	s := &p.sources[i]
	p.told.Lock()
	defer p.told.Unlock()
	switch {
	case slices.Max(bound) >= wire.UnknownBound: // all of them: the source of time is another for those that are known
		if s.why != unsynchronized {
			p.log.Warn("exo camera doesn't know the site's time, nothing is paired with it", "camera", p.cameras[i])
		}
		s.why = unsynchronized
	case s.rivals.contested(b.Take, site[0], site[len(site)-1]):
		s.why = twoCameras
		p.warn.log1("two cameras send under one name, nothing is paired with them: give one of them another", b.Take, errors.New(p.cameras[i]))
	default:
		s.why = ""
	}
	return s.why
}

// trouble tells in one line why an exo camera isn't paired with, "" when all are.
func (p *pairing) trouble() string {
	p.told.Lock()
	defer p.told.Unlock()
	for i, s := range p.sources {
		switch s.why {
		case twoCameras:
			return fmt.Sprintf("two cameras send under the name %s: give one of them another; nothing is paired with them", p.cameras[i])
		case unsynchronized:
			return fmt.Sprintf("exo camera %s doesn't know the site's time: nothing is paired with it", p.cameras[i])
		}
	}
	return p.content.trouble()
}

// roomFor waits until the joiner takes another sample of camera i.
func (p *pairing) roomFor(ctx context.Context, i int) error {
	for !p.join.WantsExo(i) {
		if err := p.decide(ctx); err != nil { // see room
			return err
		}
		if p.join.WantsExo(i) {
			return nil
		}
		if err := p.unlocked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unlocked waits for a change without the lock.
func (p *pairing) unlocked(ctx context.Context) error {
	changed := p.changed
	p.waiters++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.waiters--
	}()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pairing) wake() {
	if p.waiters > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// drain takes every decided row, and publishes the batches that are complete. Those who wait are woken: an exo sample may
// have made room by itself, too.
func (p *pairing) drain(ctx context.Context) error {
	defer p.wake()
	return p.decide(ctx)
}

// decide takes every decided row, and wakes those who wait if there was one: two who wait must not wake each other for ever.
func (p *pairing) decide(ctx context.Context) error {
	decided := false
	defer func() {
		if decided {
			p.wake()
		}
	}()
	for row, ok := p.join.Next(); ok; row, ok = p.join.Next() {
		decided, p.moved = true, time.Now()
		o := p.deciding()
		for i, list := range row.Spare {
			for k := range list {
				p.spare(o, i, &list[k])
			}
		}
		for i, m := range row.Matches {
			switch {
			case m.Exo == nil && m.Reason == pair.NoExo && p.sources[i].why != "":
				p.reject(o, i, p.sources[i].why)
			case m.Exo == nil:
				p.reject(o, i, m.Reason)
			case p.content.rejects(i):
				p.spare(o, i, m.Exo)
				p.reject(o, i, contradicted)
			case !o.add(i, &row.Ego, m):
				p.reject(o, i, o.changed(i, m.Exo))
				p.spare(o, i, m.Exo)
			default:
				p.made(i, m.Grade)
			}
		}
		o.next()
		if err := p.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// spare keeps an exo sample that is nobody's partner with a batch, or counts that there was no room.
func (p *pairing) spare(o *openBatch, camera int, s *pair.Sample) {
	if !o.spare(camera, s) {
		p.count.drop("exo_spare", 1)
	}
}

// reject counts a pair that is not made. What its batch rejects is told with the batch, so that messages don't depend on
// what has come of the ones after it.
func (p *pairing) reject(o *openBatch, camera int, why pair.Reason) {
	o.rejected[p.names[camera][why]]++
	p.count.add(rejectedCounts[why], 1)
	p.told.Lock()
	defer p.told.Unlock()
	p.sources[camera].counts.Rejected[string(why)]++
}

// made counts a pair.
func (p *pairing) made(camera int, g pair.Grade) {
	p.count.add(gradeCounts[g], 1)
	p.told.Lock()
	defer p.told.Unlock()
	switch c := p.sources[camera].counts; g {
	case pair.Gold:
		c.Gold++
	case pair.Silver:
		c.Silver++
	case pair.Bronze:
		c.Bronze++
	case pair.Rejected: // is none
	}
}

// tally returns what became of the pairs with each camera.
func (p *pairing) tally() []*wire.PairCounts {
	p.told.Lock()
	defer p.told.Unlock()
	list := make([]*wire.PairCounts, len(p.sources))
	for i := range p.sources {
		c := p.sources[i].counts
		list[i] = &wire.PairCounts{Exo: c.Exo, Gold: c.Gold, Silver: c.Silver, Bronze: c.Bronze, Rejected: maps.Clone(c.Rejected)}
		list[i].Content, list[i].ContentAlarm = p.content.estimateOf(i)
	}
	return list
}

var (
	gradeCounts    = map[pair.Grade]string{pair.Gold: "pairs_gold", pair.Silver: "pairs_silver", pair.Bronze: "pairs_bronze"}
	rejectedCounts = map[pair.Reason]string{
		pair.TooFar: "pairs_rejected_too_far", pair.TooWide: "pairs_rejected_bound", pair.NoExo: "pairs_rejected_no_exo",
		releaseChanged: "pairs_rejected_release_changed", timeWentBack: "pairs_rejected_time_went_back",
		unsynchronized: "pairs_rejected_unsynchronized", twoCameras: "pairs_rejected_two_cameras",
		contradicted: "pairs_rejected_content", correctionChanged: "pairs_rejected_correction_changed",
	}
	exoCounts = map[pair.Reason]string{unsynchronized: "dropped_exo_unsynchronized", twoCameras: "dropped_exo_two_cameras"}
)

// deciding returns the oldest batch with rows to decide: rows come out of the joiner in the order in which they went in.
func (p *pairing) deciding() *openBatch {
	for _, o := range p.open {
		if !o.done() {
			return o
		}
	}
	return nil // can't be: the joiner has only rows of open batches
}

// finish publishes the batches at the front that are complete.
func (p *pairing) finish(ctx context.Context) error {
	for len(p.open) > 0 && p.open[0].done() {
		o := p.open[0]
		if err := p.publish(ctx, o.message(p.cameras, p.maxDt, p.content)); err != nil {
			return fmt.Errorf("publish pairs %s: %w", o.ego.ID(), err)
		}
		for reason, n := range o.rejected {
			o.take.rejected[reason] += n
		}
		p.open = slices.Delete(p.open, 0, 1)
		p.count.add("pair_batches", 1)
		p.wake()
	}
	return nil
}

// run gives up cameras that have been silent for longer than wait while samples wait for them.
func (p *pairing) run(ctx context.Context) error {
	tick := time.NewTicker(max(p.wait/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.expire(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (p *pairing) expire(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.join.Waiting() == 0 || !p.online() {
		p.moved = time.Now()
		return nil
	}
	if time.Since(p.moved) < p.wait {
		return nil
	}
	for _, i := range p.join.Behind() {
		p.log.Warn("exo camera is silent, its pairs are given up", "camera", p.cameras[i], "samples", p.join.Waiting(), "waited", p.wait)
		p.count.add("exo_given_up", 1)
		p.join.Expire(i)
	}
	return p.drain(ctx)
}

// stop gives all cameras up, so that every ego sample is decided.
func (p *pairing) stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.giveUp(ctx)
}

func (p *pairing) giveUp(ctx context.Context) error {
	p.join.EndEgo()
	for i := range p.cameras {
		p.join.Expire(i)
	}
	return p.drain(ctx)
}

// settle waits until every ego sample has been decided.
func (p *pairing) settle(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 {
		if err := p.unlocked(ctx); err != nil {
			return fmt.Errorf("%d batches wait for pairs: %w", len(p.open), err)
		}
	}
	return nil
}
