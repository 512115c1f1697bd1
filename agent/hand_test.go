package agent

import (
	"context"

	"tandem/stream/frame"
)

// hands are a pipeline's stages called one after another: what its goroutines must give the same as.
type hands struct {
	*pipeline
	lost losses
	shot shot
	tray tray
}

func (h *hands) begin(src *Source, live bool) {
	h.shot.op, h.shot.src, h.shot.lost = opBegin, src, h.take()
	h.shot.from = h.reset(src, live)
	_ = h.judge(&h.shot)
	_ = h.hand(context.Background(), &h.shot)
}

func (h *hands) take() losses {
	l := h.lost
	h.lost = losses{}
	return l
}

// frame takes one frame of the camera and its place on site time.
func (h *hands) frame(ctx context.Context, src *Source, f *frame.Frame, at placement) error {
	seq, ok := h.sample(f, &h.lost)
	if !ok {
		return nil
	}
	s := &h.shot
	if o := h.claim(); o != nil {
		s.op, s.src, s.lost, s.seq, s.at, s.offer = opChange, src, h.take(), seq, at, o
		if err := h.judge(s); err != nil {
			o.done <- err
		}
		if err := h.hand(ctx, s); err != nil {
			return err
		}
	}
	h.count.add("frames", 1)
	s.op, s.src, s.lost, s.seq, s.at, s.raw, s.kind = opSample, src, h.take(), seq, at, f.Raw, f.RawKind
	s.tray = &h.tray
	s.prepare(f, h.model.Extractor)
	s.extract()
	_ = h.judge(s)
	return h.hand(ctx, s)
}

// end closes the take.
func (h *hands) end(ctx context.Context, src *Source) error {
	h.shot.op, h.shot.src, h.shot.lost = opEnd, src, h.take()
	_ = h.judge(&h.shot)
	return h.hand(ctx, &h.shot)
}

func (h *hands) split(ctx context.Context, src *Source, n int) (*Source, error) {
	err := h.end(ctx, src)
	next := h.part(src, n)
	h.begin(next, true)
	return next, err
}

func (h *hands) close() error {
	if err := h.tray.drop(); err != nil {
		return err
	}
	return h.pipeline.close()
}
