package agent

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// healthy is how long in a row the models of a release may fail on every sample before another release has to take over.
const healthy = 2 * time.Second

// health is how the models that run are doing. They are told of by one goroutine, and asked after by others.
type health struct {
	sick chan struct{} // capacity 1: they have failed for too long
	ill  atomic.Bool   // faster than the lock, for each sample

	mu    sync.Mutex
	most  uint64 // failures in a row
	part  string // that fails
	err   error
	times uint64 // in a row

	proved *running // the release before this one, if it had segmented a sample
	worked bool     // this one has segmented a sample
}

// starts says that a release begins to run, and which one did before, if any.
func (h *health) starts(before *running, rate float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.worked && before != nil {
		h.proved = before
	}
	h.worked, h.most = false, max(5, uint64(rate*healthy.Seconds()))
	h.part, h.err, h.times = "", nil, 0
	h.ill.Store(true) // asks for the first sample
	select {
	case <-h.sick: // is not this one's
	default:
	}
}

// well says that a sample was segmented.
func (h *health) well() {
	if !h.ill.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.part, h.err, h.times, h.worked = "", nil, 0, true
	h.ill.Store(false)
}

// failed says that a part failed on a sample.
func (h *health) failed(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.part, h.err = part, err
	h.ill.Store(true)
	if h.times++; h.times == h.most || h.proved != nil && h.times%h.most == 0 {
		select {
		case h.sick <- struct{}{}:
		default:
		}
	}
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

// last returns the release that ran before and did its work, nil if there is none, and why the present one doesn't; "" once it does.
func (h *health) last() (proved *running, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.times < h.most {
		return nil, ""
	}
	return h.proved, fmt.Sprintf("its %s fails, %d samples in a row are lost: %v", h.part, h.times, h.err)
}
