package agent

import (
	"errors"
	"fmt"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/segment"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// op is what a shot stands for.
type op uint8

const (
	opSample op = iota
	opBegin     // of a take
	opChange    // to another release, before the sample seq
	opEnd       // of a take
)

// shot is one sample on its way through the stages, or something that happens between two samples. There is a fixed number of
// them, which come round again, with all the memory that a sample takes. A stage has it alone.
type shot struct {
	op  op
	src *Source

	seq  int64
	at   placement
	raw  int64 // ns
	kind frame.RawKind
	lost losses // since the shot before

	tray     *tray     // until the features are extracted
	features []float32 // the shot's own
	err      error     // why there are none

	from  camera // opBegin
	offer *offer // opChange

	// What the segmenter made of it.
	bundle *bundle.Dir
	events []segment.Event
	bounds []int64 // of the events
	batch  *wire.SampleBatch
	made   bool // the sample was segmented

	times FrameTimes
}

// losses are frames and ticks that no sample comes of, by reason.
type losses struct{ back, ticks uint64 }

// tray is a slot and the extractor that it belongs to. Pictures are large, and soon of no use: there are fewer trays than shots, so
// that they stay in the processor's cache.
type tray struct {
	slot *feature.Slot
	of   *feature.Extractor
}

// prepare brings a picture into the shot's tray. A slot of another extractor is replaced.
func (s *shot) prepare(f *frame.Frame, e *feature.Extractor) {
	t := s.tray
	if t.of != e {
		if s.err = t.drop(); s.err != nil {
			return
		}
		if t.slot, s.err = e.NewSlot(); s.err != nil {
			return
		}
		t.of = e
	}
	s.err = e.Prepare(f.Mat, t.slot)
}

// extract runs the extractor. The tray is of no use then.
func (s *shot) extract() {
	if s.err != nil {
		return
	}
	features, err := s.tray.of.Run(s.tray.slot)
	s.features, s.err = append(s.features[:0], features...), err
}

// drop frees the slot.
func (t *tray) drop() error {
	if t.slot == nil {
		return nil
	}
	err := t.slot.Close()
	t.slot, t.of = nil, nil
	return err
}

const (
	// inFlight is how many samples of a camera may be on their way through the stages: one in each, one before each, and some
	// more so that a batch that is encoded holds nobody up.
	inFlight = 8
	// lane is how many beginnings, ends and changes may be on their way beside them: what frames can't block.
	lane = 8
	// trays are for the picture that is prepared, the one that waits, and the one whose features are extracted.
	trays = 3
)

// rings are what lies between a camera's stages. All hold everything that there is, but the one before the extractor: what waits
// there gets old, while a live camera's own ring lets frames go. So only two things make a stage wait: the extractor, and that
// there is no free shot, because what has been made is not taken.
type rings struct {
	free, spare chan *shot // for samples; for what comes between
	trays       chan *tray
	extract     chan *shot
	judge, hand chan *shot
	shots       []*shot
}

func newRings() *rings {
	r := &rings{free: make(chan *shot, inFlight), spare: make(chan *shot, lane), trays: make(chan *tray, trays)}
	for range trays {
		r.trays <- &tray{}
	}
	for range inFlight {
		s := &shot{events: make([]segment.Event, 0, 16), bounds: make([]int64, 0, 16)}
		r.shots = append(r.shots, s)
		r.free <- s
	}
	for range lane {
		s := &shot{}
		r.shots = append(r.shots, s)
		r.spare <- s
	}
	return r
}

// open makes the rings of a take.
func (r *rings) open() {
	r.extract = make(chan *shot, 1)
	r.judge, r.hand = make(chan *shot, inFlight+lane), make(chan *shot, inFlight+lane)
}

// back gives a shot back.
func (r *rings) back(s *shot) {
	s.src, s.offer, s.bundle, s.batch, s.err = nil, nil, nil, nil, nil
	if s.op == opSample {
		r.free <- s
	} else {
		r.spare <- s
	}
}

// close frees the trays. All shots must be back.
func (r *rings) close() error {
	if n := len(r.free) + len(r.spare); n != len(r.shots) {
		return fmt.Errorf("%d of %d shots are still on their way", len(r.shots)-n, len(r.shots))
	}
	var errs []error
	for range len(r.trays) {
		t := <-r.trays
		errs = append(errs, t.drop())
		r.trays <- t
	}
	return errors.Join(errs...)
}
