package main

import (
	"bytes"
	"testing"
	"time"

	"tandem/trainer/compare"
)

func TestAComparisonSpeaksNowAndThen(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1e9, 0)
	c := newComparisonProgress(&out, func() time.Time { return now })
	for _, s := range []struct {
		after time.Duration
		p     compare.Progress
	}{
		{0, compare.Progress{Done: 0, Total: 5, Left: -1}}, // too soon
		{time.Minute, compare.Progress{Done: 0, Total: 5, Now: "a, epoch 2", Left: -1}},
		{30 * time.Second, compare.Progress{Done: 2, Total: 5, Note: "b", Left: 51 * time.Minute}}, // too soon
		{20 * time.Second, compare.Progress{Done: 2, Total: 5, Now: "c, epoch 2", Left: 51 * time.Minute}},
		{40 * time.Second, compare.Progress{Done: 2, Total: 5, Now: "c, epoch 4", Left: 51 * time.Minute}},
		{61 * time.Second, compare.Progress{Done: 3, Total: 5, Note: "c", Left: 49 * time.Minute}},
		{2 * time.Hour, compare.Progress{Done: 4, Total: 5, Note: "d", Left: 40 * time.Second}},
		{70 * time.Second, compare.Progress{Done: 4, Total: 5, Now: "e, epoch 1", Left: 40 * time.Second}}, // past the estimate
		{9 * time.Second, compare.Progress{Done: 5, Total: 5, Note: "e"}},
	} {
		now = now.Add(s.after)
		c.report(s.p)
	}
	c.wait()
	const want = `compare: 0 of 5, time left not known yet (a, epoch 2)
compare: 2 of 5, about 50 min left (c, epoch 4)
compare: 3 of 5, about 49 min left (c)
compare: 4 of 5, about 40 s left (d)
compare: 4 of 5, it takes longer than what was done before (e, epoch 1)
compare: 5 of 5, done in 2 h 04 min (e)
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
