package trainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"tandem/runtime/feature"
	"tandem/stream/capture"
	"tandem/stream/frame"
)

// Sequence is the features of one camera's take at the bundle's rate, sample after sample without gaps.
type Sequence struct {
	Name     string // for errors
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
	sieve, err := frame.NewSieve(rate)
	if err != nil {
		return nil, err
	}
	src.Wants = sieve.Wants
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
		if err := s.fill(skipped, rate, f.Time); err != nil {
			return err
		}
		if err := ex.Extract(f.Mat, row); err != nil {
			return fmt.Errorf("frame %d: %w", f.Index, err)
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

// check reports what would spoil training and scores: another number of features than dim, no samples, values that are
// not finite.
func (s *Sequence) check(dim int) error {
	switch {
	case s.Dim != dim:
		return fmt.Errorf("%s has %d features a sample, expected %d", s.Name, s.Dim, dim)
	case s.Len() == 0:
		return fmt.Errorf("%s has no samples", s.Name)
	case len(s.Features) != s.Len()*s.Dim:
		return fmt.Errorf("%s has %d values for %d samples of %d features", s.Name, len(s.Features), s.Len(), s.Dim)
	}
	for i, v := range s.Features {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s: feature %d of sample %d is %g, expected a finite number", s.Name, i%dim, i/dim, v)
		}
	}
	return nil
}

// fill repeats the last sample n times up to time next.
func (s *Sequence) fill(n int64, rate float64, next int64) error {
	if n == 0 {
		return nil
	}
	if float64(n) > maxFill*rate {
		return fmt.Errorf("%s: %d samples (%.1f s) are lost at once after sample %d, at most %g s can be filled in",
			s.Name, n, float64(n)/rate, s.Len()-1, maxFill)
	}
	t := s.Len() - 1
	from := s.Times[t]
	for i := int64(1); i <= n; i++ {
		s.Features = append(s.Features, s.Row(t)...)
		s.Times = append(s.Times, from+(next-from)*i/(n+1))
		s.Weights = append(s.Weights, 0)
		if s.Frames != nil {
			s.Frames = append(s.Frames, s.Frames[t])
		}
	}
	return nil
}

// put appends row as sample at, after as many repetitions of the last one as are missing. What is there already stays.
func (s *Sequence) put(at int, row []float32) {
	s.pad(at)
	if s.Len() == at {
		s.Features = append(s.Features, row...)
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
