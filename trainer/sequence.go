package trainer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"tandem/runtime/feature"
	"tandem/stream/capture"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// Sequence is the features of one camera's take at the bundle's rate, sample after sample without gaps.
type Sequence struct {
	Name     string
	Dim      int
	Features []float32 // [T, Dim] row-major
	Times    []int64   // [T] site time, ns
	Frames   []int64   // [T] the source's frame that each sample was taken from; nil when it does not come from a file
	// Weights is 1 where the sample is real and 0 where a lost one was filled in by its predecessor. [T]
	Weights []float32
}

// Len returns T.
func (s *Sequence) Len() int { return len(s.Weights) }

// Row returns the features of sample t.
func (s *Sequence) Row(t int) []float32 { return s.Features[t*s.Dim : (t+1)*s.Dim] }

// slice returns the samples [from, to) as a sequence over the same memory.
func (s *Sequence) slice(from, to int) *Sequence {
	c := *s
	c.Features = s.Features[from*s.Dim : to*s.Dim]
	c.Times, c.Weights = s.Times[from:to], s.Weights[from:to]
	if s.Frames != nil {
		c.Frames = s.Frames[from:to]
	}
	return &c
}

// maxFill bounds the lost samples that are filled in at one place, in seconds. A longer gap is an error: it would be a
// take of two halves that know nothing of one another.
const maxFill = 5.0

// ExtractSequence reads a recording to its end and extracts the features of its samples at the given rate.
func ExtractSequence(ctx context.Context, name string, ex *feature.Extractor, rate float64, src capture.Config) (*Sequence, error) {
	sampler, err := frame.NewSampler(rate)
	if err != nil {
		return nil, err
	}
	cam, err := capture.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	s := &Sequence{Name: name, Dim: ex.Dim()}
	row := make([]float32, ex.Dim())
	add := func(f *frame.Frame) error {
		_, skipped, ok := sampler.Take(f.Time)
		if !ok {
			return nil
		}
		if err := s.fill(int(skipped), rate, f.Time); err != nil {
			return err
		}
		if err := ex.Extract(f.Mat, row); err != nil {
			return fmt.Errorf("%s: frame %d: %w", src.Source, f.Index, err)
		}
		s.Features = append(s.Features, row...)
		s.Times = append(s.Times, f.Time)
		s.Frames = append(s.Frames, f.Index)
		s.Weights = append(s.Weights, 1)
		return nil
	}
	for err == nil {
		var f *frame.Frame
		if f, err = cam.Next(ctx); err == nil {
			err = add(f)
			cam.Release(f)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, cam.Close()); err != nil {
		return nil, fmt.Errorf("extract %s: %w", name, err)
	}
	return s, nil
}

// fill repeats the last sample n times up to time next.
func (s *Sequence) fill(n int, rate float64, next int64) error {
	if n == 0 {
		return nil
	}
	if float64(n) > maxFill*rate {
		return fmt.Errorf("%s: %d samples are lost at once before %d ns, at most %g s can be filled in", s.Name, n, next, maxFill)
	}
	t := s.Len() - 1
	from := s.Times[t]
	for i := 1; i <= n; i++ {
		s.Features = append(s.Features, s.Row(t)...)
		s.Times = append(s.Times, from+(next-from)*int64(i)/int64(n+1))
		s.Weights = append(s.Weights, 0)
		if s.Frames != nil {
			s.Frames = append(s.Frames, s.Frames[t])
		}
	}
	return nil
}

// PairedTake is a rig's take with the exo samples that were paired to it, on the same time axis: sample t of every
// sequence is of the same instant. An exo weight is 0 where there was no partner.
type PairedTake struct {
	ID  TakeID
	Ego *Sequence
	Exo []*Sequence // one a camera
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

// Take reads a take of the archive as sequences. Features that different extractors made are never mixed: such a take is
// an error.
func (a *Archive) Take(id TakeID) (*PairedTake, error) {
	p := &PairedTake{ID: id, Ego: &Sequence{Name: id.String()}}
	next := int64(-1)
	exo := map[string]*Sequence{}
	err := a.Read(id, func(b *wire.PairBatch) error {
		n := len(b.Ego.RawNs)
		if n == 0 {
			return nil
		}
		if p.Ego.Dim == 0 {
			p.Ego.Dim, p.EgoExtractor, p.RateHz = int(b.Ego.Dim), b.Ego.Extractor, b.Ego.RateHz
		}
		if b.Ego.Extractor != p.EgoExtractor || int(b.Ego.Dim) != p.Ego.Dim {
			return fmt.Errorf("the extractor changed within the take at sample %d", b.Ego.FirstSeq)
		}
		site := wire.AppendValues(nil, b.Ego.SiteNs)
		if next >= 0 {
			lost := int(int64(b.Ego.FirstSeq) - next)
			if lost < 0 {
				return fmt.Errorf("sample %d comes twice", b.Ego.FirstSeq)
			}
			if err := p.Ego.fill(lost, p.RateHz, site[0]); err != nil {
				return err
			}
			for _, x := range exo {
				x.pad(p.Ego.Len())
			}
		}
		next = int64(b.Ego.FirstSeq) + int64(n)
		start := p.Ego.Len()
		p.Ego.appendF16(b.Ego.Features, n)
		p.Ego.Times = append(p.Ego.Times, site...)
		for range n {
			p.Ego.Weights = append(p.Ego.Weights, 1)
		}
		for _, track := range b.Exo {
			if len(track.Seq) == 0 {
				continue
			}
			if p.ExoExtractor == "" {
				p.ExoExtractor = track.Extractor
			}
			if track.Extractor != p.ExoExtractor {
				return fmt.Errorf("%s was paired with features of another extractor at sample %d", track.Device, b.Ego.FirstSeq)
			}
			x := exo[track.Device]
			if x == nil {
				x = &Sequence{Name: track.Device, Dim: int(track.Dim)}
				exo[track.Device] = x
				p.Exo = append(p.Exo, x)
			}
			x.pad(start)
			x.appendMatches(track)
		}
		return nil
	})
	if err == nil && p.Ego.Len() == 0 {
		err = errors.New("it has no samples")
	}
	if err == nil && len(p.Exo) == 0 {
		err = errors.New("not one of its samples has a partner")
	}
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", id, err)
	}
	for _, x := range p.Exo {
		x.pad(p.Ego.Len())
		x.Times = p.Ego.Times
		x.backfill()
	}
	return p, nil
}

// appendF16 appends n rows of encoded features.
func (s *Sequence) appendF16(features []byte, n int) {
	at := len(s.Features)
	s.Features = append(s.Features, make([]float32, n*s.Dim)...)
	wire.F16(s.Features[at:], features)
}

// appendMatches appends, for each ego sample of a batch, the exo sample that was matched with it.
func (s *Sequence) appendMatches(track *wire.ExoTrack) {
	rows := make([]float32, len(track.Seq)*s.Dim)
	wire.F16(rows, track.Features)
	for _, i := range track.Index {
		if i < 0 {
			s.pad(s.Len() + 1)
			continue
		}
		s.Features = append(s.Features, rows[int(i)*s.Dim:int(i+1)*s.Dim]...)
		s.Weights = append(s.Weights, 1)
	}
}

// pad brings the sequence to length n by repeating its last row (zeros before the first) with weight 0.
func (s *Sequence) pad(n int) {
	for s.Len() < n {
		if t := s.Len() - 1; t >= 0 {
			s.Features = append(s.Features, s.Row(t)...)
		} else {
			s.Features = append(s.Features, make([]float32, s.Dim)...)
		}
		s.Weights = append(s.Weights, 0)
	}
}

// backfill replaces the zeros before the first real row by it: zeros are no features that a camera would ever give.
func (s *Sequence) backfill() {
	first := 0
	for first < s.Len() && s.Weights[first] == 0 {
		first++
	}
	if first == s.Len() {
		return
	}
	for t := range first {
		copy(s.Row(t), s.Row(first))
	}
}
