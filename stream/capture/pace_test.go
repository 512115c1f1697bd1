package capture

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceByStamps(t *testing.T) {
	ticks := []uint32{9000, 18_000, 90_000, 9000, 9000} // due at 0, 100, 300, 1300, 1400 ms
	path := movie{width: 64, height: 48, ticks: ticks}.write(t, filepath.Join(t.TempDir(), "a.mp4"))
	due := []time.Duration{0, 100, 300, 1300, 1400}

	t.Run("each frame when it is due", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c := mustOpen(t, Config{Source: path, Pace: ByStamps})
			for i, want := range due {
				f, err := c.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); (got-want*time.Millisecond).Abs() > time.Microsecond || f.Arrival != time.Now().UnixNano() || abs(f.Time-f.Arrival) > 1000 {
					t.Fatalf("frame %d came after %v, want %vms; %+v", i, got, int(want), f)
				}
				c.Release(f)
			}
		})
	})
	t.Run("a late consumer catches up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := mustOpen(t, Config{Source: path, Pace: ByStamps, Ring: 1})
			<-time.After(350 * time.Millisecond)
			start := time.Now()
			for i := range due {
				f, err := c.Next(t.Context())
				if err != nil || f.Index != int64(i) {
					t.Fatalf("frame %d: %+v, %v", i, f, err)
				}
				want := max(0, due[i]*time.Millisecond-350*time.Millisecond)
				if got := time.Since(start); (got - want).Abs() > time.Microsecond {
					t.Fatalf("frame %d after %v, want %v", i, got, want)
				}
				c.Release(f)
			}
		})
	})
	t.Run("like a camera", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := mustOpen(t, Config{Source: path, Pace: ByStamps, Ring: 1, Overflow: DropOldest})
			<-time.After(1350 * time.Millisecond)
			f, err := c.Next(t.Context())
			if err != nil || f.Index != 3 || c.Stats().DroppedOverflow != 3 {
				t.Fatalf("%+v, %v, %+v", f, err, c.Stats())
			}
			c.Release(f)
		})
	})
	t.Run("on the clock it is given", func(t *testing.T) {
		clock := &stepClock{now: epoch, waits: make(chan int64), steps: make(chan struct{})}
		c := mustOpen(t, Config{Source: path, Pace: ByStamps, Clock: clock})
		for i, want := range due {
			if got := <-clock.waits; abs(got-epoch-int64(want)*1e6) > 1000 {
				t.Fatalf("frame %d waits until +%d ns, want +%d ms", i, got-epoch, want)
			}
			clock.steps <- struct{}{}
			f, err := c.Next(t.Context())
			if err != nil || abs(f.Arrival-epoch-int64(want)*1e6) > 1000 {
				t.Fatalf("frame %d: %+v, %v", i, f, err)
			}
			c.Release(f)
		}
	})
	t.Run("Close ends a wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			long := movie{width: 64, height: 48, ticks: []uint32{3600 * ticksPerSecond, 9000}}.write(t, filepath.Join(t.TempDir(), "a.mp4"))
			c := mustOpen(t, Config{Source: long, Pace: ByStamps})
			synctest.Wait()
			start := time.Now()
			if err := c.Close(); err != nil || time.Since(start) != 0 {
				t.Fatalf("Close took %v: %v", time.Since(start), err)
			}
		})
	})
}

// stepClock stands still until a test lets a wait through.
type stepClock struct {
	now   int64
	waits chan int64
	steps chan struct{}
}

func (c *stepClock) Now() int64 { return c.now }

func (c *stepClock) WaitUntil(ctx context.Context, t int64) error {
	select {
	case c.waits <- t:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.steps
	c.now = t
	return nil
}

func TestHostClockGoesOnFromWhereItStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHostClock()
		start := c.Now()
		if start != time.Now().UnixNano() {
			t.Fatalf("starts at %d", start)
		}
		for range 3 { // the timer is used again
			if err := c.WaitUntil(t.Context(), c.Now()+int64(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Now() - start; got != int64(3*time.Hour) {
			t.Fatalf("after three hours: %d", got)
		}
		if err := c.WaitUntil(t.Context(), start); err != nil {
			t.Fatalf("a time that has passed: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.WaitUntil(ctx, c.Now()+int64(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a wait cut short: %v", err)
		}
		if err := c.WaitUntil(t.Context(), c.Now()+int64(time.Second)); err != nil {
			t.Fatalf("the wait after that: %v", err)
		}
	})
}
