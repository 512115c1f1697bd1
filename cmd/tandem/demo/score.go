package demo

import (
	"context"
	"fmt"

	"tandem/sim"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/tas"
)

// truth is a take to score: its labels at instants of site time.
type truth struct {
	name     string
	start    int64    // site time
	labels   []string // none where nobody knows
	instants []int64
	from     int // the first label that is scored: those before are of a part that the student was trained on
}

func truthOf(t *sim.Take) truth {
	x := truth{name: t.Name, start: t.StartNS, labels: t.FrameLabels()}
	for i := range x.labels {
		x.instants = append(x.instants, t.StartNS+int64((float64(i)+0.5)/t.FPS*1e9))
	}
	return x
}

// stream is what a device has published of a take: its committed segments.
type stream struct {
	spans       []tas.Span
	first, last uint64 // sequence numbers
	covered     uint64 // samples inside segments
	releases    []string
	swaps       int
}

// lost returns how many samples between the first and the last are in no segment.
func (s *stream) lost() int64 { return int64(s.last-s.first) + 1 - int64(s.covered) }

// begin returns the start of the first segment.
func (s *stream) begin() int64 {
	at := s.spans[0].Start
	for _, x := range s.spans {
		at = min(at, x.Start)
	}
	return at
}

// streams reads the committed segments of all devices and takes from the hub, as any other subscriber would, and all events of the rig.
func streams(ctx context.Context, conn *bus.Conn) (map[string]*stream, []tas.Event, error) {
	out := map[string]*stream{}
	var events []tas.Event
	err := bus.Read(ctx, conn.JetStream(), bus.ReadConfig{Stream: bus.StreamSegments}, func(_ context.Context, m *bus.Message) error {
		e, err := wire.DecodeSegmentEvent(m.Data)
		if err != nil {
			return err
		}
		if e.Device == rig {
			events = append(events, e.FileEvent())
		}
		if e.Kind != wire.SegmentKind_SEGMENT_KIND_COMMITTED {
			return nil
		}
		key := e.Device + "/" + e.Take
		s := out[key]
		if s == nil {
			s = &stream{first: e.FirstSeq}
			out[key] = s
		}
		s.spans = append(s.spans, tas.Span{Label: e.Label, Start: e.StartNs, End: e.EndNs, Confidence: float32(e.Confidence)})
		s.first, s.last = min(s.first, e.FirstSeq), max(s.last, e.LastSeq)
		s.covered += e.LastSeq - e.FirstSeq + 1
		if n := len(s.releases); n == 0 || s.releases[n-1] != e.Release {
			s.releases = append(s.releases, e.Release)
		}
		if e.EndReason == wire.EndReason_END_REASON_SWAP {
			s.swaps++
		}
		return nil
	})
	return out, events, err
}

// score compares published takes with their truth. What no segment covers counts as background.
func score(list []truth, get func(name string) (*stream, error)) (tas.Scores, error) {
	var videos []tas.Video
	for _, t := range list {
		s, err := get(t.name)
		if err != nil {
			return tas.Scores{}, err
		}
		pred, err := tas.SampleSpans(s.spans, t.instants[t.from:], sim.Background)
		if err != nil {
			return tas.Scores{}, fmt.Errorf("take %s: %w", t.name, err)
		}
		videos = append(videos, tas.Video{Name: t.name, GT: t.labels[t.from:], Pred: pred})
	}
	return tas.Score(videos, sim.Background)
}
