package frame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrClosed is returned by Ring.Push after the ring was closed.
var ErrClosed = errors.New("frame ring is closed")

// Overflow is what a full Ring does with one frame more.
type Overflow uint8

const (
	// Block makes the producer wait: nothing is lost. For recordings.
	Block Overflow = iota
	// DropOldest pushes the oldest frame out: the newest frame wins. For live cameras.
	DropOldest
)

// String returns block or drop-oldest.
func (o Overflow) String() string {
	if o == DropOldest {
		return "drop-oldest"
	}
	return "block"
}

// Ring is a bounded first-in, first-out queue of frames between the goroutine that reads a camera and the one that
// uses its frames. Safe for concurrent use by any number of both.
type Ring struct {
	rule Overflow

	mu      sync.Mutex
	buf     []*Frame
	head, n int
	dropped int64
	err     error // why it was closed; nil while open

	// One token each: a waiter that takes it and leaves more to do puts it back, so no wake-up is lost.
	items, space chan struct{}
	done         chan struct{}
}

// NewRing returns a ring of size ≥ 1 frames.
func NewRing(size int, rule Overflow) (*Ring, error) {
	if size < 1 {
		return nil, fmt.Errorf("frame ring of %d frames: want at least 1", size)
	}
	return &Ring{
		rule:  rule,
		buf:   make([]*Frame, size),
		items: make(chan struct{}, 1),
		space: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}, nil
}

// Push adds f. With Block a full ring makes it wait for room; with DropOldest it never waits, and evicted is the
// frame that had to go (counted by Dropped), for the caller to give back to its pool. Errors: ErrClosed, or ctx's; f
// stays the caller's then.
func (r *Ring) Push(ctx context.Context, f *Frame) (evicted *Frame, err error) {
	for {
		r.mu.Lock()
		if r.err != nil {
			r.mu.Unlock()
			return nil, ErrClosed
		}
		if r.n == len(r.buf) && r.rule == DropOldest {
			evicted = r.take()
			r.dropped++
		}
		if r.n < len(r.buf) {
			r.buf[(r.head+r.n)%len(r.buf)] = f
			r.n++
			room := r.n < len(r.buf)
			r.mu.Unlock()
			signal(r.items)
			if room {
				signal(r.space)
			}
			return evicted, nil
		}
		r.mu.Unlock()
		select {
		case <-r.space:
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Pop takes the oldest frame, waiting for one. Once the ring is closed and empty it returns the error it was closed
// with (io.EOF at an ordinary end). While ctx is done it returns ctx's error, even when a frame is there.
func (r *Ring) Pop(ctx context.Context) (*Frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.mu.Lock()
		if r.n > 0 {
			f := r.take()
			more := r.n > 0
			r.mu.Unlock()
			signal(r.space)
			if more {
				signal(r.items)
			}
			return f, nil
		}
		err := r.err
		r.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-r.items:
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryPop takes the oldest frame if there is one, without waiting, open or closed: it is how a closed ring is emptied.
func (r *Ring) TryPop() (f *Frame, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return nil, false
	}
	f = r.take()
	signal(r.space)
	return f, true
}

// take removes the oldest frame; the caller holds the lock and knows that there is one.
func (r *Ring) take() *Frame {
	f := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return f
}

// Close ends the ring: Push fails from now on, Pop returns what is left and then err (io.EOF where err is nil). The
// first call counts, later ones are ignored.
func (r *Ring) Close(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if err == nil {
		err = io.EOF
	}
	r.err = err
	close(r.done)
}

// Len returns how many frames wait in the ring.
func (r *Ring) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// Cap returns how many frames the ring can hold.
func (r *Ring) Cap() int { return len(r.buf) }

// Dropped returns how many frames the ring has pushed out.
func (r *Ring) Dropped() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
