// Package segment turns a stream of features into segments. A causal network with ring-buffer state gives class scores for every
// frame at constant cost, or any network is run in overlapping windows; a decoder (transition prior, label hold, fixed lag)
// gives two streams of segments, the provisional one at once and the committed one after a fixed lag, which is never revised.
package segment

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// MaxBridge is the longest gap, in seconds, that a segmenter bridges by repeating the last features. A longer one ends
// the segment and forgets the history, since what happened in it is not known.
const MaxBridge = 0.5

// ErrNotFinite is wrapped when the network's scores hold NaN or infinity.
var ErrNotFinite = errors.New("scores are not finite")

// Segmenter segments one camera's stream of features, one sample of the bundle's rate after another.
//
// Push and Finish are called in the order of sequence numbers by one goroutine. The returned events are valid
// until the next call. Nothing is allocated once warm.
type Segmenter struct {
	b       *bundle.Dir
	unused  []bundle.Head // that the model has besides
	judge   judge
	decoder *decoder
	period  int64 // ns between samples
	bridge  int64 // samples

	good    []float32 // features of the last sample
	samples []sample  // ring of what is not decided
	first   int64     // number of the first sample that the judge was given, after those that warmed it
	frames  int64     // samples that the judge was given
	last    sample
	real    int64  // number of the last sample that was not lost
	now     sample // newest sample: that of decisions
	shown   Event  // the open provisional segment
	showing bool
	seen    int64 // site time of its last sample
	unsaid  int64
	events  []Event
	sent    int // events that the last call returned
	dated   int // events that know when they were decided
}

// judge is a network at work: what it says of frames, which it counts from 0 since the start, those that warmed it included.
type judge interface {
	input() []float32     // where the features of the next frame go
	push() (said, error)  // takes them; on an error nothing has changed
	flush() (said, error) // what can still be said of the last frames
	warm() error          // takes them, to say nothing
	early(frame int64) []float32
	final(frame int64) []float32
	scores(head int) []float32
	reset()
	depth() int64 // frames that are not decided at most
	memory() int
	model() *ort.Session
	close() error
}

// said are the frames of which probabilities have come: a first opinion, early, and the one to commit, final.
type said struct{ early, final span }

type span struct{ from, to int64 }

// Open opens the segmenter of a bundle. The model's inputs and outputs must be what the manifest says. The caller
// closes it.
func Open(b *bundle.Dir, opts ort.Options) (*Segmenter, error) {
	return open(b, nil, fileOf(b, opts))
}

// OpenEarly is Open with only the first of a causal network's heads: the last of them gives the committed opinion, and what the
// others say is not looked at. It commits sooner and with less certainty, which shows what the lag is worth.
func OpenEarly(b *bundle.Dir, heads int, opts ort.Options) (*Segmenter, error) {
	all := b.Segmenter.Heads
	if b.Segmenter.Window != nil || heads < 1 || heads > len(all) {
		return nil, fmt.Errorf("open the first %d heads of %s: it has %d, expected 1 to as many, and no windows", heads, b.Release, len(all))
	}
	early := *b
	early.Segmenter.Heads = all[:heads]
	return open(&early, all[heads:], fileOf(b, opts))
}

// Share returns another segmenter on the same loaded model, for another camera: it has a history of its own. The caller closes it;
// the model is freed with the last.
func (s *Segmenter) Share() (*Segmenter, error) { return open(s.b, s.unused, s.judge.model().Share) }

// loader gives the model that a segmenter runs.
type loader func() (*ort.Session, error)

// fileOf loads a bundle's model.
func fileOf(b *bundle.Dir, opts ort.Options) loader {
	return func() (*ort.Session, error) { return ort.OpenFile(filepath.Join(b.Path, b.Segmenter.Name), opts) }
}

// open opens the segmenter of a bundle whose model has more heads, which are passed over.
func open(b *bundle.Dir, unused []bundle.Head, load loader) (*Segmenter, error) {
	var j judge
	var err error
	if b.Segmenter.Window != nil {
		j, err = openWindows(b, load)
	} else {
		j, err = openCausal(b, unused, load)
	}
	if err != nil {
		return nil, err
	}
	s := &Segmenter{
		b: b, unused: unused, judge: j, period: int64(math.Round(1e9 / b.RateHz)), bridge: int64(MaxBridge * b.RateHz),
		good: make([]float32, b.Extractor.Dim), samples: make([]sample, j.depth()+1), events: make([]Event, 0, 64),
	}
	s.decoder = newDecoder(&b.Segmenter, len(b.Labels), s.period)
	return s, nil
}

// Labels returns the class names that event labels index.
func (s *Segmenter) Labels() []string { return s.b.Labels }

// Lag returns by how many samples the committed opinion is behind at most, before it is decoded.
func (s *Segmenter) Lag() int { return s.b.Segmenter.JudgeLag() }

// CommitDelay returns how many samples after it a sample is committed at the latest, as long as samples come.
func (s *Segmenter) CommitDelay() int { return s.b.Segmenter.CommitDelay(len(s.b.Labels)) }

// Bridge returns how many lost samples in a row are bridged (see MaxBridge).
func (s *Segmenter) Bridge() int64 { return s.bridge }

// Scores returns the class probabilities of the last pushed sample by the head with the given index; head i describes the
// sample that is Heads[i].Lag older. In windows it is the newest sample that was judged for the committed stream. Valid
// until the next call.
func (s *Segmenter) Scores(head int) []float32 { return s.judge.scores(head) }

// Provider returns the execution provider that runs the model.
func (s *Segmenter) Provider() string { return s.judge.model().Provider() }

// Unsaid returns how many samples are in no segment because the network failed when their time had come.
func (s *Segmenter) Unsaid() int64 { return s.unsaid }

// Push takes the features of the sample seq, captured at site time at, and returns what it brought about. A gap in the
// sequence numbers is bridged up to MaxBridge, and ends the segment beyond that.
//
// A sequence number or time that does not rise, features that are not finite, a network that fails, and scores of its that
// are not finite (ErrNotFinite) are errors, after which the segmenter goes on as if the sample had been lost. What an
// earlier part of the call has brought about, such as the end of a segment before a gap, comes with the next call.
func (s *Segmenter) Push(seq, at int64, features []float32) ([]Event, error) {
	s.next()
	in := s.judge.input()
	if len(features) != len(in) {
		return nil, fmt.Errorf("segment sample %d: %d features, expected %d", seq, len(features), len(in))
	}
	if !finite(features) {
		for i, v := range features {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, fmt.Errorf("segment sample %d: feature %d is %v, expected a finite number", seq, i, v)
			}
		}
	}
	now := sample{seq: seq, at: at}
	if s.running() {
		if seq <= s.last.seq || at <= s.last.at {
			return nil, fmt.Errorf("segment sample %d at %d ns: it does not come after sample %d at %d ns", seq, at, s.last.seq, s.last.at)
		}
		s.now = now
		if seq-s.real-1 > s.bridge {
			s.finish(Gap)
		} else if lost := seq - s.last.seq - 1; lost > 0 {
			if err := s.fill(at, lost); err != nil {
				return nil, err
			}
		}
	}
	s.now = now
	copy(s.judge.input(), features)
	if err := s.step(now); err != nil {
		return nil, fmt.Errorf("segment sample %d: %w", seq, err)
	}
	copy(s.good, features)
	s.real = seq
	return s.hand(), nil
}

// running tells whether there has been a sample since the start or the last gap.
func (s *Segmenter) running() bool { return s.frames > s.first }

// next makes room for the events of a call. Those that an error has kept back stay.
func (s *Segmenter) next() {
	s.events = s.events[:copy(s.events, s.events[s.sent:])]
	s.dated -= s.sent
	s.sent = 0
}

// hand returns the events.
func (s *Segmenter) hand() []Event {
	s.sent = len(s.events)
	return s.events
}

// fill stands in for lost samples with the last features, evenly spread in time.
func (s *Segmenter) fill(at, lost int64) error {
	from := s.last
	for i := int64(1); i <= lost; i++ {
		copy(s.judge.input(), s.good)
		t := from.at + (at-from.at)*i/(lost+1)
		if err := s.step(sample{seq: from.seq + i, at: t, bridged: true}); err != nil {
			return fmt.Errorf("segment lost sample %d: %w", from.seq+i, err)
		}
	}
	return nil
}

// step runs the network on its input as that of a sample. On an error nothing has changed.
func (s *Segmenter) step(now sample) error {
	got, err := s.judge.push()
	if err != nil {
		return err
	}
	*s.sample(s.frames) = now
	s.frames++
	s.last = now
	s.take(got, false)
	return nil
}

// sample returns the place of a frame in the ring.
func (s *Segmenter) sample(frame int64) *sample { return &s.samples[frame%int64(len(s.samples))] }

// take turns what the network has said into events.
func (s *Segmenter) take(got said, rushed bool) {
	for f := max(got.early.from, s.first); f < got.early.to; f++ {
		label, p := argmax(s.judge.early(f))
		s.provisional(*s.sample(f), label, p)
	}
	for f := max(got.final.from, s.first); f < got.final.to; f++ {
		s.events = s.decoder.push(s.judge.final(f), verdict{sample: *s.sample(f), rushed: rushed}, s.events)
	}
	s.date()
}

// date says of new events when they were decided.
func (s *Segmenter) date() {
	for i := s.dated; i < len(s.events); i++ {
		s.events[i].Decided, s.events[i].DecidedSeq = s.now.at, s.now.seq
	}
	s.dated = len(s.events)
}

// provisional keeps the open provisional segment: an event when one begins, and a revision of it when it ends.
func (s *Segmenter) provisional(at sample, label int, p float32) {
	s.seen = at.at
	if s.showing && label == s.shown.Label {
		s.shown.LastSeq = at.seq
		if at.bridged {
			s.shown.Bridged++
		}
		return
	}
	s.endProvisional(at.at, NextLabel)
	s.showing = true
	s.shown = Event{
		Kind: Provisional, Label: label, Start: at.at, End: at.at + s.period, FirstSeq: at.seq, LastSeq: at.seq, Confidence: p, Open: true,
	}
	if at.bridged {
		s.shown.Bridged = 1
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

// Finish ends the take (or the bundle's turn): the frames that have not been judged yet are judged by what is there, a
// causal network's by its provisional head. The last segment is closed one period after the last sample, and all history
// is forgotten.
func (s *Segmenter) Finish(why Reason) []Event {
	s.next()
	s.now = s.last
	s.finish(why)
	return s.hand()
}

func (s *Segmenter) finish(why Reason) {
	end := s.last.at + s.period
	if s.running() {
		got, err := s.judge.flush()
		if err != nil {
			// What the network can't judge is in no segment.
			from := max(got.final.from, s.first)
			s.unsaid += s.frames - from
			if from > s.first {
				end = s.sample(from-1).at + s.period
			}
		} else {
			s.take(got, true)
		}
	}
	s.events = s.decoder.finish(end, why, s.events)
	s.endProvisional(s.seen+s.period, why)
	s.date()
	s.judge.reset()
	s.frames, s.first, s.last = 0, 0, sample{}
}

// Warm feeds the network the features before the next sample, oldest first, without events: what a new bundle needs that
// takes over in the middle of a take. rows holds whole feature vectors; several calls continue one another.
func (s *Segmenter) Warm(rows []float32) error {
	dim := len(s.good)
	if len(rows)%dim != 0 {
		return fmt.Errorf("warm segmenter: %d values are not whole feature vectors of %d", len(rows), dim)
	}
	if s.running() {
		return errors.New("warm segmenter: it is in the middle of a take")
	}
	for len(rows) > 0 {
		copy(s.judge.input(), rows[:dim])
		rows = rows[dim:]
		if err := s.judge.warm(); err != nil {
			return fmt.Errorf("warm segmenter: %w", err)
		}
		s.frames++
		s.first = s.frames
	}
	return nil
}

// Memory returns how many samples of history the network has: how far back Warm can be of use.
func (s *Segmenter) Memory() int { return s.judge.memory() }

// Close frees the model and its memory.
func (s *Segmenter) Close() error { return s.judge.close() }

// Window returns how many frames the network is run on at once, 0 for a causal one.
func (s *Segmenter) Window() int64 {
	if w := s.b.Segmenter.Window; w != nil {
		return int64(w.Frames)
	}
	return 0
}
