package capture

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff draws the waits between attempts to connect; see Reconnect for the rule.
type backoff struct {
	rule   Reconnect
	failed int // attempts in a row
}

// next returns the wait before the next attempt; ok is false when no attempt is left.
func (b *backoff) next() (wait time.Duration, ok bool) {
	if b.rule.Attempts < 0 || b.rule.Attempts > 0 && b.failed >= b.rule.Attempts {
		return 0, false
	}
	wait = b.rule.Max
	if doubled := b.rule.Min << min(b.failed, 62); doubled>>min(b.failed, 62) == b.rule.Min {
		wait = min(doubled, b.rule.Max)
	}
	b.failed++
	return wait/2 + rand.N(wait/2+1), true
}

func (b *backoff) reset() { b.failed = 0 }

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
