package capture

import (
	"context"
	"time"
)

// Clock is what Capture knows of time: nanoseconds of site time since the Unix epoch.
type Clock interface {
	// Now returns the present time. It should not go back: frames whose stamps do are dropped.
	Now() int64
	// WaitUntil returns at time t, at once where t has passed, or with ctx's error. Capture calls it from one goroutine
	// at a time.
	WaitUntil(ctx context.Context, t int64) error
}

// Stamper finds out when frames were captured from when they arrived. Capture calls it from one goroutine at a time.
type Stamper interface {
	// Stamp returns when the frame was captured that arrived at the given instant, and the half-width of the interval
	// around it that holds the capture, in nanoseconds. The first must not go back.
	Stamp(arrival int64) (capture, bound int64)
	// Restart says that the source was connected to anew: what follows may be of another rhythm.
	Restart()
}

// hostClock is the host's clock as it stood at the beginning, carried on by the monotonic clock: a step of the wall
// clock in the middle of a take doesn't tear the take.
type hostClock struct {
	start time.Time
	timer *time.Timer // reused, so that pacing allocates nothing for a frame
}

func newHostClock() *hostClock { return &hostClock{start: time.Now()} }

func (c *hostClock) Now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

func (c *hostClock) WaitUntil(ctx context.Context, t int64) error {
	left := time.Duration(t - c.Now())
	if left <= 0 {
		return ctx.Err()
	}
	if c.timer == nil {
		c.timer = time.NewTimer(left)
	} else {
		c.timer.Reset(left)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-ctx.Done():
		c.timer.Stop()
		return ctx.Err()
	}
}
