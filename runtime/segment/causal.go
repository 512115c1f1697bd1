package segment

import (
	"errors"
	"fmt"
	"math"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// causal runs a causal network frame by frame.
type causal struct {
	session  *ort.Session
	tensors  []ort.Tensor
	bind     *ort.Binding
	features []float32   // input, the frame's features
	logits   [][]float32 // outputs, per head
	probs    [][]float32 // per head, of the last run that went well
	states   []*ring

	lag    int64     // of the last head
	first  []float32 // ring of the first head's probabilities of the last lag frames
	frames int64     // since the start
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

// openCausal opens the segmenter model and checks that it is what the manifest says. Of unused heads nothing is read.
func openCausal(b *bundle.Dir, unused []bundle.Head, load loader) (_ *causal, err error) {
	n := &causal{features: make([]float32, b.Extractor.Dim), lag: int64(b.Segmenter.JudgeLag())}
	n.first = make([]float32, n.lag*int64(len(b.Labels)))
	defer func() {
		if err != nil {
			_ = n.close() // the first error is the one to act on
			err = fmt.Errorf("segmenter of %s: %w", b.Release, err)
		}
	}()
	if n.session, err = load(); err != nil {
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
		n.logits, n.probs = append(n.logits, p), append(n.probs, make([]float32, len(b.Labels)))
		add(out, h.Output, []int{1, 1, len(b.Labels)}, p)
	}
	for _, h := range unused {
		add(out, h.Output, []int{1, 1, len(b.Labels)}, make([]float32, len(b.Labels)))
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

func (n *causal) input() []float32 { return n.features }

// run feeds the frame in n.features. On an error nothing has changed.
func (n *causal) run() error {
	for _, r := range n.states {
		r.load()
	}
	if err := n.bind.Run(); err != nil {
		return err
	}
	for _, p := range n.logits {
		if !softmax(p) {
			return ErrNotFinite
		}
	}
	for _, r := range n.states {
		if !finite(r.out) {
			return fmt.Errorf("%w: those that the network remembers", ErrNotFinite)
		}
	}
	for i, p := range n.logits {
		copy(n.probs[i], p)
	}
	for _, r := range n.states {
		r.push()
	}
	return nil
}

func (n *causal) push() (said, error) {
	if err := n.run(); err != nil {
		return said{}, err
	}
	t := n.frames
	n.frames++
	if n.lag > 0 {
		copy(n.early(t), n.probs[0])
	}
	return said{early: span{t, t + 1}, final: span{max(t-n.lag, 0), max(t-n.lag+1, 0)}}, nil
}

// early returns the first head's probabilities of one of the newest frames. Those of the last lag frames are kept.
func (n *causal) early(t int64) []float32 {
	if n.lag == 0 {
		return n.probs[0]
	}
	k := int64(len(n.probs[0]))
	at := t % n.lag * k
	return n.first[at : at+k]
}

// final returns the last head's probabilities of the frame that it judged last, or the first head's of those that no other
// will judge any more.
func (n *causal) final(t int64) []float32 {
	if t+n.lag < n.frames {
		return n.probs[len(n.probs)-1]
	}
	return n.early(t)
}

func (n *causal) scores(head int) []float32 { return n.probs[head] }

// flush leaves the last frames to the first head.
func (n *causal) flush() (said, error) {
	return said{final: span{max(n.frames-n.lag, 0), n.frames}}, nil
}

// warm takes a frame of which nothing is to be said.
func (n *causal) warm() error {
	_, err := n.push()
	return err
}

func (n *causal) reset() {
	for _, r := range n.states {
		r.reset()
	}
	n.frames = 0
}

func (n *causal) depth() int64 { return n.lag + 1 }

func (n *causal) memory() int {
	rows := 0
	for _, r := range n.states {
		rows += r.taps * r.dilation
	}
	return rows
}

func (n *causal) model() *ort.Session { return n.session }

func (n *causal) close() error {
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
	if math.IsNaN(sum) || math.IsInf(sum, 0) || math.IsInf(float64(top), 0) {
		return false
	}
	for i := range x {
		x[i] = float32(float64(x[i]) / sum)
	}
	return true
}

// finite tells whether all values are numbers.
func finite(x []float32) bool {
	var sum float32
	for _, v := range x {
		sum += v * 0 // NaN of what is not finite
	}
	return sum == 0
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
