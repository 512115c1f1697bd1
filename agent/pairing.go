package agent

import (
	"context"
	"fmt"
	"log/slog"
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

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when room may have appeared or a batch is done
	waiters int           // for changed
	join    *pair.Joiner
	open    []*openBatch // ego batches that are not published, oldest first
	take    *egoTake     // the newest
	live    bool
	moved   time.Time // when a row was last decided, or began to wait
}

func newPairing(cfg pair.Config, wait time.Duration, publish func(context.Context, *wire.PairBatch) error, count *counters, log *slog.Logger) (*pairing, error) {
	j, err := pair.New(cfg)
	if err != nil {
		return nil, err
	}
	p := &pairing{
		cameras: cfg.Exo, wait: wait, publish: publish, online: func() bool { return true }, count: count, log: log,
		changed: make(chan struct{}), join: j, take: &egoTake{}, moved: time.Now(),
	}
	for _, c := range cfg.Exo {
		names := map[pair.Reason]string{}
		for _, r := range []pair.Reason{pair.TooFar, pair.TooWide, pair.NoExo, releaseChanged, timeWentBack} {
			names[r] = c + "/" + string(r)
		}
		p.names = append(p.names, names)
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
	raw, site := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs)
	if b.Take != p.take.name {
		p.take = &egoTake{name: b.Take, rejected: map[string]uint64{}}
		if last, ok := p.join.LastEgo(); ok && len(site) > 0 && site[0] < last {
			// The take is of an earlier time than the one before: what still waits has to go first.
			if err := p.giveUp(ctx); err != nil {
				return err
			}
		}
	}
	// The batch becomes open piece by piece; rows of it may be decided before its end is pushed.
	o := &openBatch{take: p.take, ego: b, rows: len(raw)}
	p.open = append(p.open, o)
	for i := range raw {
		if err := p.room(ctx); err != nil {
			return err
		}
		if p.join.Waiting() == 0 {
			p.moved = time.Now()
		}
		err := p.join.Ego(pair.Sample{Take: b.Take, Seq: int64(b.FirstSeq) + int64(i), Raw: raw[i], Time: site[i], Bound: b.BoundNs})
		if err != nil {
			// Time that goes back can't be paired. The sample stays in the upload, without a partner.
			o.skip(i)
			for c := range p.cameras {
				p.reject(o, c, timeWentBack)
			}
			continue
		}
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// room waits until the joiner takes another ego sample.
func (p *pairing) room(ctx context.Context) error {
	for !p.join.WantsEgo() {
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
	raw, site := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs)
	row := int(b.Dim) * wire.F16Size
	for k := range raw {
		for !p.join.WantsExo(i) {
			if err := p.unlocked(ctx); err != nil {
				return err
			}
		}
		err := p.join.Exo(i, pair.Sample{
			Take: b.Take, Seq: int64(b.FirstSeq) + int64(k), Raw: raw[k], Time: site[k], Bound: b.BoundNs,
			Features: b.Features[k*row : (k+1)*row], Origin: b,
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
	for row, ok := p.join.Next(); ok; row, ok = p.join.Next() {
		p.moved = time.Now()
		o := p.deciding()
		for i, m := range row.Matches {
			switch {
			case m.Exo == nil:
				p.reject(o, i, m.Reason)
			case !o.add(i, m):
				p.reject(o, i, releaseChanged)
			default:
				p.count.add(gradeCounts[m.Grade], 1)
			}
		}
		o.next()
		if err := p.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reject counts a pair that is not made.
func (p *pairing) reject(o *openBatch, camera int, why pair.Reason) {
	o.take.rejected[p.names[camera][why]]++
	p.count.add(rejectedCounts[why], 1)
}

var (
	gradeCounts    = map[pair.Grade]string{pair.Gold: "pairs_gold", pair.Silver: "pairs_silver", pair.Bronze: "pairs_bronze"}
	rejectedCounts = map[pair.Reason]string{
		pair.TooFar: "pairs_rejected_too_far", pair.TooWide: "pairs_rejected_bound", pair.NoExo: "pairs_rejected_no_exo",
		releaseChanged: "pairs_rejected_release_changed", timeWentBack: "pairs_rejected_time_went_back",
	}
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
		if err := p.publish(ctx, o.message(p.cameras)); err != nil {
			return fmt.Errorf("publish pairs %s: %w", o.ego.ID(), err)
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
