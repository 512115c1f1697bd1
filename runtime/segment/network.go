// Package segment turns a stream of features into segments: a causal network with ring-buffer state gives class scores
// for every frame at constant cost, and a decoder gives two streams of segments, the provisional one at once and the
// committed one after a fixed lag, which is never revised.
package segment

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// ErrNotFinite is returned when the network's scores hold NaN or infinity.
var ErrNotFinite = errors.New("scores are not finite")

// network runs the bundle's segmenter frame by frame.
type network struct {
	session  *ort.Session
	tensors  []ort.Tensor
	bind     *ort.Binding
	features []float32   // input, the frame's features
	probs    [][]float32 // per head: logits after a run, probabilities after normalise
	states   []*ring
}

// ring is the history of one causal convolution: the last taps*dilation rows.
type ring struct {
	taps, dilation, channels int
	rows                     []float32 // taps*dilation rows of channels, a circular buffer
	next                     int       // row to be overwritten next: the oldest
	in, out                  []float32 // the state's input and output tensor
}

// load fills the input with the rows that are taps*dilation, …, dilation frames old.
func (r *ring) load() {
	n := r.taps * r.dilation
	for tap := range r.taps {
		row := (r.next + tap*r.dilation) % n
		copy(r.in[tap*r.channels:(tap+1)*r.channels], r.rows[row*r.channels:])
	}
}

// push stores the newest row.
func (r *ring) push() {
	copy(r.rows[r.next*r.channels:(r.next+1)*r.channels], r.out)
	r.next++
	if r.next == r.taps*r.dilation {
		r.next = 0
	}
}

func (r *ring) reset() {
	clear(r.rows)
	r.next = 0
}

// openNetwork opens the segmenter model and checks that it is what the manifest says.
func openNetwork(b *bundle.Dir, opts ort.Options) (_ *network, err error) {
	n := &network{features: make([]float32, b.Extractor.Dim)}
	defer func() {
		if err != nil {
			_ = n.close() // the first error is the one to act on
			err = fmt.Errorf("segmenter of %s: %w", b.Release, err)
		}
	}()
	if n.session, err = ort.OpenFile(filepath.Join(b.Path, b.Segmenter.Name), opts); err != nil {
		return nil, err
	}
	seg := b.Segmenter
	in := map[string]ort.Tensor{}
	out := map[string]ort.Tensor{}
	add := func(to map[string]ort.Tensor, name string, shape []int, data []float32) {
		if err != nil {
			return
		}
		if to[name] != nil {
			err = fmt.Errorf("the manifest names %q twice", name)
			return
		}
		var t ort.Tensor
		if t, err = ort.NewTensor(shape, data); err == nil {
			to[name] = t
			n.tensors = append(n.tensors, t)
		}
	}
	add(in, seg.Input, []int{1, 1, b.Extractor.Dim}, n.features)
	for _, h := range seg.Heads {
		p := make([]float32, len(b.Labels))
		n.probs = append(n.probs, p)
		add(out, h.Output, []int{1, 1, len(b.Labels)}, p)
	}
	for _, s := range seg.States {
		r := &ring{
			taps: s.Taps, dilation: s.Dilation, channels: s.Channels,
			rows: make([]float32, s.Taps*s.Dilation*s.Channels),
			in:   make([]float32, s.Taps*s.Channels), out: make([]float32, s.Channels),
		}
		n.states = append(n.states, r)
		add(in, s.Input, []int{1, s.Taps, s.Channels}, r.in)
		add(out, s.Output, []int{1, 1, s.Channels}, r.out)
	}
	if err != nil {
		return nil, err
	}
	ins, err := order("input", n.session.Inputs(), in)
	if err != nil {
		return nil, err
	}
	outs, err := order("output", n.session.Outputs(), out)
	if err != nil {
		return nil, err
	}
	n.bind, err = n.session.Bind(ins, outs)
	return n, err
}

// order brings the manifest's tensors into the model's order; both must have the same names.
func order(what string, model []ort.Info, have map[string]ort.Tensor) ([]ort.Tensor, error) {
	list := make([]ort.Tensor, 0, len(model))
	for _, m := range model {
		t := have[m.Name]
		if t == nil {
			return nil, fmt.Errorf("the model has an %s %q that the manifest does not name", what, m.Name)
		}
		delete(have, m.Name)
		list = append(list, t)
	}
	for name := range have {
		return nil, fmt.Errorf("the manifest names an %s %q that the model does not have", what, name)
	}
	return list, nil
}

// run feeds the frame in n.features and leaves each head's class probabilities in n.probs.
func (n *network) run() error {
	for _, r := range n.states {
		r.load()
	}
	if err := n.bind.Run(); err != nil {
		return err
	}
	for _, p := range n.probs {
		if !softmax(p) {
			return ErrNotFinite
		}
	}
	for _, r := range n.states {
		r.push()
	}
	return nil
}

// reset forgets all history.
func (n *network) reset() {
	for _, r := range n.states {
		r.reset()
	}
}

func (n *network) close() error {
	var errs []error
	if n.bind != nil {
		errs = append(errs, n.bind.Close())
	}
	for _, t := range n.tensors {
		errs = append(errs, t.Close())
	}
	if n.session != nil {
		errs = append(errs, n.session.Close())
	}
	return errors.Join(errs...)
}

// softmax turns logits into probabilities in place; it reports false if they are not finite.
func softmax(x []float32) bool {
	top := x[0]
	for _, v := range x {
		top = max(top, v) // max propagates NaN
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - top))
		x[i] = float32(e)
		sum += e
	}
	if math.IsNaN(sum) || math.IsInf(float64(top), 0) {
		return false
	}
	for i := range x {
		x[i] = float32(float64(x[i]) / sum)
	}
	return true
}

// argmax returns the first class with the highest probability, and that probability.
func argmax(p []float32) (int, float32) {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best, p[best]
}
