package frame

import (
	"errors"
	"fmt"
	"sync"

	"gocv.io/x/gocv"
)

var (
	// ErrOutstanding is returned by Pool.Close while frames are still handed out.
	ErrOutstanding = errors.New("frames were not given back")
	// ErrNotOut is returned by Pool.Put for a frame that the pool did not hand out, or that came back already.
	ErrNotOut = errors.New("frame is not out of this pool")
)

// Pool owns a fixed number of frames and their pixels. All frames exist from the start; Get and Put only move
// pointers. The frame that came back last goes out first, so a reader that keeps up touches few pictures' memory.
// Safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	free   []*Frame
	size   int
	closed bool
}

// NewPool returns a pool of n ≥ 1 frames. Where width and height are positive, the pixels (8 bits, one or three
// channels) are allocated here; otherwise each frame's first picture does it, and a picture of another size does it
// again. The caller closes the pool.
func NewPool(n, width, height, channels int) (*Pool, error) {
	if n < 1 {
		return nil, fmt.Errorf("frame pool of %d frames: want at least 1", n)
	}
	if channels != 1 && channels != 3 {
		return nil, fmt.Errorf("frame pool with %d channels: want 1 (grey) or 3 (BGR)", channels)
	}
	p := &Pool{free: make([]*Frame, 0, n), size: n}
	for range n {
		p.free = append(p.free, &Frame{Mat: newMat(width, height, channels), pool: p})
	}
	return p, nil
}

func newMat(width, height, channels int) gocv.Mat {
	if width <= 0 || height <= 0 {
		return gocv.NewMat()
	}
	if channels == 1 {
		return gocv.NewMatWithSize(height, width, gocv.MatTypeCV8UC1)
	}
	return gocv.NewMatWithSize(height, width, gocv.MatTypeCV8UC3)
}

// Get hands out a frame; ok is false when all are out or the pool is closed. The picture and the stamps in it are
// those of its last use.
func (p *Pool) Get() (f *Frame, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.free) == 0 {
		return nil, false
	}
	f = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	f.out = true
	return f, true
}

// Put takes a frame back. A nil frame is ignored. A frame that is not out of this pool is refused with ErrNotOut.
// After Close, Put frees the frame's pixels.
func (p *Pool) Put(f *Frame) error {
	if f == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.pool != p || !f.out {
		return ErrNotOut
	}
	f.out = false
	p.free = append(p.free, f)
	if p.closed {
		return f.Mat.Close()
	}
	return nil
}

// Outstanding returns how many frames are handed out now.
func (p *Pool) Outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size - len(p.free)
}

// Len returns how many frames the pool owns.
func (p *Pool) Len() int { return p.size }

// Close frees the pixels of every frame that is in the pool; frames still out stay valid and are freed by their Put.
// Where some are out, the error wraps ErrOutstanding and says how many. Closing again is harmless and reports the
// frames that are still out then.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		for _, f := range p.free {
			if err := f.Mat.Close(); err != nil {
				return fmt.Errorf("free a frame's pixels: %w", err)
			}
		}
	}
	if out := p.size - len(p.free); out > 0 {
		return fmt.Errorf("%d of %d %w", out, p.size, ErrOutstanding)
	}
	return nil
}
