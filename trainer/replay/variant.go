package replay

import (
	"context"
	"errors"
	"fmt"
	"math"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/tas"
)

// Variant is a way to make segments of a network's scores.
type Variant struct {
	// Lag is whether the network judges a sample by what came after it, and the prior too; without it, the first head judges at once, and
	// windows end with the newest sample.
	Lag   bool `json:"lag"`
	Hold  bool `json:"hold"`  // label hold
	Prior bool `json:"prior"` // transition prior
}

// variants are all that a bundle can do.
func (o Options) variants(b *bundle.Dir) []Variant {
	var list []Variant
	for _, prior := range []bool{false, true} {
		if prior && (b.Segmenter.Decode.Prior == nil || o.NoPrior) {
			continue
		}
		for _, lag := range []bool{false, true} {
			for _, hold := range []bool{false, true} {
				list = append(list, Variant{Lag: lag, Hold: hold, Prior: prior})
			}
		}
	}
	return list
}

// decoding is the bundle's with what the variant lacks taken away.
func (v Variant) decoding(d bundle.Decoding) bundle.Decoding {
	if !v.Hold {
		d.MinFrames, d.MinFramesByClass = 1, nil
	}
	switch {
	case !v.Prior:
		d.Prior = nil
	case !v.Lag:
		p := *d.Prior
		p.Lag = 0
		d.Prior = &p
	}
	return d
}

// bundleOf is the bundle that decodes as the variant says. An error says that the lag is too short for it.
func (w *world) bundleOf(b *bundle.Dir, v Variant) (*bundle.Dir, error) {
	c := *b
	seg := &c.Segmenter
	seg.Decode = v.decoding(seg.Decode)
	if seg.Window != nil && w.o.Window != nil {
		seg.Window = w.o.Window
	}
	if seg.Window != nil && !v.Lag {
		x := *seg.Window
		x.Frames -= x.Right
		x.Right = 0
		seg.Window = &x
	}
	if w.o.Lag > 0 {
		seg.Decode.CommitLag = max(1, int(math.Round(w.o.Lag*b.RateHz)))
	}
	if v.Lag && v.Hold { // what others take away of it can't make it wrong
		if err := c.Validate(); err != nil {
			return nil, err
		}
	}
	if seg.Decode.CommitLag > 0 {
		least := seg.JudgeLag()
		if p := seg.Decode.Prior; p != nil {
			least += p.Lag
		}
		if least > seg.Decode.CommitLag {
			return nil, fmt.Errorf("release %s can't commit within %g s: its network is %.2f s late, with its prior %.2f s", b.Release,
				float64(seg.Decode.CommitLag)/b.RateHz, float64(seg.JudgeLag())/b.RateHz, float64(least)/b.RateHz)
		}
	}
	return &c, nil
}

// openVariant opens the segmenter.
func openVariant(b *bundle.Dir, v Variant) (*segment.Segmenter, error) {
	if !v.Lag && b.Segmenter.Window == nil {
		return segment.OpenEarly(b, 1, ort.Options{})
	}
	return segment.Open(b, ort.Options{})
}

// streamed is what a variant said of all takes.
type streamed struct {
	online tas.OnlineScores
	late   float64 // seconds after which all is committed
}

// stream replays the takes as a variant.
func (w *world) stream(ctx context.Context, b *bundle.Dir, v Variant) (x streamed, err error) {
	if b, err = w.bundleOf(b, v); err != nil {
		return x, err
	}
	s, err := openVariant(b, v)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var videos []tas.OnlineVideo
	for i := range w.takes {
		t := &w.takes[i]
		events, err := w.events(ctx, s, t)
		if err != nil {
			return x, fmt.Errorf("take %s: %w", t.name, err)
		}
		videos = append(videos, tas.OnlineVideo{Name: t.name, GT: t.gt, Rate: b.RateHz, Events: events})
		w.tick()
	}
	x.online, err = tas.ScoreOnline(videos, background(b)...)
	late := s.CommitDelay()
	if !v.Lag && b.Segmenter.Window == nil { // of the first head alone
		early := b.Segmenter
		early.Heads = early.Heads[:1]
		late = early.CommitDelay(len(b.Labels))
	}
	x.late = float64(late) / b.RateHz
	return x, err
}

// events pushes a take's samples, but for those that were lost, and returns what the segmenter published.
func (w *world) events(ctx context.Context, s *segment.Segmenter, t *take) ([]tas.Event, error) {
	var list []tas.Event
	add := func(events []segment.Event) {
		for _, e := range events {
			list = append(list, event(t.name, s.Labels(), e))
		}
	}
	for i := range t.samples {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t.lost(i) {
			continue
		}
		at := int64(math.Round(float64(i) / w.set.RateHz * 1e9))
		events, err := s.Push(int64(i), at, t.row(i, w.view.Dim))
		if err != nil {
			s.Finish(segment.EndOfTake) // the next take begins anew
			return nil, err
		}
		add(events)
	}
	add(s.Finish(segment.EndOfTake))
	return list, nil
}

// kinds are the names of kinds of events in files.
var kinds = map[segment.Kind]string{
	segment.Provisional: tas.EventProvisional, segment.Confirmed: tas.EventConfirmed, segment.Committed: tas.EventCommitted,
}

func event(take string, labels []string, e segment.Event) tas.Event {
	return tas.Event{
		Take: take, Kind: kinds[e.Kind], Label: labels[e.Label], Start: e.Start, End: e.End, Decided: e.Decided,
		FirstSeq: uint64(e.FirstSeq), LastSeq: uint64(e.LastSeq), Revision: uint32(e.Revision), Open: e.Open,
		Confidence: float64(e.Confidence), Bridged: uint64(e.Bridged), Rushed: uint64(e.Rushed),
	}
}
