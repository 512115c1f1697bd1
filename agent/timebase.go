package agent

import (
	"context"
	"log/slog"
	"time"

	"tandem/sync/clock"
)

// timebase is the device's own clock, on which a live camera's frames are stamped, and what the site's time is then.
type timebase interface {
	// Now and WaitUntil are capture.Clock: the device's time of day as it stood when the agent began, carried on by its
	// monotonic clock.
	Now() int64
	WaitUntil(ctx context.Context, t int64) error
	// site is the site's time at an instant of Now.
	site(local int64) clock.Reading
	status() clock.Status
	// run asks the sources until ctx ends.
	run(ctx context.Context) error
}

// hostTime is the timebase of a device that asks for the site's time.
type hostTime struct {
	start time.Time
	clock *clock.Clock
}

// newTimebase returns nil where nobody is asked.
func newTimebase(c *Config, log *slog.Logger) (timebase, error) {
	cfg, asked := c.SiteClock()
	if !asked {
		return nil, nil //nolint:nilnil // there is none
	}
	k, err := clock.New(cfg, log)
	if err != nil {
		return nil, err
	}
	return &hostTime{start: time.Now(), clock: k}, nil
}

func (h *hostTime) Now() int64 { return h.start.UnixNano() + int64(time.Since(h.start)) }

func (h *hostTime) WaitUntil(ctx context.Context, t int64) error {
	timer := time.NewTimer(time.Duration(t - h.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hostTime) site(local int64) clock.Reading {
	return h.clock.At(h.start.Add(time.Duration(local - h.start.UnixNano())))
}

func (h *hostTime) status() clock.Status { return h.clock.Status() }

func (h *hostTime) run(ctx context.Context) error { return h.clock.Run(ctx) }
