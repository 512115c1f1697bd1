package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"tandem/stream/frame"
)

// loop is the one goroutine that reads a source. Before run, newLoop uses it to open the source.
type loop struct {
	c   *Capture
	log *slog.Logger

	in    input
	sift  *sifted // in, where pictures are made only on demand; else nil
	tries backoff
	first *frame.Frame // read while opening, not handed over yet

	index int64 // of the next frame, over all passes and connections
	pos   int64 // of the next frame in this pass

	width, height int // of the last frame
	paced         bool
	due           int64 // added to Time gives when a frame is handed over
}

// connect opens the source, trying again where Reconnect.AtOpen asks for it.
func (l *loop) connect(ctx context.Context) error {
	l.tries = backoff{rule: l.c.cfg.Reconnect}
	for {
		err := l.openInput(ctx)
		if err == nil || !l.c.info.Live || !l.c.cfg.Reconnect.AtOpen {
			return err
		}
		if err := l.waitAfter(ctx, err); err != nil {
			return err
		}
	}
}

// reconnect opens a live source that ended again.
func (l *loop) reconnect(ctx context.Context) error {
	l.c.n.disconnects.Add(1)
	l.warn("the source ended or went silent")
	l.closeInput()
	err := errors.New("it ended")
	for {
		if err := l.waitAfter(ctx, err); err != nil {
			return err
		}
		if err = l.openInput(ctx); err == nil {
			l.c.n.reconnected.Add(1)
			l.c.stamps.next()
			l.log.Info("capture: connected again")
			return nil
		}
	}
}

// waitAfter waits as long as the back-off says after a failed attempt; the error wraps ErrLost when none is left.
func (l *loop) waitAfter(ctx context.Context, failure error) error {
	wait, ok := l.tries.next()
	if !ok {
		return fmt.Errorf("%w after %d attempts: %w", ErrLost, l.tries.failed, failure)
	}
	l.log.Info("capture: trying again", "in", wait, "after", failure)
	return pause(ctx, wait)
}

func (l *loop) openInput(ctx context.Context) error {
	in, err := l.c.open(ctx, l.c.target, l.c.cfg)
	if err == nil && ctx.Err() != nil {
		_ = in.Close() // never read
		err = ctx.Err()
	}
	if err != nil {
		l.c.n.connectFailures.Add(1)
		return err
	}
	l.in, l.pos, l.sift = in, 0, newSifted(in, l.c.cfg, l.c.target.kind)
	return l.describe()
}

// describe brings Info up to date with a source just opened, and checks the sidecar against it.
func (l *loop) describe() error {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	l.in.describe(&c.info)
	if c.stamps.fps = c.info.FPS; c.stamps.fps == 0 {
		c.stamps.fps = c.cfg.FPS
	}
	if c.stamps.rows != nil {
		c.info.Stamps, c.info.StampsFile = frame.Sidecar, c.stamps.sidecar
		rows := int64(len(c.stamps.rows))
		if exactCount(l.in) && c.info.Frames >= 0 && rows != c.info.Frames {
			l.closeInput()
			return misfit(c.stamps.sidecar, rows, c.info.Frames)
		}
	}
	return nil
}

func misfit(sidecar string, rows, frames int64) error {
	return fmt.Errorf("%w: %s:%d: %d rows for %d frames; want one row for each frame", ErrStamps, sidecar, min(rows, frames)+2, rows, frames)
}

// exactCount reports whether Info.Frames is a count for this input.
func exactCount(in input) bool {
	switch in := in.(type) {
	case *pictures:
		return true
	case *video:
		return in.box.exact
	}
	return false
}

// readFirst decodes the first frame, so that Open can say what is wrong.
func (l *loop) readFirst() error {
	f, err := l.read()
	switch {
	case errors.Is(err, io.EOF) && l.c.info.Live:
		return fmt.Errorf("%w within the read timeout", ErrNoFrames)
	case errors.Is(err, io.EOF):
		return l.noFrames()
	case err != nil:
		return err
	}
	l.first = f
	l.c.mu.Lock()
	l.c.info.Width, l.c.info.Height = f.Width, f.Height
	l.c.mu.Unlock()
	return nil
}

func (l *loop) noFrames() error {
	if bad := l.c.n.decode.Load(); bad > 0 {
		return fmt.Errorf("%w: none of %d pictures could be decoded; the last: %s", ErrNoFrames, bad, l.c.Stats().Warning)
	}
	if v, ok := l.in.(*video); ok && v.box.truncated {
		return fmt.Errorf("%w: the file is cut off before its first picture; copy it again", ErrNoFrames)
	}
	if n := l.c.info.Frames; n > 0 {
		return fmt.Errorf("%w: none of %d could be decoded; the file is damaged, copy it again", ErrNoFrames, n)
	}
	return fmt.Errorf("%w: the file holds no picture; record it again", ErrNoFrames)
}

// run reads until the end and closes the ring with the reason.
func (l *loop) run(ctx context.Context) {
	defer close(l.c.done)
	err := l.produce(ctx)
	if err != nil {
		err = fmt.Errorf("capture %s: %w", l.c.target.name, err)
	}
	l.c.ring.Close(err)
	l.closeInput()
	l.giveBack(l.first)
}

// produce hands frames over until the source ends (nil), the capture is closed, or something can't be mended.
func (l *loop) produce(ctx context.Context) error {
	for {
		f := l.first
		l.first = nil
		if f == nil {
			var err error
			f, err = l.read()
			switch {
			case errors.Is(err, io.EOF):
				if again, err := l.ended(ctx); !again {
					return err
				}
				continue
			case err != nil:
				return err
			}
		}
		if err := l.hand(ctx, f); err != nil {
			l.giveBack(f)
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// read returns the next frame that could be decoded and stamped.
func (l *loop) read() (*frame.Frame, error) {
	c := l.c
	f, ok := c.pool.Get()
	if !ok {
		return nil, errors.New("no free frame") // can't be: see the pool's size
	}
	for {
		if c.isClosed() {
			l.giveBack(f)
			return nil, ErrClosed
		}
		raw, err := l.next(f)
		if errors.Is(err, errDecode) {
			l.damaged(1, err.Error())
			continue
		}
		if raw.lost > 0 {
			l.damaged(raw.lost, "frames are damaged")
		}
		if err == nil {
			c.n.read.Add(1)
			f.Index = l.index
			l.index++
			l.pos++
			err = c.stamps.place(f, l.pos-1, raw, c.cfg.Clock.Now())
		}
		if errors.Is(err, errBack) {
			c.n.back.Add(1)
			continue
		}
		if err == nil {
			err = l.picture(f)
		}
		if errors.Is(err, errDecode) {
			c.n.read.Add(-1)
			c.n.decode.Add(1)
			l.warn(err.Error())
			continue
		}
		if err != nil {
			l.giveBack(f)
			return nil, err
		}
		l.tries.reset()
		l.measure(f)
		return f, nil
	}
}

// next goes on to the next frame. Its picture is in f already, unless the loop sifts.
func (l *loop) next(f *frame.Frame) (rawStamp, error) {
	if f.Bare = l.sift != nil; f.Bare {
		return l.sift.grab()
	}
	return l.in.read(&f.Mat)
}

// picture makes the picture of a frame that has its stamps, if it is wanted.
func (l *loop) picture(f *frame.Frame) error {
	if l.sift == nil || !l.c.cfg.Wants(f.Time) {
		return nil
	}
	f.Bare = false
	return l.sift.picture(&f.Mat)
}

// damaged counts n frames that could not be decoded. They keep their places in the source.
func (l *loop) damaged(n int64, what string) {
	l.c.n.decode.Add(n)
	l.pos += n
	l.index += n
	l.warn(what)
}

// measure fills the frame's size in and notices a change of it.
func (l *loop) measure(f *frame.Frame) {
	if f.Bare {
		f.Width, f.Height = l.width, l.height
		return
	}
	f.Width, f.Height = f.Mat.Cols(), f.Mat.Rows()
	if f.Width == l.width && f.Height == l.height {
		return
	}
	if l.width != 0 {
		l.c.n.sizes.Add(1)
		l.log.Warn("capture: the frame size changed", "from", fmt.Sprintf("%dx%d", l.width, l.height), "to", fmt.Sprintf("%dx%d", f.Width, f.Height))
	}
	l.width, l.height = f.Width, f.Height
	l.c.mu.Lock()
	l.c.info.Width, l.c.info.Height = f.Width, f.Height
	l.c.mu.Unlock()
}

// hand paces a frame and pushes it.
func (l *loop) hand(ctx context.Context, f *frame.Frame) error {
	if l.c.cfg.Pace == ByStamps {
		if !l.paced {
			l.paced, l.due = true, l.c.cfg.Clock.Now()-f.Time
		}
		if err := l.c.cfg.Clock.WaitUntil(ctx, f.Time+l.due); err != nil {
			return err
		}
		f.Arrival = l.c.cfg.Clock.Now()
	}
	evicted, err := l.c.ring.Push(ctx, f)
	if err != nil {
		return err
	}
	l.giveBack(evicted)
	return nil
}

// ended decides what follows the end of a recording or of a live connection: again is true when there is more to read.
func (l *loop) ended(ctx context.Context) (again bool, err error) {
	if l.c.info.Live {
		err = l.reconnect(ctx)
		return err == nil, err
	}
	if err := l.account(); err != nil {
		return false, err
	}
	if !l.c.cfg.Loop {
		return false, nil
	}
	l.closeInput()
	if err := l.openInput(ctx); err != nil {
		return false, fmt.Errorf("start again: %w", err)
	}
	l.c.stamps.next()
	return true, nil
}

// account compares what was read of a recording with what it promised.
func (l *loop) account() error {
	c := l.c
	c.n.passes.Add(1)
	missing, cut := int64(0), false
	switch in := l.in.(type) {
	case *pictures:
		missing = in.gaps
	case *video:
		missing = max(0, c.info.Frames-l.pos)
		if !in.box.exact && missing <= 2+c.info.Frames/20 {
			missing = 0 // within what an estimate is off by
		}
		cut = in.box.truncated || missing > 0 && !in.box.exact
		switch {
		case cut:
			l.warn(fmt.Sprintf("the file broke off after %d of %d frames; copy it again if there is a whole one", l.pos, l.pos+missing))
		case missing > 0:
			l.warn(fmt.Sprintf("%d of %d frames did not come: damaged, or cut away by an edit list", missing, l.pos+missing))
		}
	}
	c.n.missing.Add(missing)
	if cut {
		c.n.truncated.Add(1)
	}
	rows := int64(len(c.stamps.rows))
	switch {
	case cut || rows <= l.pos: // of a file that is cut off, the rows up to there are right
		return nil
	case missing > 0:
		return fmt.Errorf("%w: %s: %d of %d frames did not come, and from the first of them on, rows and frames don't belong together; copy the recording again",
			ErrStamps, c.stamps.sidecar, rows-l.pos, rows)
	default:
		return misfit(c.stamps.sidecar, rows, l.pos)
	}
}

// warn logs what went wrong and keeps it for Stats.
func (l *loop) warn(what string) {
	l.c.n.warning.Store(&what)
	l.log.Warn("capture: " + what)
}

func (l *loop) closeInput() {
	if l.in == nil {
		return
	}
	if err := l.in.Close(); err != nil {
		l.warn("close: " + err.Error())
	}
	l.in = nil
}

func (l *loop) giveBack(f *frame.Frame) {
	if err := l.c.pool.Put(f); err != nil {
		l.log.Error("capture: a frame was given back twice", "err", err)
	}
}

// discard closes what newLoop opened, for a capture that never runs.
func (l *loop) discard() {
	l.closeInput()
	if l.c.pool == nil {
		return
	}
	l.giveBack(l.first)
	l.first = nil
	if err := l.c.pool.Close(); err != nil {
		l.log.Error("capture: a frame was lost while opening", "err", err)
	}
}

func (c *Capture) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
