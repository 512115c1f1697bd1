package trainer

import (
	"errors"
	"fmt"
	"math"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/tas"
)

// Extractor is a feature extractor that is not in a bundle yet.
type Extractor struct {
	ONNX     []byte
	Contract bundle.Extractor // its File is filled in when a bundle is written
}

// Network is a segmentation network in the trainer's hands: the teacher or a student.
type Network struct {
	TCN        net.TCN
	Params     *nn.Params
	Labels     tas.Labels
	Background []string
	RateHz     float64
	MinFrames  int // label hold of the decoder
}

// Clone returns an independent copy, which is what a student starts as.
func (n *Network) Clone() *Network {
	c := *n
	c.Params = n.Params.Clone()
	return &c
}

// lag returns the lag of the committed head in frames.
func (n *Network) lag() int {
	if len(n.TCN.Lags) == 0 {
		return 0
	}
	return n.TCN.Lags[len(n.TCN.Lags)-1]
}

// Write makes a bundle of the network and an extractor.
func (n *Network) Write(dir string, ex Extractor, m bundle.Manifest) (*bundle.Dir, error) {
	segmenter, spec, err := n.TCN.Stream(n.Params)
	if err != nil {
		return nil, err
	}
	m.RateHz = n.RateHz
	m.Labels = n.Labels.Names()
	m.Background = n.Background
	m.Extractor = ex.Contract
	m.Segmenter = bundle.Segmenter{Mode: "causal", Input: net.Features, Decode: bundle.Decoding{MinFrames: n.MinFrames}}
	for _, lag := range n.TCN.Lags {
		m.Segmenter.Heads = append(m.Segmenter.Heads, bundle.Head{Output: net.LogitsName(lag), Lag: lag})
	}
	for _, s := range spec.States {
		m.Segmenter.States = append(m.Segmenter.States, bundle.State{
			Input: s.Input, Output: s.Output, Dilation: s.Dilation, Taps: s.Taps, Channels: s.Channels,
		})
	}
	return model.Write(dir, m, ex.ONNX, segmenter)
}

// predictor runs a network over whole takes.
type predictor struct {
	n *Network
	p *net.Predictor
}

func (n *Network) predictor(opts ort.Options) (*predictor, error) {
	infer, err := n.TCN.Infer(n.Params)
	if err != nil {
		return nil, err
	}
	p, err := net.NewPredictor(infer, opts)
	if err != nil {
		return nil, err
	}
	return &predictor{n, p}, nil
}

func (p *predictor) close() error { return p.p.Close() }

// probs returns the class probabilities [T, classes] of each frame by the best head that can judge it, as a device that
// has come to the take's end has them: the committed head's, and the provisional head's for the last frames.
func (p *predictor) probs(s *Sequence) ([]float32, error) {
	if err := s.check(p.n.TCN.In); err != nil {
		return nil, err
	}
	heads, err := p.p.Run(s.Features)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	k, lag := p.n.TCN.Classes, p.n.lag()
	first, last := heads[0], heads[len(heads)-1]
	out := make([]float32, s.Len()*k)
	for t := range s.Len() {
		row := first[t*k : (t+1)*k]
		if t+lag < s.Len() {
			row = last[(t+lag)*k : (t+lag+1)*k]
		}
		if err := softmax(out[t*k:(t+1)*k], row); err != nil {
			return nil, fmt.Errorf("%s: sample %d: %w", s.Name, t, err)
		}
	}
	return out, nil
}

// labels returns the class of each frame as the committed stream has it: best class, label hold.
func (p *predictor) labels(s *Sequence) ([]int, error) {
	probs, err := p.probs(s)
	if err != nil {
		return nil, err
	}
	return segment.Hold(argmaxRows(probs, p.n.TCN.Classes), p.n.MinFrames), nil
}

func argmaxRows(probs []float32, k int) []int {
	out := make([]int, len(probs)/k)
	for t := range out {
		row := probs[t*k : (t+1)*k]
		for i, v := range row {
			if v > row[out[t]] {
				out[t] = i
			}
		}
	}
	return out
}

func softmax(dst, logits []float32) error {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	var sum float64
	for i, v := range logits {
		e := math.Exp(float64(v - top))
		dst[i] = float32(e)
		sum += e
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) || math.IsInf(float64(top), 0) {
		return fmt.Errorf("the network's scores are not finite: it has diverged; train again at a lower learning rate")
	}
	for i := range dst {
		dst[i] = float32(float64(dst[i]) / sum)
	}
	return nil
}

// standard returns the mean and the standard deviation of each feature over the real samples of sequences.
func standard(list []*Sequence) (mean, std []float32, err error) {
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("no sequences to take the features' statistics of")
	}
	// Sums are taken of the differences to one sample: features far from 0 would lose their deviation to rounding.
	dim := list[0].Dim
	origin := list[0].Features[:min(dim, len(list[0].Features))]
	sum, square, n := make([]float64, dim), make([]float64, dim), 0.0
	for _, s := range list {
		if err := s.check(dim); err != nil {
			return nil, nil, err
		}
		for t := range s.Len() {
			if s.Weights[t] == 0 {
				continue
			}
			n++
			for i, v := range s.Row(t) {
				d := float64(v) - float64(origin[i])
				sum[i] += d
				square[i] += d * d
			}
		}
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("%s and %d more: no real sample", list[0].Name, len(list)-1)
	}
	mean, std = make([]float32, dim), make([]float32, dim)
	for i := range mean {
		m := sum[i] / n
		mean[i] = float32(float64(origin[i]) + m)
		std[i] = float32(math.Sqrt(max(square[i]/n-m*m, 0)))
	}
	return mean, std, nil
}

// merit is the one figure that checkpoints are chosen by: the mean of frame accuracy, order and overlap, in per cent.
func merit(s tas.Scores) float64 { return (s.MoF + s.Edit + s.F1At50) / 3 }

// Predict returns the class of each sample of a take as the committed stream of a device would have it.
func (n *Network) Predict(s *Sequence, r Recipe) (_ []int, err error) {
	p, err := n.predictor(r.session())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return p.labels(s)
}
