package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/tas"
)

// whole is the class probabilities [samples, classes] of each take by the network over whole takes, and how far the stream's are from
// them, nil if that was not compared.
func (w *world) whole(ctx context.Context, s Student) (probs [][]float32, difference *float64, err error) {
	switch {
	case s.Bundle.Segmenter.Window != nil:
		path := filepath.Join(s.Bundle.Path, s.Bundle.Segmenter.Name)
		model, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		probs, err = w.over(ctx, s.Bundle, model)
		return probs, nil, err
	case s.Whole == nil:
		probs, err = w.frameByFrame(ctx, s.Bundle, w.tick)
		return probs, nil, err
	}
	if probs, err = w.over(ctx, s.Bundle, s.Whole); err != nil {
		return nil, nil, err
	}
	streamed, err := w.frameByFrame(ctx, s.Bundle, func() {})
	if err != nil {
		return nil, nil, err
	}
	most := 0.0
	for i := range probs {
		for j, p := range probs[i] {
			most = max(most, math.Abs(float64(p)-float64(streamed[i][j])))
		}
	}
	return probs, &most, nil
}

// frameByFrame runs a causal network over the takes: each frame is judged by the last head, and the last ones of a take by the first.
func (w *world) frameByFrame(ctx context.Context, b *bundle.Dir, done func()) (_ [][]float32, err error) {
	s, err := segment.Open(b, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	heads, k := len(b.Segmenter.Heads), len(b.Labels)
	lag := b.Segmenter.JudgeLag()
	var out [][]float32
	for i := range w.takes {
		t := &w.takes[i]
		p := make([]float32, t.samples*k)
		for j := range t.samples {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if _, err := s.Push(int64(j), int64(math.Round(float64(j)/b.RateHz*1e9)), t.row(j, w.view.Dim)); err != nil {
				return nil, fmt.Errorf("take %s: %w", t.name, err)
			}
			copy(p[j*k:(j+1)*k], s.Scores(0))
			if j >= lag {
				copy(p[(j-lag)*k:(j-lag+1)*k], s.Scores(heads-1))
			}
		}
		s.Finish(segment.EndOfTake)
		out = append(out, p)
		done()
	}
	return out, nil
}

// over runs a model over whole takes.
func (w *world) over(ctx context.Context, b *bundle.Dir, model []byte) (_ [][]float32, err error) {
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if in := s.Inputs(); len(in) != 1 || in[0].Name != b.Segmenter.Input {
		return nil, fmt.Errorf("%w over whole takes: its inputs are %v, expected %q alone", ort.ErrModel, in, b.Segmenter.Input)
	}
	if n, want := len(s.Outputs()), len(b.Segmenter.Heads); n != want {
		return nil, fmt.Errorf("%w over whole takes: it has %d outputs, expected one for each of the bundle's %d heads", ort.ErrModel, n, want)
	}
	var out [][]float32
	for i := range w.takes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := w.overTake(s, b, &w.takes[i])
		if err != nil {
			return nil, fmt.Errorf("take %s: %w", w.takes[i].name, err)
		}
		out = append(out, p)
		w.tick()
	}
	return out, nil
}

func (w *world) overTake(s *ort.Session, b *bundle.Dir, t *take) (_ []float32, err error) {
	k := len(b.Labels)
	var heads [][]float32 // in the order of the bundle's
	var tensors []ort.Tensor
	defer func() {
		for _, x := range tensors {
			err = errors.Join(err, x.Close())
		}
	}()
	add := func(data []float32, width int) error {
		x, err := ort.NewTensor([]int{1, t.samples, width}, data)
		if err == nil {
			tensors = append(tensors, x)
		}
		return err
	}
	if err := add(t.data, w.view.Dim); err != nil {
		return nil, err
	}
	for range b.Segmenter.Heads {
		x := make([]float32, t.samples*k)
		heads = append(heads, x)
		if err := add(x, k); err != nil {
			return nil, err
		}
	}
	bind, err := s.Bind(tensors[:1], tensors[1:])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bind.Close()) }()
	if err := bind.Run(); err != nil {
		return nil, err
	}
	first, last, lag := heads[0], heads[len(heads)-1], b.Segmenter.Heads[len(heads)-1].Lag
	out := make([]float32, t.samples*k)
	for j := range t.samples {
		row := first[j*k : (j+1)*k]
		if j+lag < t.samples {
			row = last[(j+lag)*k : (j+lag+1)*k]
		}
		if !softmax(out[j*k:(j+1)*k], row) {
			return nil, fmt.Errorf("frame %d: %w", j, segment.ErrNotFinite)
		}
	}
	return out, nil
}

// softmax writes the probabilities of logits; it reports false if they are not finite.
func softmax(out, logits []float32) bool {
	top := float64(logits[0])
	for _, v := range logits {
		top = max(top, float64(v)) // max propagates NaN
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	for i, v := range logits {
		out[i] = float32(math.Exp(float64(v)-top) / sum)
	}
	return !math.IsNaN(sum) && !math.IsInf(top, 0)
}

// decode scores the network over whole takes as a variant decodes it that has all the time of the take: whole holds, and of a prior the
// best path through the whole take.
func (w *world) decode(b *bundle.Dir, probs [][]float32, v Variant) (s tas.Scores, segments float64, err error) {
	v.Lag = true
	k := len(b.Labels)
	var videos []tas.Video
	for i := range w.takes {
		t := &w.takes[i]
		seg := bundle.Segmenter{Heads: []bundle.Head{{}}, Decode: v.decoding(b.Segmenter.Decode)}
		seg.Decode.CommitLag = 0
		if p := seg.Decode.Prior; p != nil {
			all := *p
			all.Lag = t.samples
			seg.Decode.Prior = &all
		}
		pred := make([]string, t.samples)
		for j, c := range segment.Decode(probs[i], k, &seg) {
			pred[j] = b.Labels[c]
		}
		videos = append(videos, t.video(pred))
	}
	if s, err = tas.Score(videos, background(b)...); err != nil {
		return s, 0, err
	}
	return s, tas.SegmentsPerTrue(videos, background(b)...), nil
}
