package method

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
	"tandem/tas"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// Model is a trained network: a teacher or a student.
type Model struct {
	Labels     tas.Labels
	Background []string
	Params     *nn.Params
	// Offsets are what was found of the pairs' offsets, in their order; nil where a method doesn't look.
	Offsets []Offset

	net     *segmenter
	session ort.Options
	// eyes is the student's own extractor; nil where the features are read as they are.
	eyes *backbone.Backbone
}

// Dim is the number of features a frame that the model reads.
func (m *Model) Dim() int { return m.net.width() }

// Prediction is what a model says of a sequence.
type Prediction struct {
	Probs   []float32 // [T, classes]
	Classes []int     // [T], the most probable ones
}

// Predict judges each frame of a sequence by the best head that can: the latest one, and for the last frames one that
// is early enough.
func (m *Model) Predict(s Sequence) (_ Prediction, err error) {
	p, err := m.open()
	if err != nil {
		return Prediction{}, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return p.predict(s)
}

// Score compares predictions with labels.
func (m *Model) Score(takes []Labelled) (_ tas.Scores, err error) {
	p, err := m.open()
	if err != nil {
		return tas.Scores{}, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	videos := make([]tas.Video, 0, len(takes))
	for _, l := range takes {
		if err := l.check(m.Dim(), m.Labels.Len()); err != nil {
			return tas.Scores{}, fmt.Errorf("score: %w", err)
		}
		got, err := p.predict(l.Sequence)
		if err != nil {
			return tas.Scores{}, fmt.Errorf("score: %w", err)
		}
		v := tas.Video{Name: l.Name}
		if v.GT, err = m.Labels.Decode(l.Classes); err != nil {
			return tas.Scores{}, err
		}
		if v.Pred, err = m.Labels.Decode(got.Classes); err != nil {
			return tas.Scores{}, err
		}
		videos = append(videos, v)
	}
	return tas.Score(videos, m.Background...)
}

// Infer returns the ONNX model over whole sequences: net.Features [1, T, Dim] to the logits of each output,
// net.ScaleName(net.Logits, i).
func (m *Model) Infer() ([]byte, error) {
	b := nn.NewInfer(m.Params)
	for i, o := range m.net.forward(b, b.Features(net.Features, m.net.width())) {
		b.Output(net.ScaleName(net.Logits, i), o.logits)
	}
	return b.Model()
}

// predictor is a model in a session.
type predictor struct {
	m    *Model
	lags []int
	p    *net.Predictor
	eyes *vision.Eyes // of a model with an extractor of its own
}

func (m *Model) open() (*predictor, error) {
	model, err := m.Infer()
	if err != nil {
		return nil, err
	}
	lags := []int{0}
	if m.net.tcn != nil && len(m.net.tcn.Lags) > 0 {
		lags = m.net.tcn.Lags
	}
	if m.net.c2f != nil {
		lags = make([]int, m.net.c2f.Scales())
	}
	p, err := net.NewPredictor(model, m.session)
	if err != nil {
		return nil, err
	}
	eyes, err := m.openEyes()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &predictor{m, lags, p, eyes}, nil
}

func (p *predictor) close() error {
	if p.eyes != nil {
		return errors.Join(p.p.Close(), p.eyes.Close())
	}
	return p.p.Close()
}

// logits returns what the network's outputs say of each frame, on the natural time line: one [T, classes] for each scale
// of a C2F-TCN, one from all heads of a TCN.
func (p *predictor) logits(s Sequence) ([][]float32, error) {
	if err := s.check(p.m.Dim()); err != nil {
		return nil, err
	}
	s, err := p.see(s)
	if err != nil {
		return nil, err
	}
	heads, err := p.p.Run(s.Features)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	k := p.m.Labels.Len()
	for i := range heads {
		for j, v := range heads[i] {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, fmt.Errorf("%s: the network's score of frame %d is %g: it has diverged, train again at a lower rate", s.Name, j/k, v)
			}
		}
	}
	if p.m.net.c2f != nil {
		return heads, nil
	}
	out := make([]float32, s.Len()*k)
	for t := range s.Len() {
		from := heads[0][t*k:] // of a sequence that no head can judge in time, the earliest one's last word
		for i, lag := range p.lags {
			if t+lag < s.Len() {
				from = heads[i][(t+lag)*k:]
			}
		}
		copy(out[t*k:(t+1)*k], from)
	}
	return [][]float32{out}, nil
}

// joint returns the class probabilities at a temperature, averaged over outputs.
func joint(logits [][]float32, k int, temperature float64) []float32 {
	out := make([]float32, len(logits[0]))
	row := make([]float64, k)
	for _, l := range logits {
		for t := 0; t < len(l); t += k {
			softmax(row, l[t:t+k], temperature)
			for c, v := range row {
				out[t+c] += float32(v / float64(len(logits)))
			}
		}
	}
	return out
}

func softmax(dst []float64, logits []float32, temperature float64) {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	var sum float64
	for i, v := range logits {
		dst[i] = math.Exp((float64(v) - top) / temperature)
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
}

func (p *predictor) predict(s Sequence) (Prediction, error) {
	logits, err := p.logits(s)
	if err != nil {
		return Prediction{}, err
	}
	k := p.m.Labels.Len()
	r := Prediction{Probs: joint(logits, k, 1)}
	r.Classes = argmax(r.Probs, k)
	return r, nil
}

func argmax(probs []float32, k int) []int {
	out := make([]int, len(probs)/k)
	for t := range out {
		row := probs[t*k : (t+1)*k]
		for c, v := range row {
			if v > row[out[t]] {
				out[t] = c
			}
		}
	}
	return out
}

// teacherName is the input of the i-th set of targets.
func teacherName(i int) string { return "target" + strconv.Itoa(i) }

// late returns an output's logits and the targets and weights of the frames that they judge.
func late(b *nn.Build, o output, target, weights *graph.Tensor) (y, q, w *graph.Tensor) {
	y, q, w = o.logits, target, weights
	if o.lag > 0 {
		y, q = b.Crop(y, 1, o.lag, 0), b.Crop(q, 1, 0, o.lag)
		w = b.Mul(b.Crop(w, 1, 0, o.lag), b.Crop(b.Present(), 1, o.lag, 0)) // padding is no look ahead
	}
	return y, q, w
}
