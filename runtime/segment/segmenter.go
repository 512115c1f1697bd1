package segment

import (
	"errors"
	"fmt"
	"math"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// MaxBridge is the longest gap, in seconds, that a segmenter bridges by repeating the last features. A longer one ends
// the segment and forgets the history, since what happened in it is not known.
const MaxBridge = 0.5

// Segmenter segments one camera's stream of features, one sample of the bundle's rate after another.
//
// Push, Skip and Finish are called in the order of sequence numbers by one goroutine. The returned events are valid
// until the next call. Nothing is allocated once warm.
type Segmenter struct {
	b      *bundle.Dir
	net    *network
	hold   hold
	period int64 // ns between samples
	bridge int64 // samples

	delay   int // lag of the committed head, in frames
	history []sample
	pushed  int64 // samples since the start or the last gap
	last    sample
	shown   Event // the open provisional segment
	showing bool
	events  []Event
}

// sample is what has to be remembered of a frame until the committed head scores it.
type sample struct {
	seq, at int64
	label   int // by the provisional head
	prob    float32
}

// Open opens the segmenter of a bundle. The model's inputs and outputs must be what the manifest says. The caller
// closes it.
func Open(b *bundle.Dir, opts ort.Options) (*Segmenter, error) {
	net, err := openNetwork(b, opts)
	if err != nil {
		return nil, err
	}
	heads := b.Segmenter.Heads
	s := &Segmenter{
		b: b, net: net, delay: heads[len(heads)-1].Lag,
		period: int64(math.Round(1e9 / b.RateHz)), bridge: int64(MaxBridge * b.RateHz),
		hold:   hold{minFrames: b.Segmenter.Decode.MinFrames},
		events: make([]Event, 0, 64),
	}
	s.history = make([]sample, s.delay+1)
	return s, nil
}

// Labels returns the class names that event labels index.
func (s *Segmenter) Labels() []string { return s.b.Labels }

// Lag returns by how many samples the committed head looks back.
func (s *Segmenter) Lag() int { return s.delay }

// Bridge returns how many lost samples in a row are bridged (see MaxBridge).
func (s *Segmenter) Bridge() int64 { return s.bridge }

// Scores returns the class probabilities of the last pushed sample by the head with the given index; head i describes the
// sample that is Heads[i].Lag older. Valid until the next call.
func (s *Segmenter) Scores(head int) []float32 { return s.net.probs[head] }

// Provider returns the execution provider that runs the model.
func (s *Segmenter) Provider() string { return s.net.session.Provider() }

// Push takes the features of the sample seq, captured at site time at, and returns what it brought about. A gap in the
// sequence numbers is bridged up to MaxBridge, and ends the segment beyond that. A sequence number or time that does not
// rise, and features that are not finite, are errors, after which the segmenter goes on as if the sample had been lost.
func (s *Segmenter) Push(seq, at int64, features []float32) ([]Event, error) {
	s.events = s.events[:0]
	if len(features) != len(s.net.features) {
		return nil, fmt.Errorf("segment sample %d: %d features, expected %d", seq, len(features), len(s.net.features))
	}
	for i, v := range features {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("segment sample %d: feature %d is %v, expected a finite number", seq, i, v)
		}
	}
	if s.pushed > 0 {
		if seq <= s.last.seq || at <= s.last.at {
			return nil, fmt.Errorf("segment sample %d at %d ns: it does not come after sample %d at %d ns", seq, at, s.last.seq, s.last.at)
		}
		if lost := seq - s.last.seq - 1; lost > s.bridge {
			s.finish(Gap)
		} else if lost > 0 {
			if err := s.fill(at, lost); err != nil {
				return nil, err
			}
		}
	}
	copy(s.net.features, features)
	if err := s.step(seq, at); err != nil {
		return nil, fmt.Errorf("segment sample %d: %w", seq, err)
	}
	return s.events, nil
}

// fill stands in for lost samples with the last features, evenly spread in time.
func (s *Segmenter) fill(at, lost int64) error {
	from := s.last
	for i := int64(1); i <= lost; i++ {
		t := from.at + (at-from.at)*i/(lost+1)
		if err := s.step(from.seq+i, t); err != nil {
			return fmt.Errorf("segment lost sample %d: %w", from.seq+i, err)
		}
	}
	return nil
}

// step runs the network on net.features as the sample seq.
func (s *Segmenter) step(seq, at int64) error {
	if err := s.net.run(); err != nil {
		return err
	}
	label, p := argmax(s.net.probs[0])
	now := sample{seq: seq, at: at, label: label, prob: p}
	s.history[s.pushed%int64(len(s.history))] = now
	s.last = now
	s.pushed++
	s.provisional(now)
	if s.pushed > int64(s.delay) {
		old := s.history[(s.pushed-1-int64(s.delay))%int64(len(s.history))]
		label, p := argmax(s.net.probs[len(s.net.probs)-1])
		s.commit(label, p, old)
	}
	return nil
}

// provisional keeps the open provisional segment: an event when one begins, and a revision of it when it ends.
func (s *Segmenter) provisional(now sample) {
	if s.showing && now.label == s.shown.Label {
		s.shown.LastSeq = now.seq
		return
	}
	s.endProvisional(now.at, NextLabel)
	s.showing = true
	s.shown = Event{
		Kind: Provisional, Label: now.label, Start: now.at, End: now.at + s.period, FirstSeq: now.seq, LastSeq: now.seq,
		Confidence: now.prob, Open: true,
	}
	s.events = append(s.events, s.shown)
}

func (s *Segmenter) endProvisional(end int64, why Reason) {
	if !s.showing {
		return
	}
	s.shown.End, s.shown.Reason, s.shown.Open = end, why, false
	s.shown.Revision++
	s.events = append(s.events, s.shown)
	s.showing = false
}

func (s *Segmenter) commit(label int, p float32, at sample) {
	if e, ok := s.hold.push(label, p, at.seq, at.at); ok {
		s.events = append(s.events, e)
	}
}

// Finish ends the take (or the bundle's turn): the frames that the committed head has not scored yet are committed by
// the provisional one's labels, the last segment is closed one period after the last sample, and all history is
// forgotten.
func (s *Segmenter) Finish(why Reason) []Event {
	s.events = s.events[:0]
	s.finish(why)
	return s.events
}

func (s *Segmenter) finish(why Reason) {
	n := min(int64(s.delay), s.pushed)
	for i := s.pushed - n; i < s.pushed; i++ {
		h := s.history[i%int64(len(s.history))]
		s.commit(h.label, h.prob, h)
	}
	if e, ok := s.hold.finish(s.last.at+s.period, why); ok {
		s.events = append(s.events, e)
	}
	s.endProvisional(s.last.at+s.period, why)
	s.net.reset()
	s.pushed, s.last = 0, sample{}
}

// Warm feeds the network the features before the next sample, oldest first, without events: what a new bundle needs that
// takes over in the middle of a take. rows holds whole feature vectors; several calls continue one another.
func (s *Segmenter) Warm(rows []float32) error {
	dim := len(s.net.features)
	if len(rows)%dim != 0 {
		return fmt.Errorf("warm segmenter: %d values are not whole feature vectors of %d", len(rows), dim)
	}
	if s.pushed > 0 {
		return errors.New("warm segmenter: it is in the middle of a take")
	}
	for len(rows) > 0 {
		copy(s.net.features, rows[:dim])
		rows = rows[dim:]
		if err := s.net.run(); err != nil {
			return fmt.Errorf("warm segmenter: %w", err)
		}
	}
	return nil
}

// Memory returns how many samples of history the network has: how far back Warm can be of use.
func (s *Segmenter) Memory() int {
	n := 0
	for _, r := range s.net.states {
		n += r.taps * r.dilation
	}
	return n
}

// Close frees the model and its memory.
func (s *Segmenter) Close() error { return s.net.close() }
