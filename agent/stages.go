package agent

import (
	"context"
	"math"
	"sync"
	"time"

	"tandem/runtime/segment"
	"tandem/stream/frame"
)

// A camera's stages, each a goroutine, with bounded rings between them:
//
//	capture ─▶ see: sample, prepare ─▶ extract ─▶ judge: segment, batch ─▶ hand: encode, pair, publish
//
// Preparing a picture takes about as long as extracting its features, and decoding it half as long, so that each of them alone is
// worth a core. Segmenting takes a fifth; it is apart because extract waits for its turn when cameras share an extractor. Hand is
// apart because a hub may be away for hours.
//
// Surplus frames end in see, before any work. What is lost on the way travels with the next shot, so that everybody hears of
// everything in the order in which it happened, and streams don't depend on how fast the stages are.

// flow is one take's way through the stages.
type flow struct {
	*rings
	p     *pipeline
	stop  func()     // tells see that nothing can be handed on any more
	err   error      // why; of the last stage until all are done
	reply chan error // what came of a change
	lost  losses     // since the last shot
	group sync.WaitGroup
}

// start starts the stages of a take behind see. What they make is handed on under ctx; stop is called when it can't be any more.
func (p *pipeline) start(ctx context.Context, stop func()) *flow {
	p.rings.open()
	w := &flow{rings: p.rings, p: p, stop: stop, reply: make(chan error, 1)}
	w.group.Go(func() {
		defer close(w.judge)
		for s := range w.extract {
			if s.op == opSample {
				s.times.BeganExtract = p.now()
				s.extract()
				w.trays <- s.tray
				s.tray = nil
				s.times.Extracted = p.now()
			}
			w.judge <- s
		}
	})
	w.group.Go(func() {
		defer close(w.hand)
		for s := range w.judge {
			err := p.judge(s)
			change := s.op == opChange
			w.hand <- s
			if change {
				w.reply <- err
			}
		}
	})
	w.group.Go(func() {
		for s := range w.hand {
			if w.err == nil {
				if w.err = p.hand(ctx, s); w.err != nil {
					w.stop()
				}
			}
			w.back(s)
		}
	})
	return w
}

// finish waits until all stages are done, and returns why what was made could not be handed on.
func (w *flow) finish() error {
	close(w.extract)
	w.group.Wait()
	return w.err
}

// tell sends what happens between two samples. It waits for nothing but the end of what is being computed, unless many of them
// can't be handed on.
func (w *flow) tell(o op, src *Source) *shot {
	s := <-w.spare
	s.op, s.src, s.lost = o, src, w.lost
	w.lost = losses{}
	return s
}

func (w *flow) begin(src *Source, live bool) {
	s := w.tell(opBegin, src)
	s.from = w.p.reset(src, live)
	w.extract <- s
}

func (w *flow) end(src *Source) { w.extract <- w.tell(opEnd, src) }

// see takes a frame. It returns false if next has ended before there was room for what is made of it.
func (w *flow) see(next context.Context, src *Source, f *frame.Frame, at placement) bool {
	p := w.p
	taken := p.now()
	seq, ok := p.sample(f, &w.lost)
	if !ok {
		return true
	}
	s := w.room(next, src, seq, at)
	if s == nil {
		return false
	}
	p.count.add("frames", 1)
	s.op, s.src, s.seq, s.at, s.raw, s.kind, s.lost = opSample, src, seq, at, f.Raw, f.RawKind, w.lost
	w.lost = losses{}
	s.times = FrameTimes{Seq: seq, Captured: p.since(f.Arrival), Taken: taken}
	s.tray = <-w.trays
	s.times.BeganPrepare = p.now()
	s.prepare(f, p.model.Extractor)
	s.times.Prepared = p.now()
	w.extract <- s
	return true
}

// room waits for a free shot for the sample seq. A release that is offered takes over meanwhile.
func (w *flow) room(next context.Context, src *Source, seq int64, at placement) *shot {
	for {
		w.change(next, src, seq, at)
		select {
		case s := <-w.free:
			return s
		default:
		}
		select {
		case s := <-w.free:
			return s
		case <-w.p.offered:
		case <-next.Done():
			return nil
		}
	}
}

// change changes to the model that is offered, if any, before the sample seq.
func (w *flow) change(next context.Context, src *Source, seq int64, at placement) {
	if w.p.next.Load() == nil {
		return
	}
	// Nothing is claimed that can't be done.
	select {
	case s := <-w.spare:
		w.spare <- s
	case <-next.Done():
		return
	}
	o := w.p.claim()
	if o == nil {
		return
	}
	s := w.tell(opChange, src)
	s.seq, s.at, s.offer = seq, at, o
	w.extract <- s
	if err := <-w.reply; err != nil {
		o.done <- err
	}
}

// reset forgets the take before, as far as see remembers it.
func (p *pipeline) reset(src *Source, live bool) camera {
	p.sampler.Reset()
	from := camera{live: live, start: src.Capture.Start != 0}
	p.time.begin(from)
	return from
}

// sample decides on a frame: ok if it is the sample seq. Of another one nothing remains to be done. What is lost is added to lost.
//
// Ticks are counted on the device's clock, which is as steady as any: what is found out about site time moves samples, and neither
// loses nor doubles any.
func (p *pipeline) sample(f *frame.Frame, lost *losses) (seq int64, ok bool) {
	p.offeredRate()
	back := p.sampler.Stats().Back
	seq, skipped, ok := p.sampler.Take(f.Time)
	if ok && f.Bare { // the rate has changed since nobody wanted it
		p.count.add("frames", 1)
		p.count.add("frames_surplus", 1)
		p.count.drop("no_frame_for_tick", uint64(skipped+1))
		lost.ticks += uint64(skipped) + 1
		return seq, false
	}
	switch {
	case ok && skipped > 0:
		p.count.drop("no_frame_for_tick", uint64(skipped))
		lost.ticks += uint64(skipped)
	case ok:
	case p.sampler.Stats().Back > back:
		p.count.add("frames", 1)
		p.count.drop("time_went_back", 1)
		lost.back++
	default:
		p.count.add("frames", 1)
		p.count.add("frames_surplus", 1)
	}
	return seq, ok
}

// judge does what a shot is for, and puts what came of it into the shot. Its error is that of a change. What is wrong with a single
// sample is counted, and the stream goes on.
func (p *pipeline) judge(s *shot) error {
	s.events, s.bounds, s.batch, s.made, s.bundle = s.events[:0], s.bounds[:0], nil, false, p.model.Bundle
	s.times.BeganSegment = p.now()
	p.batcher.skip("time_went_back", s.lost.back)
	p.batcher.skip("no_frame_for_tick", s.lost.ticks)
	var err error
	switch s.op {
	case opSample:
		p.bridge(s.seq)
		p.segment(s)
	case opBegin:
		p.forget(s)
	case opChange:
		p.bridge(s.seq)
		err = p.change(s)
	case opEnd:
		p.finish(s)
	}
	s.times.Segmented = p.now()
	return err
}

// forget begins a take, as if there had been none before, even one that broke off.
func (p *pipeline) forget(s *shot) {
	p.model.Segmenter.Finish(segment.EndOfTake)
	p.history.clear()
	p.bounds.clear()
	p.batcher.begin(s.src.Take, s.from)
	p.seq, p.filled, p.sees = -1, -1, 0
}

// finish ends a take.
func (p *pipeline) finish(s *shot) {
	p.keep(s, p.model.Segmenter.Finish(segment.EndOfTake))
	p.log.Info("take ends", "take", s.src.Take, "samples", p.seq+1)
	s.batch = p.batcher.end(p.seq + 1)
}

// segment segments a sample.
func (p *pipeline) segment(s *shot) {
	if s.err != nil {
		p.lose("extractor", s, s.err)
		return
	}
	events, err := p.model.Segmenter.Push(s.seq, s.at.at, s.features)
	if err != nil {
		p.lose("segmenter", s, err)
		return
	}
	p.health.well()
	p.history.add(s.features)
	p.bounds.add(s.seq, s.at.bound)
	p.seq, p.filled = s.seq, s.seq
	p.count.add("samples", 1)
	p.keep(s, events)
	x := sample{
		seq: s.seq, raw: s.raw, site: s.at.at, bound: s.at.bound, kind: s.kind, source: s.at.source, features: s.features,
	}
	if p.scores {
		p.score(&x)
	}
	var overflow bool
	if s.batch, overflow = p.batcher.add(&x); overflow {
		p.count.drop("fp16_overflow", 1)
		p.batcher.skip("fp16_overflow", 1)
		p.warn.log1("sample dropped: a feature is too large for fp16", s.src.Take, nil)
	}
	s.made = true
}

// lose counts a sample that a model fails on.
func (p *pipeline) lose(part string, s *shot, err error) {
	p.count.drop(part, 1)
	p.batcher.skip(part, 1)
	p.health.failed(part, err)
	p.warn.log1("frame dropped: the "+part+" fails", s.src.Take, err)
}

// keep copies events, and tells their bounds: what the segmenter and the pipeline remember will be another's soon.
func (p *pipeline) keep(s *shot, events []segment.Event) {
	for i := range events {
		e := &events[i]
		s.events = append(s.events, *e)
		s.bounds = append(s.bounds, max(p.bounds.at(e.FirstSeq), p.bounds.at(e.LastSeq)))
	}
}

// hand hands on what was made of a shot.
func (p *pipeline) hand(ctx context.Context, s *shot) error {
	s.times.BeganHand = p.now()
	if s.op == opBegin {
		p.out.begin(s.src, s.from.live)
	}
	if len(s.events) > 0 {
		if err := p.out.events(ctx, s.src, s.bundle, s.events, s.bounds); err != nil {
			return err
		}
	}
	if s.batch != nil {
		if err := p.out.batch(ctx, s.src, s.batch); err != nil {
			return err
		}
	}
	if s.made && p.observe != nil {
		s.times.Events, s.times.Batches = len(s.events), 0
		if s.batch != nil {
			s.times.Batches = 1
		}
		s.times.HandedOn = p.now()
		p.observe(&s.times)
	}
	return nil
}

// bridge keeps the history what the segmenter sees: before the sample seq, lost samples are filled in, and a gap that is
// too long forgets what was before. Doing so again changes nothing.
func (p *pipeline) bridge(seq int64) {
	if p.seq < 0 || p.filled == seq-1 {
		return
	}
	if seq-p.seq-1 > p.model.Segmenter.Bridge() {
		p.history.clear()
		p.sees = seq
	} else {
		p.history.repeat(seq - p.filled - 1)
	}
	p.filled = seq - 1
}

// score adds the teacher's scores of the sample that the committed head has just seen the future of, if the network has
// seen that sample.
func (p *pipeline) score(s *sample) {
	lag := int64(p.model.Segmenter.Lag())
	if s.seq-lag < p.sees {
		return
	}
	for i, v := range p.model.Segmenter.Scores(len(p.model.Bundle.Segmenter.Heads) - 1) {
		p.logits[i] = float32(math.Log(math.Max(float64(v), 1e-12)))
	}
	s.scores, s.scoreSeq = p.logits, s.seq-lag
}

// now is the time of a Bench, 0 elsewhere.
func (p *pipeline) now() time.Duration {
	if p.clock == nil {
		return 0
	}
	return p.clock()
}

// since brings a camera's time to that of a Bench.
func (p *pipeline) since(arrival int64) time.Duration {
	if p.clock == nil {
		return 0
	}
	return time.Duration(arrival - p.began)
}
