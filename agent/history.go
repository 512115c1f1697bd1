package agent

import "sync"

// history keeps the features of a take's newest samples, so that a release that takes over in the middle can be warmed
// up. The pipeline adds; the updater takes snapshots from another goroutine.
type history struct {
	mu    sync.Mutex
	dim   int
	rows  []float32 // a circular buffer of cap rows
	cap   int
	total int // rows added since the last clear
	epoch int // counts clears: rows of different epochs don't belong together
}

// reset empties the history and sets its size; extractors of another dimension start anew.
func (h *history) reset(dim, rows int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if dim != h.dim || rows != h.cap {
		h.dim, h.cap, h.rows = dim, rows, make([]float32, dim*rows)
	}
	h.total = 0
	h.epoch++
}

func (h *history) add(row []float32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cap > 0 {
		at := h.total % h.cap * h.dim
		copy(h.rows[at:at+h.dim], row)
	}
	h.total++
}

// mark is how far a snapshot reached.
type mark struct{ epoch, total int }

// since returns a copy of the rows that were added after m and are still kept, oldest first, and where they end. The zero
// mark, or one of another take, gets all.
func (h *history) since(m mark) ([]float32, mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := 0
	if m.epoch == h.epoch {
		from = m.total
	}
	from = max(from, h.total-h.cap)
	out := make([]float32, 0, (h.total-from)*h.dim)
	for i := from; i < h.total; i++ {
		at := i % h.cap * h.dim
		out = append(out, h.rows[at:at+h.dim]...)
	}
	return out, mark{h.epoch, h.total}
}
