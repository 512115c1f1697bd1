package agent

import "sync"

// history keeps the features of a take's newest samples, as the segmenter has seen them, so that a release that takes over
// in the middle can be warmed up. The pipeline adds; the updater takes snapshots from another goroutine.
type history struct {
	mu    sync.Mutex
	dim   int
	rows  []float32 // a circular buffer of cap rows
	cap   int
	total int // rows added since the last reset
	first int // rows before this one were never kept
	epoch int // counts resets: rows of different epochs don't belong together
}

// reset empties the history and sets its size.
func (h *history) reset(dim, rows int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if dim != h.dim || rows != h.cap {
		h.dim, h.cap, h.rows = dim, rows, make([]float32, dim*rows)
	}
	h.total, h.first = 0, 0
	h.epoch++
}

// clear empties the history.
func (h *history) clear() { h.reset(h.dim, h.cap) }

// grow makes room for more rows, and keeps those it has.
func (h *history) grow(rows int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rows <= h.cap {
		return
	}
	h.first = h.oldest()
	kept := h.copy(h.first)
	h.cap, h.rows = rows, make([]float32, h.dim*rows)
	for i := h.first; i < h.total; i++ {
		copy(h.row(i), kept[(i-h.first)*h.dim:])
	}
}

// oldest is the number of the oldest row that is kept.
func (h *history) oldest() int { return max(h.first, h.total-h.cap) }

func (h *history) row(i int) []float32 {
	at := i % h.cap * h.dim
	return h.rows[at : at+h.dim]
}

func (h *history) add(row []float32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(row)
}

func (h *history) put(row []float32) {
	if h.cap > 0 {
		copy(h.row(h.total), row)
	}
	h.total++
}

// repeat adds the newest row n times, as the segmenter does for samples that were lost.
func (h *history) repeat(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.total == 0 {
		return
	}
	for range n {
		if h.cap == 0 {
			h.total++
			continue
		}
		h.put(h.row(h.total - 1))
	}
}

// kept returns how many rows are kept.
func (h *history) kept() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total - h.oldest()
}

// mark is how far a snapshot reached.
type mark struct{ epoch, total int }

// since returns a copy of the rows that were added after m and are still kept, oldest first, and where they end. whole
// says that they continue what m had: where they don't, because of another take, or because some have been overwritten,
// all that are kept are returned.
func (h *history) since(m mark) (rows []float32, now mark, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := h.oldest()
	if whole = m.epoch == h.epoch && m.total >= from; whole {
		from = m.total
	}
	return h.copy(from), mark{h.epoch, h.total}, whole
}

// copy returns the rows from number i on.
func (h *history) copy(i int) []float32 {
	out := make([]float32, 0, (h.total-i)*h.dim)
	for ; i < h.total; i++ {
		out = append(out, h.row(i)...)
	}
	return out
}
