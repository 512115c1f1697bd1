package agent

import (
	"context"
	"fmt"
	"log/slog"

	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// publishing is the pipeline's output: segments of both roles, the teacher's stream of an exo camera, and a rig's samples
// on their way to the pairing.
type publishing struct {
	cfg       *Config
	publisher *bus.Publisher
	pairing   *pairing // nil in the exo role
	count     *counters
	log       *slog.Logger
}

func (p *publishing) batch(ctx context.Context, src *Source, b *wire.SampleBatch) error {
	if p.pairing != nil {
		if src.NoPairs {
			return nil
		}
		return p.pairing.ego(ctx, b)
	}
	p.count.add("teacher_batches", 1)
	return p.publish(ctx, bus.Teacher, wire.MessageID(b.Device, b.Take, b.FirstSeq), b)
}

// pairs publishes a batch of pairs.
func (p *publishing) pairs(ctx context.Context, b *wire.PairBatch) error {
	return p.publish(ctx, bus.Pairs, wire.MessageID(b.Ego.Device, b.Ego.Take, b.Ego.FirstSeq), b)
}

func (p *publishing) events(ctx context.Context, src *Source, m *model.Model, list []segment.Event) error {
	for _, e := range list {
		msg := &wire.SegmentEvent{
			Device: p.cfg.Device, Take: src.Take, Release: m.Bundle.Release, Label: m.Bundle.Labels[e.Label],
			StartNs: e.Start, EndNs: e.End, Confidence: float64(e.Confidence), Revision: uint32(e.Revision),
			Kind: segmentKinds[e.Kind], EndReason: endReasons[e.Reason], BoundNs: int64(p.cfg.Camera.ClockBound),
			FirstSeq: uint64(e.FirstSeq), LastSeq: uint64(e.LastSeq),
		}
		if e.Open {
			msg.EndReason = wire.EndReason_END_REASON_UNSPECIFIED
		}
		name := "p"
		if e.Kind == segment.Committed {
			name = "c"
			p.count.add("segments_committed", 1)
		}
		id := fmt.Sprintf("%s/%s%d", wire.MessageID(msg.Device, msg.Take, msg.FirstSeq), name, e.Revision)
		if err := p.publish(ctx, bus.Segments, id, msg); err != nil {
			return err
		}
	}
	return nil
}

// publish hands a message to the publisher. A message that the backlog has no room for is lost, counted, and no reason to
// stop the camera.
func (p *publishing) publish(ctx context.Context, kind bus.Kind, id string, m wire.Message) error {
	data, err := wire.Encode(m)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, id, err)
	}
	err = p.publisher.Publish(ctx, p.cfg.subject(kind).String(), id, data)
	if lost(err) {
		p.count.drop("backlog_full_"+string(kind), 1)
		return nil
	}
	return err
}

var segmentKinds = map[segment.Kind]wire.SegmentKind{
	segment.Provisional: wire.SegmentKind_SEGMENT_KIND_PROVISIONAL,
	segment.Committed:   wire.SegmentKind_SEGMENT_KIND_COMMITTED,
}

var endReasons = map[segment.Reason]wire.EndReason{
	segment.NextLabel: wire.EndReason_END_REASON_NEXT_LABEL,
	segment.Gap:       wire.EndReason_END_REASON_GAP,
	segment.Swap:      wire.EndReason_END_REASON_SWAP,
	segment.EndOfTake: wire.EndReason_END_REASON_END_OF_TAKE,
}
