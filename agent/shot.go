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

	slot     *feature.Slot
	of       *feature.Extractor // that the slot belongs to
	features []float32          // in the slot, once they are extracted
	err      error              // why there are none

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

// prepare brings a picture into the shot's slot. A slot of another extractor is replaced.
func (s *shot) prepare(f *frame.Frame, e *feature.Extractor) {
	s.features = nil
	if s.of != e {
		if s.err = s.drop(); s.err != nil {
			return
		}
		if s.slot, s.err = e.NewSlot(); s.err != nil {
			return
		}
		s.of = e
	}
	s.err = e.Prepare(f.Mat, s.slot)
}

// extract runs the extractor.
func (s *shot) extract() {
	if s.err == nil {
		s.features, s.err = s.of.Run(s.slot)
	}
}

// drop frees the slot.
func (s *shot) drop() error {
	if s.slot == nil {
		return nil
	}
	err := s.slot.Close()
	s.slot, s.of = nil, nil
	return err
}

const (
	// inFlight is how many samples of a camera may be on their way through the stages: one in each, one before each, and some
	// more so that a batch that is encoded holds nobody up.
	inFlight = 8
	// lane is how many beginnings, ends and changes may be on their way beside them: what frames can't block.
	lane = 8
)

// rings are what lies between a camera's stages. All hold everything that there is, but the one before the extractor: what waits
// there gets old, while a live camera's own ring lets frames go. So only two things make a stage wait: the extractor, and that
// there is no free shot, because what has been made is not taken.
type rings struct {
	free, spare chan *shot // for samples; for what comes between
	extract     chan *shot
	judge, hand chan *shot
	shots       []*shot
}

func newRings() *rings {
	r := &rings{free: make(chan *shot, inFlight), spare: make(chan *shot, lane)}
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

// close frees the slots. All shots must be back.
func (r *rings) close() error {
	if n := len(r.free) + len(r.spare); n != len(r.shots) {
		return fmt.Errorf("%d of %d shots are still on their way", len(r.shots)-n, len(r.shots))
	}
	var errs []error
	for _, s := range r.shots {
		errs = append(errs, s.drop())
	}
	return errors.Join(errs...)
}
