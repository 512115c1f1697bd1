package quantize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"gocv.io/x/gocv"

	"tandem/learn/quant"
	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/stream/capture"
)

// stream runs an instrumented causal segmenter frame by frame.
type stream struct {
	session  *ort.Session
	bind     *ort.Binding
	tensors  []ort.Tensor
	features []float32
	extra    []float32 // quant.Ranges of the last frame
	states   []state
}

// state is the history of one causal convolution, the newest row last.
type state struct {
	taps, dilation, channels int
	rows, in, out            []float32
}

func openStream(onnx []byte, b *bundle.Dir, extra int, opts ort.Options) (_ *stream, err error) {
	s := &stream{features: make([]float32, b.Extractor.Dim), extra: make([]float32, extra)}
	defer func() {
		if err != nil {
			_ = s.close() // the first error is the one to act on
		}
	}()
	if s.session, err = ort.Open(onnx, opts); err != nil {
		return nil, err
	}
	byName := map[string]ort.Tensor{}
	add := func(name string, data []float32, shape ...int) {
		var t ort.Tensor
		if err == nil {
			if t, err = ort.NewTensor(shape, data); err == nil {
				byName[name] = t
				s.tensors = append(s.tensors, t)
			}
		}
	}
	add(b.Segmenter.Input, s.features, 1, 1, len(s.features))
	add(quant.Ranges, s.extra, extra)
	for _, h := range b.Segmenter.Heads {
		add(h.Output, make([]float32, len(b.Labels)), 1, 1, len(b.Labels))
	}
	for _, st := range b.Segmenter.States {
		x := state{taps: st.Taps, dilation: st.Dilation, channels: st.Channels, rows: make([]float32, st.Taps*st.Dilation*st.Channels),
			in: make([]float32, st.Taps*st.Channels), out: make([]float32, st.Channels)}
		s.states = append(s.states, x)
		add(st.Input, x.in, 1, st.Taps, st.Channels)
		add(st.Output, x.out, 1, 1, st.Channels)
	}
	if err != nil {
		return nil, err
	}
	pick := func(list []ort.Info) []ort.Tensor {
		var out []ort.Tensor
		for _, i := range list {
			out = append(out, byName[i.Name])
		}
		return out
	}
	s.bind, err = s.session.Bind(pick(s.session.Inputs()), pick(s.session.Outputs()))
	return s, err
}

// push runs one frame.
func (s *stream) push(features []float32) error {
	copy(s.features, features)
	for _, x := range s.states {
		for tap := range x.taps {
			copy(x.in[tap*x.channels:(tap+1)*x.channels], x.rows[tap*x.dilation*x.channels:])
		}
	}
	if err := s.bind.Run(); err != nil {
		return err
	}
	for _, x := range s.states {
		copy(x.rows, x.rows[x.channels:])
		copy(x.rows[len(x.rows)-x.channels:], x.out)
	}
	return nil
}

func (s *stream) reset() {
	for _, x := range s.states {
		clear(x.rows)
	}
}

func (s *stream) close() error {
	var errs []error
	if s.bind != nil {
		errs = append(errs, s.bind.Close())
	}
	for _, t := range s.tensors {
		errs = append(errs, t.Close())
	}
	if s.session != nil {
		errs = append(errs, s.session.Close())
	}
	return errors.Join(errs...)
}

type picture = gocv.Mat

// pictureEvery is which of a video's frames are looked at: neighbours show the same.
const pictureEvery = 15

// eachPicture calls fn with some frames of each video.
func eachPicture(ctx context.Context, videos []string, fn func(picture) error) error {
	for _, v := range videos {
		if err := eachFrame(ctx, v, fn); err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
	}
	return nil
}

func eachFrame(ctx context.Context, video string, fn func(picture) error) (err error) {
	c, err := capture.Open(ctx, capture.Config{Source: video, NoStampsFile: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for i := 0; ; i++ {
		f, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if i%pictureEvery == 0 {
			err = fn(f.Mat)
		}
		c.Release(f)
		if err != nil {
			return err
		}
	}
}
