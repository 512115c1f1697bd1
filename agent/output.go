package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"tandem/runtime/bundle"
	"tandem/runtime/segment"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// sender is what publishing needs of a bus.Publisher.
type sender interface {
	Publish(ctx context.Context, subject, id string, data []byte) error
}

// publishing is the pipeline's output: segments of both roles, the teacher's stream of an exo camera, and a rig's samples
// on their way to the pairing.
type publishing struct {
	cfg       *Config
	publisher sender
	pairing   *pairing // nil in the exo role
	count     *counters
	log       *slog.Logger
	live      atomic.Bool // of the running take's camera

	mu   sync.Mutex
	warn throttle
}

func (p *publishing) begin(_ *Source, live bool) {
	p.live.Store(live)
	if p.pairing != nil {
		p.pairing.begin(live)
	}
}

func (p *publishing) batch(ctx context.Context, src *Source, b *wire.SampleBatch) error {
	if p.pairing != nil {
		if src.NoPairs {
			return nil
		}
		return p.pairing.ego(ctx, b)
	}
	p.count.add("teacher_batches", 1)
	return p.publish(ctx, bus.Teacher, b.ID(), b)
}

// pairs publishes a batch of pairs.
func (p *publishing) pairs(ctx context.Context, b *wire.PairBatch) error {
	return p.publish(ctx, bus.Pairs, b.ID(), b)
}

func (p *publishing) events(ctx context.Context, src *Source, b *bundle.Dir, list []segment.Event, bounds []int64) error {
	for i, e := range list {
		msg := &wire.SegmentEvent{
			Device: p.cfg.Device, Take: src.Take, Release: b.Release, Label: b.Labels[e.Label],
			StartNs: e.Start, EndNs: e.End, Confidence: float64(e.Confidence), Revision: uint32(e.Revision),
			Kind: segmentKinds[e.Kind], EndReason: endReasons[e.Reason], BoundNs: bounds[i],
			FirstSeq: uint64(e.FirstSeq), LastSeq: uint64(e.LastSeq),
			DecidedNs: e.Decided, Bridged: uint64(e.Bridged), Rushed: uint64(e.Rushed),
		}
		if e.Open {
			msg.EndReason = wire.EndReason_END_REASON_UNSPECIFIED
		}
		if e.Kind == segment.Committed {
			p.count.add("segments_committed", 1)
		}
		id := fmt.Sprintf("%s/%s%d", wire.MessageID(msg.Device, msg.Take, msg.FirstSeq), segmentLetters[e.Kind], e.Revision)
		if err := p.publish(ctx, bus.Segments, id, msg); err != nil {
			return err
		}
	}
	return nil
}

// noRoom is a context that has ended: with it, Publish does not wait for room.
var noRoom = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// publish hands a message to the publisher. While the backlog is full a recording waits, and a live camera loses the
// message, which is counted: its pictures would be lost instead, and the segments with them. A message that breaks the
// rules of the wire is counted and lost, too, since sending it again could not help.
func (p *publishing) publish(ctx context.Context, kind bus.Kind, id string, m wire.Message) error {
	data, err := wire.Encode(m)
	if err != nil {
		p.lose("invalid_"+string(kind), id, err)
		return nil
	}
	wait, live := ctx, p.live.Load()
	if live {
		wait = noRoom
	}
	err = p.publisher.Publish(wait, p.cfg.subject(kind).String(), id, data)
	if live && errors.Is(err, context.Canceled) {
		p.lose("backlog_full_"+string(kind), id, bus.ErrBacklogFull)
		return nil
	}
	return err
}

// lose counts a message that is not sent.
func (p *publishing) lose(reason, id string, err error) {
	p.count.drop(reason, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warn.log1("message lost", id, err)
}

var segmentKinds = map[segment.Kind]wire.SegmentKind{
	segment.Provisional: wire.SegmentKind_SEGMENT_KIND_PROVISIONAL,
	segment.Committed:   wire.SegmentKind_SEGMENT_KIND_COMMITTED,
	segment.Confirmed:   wire.SegmentKind_SEGMENT_KIND_CONFIRMED,
}

// segmentLetters tell the messages of one segment apart in their ids.
var segmentLetters = map[segment.Kind]string{segment.Provisional: "p", segment.Committed: "c", segment.Confirmed: "s"}

var endReasons = map[segment.Reason]wire.EndReason{
	segment.NextLabel: wire.EndReason_END_REASON_NEXT_LABEL,
	segment.Gap:       wire.EndReason_END_REASON_GAP,
	segment.Swap:      wire.EndReason_END_REASON_SWAP,
	segment.EndOfTake: wire.EndReason_END_REASON_END_OF_TAKE,
}
