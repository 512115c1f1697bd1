package trainer

import (
	"math"
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
	RateHz float64
	Decode bundle.Decoding // how devices turn scores into segments
	// Window is how a network that is not causal is run on a device; nil means DefaultWindow.
	Window *bundle.Windows
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
	segmenter, err := n.contract(&m.Segmenter)
	if err != nil {
		return nil, err
	}
	m.RateHz = n.RateHz
	m.Labels = n.Labels.Names()
	m.Background = n.Background
	m.Extractor = ex.Contract
	return model.Write(dir, m, ex.ONNX, segmenter)
}

// contract returns the network as ONNX and describes it: frame by frame if it is causal, else in windows.
func (n *Network) contract(s *bundle.Segmenter) ([]byte, error) {
	*s = bundle.Segmenter{Mode: bundle.Causal, Input: net.Features, Decode: n.Decode}
	for _, lag := range n.Lags() {
		s.Heads = append(s.Heads, bundle.Head{Output: net.LogitsName(lag), Lag: lag})
	}
	if !n.Causal() {
		s.Mode, s.Window = bundle.Window, n.Window
		if s.Window == nil {
			s.Window = n.DefaultWindow()
		}
		return n.Joint()
	}
	segmenter, spec, err := n.Stream()
	for _, x := range spec.States {
		s.States = append(s.States, bundle.State(x))
	}
	return segmenter, err
}

// DefaultWindow runs a network every half second, and judges frames by what comes in the second and a half after them. Before
// them is all that the network looks at, or 256 frames where that has no bound.
func (n *Network) DefaultWindow() *bundle.Windows {
	left := 256
	if context, bounded := n.Context(); bounded {
		left = context
	}
	return DefaultWindow(n.RateHz, left)
}

// DefaultWindow is the default window of a network that looks so many frames back.
func DefaultWindow(rate float64, left int) *bundle.Windows {
	frames := func(seconds float64) int { return max(1, int(math.Round(seconds*rate))) }
	w := &bundle.Windows{Hop: frames(.5), Right: frames(1.5), Left: left}
	w.Frames = (w.Left+w.Hop-1)/w.Hop*w.Hop + w.Hop + w.Right
	return w
}

// decoder describes the network's committed head for segment.Decode.
func (n *Network) decoder() *bundle.Segmenter {
	return &bundle.Segmenter{Heads: []bundle.Head{{Lag: n.lag()}}, Decode: n.Decode}
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
		out[i] = segment.Decode(p, n.Labels.Len(), n.decoder())
	}
	return out, nil
}

// learnable is the sequence as package method has it, over the same memory.
func (s *Sequence) learnable() method.Sequence {
	return method.Sequence{Name: s.Name, Dim: s.Dim, Features: s.Features, Weights: s.Weights}
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
