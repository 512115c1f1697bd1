package compare

import (
	"fmt"
	"sync"
	"time"
)

// Progress tells how far a comparison has come.
type Progress struct {
	Done, Total int
	Note        string // what was done last
	Now         string // what is at work, with its epoch
	// Left is about how long the rest takes; negative while nothing was measured that it could be told from.
	Left time.Duration
}

// meter counts what is done and tells from it how long the rest takes. Methods differ tenfold in what they cost, so what
// is left is judged by the mean of the same method under the same condition, or else of the method, or else of all.
type meter struct {
	report  func(Progress) // may be nil
	workers int

	mu          sync.Mutex
	done, total int
	note        string
	left        map[cell]int
	spent       map[cell]cost
}

type cost struct {
	seconds float64
	n       int
}

func (c cost) plus(d cost) cost { return cost{c.seconds + d.seconds, c.n + d.n} }

// training is the cell that the training of a teacher counts as.
var training = cell{method: "training of the " + Teacher}

func newMeter(report func(Progress), workers int) *meter {
	return &meter{report: report, workers: max(1, workers), left: map[cell]int{}, spent: map[cell]cost{}}
}

// expect adds what is to be done.
func (m *meter) expect(c cell) {
	m.left[c]++
	if c != training {
		m.total++
	}
}

// had adds what was measured before.
func (m *meter) had(c cell, seconds float64) {
	m.spent[c] = m.spent[c].plus(cost{seconds, 1})
	m.total++
	m.done++
}

// begin reports what was measured before.
func (m *meter) begin() {
	m.note = fmt.Sprintf("%d measured before", m.done)
	m.tell("")
}

// tell reports how far it is.
func (m *meter) tell(now string) {
	if m.report != nil {
		m.report(Progress{m.done, m.total, m.note, now, m.estimate()})
	}
}

// busy reports what is at work.
func (m *meter) busy(now string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(now)
}

// took notes that something was done, and reports it unless it has no name.
func (m *meter) took(c cell, seconds float64, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spent[c] = m.spent[c].plus(cost{seconds, 1})
	m.left[c]--
	if c != training {
		m.done++
	}
	if name != "" {
		m.note = name
		m.tell("")
	}
}

func (m *meter) estimate() time.Duration {
	var all cost
	methods := map[string]cost{}
	for c, s := range m.spent {
		methods[c.method] = methods[c.method].plus(s)
		if c != training {
			all = all.plus(s)
		}
	}
	if all.n == 0 {
		return -1
	}
	var seconds float64
	for c, n := range m.left {
		s := m.spent[c]
		if s.n == 0 {
			s = methods[c.method]
		}
		if s.n == 0 {
			s = all
		}
		seconds += float64(n) * s.seconds / float64(s.n)
	}
	return time.Duration(seconds / float64(m.workers) * float64(time.Second))
}
