package trainer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/stream/wire"
)

// PairedTake is a rig's take with the exo samples that were paired to it, on the same time axis: sample t of every
// sequence is of the same instant. An exo weight is 0 where there was no partner; the features there are those of the
// partner before, or of the first one.
type PairedTake struct {
	ID  TakeID
	Ego *Sequence
	Exo []*Sequence // one a camera, in the order of their names
	// Extractors are the digests of the extractors that made the ego and the exo features.
	EgoExtractor, ExoExtractor string
	RateHz                     float64
}

// slice returns the samples [from, to).
func (p *PairedTake) slice(from, to int) *PairedTake {
	c := *p
	c.Ego = p.Ego.slice(from, to)
	c.Exo = make([]*Sequence, len(p.Exo))
	for i, x := range p.Exo {
		c.Exo[i] = x.slice(from, to)
	}
	return &c
}

// check reports what would spoil distillation from a teacher of dim features at rate.
func (p *PairedTake) check(dim int, rate float64) error {
	if len(p.Exo) == 0 {
		return fmt.Errorf("take %s has no exo camera", p.ID)
	}
	if p.RateHz != rate {
		return fmt.Errorf("take %s has %g samples a second, the teacher reads %g", p.ID, p.RateHz, rate)
	}
	for _, s := range append([]*Sequence{p.Ego}, p.Exo...) {
		if err := s.check(dim); err != nil {
			return fmt.Errorf("take %s: %w", p.ID, err)
		}
		if s.Len() != p.Ego.Len() {
			return fmt.Errorf("take %s: %s has %d samples, the rig %d", p.ID, s.Name, s.Len(), p.Ego.Len())
		}
	}
	return nil
}

// Take reads a take of the archive as sequences. A sample that was lost is filled in by its predecessor at weight 0; a
// loss of more than 5 s is an error, as is a take without any partner. Features that different extractors made, or at
// different rates, are never mixed: such a take is an error. A partner that was graded REJECTED is none.
func (a *Archive) Take(id TakeID) (*PairedTake, error) {
	j := joined{p: &PairedTake{ID: id, Ego: &Sequence{Name: id.String()}}, exo: map[string]*Sequence{}}
	err := a.Read(id, j.add)
	if err == nil {
		err = j.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", id, err)
	}
	return j.p, nil
}

// joined is a paired take that is being put together from its batches.
type joined struct {
	p      *PairedTake
	next   uint64 // sequence number that comes next
	exo    map[string]*Sequence
	exoDim int
}

// add appends a batch. Batches come in the order of their sequence numbers.
func (j *joined) add(b *wire.PairBatch) error {
	n := b.Ego.Len()
	if n == 0 {
		return nil
	}
	p, first := j.p, b.Ego.FirstSeq
	times := wire.AppendValues(nil, b.Ego.SiteNs)
	if p.Ego.Len() == 0 {
		p.Ego.Dim, p.EgoExtractor, p.RateHz = int(b.Ego.Dim), b.Ego.Extractor, b.Ego.RateHz
		j.next = first
	}
	switch {
	case b.Ego.Extractor != p.EgoExtractor || int(b.Ego.Dim) != p.Ego.Dim:
		return fmt.Errorf("the rig's extractor changed at sample %d", first)
	case b.Ego.RateHz != p.RateHz:
		return fmt.Errorf("the rig's rate changed from %g to %g at sample %d", p.RateHz, b.Ego.RateHz, first)
	case first < j.next:
		return fmt.Errorf("sample %d comes twice", first)
	}
	if err := p.Ego.fill(int64(first-j.next), p.RateHz, times[0]); err != nil {
		return err
	}
	j.next = first + uint64(n)
	start := p.Ego.Len()
	rows := vectorsOf(b.Ego.Features, n*p.Ego.Dim)
	for i, t := range times {
		p.Ego.Features = append(p.Ego.Features, rows[i*p.Ego.Dim:(i+1)*p.Ego.Dim]...)
		p.Ego.Times = append(p.Ego.Times, t)
		p.Ego.Weights = append(p.Ego.Weights, 1)
	}
	// A camera that began another take within the batch has two tracks, each with partners for samples of its own.
	partners := make([][]float32, len(b.Exo))
	for k, track := range b.Exo {
		partners[k] = vectorsOf(track.Features, track.Len()*int(track.Dim))
	}
	for i := range n {
		for k, track := range b.Exo {
			if !matched(track, i) {
				continue
			}
			if err := j.put(track, start+i, track.Partner(i, partners[k])); err != nil {
				return fmt.Errorf("%s at sample %d: %w", track.Device, first+uint64(i), err)
			}
		}
	}
	return nil
}

// put makes row the partner of the frame at.
func (j *joined) put(track *wire.ExoTrack, at int, row []float32) error {
	if j.exoDim == 0 {
		j.exoDim, j.p.ExoExtractor = len(row), track.Extractor
	}
	if track.Extractor != j.p.ExoExtractor || len(row) != j.exoDim {
		return errors.New("its features are of another extractor than those before")
	}
	x := j.exo[track.Device]
	if x == nil {
		x = &Sequence{Name: track.Device, Dim: len(row)}
		j.exo[track.Device] = x
		j.p.Exo = append(j.p.Exo, x)
	}
	x.put(at, row)
	return nil
}

// finish brings the cameras to the rig's length.
func (j *joined) finish() error {
	switch {
	case j.p.Ego.Len() == 0:
		return errors.New("it has no samples")
	case len(j.p.Exo) == 0:
		return errors.New("not one of its samples has a partner")
	}
	slices.SortFunc(j.p.Exo, func(x, y *Sequence) int { return strings.Compare(x.Name, y.Name) })
	for _, x := range j.p.Exo {
		x.pad(j.p.Ego.Len())
		x.Times = j.p.Ego.Times
		x.backfill()
	}
	return nil
}

// vectorsOf decodes n numbers.
func vectorsOf(data []byte, n int) []float32 {
	out := make([]float32, n)
	wire.F16(out, data)
	return out
}
