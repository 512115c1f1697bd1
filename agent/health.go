package agent

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// health is how the models that run are doing. They are told of by one goroutine, and asked after by others.
type health struct {
	ill atomic.Bool // faster than the lock, for each sample

	mu    sync.Mutex
	part  string // that fails
	err   error
	times uint64 // in a row
}

// well says that a sample was segmented.
func (h *health) well() {
	if h.ill.Load() {
		h.reset()
	}
}

// reset forgets what was.
func (h *health) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.part, h.err, h.times = "", nil, 0
	h.ill.Store(false)
}

// failed says that a part failed on a sample.
func (h *health) failed(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.part, h.err = part, err
	h.times++
	h.ill.Store(true)
}

// trouble tells in one line what fails, "" when nothing does.
func (h *health) trouble() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		return ""
	}
	return fmt.Sprintf("the %s fails, %d samples in a row are lost: %v", h.part, h.times, h.err)
}
