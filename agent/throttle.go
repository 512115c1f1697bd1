package agent

import (
	"log/slog"
	"time"
)

// throttle logs what may happen with every frame at most once a second, with how often it happened. It is used by one
// goroutine.
type throttle struct {
	log  *slog.Logger
	last time.Time
	n    uint64 // since last
}

// log1 notes one more occurrence.
func (t *throttle) log1(what, take string, err error) {
	t.n++
	now := time.Now()
	if now.Sub(t.last) < time.Second {
		return
	}
	t.log.Error(what, "take", take, "times", t.n, "error", err)
	t.last, t.n = now, 0
}
