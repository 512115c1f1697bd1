package segment

import (
	"errors"
	"fmt"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// windows runs a network that sees whole sequences over the newest frames, again and again.
type windows struct {
	bundle.Windows
	dim, classes int
	session      *ort.Session
	whole        *window // over all of rows
	in           []float32
	rows, out    []float32 // of the window [start, start+n): features, and logits after a run, probabilities where they are used

	start, n    int64
	shown, done int64 // frames before these have had an early and a final opinion
	newest      []float32
}

// window is a binding for one length.
type window struct {
	tensors []ort.Tensor
	bind    *ort.Binding
}

// openWindows opens the segmenter model and checks that it is what the manifest says.
func openWindows(b *bundle.Dir, load loader) (_ *windows, err error) {
	w := &windows{Windows: *b.Segmenter.Window, dim: b.Extractor.Dim, classes: len(b.Labels)}
	w.in, w.newest = make([]float32, w.dim), make([]float32, w.classes)
	w.rows, w.out = make([]float32, w.Frames*w.dim), make([]float32, w.Frames*w.classes)
	defer func() {
		if err != nil {
			_ = w.close() // the first error is the one to act on
			err = fmt.Errorf("segmenter of %s: %w", b.Release, err)
		}
	}()
	if w.session, err = load(); err != nil {
		return nil, err
	}
	in, out := w.session.Inputs(), w.session.Outputs()
	if len(in) != 1 || in[0].Name != b.Segmenter.Input {
		return nil, fmt.Errorf("%w: its inputs are %v, the manifest names one, %q", ort.ErrModel, in, b.Segmenter.Input)
	}
	if len(out) != 1 || out[0].Name != b.Segmenter.Heads[0].Output {
		return nil, fmt.Errorf("%w: its outputs are %v, the manifest names one, %q", ort.ErrModel, out, b.Segmenter.Heads[0].Output)
	}
	for _, i := range []ort.Info{in[0], out[0]} {
		if len(i.Shape) != 3 || i.Shape[1] > 0 {
			return nil, fmt.Errorf("%w: %v; windows need [1, T, …] with any T, since they are shorter at the beginning of a take; export it with a dynamic axis 1",
				ort.ErrModel, i)
		}
	}
	w.whole, err = w.open(w.Frames)
	return w, err
}

// open binds the first frames of the window.
func (w *windows) open(frames int) (_ *window, err error) {
	x := &window{}
	defer func() {
		if err != nil {
			_ = x.close() // the first error is the one to act on
		}
	}()
	for _, t := range []struct {
		width int
		data  []float32
	}{{w.dim, w.rows}, {w.classes, w.out}} {
		tensor, err := ort.NewTensor([]int{1, frames, t.width}, t.data[:frames*t.width])
		if err != nil {
			return x, err
		}
		x.tensors = append(x.tensors, tensor)
	}
	x.bind, err = w.session.Bind(x.tensors[:1], x.tensors[1:])
	return x, err
}

func (x *window) close() error {
	var errs []error
	if x.bind != nil {
		errs = append(errs, x.bind.Close())
	}
	for _, t := range x.tensors {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

func (w *windows) input() []float32 { return w.in }

func (w *windows) push() (said, error) {
	w.add()
	end := w.start + w.n
	if ready := end - int64(w.Right); ready <= 0 || ready%int64(w.Hop) != 0 || ready <= w.done {
		return said{}, nil
	}
	got, err := w.run(end - int64(w.Right))
	if err != nil {
		w.n-- // as if the frame had not been
	}
	return got, err
}

// add takes the input as the newest frame.
func (w *windows) add() {
	if w.n == int64(w.Frames) {
		copy(w.rows, w.rows[w.Hop*w.dim:])
		w.start += int64(w.Hop)
		w.n -= int64(w.Hop)
	}
	copy(w.rows[int(w.n)*w.dim:], w.in)
	w.n++
}

// run judges the window. Frames before upTo have been judged for good then.
func (w *windows) run(upTo int64) (_ said, err error) {
	x := w.whole
	if w.n < int64(w.Frames) {
		if x, err = w.open(int(w.n)); err != nil {
			return said{}, err
		}
		defer func() { err = errors.Join(err, x.close()) }()
	}
	if err := x.bind.Run(); err != nil {
		return said{}, err
	}
	end := w.start + w.n
	for t := min(w.done, w.shown); t < end; t++ {
		if !softmax(w.final(t)) {
			return said{}, ErrNotFinite
		}
	}
	got := said{early: span{w.shown, end}, final: span{w.done, upTo}}
	w.shown, w.done = end, upTo
	copy(w.newest, w.final(upTo-1))
	return got, nil
}

// early returns the probabilities of a frame by the last run.
func (w *windows) early(t int64) []float32 { return w.final(t) }

func (w *windows) final(t int64) []float32 {
	at := int(t-w.start) * w.classes
	return w.out[at : at+w.classes]
}

func (w *windows) scores(int) []float32 { return w.newest }

// flush judges the last frames with what there is after them.
func (w *windows) flush() (said, error) {
	end := w.start + w.n
	if w.done == end {
		return said{}, nil
	}
	got, err := w.run(end)
	if err != nil {
		got.final = span{w.done, w.done}
	}
	return got, err
}

// warm takes a frame of which nothing is to be said.
func (w *windows) warm() error {
	w.add()
	end := w.start + w.n
	w.shown = end
	if ready := end - int64(w.Right); ready > 0 && ready%int64(w.Hop) == 0 {
		w.done = ready // as a run would have
	}
	return nil
}

func (w *windows) reset() { w.start, w.n, w.shown, w.done = 0, 0, 0, 0 }

func (w *windows) depth() int64 { return int64(w.Right + w.Hop) }

func (w *windows) memory() int { return w.Frames }

func (w *windows) model() *ort.Session { return w.session }

func (w *windows) close() error {
	var errs []error
	if w.whole != nil {
		errs = append(errs, w.whole.close())
	}
	if w.session != nil {
		errs = append(errs, w.session.Close())
	}
	return errors.Join(errs...)
}
