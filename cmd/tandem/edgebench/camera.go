package edgebench

import (
	"context"
	"sync"
	"time"
)

// camera paces a recording like a camera whose pictures still have to be decoded: a frame is handed over as long after its stamp
// as decoding it took. A recording is decoded ahead of its pace, which would leave that time out of the latency. It is a
// capture.Clock of one capture, and remembers when each frame was captured.
type camera struct {
	timer *time.Timer
	start time.Time // with the monotonic clock, by which the rest goes

	mu       sync.Mutex
	returned time.Time  // from the last wait: decoding the next frame begins then
	handed   [256]shown // ring
	n        int
	decoding []time.Duration
}

// shown is a frame that was handed over.
type shown struct{ captured, handed time.Time }

func newCamera() *camera {
	return &camera{start: time.Now(), decoding: make([]time.Duration, 0, mostSteps)}
}

// Now implements capture.Clock.
func (c *camera) Now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// WaitUntil implements capture.Clock.
func (c *camera) WaitUntil(ctx context.Context, t int64) error {
	c.mu.Lock()
	var took time.Duration
	if !c.returned.IsZero() {
		took = time.Since(c.returned)
	}
	c.mu.Unlock()
	captured := c.start.Add(time.Duration(t - c.start.UnixNano()))
	if wait := time.Until(captured) + took; wait > 0 {
		if c.timer == nil {
			c.timer = time.NewTimer(wait)
		} else {
			c.timer.Reset(wait)
		}
		select {
		case <-c.timer.C:
		case <-ctx.Done():
			c.timer.Stop()
			return ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = time.Now()
	c.handed[c.n%len(c.handed)] = shown{captured, c.returned}
	c.n++
	if len(c.decoding) < cap(c.decoding) && took > 0 {
		c.decoding = append(c.decoding, took)
	}
	return nil
}

// capturedBefore returns when the newest frame that had been handed over at a time was captured.
func (c *camera) capturedBefore(at time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := c.n - 1; i >= max(0, c.n-len(c.handed)); i-- {
		if s := c.handed[i%len(c.handed)]; !s.handed.After(at) {
			return s.captured, true
		}
	}
	return time.Time{}, false
}
