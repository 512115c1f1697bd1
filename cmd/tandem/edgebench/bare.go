package edgebench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
)

// decoding reads a video with OpenCV alone, over and over.
type decoding struct {
	path    string
	vc      *gocv.VideoCapture
	picture gocv.Mat
	frames  int // of this pass
}

func newDecoding(path string) (*decoding, error) {
	d := &decoding{path: path, picture: gocv.NewMat()}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.picture.Close())
	}
	return d, nil
}

func (d *decoding) open() (err error) {
	d.frames = 0
	d.vc, err = gocv.VideoCaptureFileWithAPI(d.path, gocv.VideoCaptureFFmpeg)
	if err == nil && d.vc.IsOpened() {
		return nil
	}
	if d.vc != nil { // it may come with an error
		_ = d.vc.Close() // never fails
		d.vc = nil
	}
	return fmt.Errorf("open %s: OpenCV can't read it: %w", d.path, err)
}

func (d *decoding) step() error {
	for !d.vc.Read(&d.picture) {
		if d.frames == 0 {
			return fmt.Errorf("%s: no frame can be decoded", d.path)
		}
		if err := d.vc.Close(); err != nil {
			return err
		}
		if err := d.open(); err != nil {
			return err
		}
	}
	d.frames++
	return nil
}

func (d *decoding) Close() error {
	var err error
	if d.vc != nil {
		err = d.vc.Close()
	}
	return errors.Join(err, d.picture.Close())
}

// pictures are some decoded frames from all over a video.
type pictures []gocv.Mat

// readPictures decodes the first frames of a video.
func readPictures(path string, most int) (_ pictures, err error) {
	d, err := newDecoding(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var list pictures
	for len(list) < most && (len(list) == 0 || d.frames > 0) {
		if err := d.step(); err != nil {
			return nil, errors.Join(err, list.Close())
		}
		if d.frames <= len(list) {
			break // it began again
		}
		list = append(list, d.picture.Clone())
	}
	return list, nil
}

func (p pictures) Close() error {
	var errs []error
	for i := range p {
		errs = append(errs, p[i].Close())
	}
	return errors.Join(errs...)
}

// preparing is the preprocessing alone, of pictures in turn.
type preparing struct {
	input    *feature.Input
	pictures pictures
	next     int
}

func newPreparing(b *bundle.Dir, list pictures) (*preparing, error) {
	in, err := feature.NewInput(b.Extractor)
	return &preparing{input: in, pictures: list}, err
}

func (p *preparing) step() error {
	p.next = (p.next + 1) % len(p.pictures)
	return p.input.Fill(p.pictures[p.next])
}

func (p *preparing) Close() error { return p.input.Close() }

// running is the bare Run of a model on tensors that stay.
type running struct {
	session *ort.Session
	tensors []ort.Tensor
	bind    *ort.Binding
}

// tensor is a model's input or output.
type tensor struct {
	name  string
	shape []int
	data  []float32 // nil for one that is made
}

// newExtracting opens the extractor, to run on a picture that has been preprocessed.
func newExtracting(b *bundle.Dir, picture gocv.Mat, opts ort.Options) (_ *running, err error) {
	in, err := feature.NewInput(b.Extractor)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := in.Fill(picture); err != nil {
		return nil, err
	}
	e := b.Extractor
	return newRunning(b, e.Name, opts, []tensor{{e.Input.Name, in.Shape(), in.Data()}}, []tensor{{name: e.Output, shape: []int{1, e.Dim}}})
}

// newSegmenting opens a causal segmenter, to run on a frame's features.
func newSegmenting(b *bundle.Dir, features []float32, opts ort.Options) (*running, error) {
	s := b.Segmenter
	if s.Window != nil {
		return nil, fmt.Errorf("bundle %s runs in windows: it can't be timed frame by frame; give one whose segmenter is causal", b.Release)
	}
	in := []tensor{{s.Input, []int{1, 1, b.Extractor.Dim}, features}}
	var out []tensor
	for _, h := range s.Heads {
		out = append(out, tensor{name: h.Output, shape: []int{1, 1, len(b.Labels)}})
	}
	for _, x := range s.States {
		in = append(in, tensor{name: x.Input, shape: []int{1, x.Taps, x.Channels}})
		out = append(out, tensor{name: x.Output, shape: []int{1, 1, x.Channels}})
	}
	return newRunning(b, s.Name, opts, in, out)
}

func newRunning(b *bundle.Dir, file string, opts ort.Options, in, out []tensor) (_ *running, err error) {
	model, err := os.ReadFile(filepath.Join(b.Path, file))
	if err != nil {
		return nil, err
	}
	r := &running{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s of %s: %w", file, b.Release, err), r.Close())
		}
	}()
	if r.session, err = ort.Open(model, opts); err != nil {
		return nil, err
	}
	ins, err := r.make(r.session.Inputs(), in)
	if err != nil {
		return nil, err
	}
	outs, err := r.make(r.session.Outputs(), out)
	if err != nil {
		return nil, err
	}
	r.bind, err = r.session.Bind(ins, outs)
	return r, err
}

// make makes the tensors of a model in its order.
func (r *running) make(order []ort.Info, have []tensor) ([]ort.Tensor, error) {
	list := make([]ort.Tensor, 0, len(order))
	for _, want := range order {
		for _, t := range have {
			if t.name != want.Name {
				continue
			}
			if len(want.Shape) == 1 && len(t.shape) == 2 { // features may come without a batch
				t.shape = t.shape[1:]
			}
			if t.data == nil {
				n := 1
				for _, d := range t.shape {
					n *= d
				}
				t.data = make([]float32, n)
			}
			made, err := ort.NewTensor(t.shape, t.data)
			if err != nil {
				return nil, err
			}
			r.tensors, list = append(r.tensors, made), append(list, made)
		}
	}
	if len(list) != len(order) {
		return nil, fmt.Errorf("the model has %v, the manifest names other ones", order)
	}
	return list, nil
}

func (r *running) step() error { return r.bind.Run() }

func (r *running) Close() error {
	var errs []error
	if r.bind != nil {
		errs = append(errs, r.bind.Close())
	}
	for _, t := range r.tensors {
		errs = append(errs, t.Close())
	}
	if r.session != nil {
		errs = append(errs, r.session.Close())
	}
	return errors.Join(errs...)
}

// both does one work after the other: a frame's models.
type both struct{ first, second work }

func (b both) step() error {
	if err := b.first.step(); err != nil {
		return err
	}
	return b.second.step()
}

func (b both) Close() error { return errors.Join(b.first.Close(), b.second.Close()) }
