package pair

// item is a sample that waits.
type item struct {
	Sample
	after int64 // it is a partner of ego samples after this time only
	used  bool  // it is somebody's partner
}

// queue is a bounded queue over a fixed array, sorted by time.
type queue struct {
	items   []item
	head, n int
}

func (q *queue) full() bool { return q.n == len(q.items) }

// at returns the k-th oldest sample.
func (q *queue) at(k int) *item {
	k += q.head
	if k >= len(q.items) {
		k -= len(q.items)
	}
	return &q.items[k]
}

// insert puts a sample in its place, most often the end. It reports false for one that is in the queue already. There
// must be room.
func (q *queue) insert(s item) bool {
	k := q.n
	for k > 0 && before(&s.Sample, &q.at(k-1).Sample) {
		k--
	}
	if k > 0 && same(&s.Sample, &q.at(k-1).Sample) {
		return false
	}
	for i := q.n; i > k; i-- {
		*q.at(i) = *q.at(i - 1)
	}
	*q.at(k) = s
	q.n++
	return true
}

// pop drops the oldest sample, and with it what it kept in memory.
func (q *queue) pop() {
	q.items[q.head] = item{}
	if q.head++; q.head == len(q.items) {
		q.head = 0
	}
	q.n--
}

// search returns the index of the first sample at or after time t.
func (q *queue) search(t int64) int {
	low, high := 0, q.n
	for low < high {
		if mid := (low + high) / 2; q.at(mid).Time < t {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// before orders samples by time, and those of one time so that the order does not depend on how they came.
func before(a, b *Sample) bool {
	if a.Time != b.Time {
		return a.Time < b.Time
	}
	if a.Take != b.Take {
		return a.Take < b.Take
	}
	return a.Seq < b.Seq
}

// same reports whether two samples are one.
func same(a, b *Sample) bool { return a.Time == b.Time && a.Seq == b.Seq && a.Take == b.Take }
