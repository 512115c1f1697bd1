// Package capture reads frames from video files, pictures, RTSP and other URLs, V4L2 cameras and GStreamer pipelines,
// through one loop: decode, stamp, pace, and hand over through a bounded ring. Recordings lose nothing, live sources
// keep the newest frames and come back by themselves; whatever is dropped is counted by reason.
//
//	c, err := capture.Open(ctx, capture.Config{Source: "exo1.mp4"})
//	...
//	defer c.Close()
//	for {
//		f, err := c.Next(ctx)
//		if errors.Is(err, io.EOF) {
//			break
//		}
//		...
//		c.Release(f)
//	}
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"tandem/stream/frame"
)

var (
	// ErrClosed is returned by Next after Close.
	ErrClosed = errors.New("capture is closed")
	// ErrHeld is returned by Next while the consumer holds as many frames as Config.Hold allows.
	ErrHeld = errors.New("too many frames held")
	// ErrLost is returned by Next when a live source is gone and every attempt that Config.Reconnect allows has failed.
	ErrLost = errors.New("source is lost")
)

// Capture is an opened source. Open starts its goroutine; Close ends it and waits for it.
type Capture struct {
	cfg    Config
	target target
	open   opener
	pool   *frame.Pool
	ring   *frame.Ring
	stamps timeline

	mu   sync.Mutex
	info Info

	n      counters
	stop   context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
	closed chan struct{} // closed by the first Close
	once   sync.Once
}

// Open opens a source and starts to read it. Of a recording, the first frame is decoded before Open returns, so that a
// file that is missing, damaged or empty is an error here: it wraps fs.ErrNotExist, fs.ErrPermission, ErrNotVideo,
// ErrNoFrames or ErrStamps and says what to do. Of a live source, Open makes the connection.
//
// ctx bounds the opening only; OpenCV can't be interrupted while it connects, but is bounded by OpenTimeout. The caller
// closes the Capture.
func Open(ctx context.Context, cfg Config) (*Capture, error) { return openWith(ctx, cfg, openInput) }

func openWith(ctx context.Context, cfg Config, open opener) (*Capture, error) {
	l, err := newLoop(ctx, cfg, open)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.c.stop = stop
	go l.run(run)
	return l.c, nil
}

// Probe opens the source, decodes its first frame and closes it again. Its errors are those of Open.
func Probe(ctx context.Context, cfg Config) (Info, error) {
	l, err := newLoop(ctx, cfg, openInput)
	if err != nil {
		return Info{}, err
	}
	if l.c.info.Live {
		err = l.readFirst()
	}
	l.discard()
	return l.c.Info(), err
}

// Next returns the next frame, waiting for one; the caller gives it back by Release. At the end of a recording the
// error is io.EOF. Other errors: ctx's, ErrHeld, ErrClosed, ErrLost, ErrStamps where the sidecar doesn't fit the frames.
func (c *Capture) Next(ctx context.Context) (*frame.Frame, error) {
	if c.isClosed() {
		return nil, ErrClosed
	}
	if held := c.n.held.Add(1); held > int64(c.cfg.Hold) {
		c.n.held.Add(-1)
		return nil, fmt.Errorf("capture %s: %w: %d are out; release one, or raise Hold", c.target.name, ErrHeld, held-1)
	}
	f, err := c.ring.Pop(ctx)
	if err != nil {
		c.n.held.Add(-1)
		return nil, err
	}
	c.n.delivered.Add(1)
	return f, nil
}

// Release gives a frame back that Next returned; nil is ignored. The frame must not be used after that. It may be
// called after Close.
func (c *Capture) Release(f *frame.Frame) {
	if f == nil {
		return
	}
	if err := c.pool.Put(f); err != nil {
		c.cfg.Log.Error("capture: a frame was released that is not out", "source", c.target.name, "err", err)
		return
	}
	c.n.held.Add(-1)
}

// Info returns what is known of the source. Of live sources it may change when they come back.
func (c *Capture) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// Stats returns the counts so far.
func (c *Capture) Stats() Stats {
	s := c.n.snapshot()
	s.DroppedOverflow = c.ring.Dropped()
	return s
}

// Close ends the capture, waits until its goroutine is gone, which a live source may delay by ReadTimeout, and frees
// the frames; those that the consumer still holds stay valid until their Release. Closing again does nothing.
func (c *Capture) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.ring.Close(ErrClosed)
		c.stop()
	})
	<-c.done
	for {
		f, ok := c.ring.TryPop()
		if !ok {
			break
		}
		if err := c.pool.Put(f); err != nil {
			return fmt.Errorf("close capture %s: %w", c.target.name, err)
		}
	}
	if err := c.pool.Close(); err != nil && !errors.Is(err, frame.ErrOutstanding) {
		return fmt.Errorf("close capture %s: %w", c.target.name, err)
	}
	return nil
}

// newLoop opens everything that a capture needs and, of a recording, reads the first frame. On error nothing stays open.
func newLoop(ctx context.Context, cfg Config, open opener) (_ *loop, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := parseSource(cfg.Source)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("capture %s: %w", t.name, err)
		}
	}()
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if err := cfg.forKind(t.kind); err != nil {
		return nil, err
	}
	c := &Capture{
		cfg:    cfg,
		target: t,
		open:   open,
		info:   Info{Source: t.name, Kind: t.kind, Live: t.kind.Live()},
		done:   make(chan struct{}),
		closed: make(chan struct{}),
	}
	c.stamps = timeline{live: c.info.Live, start: cfg.Start, latency: int64(cfg.Latency), stamper: cfg.Stamper, hostClocks: hostClocks}
	if err := c.readSidecar(); err != nil {
		return nil, err
	}
	if c.ring, err = frame.NewRing(cfg.Ring, cfg.overflow(c.info.Live)); err != nil {
		return nil, err
	}
	l := &loop{c: c, log: cfg.Log.With("source", t.name)}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	// One more than the ring and the consumer can have between them: the loop always finds one to fill.
	if c.pool, err = frame.NewPool(cfg.Ring+cfg.Hold+1, c.info.Width, c.info.Height, 3); err != nil {
		l.discard()
		return nil, err
	}
	if !c.info.Live {
		if err := l.readFirst(); err != nil {
			l.discard()
			return nil, err
		}
	}
	return l, nil
}

// readSidecar finds and reads the stamps of a recording.
func (c *Capture) readSidecar() error {
	if c.info.Live {
		return nil
	}
	path := c.cfg.StampsFile
	if path != "" && c.cfg.NoStampsFile {
		return errors.New("a stamps file is set, and that none is to be used; want one of both")
	}
	if path == "" {
		path = SidecarPath(c.target.arg)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || c.cfg.NoStampsFile {
			if c.target.kind == KindPictures && c.cfg.FPS == 0 {
				return errNoFPS
			}
			return nil
		}
	}
	rows, err := ReadStamps(path)
	if err != nil {
		return err
	}
	c.stamps.rows, c.stamps.sidecar = rows, path
	return nil
}

var _ io.Closer = (*Capture)(nil)
