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

// pairing joins the rig's batches with those of the exo cameras and publishes a PairBatch for each ego batch. ego is
// called by the pipeline, exo by one consumer for each camera, run by a goroutine of its own that gives cameras up which
// stay silent. ego and exo block while there is no room: a recording is then read no faster than pairs can be made, and
// the teacher's stream waits in JetStream.
type pairing struct {
	cameras []string
	wait    time.Duration // how long a silent camera is waited for
	publish func(context.Context, *wire.PairBatch) error
	count   *counters
	log     *slog.Logger

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever room appears or a batch is done
	join     *pair.Joiner
	open     []*openBatch // ego batches that are not decided, oldest first
	take     string
	rejected map[string]uint64 // of the ego take
	moved    time.Time         // when a row was last decided, or began to wait
}

// openBatch is an ego batch on its way through the joiner.
type openBatch struct {
	ego     *wire.SampleBatch
	decided int          // rows that are decided
	skipped map[int]bool // rows that never went into the joiner
	tracks  []*openTrack
}

// openTrack is one exo camera's part of an ego batch.
type openTrack struct {
	camera       int
	origin       *wire.SampleBatch
	seq, raw, at []int64
	index        []int32
	dt           []int64
	bound        []int64
	grade        []wire.Grade
	features     []byte
}

func newPairing(cfg pair.Config, wait time.Duration, publish func(context.Context, *wire.PairBatch) error, count *counters, log *slog.Logger) (*pairing, error) {
	j, err := pair.New(cfg)
	if err != nil {
		return nil, err
	}
	return &pairing{
		cameras: cfg.Exo, wait: wait, publish: publish, count: count, log: log,
		changed: make(chan struct{}), join: j, rejected: map[string]uint64{}, moved: time.Now(),
	}, nil
}

// ego takes the rig's next batch.
func (p *pairing) ego(ctx context.Context, b *wire.SampleBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Take != p.take {
		p.take, p.rejected = b.Take, map[string]uint64{}
	}
	raw, site := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs)
	// The batch becomes open piece by piece; rows of it may be decided before its end is pushed.
	o := &openBatch{ego: b}
	p.open = append(p.open, o)
	for i := range raw {
		for !p.join.WantsEgo() {
			if err := p.unlocked(ctx); err != nil {
				return err
			}
		}
		if p.join.Waiting() == 0 {
			p.moved = time.Now()
		}
		err := p.join.Ego(pair.Sample{Take: b.Take, Seq: int64(b.FirstSeq) + int64(i), Raw: raw[i], Time: site[i], Bound: b.BoundNs})
		if err != nil {
			// Time that goes back can't be paired. The sample stays in the upload, without a partner.
			p.count.drop("pair_time_went_back", 1)
			p.log.Warn("sample cannot be paired", "error", err)
			o.skip(i)
			for _, c := range p.cameras {
				p.rejected[c+"/time_went_back"]++
			}
			continue
		}
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// exo takes camera i's next batch.
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
			p.count.drop("exo_time_went_back", 1) // a resend, or a camera whose clock was set back
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
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pairing) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// drain takes every decided row, and publishes the batches that are complete.
func (p *pairing) drain(ctx context.Context) error {
	moved := false
	for row, ok := p.join.Next(); ok; row, ok = p.join.Next() {
		moved = true
		o := p.deciding()
		for i, m := range row.Matches {
			if m.Exo == nil {
				p.rejected[p.cameras[i]+"/"+string(m.Reason)]++
				p.count.add("pairs_rejected_"+string(m.Reason), 1)
				continue
			}
			if !o.add(i, m) {
				p.rejected[p.cameras[i]+"/release_changed"]++
				p.count.add("pairs_rejected_release_changed", 1)
				continue
			}
			p.count.add("pairs_"+m.Grade.String(), 1)
		}
		o.decided++
		o.pad()
		if err := p.finish(ctx); err != nil {
			return err
		}
	}
	if moved {
		p.moved = time.Now()
	}
	p.wake() // an exo push may have made room by evicting, too
	return nil
}

// deciding returns the oldest batch with rows to decide: rows come out of the joiner in the order in which they went in.
func (p *pairing) deciding() *openBatch {
	for _, o := range p.open {
		if !o.done() {
			return o
		}
	}
	return nil
}

// finish publishes the batches at the front that are complete.
func (p *pairing) finish(ctx context.Context) error {
	for len(p.open) > 0 && p.open[0].done() {
		o := p.open[0]
		p.open = slices.Delete(p.open, 0, 1)
		if err := p.publish(ctx, o.message(p.cameras, p.rejected)); err != nil {
			return fmt.Errorf("publish pairs %s/%d: %w", o.ego.Take, o.ego.FirstSeq, err)
		}
		p.count.add("pair_batches", 1)
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
			if err := p.expire(ctx); err != nil {
				return err
			}
		}
	}
}

func (p *pairing) expire(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.join.Waiting() == 0 || time.Since(p.moved) < p.wait {
		return nil
	}
	for _, i := range p.join.Behind() {
		p.log.Warn("exo camera is silent, its pairs are given up", "camera", p.cameras[i], "samples", p.join.Waiting(), "waited", p.wait)
		p.join.Expire(i)
	}
	return p.drain(ctx)
}

// add appends a match of the row that is being decided. It reports false when the exo camera changed its release within
// the batch: a track has features of one extractor only, so such a row stays without this partner.
func (o *openBatch) add(camera int, m pair.Match) bool {
	origin, _ := m.Exo.Origin.(*wire.SampleBatch)
	var t *openTrack
	for _, x := range o.tracks {
		if x.camera == camera && x.origin.Take == origin.Take {
			t = x
		}
	}
	if t == nil {
		t = &openTrack{camera: camera, origin: origin}
		o.tracks = append(o.tracks, t)
		o.padTrack(t, o.decided)
	}
	if t.origin.Release != origin.Release {
		return false
	}
	if n := len(t.seq); n == 0 || t.seq[n-1] != m.Exo.Seq {
		t.seq = append(t.seq, m.Exo.Seq)
		t.raw = append(t.raw, m.Exo.Raw)
		t.at = append(t.at, m.Exo.Time)
		t.features = append(t.features, m.Exo.Features...)
	}
	t.index = append(t.index, int32(len(t.seq)-1))
	t.dt = append(t.dt, m.Dt)
	t.bound = append(t.bound, m.Bound)
	t.grade = append(t.grade, grades[m.Grade])
	return true
}

// skip says that a row will not come out of the joiner.
func (o *openBatch) skip(row int) {
	if o.skipped == nil {
		o.skipped = map[int]bool{}
	}
	o.skipped[row] = true
}

// done passes over skipped rows and reports whether all rows are decided.
func (o *openBatch) done() bool {
	for o.skipped[o.decided] {
		o.decided++
		o.pad()
	}
	return o.decided == len(o.ego.RawNs)
}

// pad brings every track up to the decided rows: where it has no match, it says so.
func (o *openBatch) pad() {
	for _, t := range o.tracks {
		o.padTrack(t, o.decided)
	}
}

func (o *openBatch) padTrack(t *openTrack, n int) {
	for len(t.index) < n {
		t.index = append(t.index, -1)
		t.dt = append(t.dt, 0)
		t.bound = append(t.bound, 0)
		t.grade = append(t.grade, wire.Grade_GRADE_REJECTED)
	}
}

func (o *openBatch) message(cameras []string, rejected map[string]uint64) *wire.PairBatch {
	b := &wire.PairBatch{Ego: o.ego, Last: o.ego.Last, Rejected: map[string]uint64{}}
	for reason, n := range rejected {
		b.Rejected[reason] = n
	}
	for _, t := range o.tracks {
		b.Exo = append(b.Exo, &wire.ExoTrack{
			Device: cameras[t.camera], Take: t.origin.Take, Release: t.origin.Release, Extractor: t.origin.Extractor,
			RateHz: t.origin.RateHz, StampKind: t.origin.StampKind, ClockSource: t.origin.ClockSource,
			Dim: t.origin.Dim, Seq: wire.AppendDeltas(nil, t.seq), RawNs: wire.AppendDeltas(nil, t.raw),
			SiteNs: wire.AppendDeltas(nil, t.at), Features: t.features,
			Index: t.index, DtNs: t.dt, BoundNs: t.bound, Grade: t.grade,
		})
	}
	return b
}

var grades = map[pair.Grade]wire.Grade{
	pair.Gold:   wire.Grade_GRADE_GOLD,
	pair.Silver: wire.Grade_GRADE_SILVER,
	pair.Bronze: wire.Grade_GRADE_BRONZE,
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
