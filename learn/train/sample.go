package train

import (
	"errors"
	"fmt"
	"math"

	"tandem/learn/nn"
)

// ErrSample is wrapped by errors about training data.
var ErrSample = errors.New("training sample")

// Sample is one training sequence: a row a frame for each data input of the training graph, by the input's name.
type Sample struct {
	Name   string // for errors
	Frames int
	Float  map[string][]float32 // Frames rows of the input's width
	Labels map[string][]int64   // one label a frame
	// Weights are the frames' shares of the loss, >= 0; nil means 1 each. A frame of weight 0 is context only, and may
	// have any label.
	Weights []float32
}

func (s Sample) failf(format string, args ...any) error {
	return fmt.Errorf("%w %q: %s", ErrSample, s.Name, fmt.Sprintf(format, args...))
}

// check reports what in the sample would spoil training: missing or short inputs, values that are not finite, labels
// that are not classes.
func (s Sample) check(fields []nn.Field) error {
	if s.Frames < 1 {
		return s.failf("it has no frames")
	}
	if s.Weights != nil && len(s.Weights) != s.Frames {
		return s.failf("%d weights for %d frames", len(s.Weights), s.Frames)
	}
	for i, w := range s.Weights {
		if !(w >= 0) || math.IsInf(float64(w), 0) {
			return s.failf("frame %d has weight %g, expected a finite one >= 0", i, w)
		}
	}
	for _, f := range fields {
		if f.Classes > 0 {
			if err := s.checkLabels(f); err != nil {
				return err
			}
			continue
		}
		rows := s.Float[f.Name]
		if len(rows) != s.Frames*f.Width {
			return s.failf("%d values for the input %q, expected %d frames of %d", len(rows), f.Name, s.Frames, f.Width)
		}
		for i, v := range rows {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return s.failf("frame %d of the input %q has the value %g at %d", i/f.Width, f.Name, v, i%f.Width)
			}
		}
	}
	return nil
}

func (s Sample) checkLabels(f nn.Field) error {
	labels := s.Labels[f.Name]
	if len(labels) != s.Frames {
		return s.failf("%d labels for the input %q, expected %d", len(labels), f.Name, s.Frames)
	}
	for i, l := range labels {
		if weighted := s.Weights == nil || s.Weights[i] > 0; weighted && (l < 0 || l >= int64(f.Classes)) {
			return s.failf("frame %d of the input %q has the label %d, expected [0, %d) where the weight is not 0", i, f.Name, l, f.Classes)
		}
	}
	return nil
}

// weight is the sum of the frames' weights.
func (s Sample) weight() float64 {
	if s.Weights == nil {
		return float64(s.Frames)
	}
	var sum float64
	for _, w := range s.Weights {
		sum += float64(w)
	}
	return sum
}

// share writes the frames' weights, scaled.
func (s Sample) share(dst []float32, scale float64) {
	for i := range dst {
		dst[i] = float32(scale)
		if s.Weights != nil {
			dst[i] = float32(scale * float64(s.Weights[i]))
		}
	}
}

// Windows cuts a sample into pieces of at most length frames. Each piece but the first begins with context frames of the piece
// before it, at weight 0, so that a causal network has seen its past. The pieces share the sample's memory.
func (s Sample) Windows(length, context int) ([]Sample, error) {
	if length < 1 || context < 0 || context >= length {
		return nil, s.failf("windows of %d frames with %d of context, expected 0 <= context < length", length, context)
	}
	if s.Frames <= length {
		return []Sample{s}, nil
	}
	var list []Sample
	for start := 0; ; start += length - context {
		end := min(start+length, s.Frames)
		w := Sample{
			Name:    fmt.Sprintf("%s[%d:%d]", s.Name, start, end),
			Frames:  end - start,
			Float:   map[string][]float32{},
			Labels:  map[string][]int64{},
			Weights: make([]float32, end-start),
		}
		for name, v := range s.Float {
			width := len(v) / s.Frames
			w.Float[name] = v[start*width : end*width]
		}
		for name, v := range s.Labels {
			w.Labels[name] = v[start:end]
		}
		for i := range w.Weights {
			switch {
			case start > 0 && i < context:
			case s.Weights != nil:
				w.Weights[i] = s.Weights[start+i]
			default:
				w.Weights[i] = 1
			}
		}
		list = append(list, w)
		if end == s.Frames {
			return list, nil
		}
	}
}
