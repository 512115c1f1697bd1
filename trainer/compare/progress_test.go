package compare

import (
	"testing"
	"time"
)

func TestWhatIsLeftIsJudgedByMethod(t *testing.T) {
	var last Progress
	m := newMeter(func(p Progress) { last = p }, 2)
	cheap, dear, half := cell{"tas", 0, 1}, cell{"tandem", 0, 1}, cell{"tandem", 0, 0.5}
	m.begin()
	if last != (Progress{0, 0, "0 measured before", "", -1}) {
		t.Errorf("at the start %+v", last)
	}
	for range 4 {
		m.expect(cheap)
		m.expect(dear)
	}
	m.expect(half)
	m.expect(training)
	if got := m.estimate(); got >= 0 {
		t.Errorf("%v without a measurement", got)
	}
	m.busy("teacher, epoch 3 of 40")
	if last != (Progress{0, 9, "0 measured before", "teacher, epoch 3 of 40", -1}) {
		t.Errorf("%+v", last)
	}
	m.took(training, 7, "")
	if last.Done != 0 {
		t.Errorf("the teacher's training is no measurement, reported %+v", last)
	}
	// Of 3 cheap, 4 dear and 1 half, all are judged by the only one that is known.
	m.took(cheap, 10, "a")
	if last != (Progress{1, 9, "a", "", 40 * time.Second}) {
		t.Errorf("%+v", last)
	}
	// The one with half of the pairs is judged by its method.
	m.took(dear, 100, "b")
	if last != (Progress{2, 9, "b", "", 215 * time.Second}) {
		t.Errorf("%+v", last)
	}
	m.took(half, 60, "c")
	if last != (Progress{3, 9, "c", "", 165 * time.Second}) {
		t.Errorf("%+v", last)
	}
	m.had(dear, 50)
	m.begin()
	if last != (Progress{4, 10, "4 measured before", "", 127500 * time.Millisecond}) {
		t.Errorf("%+v", last)
	}
}
