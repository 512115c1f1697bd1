package trainer

import (
	"slices"

	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/method"
)

// Extractor is a feature extractor that is not in a bundle yet.
type Extractor struct {
	ONNX     []byte
	Contract bundle.Extractor // its File is filled in when a bundle is written
}

// Network is a segmentation network in the trainer's hands: the teacher or a student. What it was trained by, and what it is
// made of, package method knows.
type Network struct {
	*method.Model
	RateHz    float64
	MinFrames int // label hold of the decoder
}

// Clone returns an independent copy.
func (n *Network) Clone() *Network {
	c := *n
	c.Model = n.Model.Clone()
	return &c
}

// lag returns the lag of the committed head in frames.
func (n *Network) lag() int {
	lags := n.Lags()
	return lags[len(lags)-1]
}

// Write makes a bundle of the network and an extractor.
func (n *Network) Write(dir string, ex Extractor, m bundle.Manifest) (*bundle.Dir, error) {
	segmenter, spec, err := n.Stream()
	if err != nil {
		return nil, err
	}
	m.RateHz = n.RateHz
	m.Labels = n.Labels.Names()
	m.Background = n.Background
	m.Extractor = ex.Contract
	m.Segmenter = bundle.Segmenter{Mode: "causal", Input: net.Features, Decode: bundle.Decoding{MinFrames: n.MinFrames}}
	for _, lag := range n.Lags() {
		m.Segmenter.Heads = append(m.Segmenter.Heads, bundle.Head{Output: net.LogitsName(lag), Lag: lag})
	}
	for _, s := range spec.States {
		m.Segmenter.States = append(m.Segmenter.States, bundle.State{
			Input: s.Input, Output: s.Output, Dilation: s.Dilation, Taps: s.Taps, Channels: s.Channels,
		})
	}
	return model.Write(dir, m, ex.ONNX, segmenter)
}

// probs returns the class probabilities [T, classes] of each frame of sequences by the best head that can judge it, as a
// device that has come to the take's end has them: the committed head's, and the provisional head's for the last frames.
func (n *Network) probs(list ...*Sequence) ([][]float32, error) {
	sequences := make([]method.Sequence, len(list))
	for i, s := range list {
		if err := s.check(n.Dim()); err != nil {
			return nil, err
		}
		if sequences[i] = s.learnable(); s.Len() == 1 { // which has no time in it: it is judged as if it lasted
			sequences[i].Features = append(slices.Clone(s.Features), s.Features...)
			sequences[i].Weights = nil
		}
	}
	said, err := n.Judge(sequences)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(said))
	for i, p := range said {
		out[i] = p.Probs[:list[i].Len()*n.Labels.Len()]
	}
	return out, nil
}

// committed returns the class of each frame as the committed stream has it: best class, label hold.
func (n *Network) committed(list ...*Sequence) ([][]int, error) {
	probs, err := n.probs(list...)
	if err != nil {
		return nil, err
	}
	out := make([][]int, len(probs))
	for i, p := range probs {
		out[i] = segment.Hold(argmaxRows(p, n.Labels.Len()), n.MinFrames)
	}
	return out, nil
}

// learnable is the sequence as package method has it, over the same memory.
func (s *Sequence) learnable() method.Sequence {
	return method.Sequence{Name: s.Name, Dim: s.Dim, Features: s.Features, Weights: s.Weights}
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

// merit is the one figure that checkpoints are chosen by: the mean of frame accuracy, order and overlap, in per cent.
func merit(s tas.Scores) float64 { return (s.MoF + s.Edit + s.F1At50) / 3 }

// Predict returns the class of each sample of a take as the committed stream of a device would have it.
func (n *Network) Predict(s *Sequence) ([]int, error) {
	list, err := n.committed(s)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}
