package pair

import "sort"

// queue is a bounded first-in, first-out queue over a fixed array.
type queue struct {
	items   []Sample
	head, n int
}

func (q *queue) full() bool { return q.n == len(q.items) }

// at returns the k-th oldest sample.
func (q *queue) at(k int) *Sample { return &q.items[(q.head+k)%len(q.items)] }

func (q *queue) push(s Sample) {
	q.items[(q.head+q.n)%len(q.items)] = s
	q.n++
}

// pop drops the oldest sample, and with it what it kept in memory.
func (q *queue) pop() {
	q.items[q.head] = Sample{}
	q.head = (q.head + 1) % len(q.items)
	q.n--
}

// search returns the index of the first sample at or after time t.
func (q *queue) search(t int64) int {
	return sort.Search(q.n, func(k int) bool { return q.at(k).Time >= t })
}
