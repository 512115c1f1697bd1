package main

import (
	"cmp"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tandem/trainer/compare"
)

// comparisonEvery is how often a line tells of a comparison where there is no terminal.
const comparisonEvery = time.Minute

// comparisonProgress shows how far a comparison is and how long it will take: as a bar on a terminal, as a line now and
// then elsewhere.
type comparisonProgress struct {
	out  io.Writer
	now  func() time.Time
	bars *mpb.Progress // nil when out is no terminal

	mu     sync.Mutex
	bar    *mpb.Bar
	last   compare.Progress
	began  time.Time
	at     time.Time // when that became done
	spoken time.Time // when a line was written last, at first the beginning
}

func newComparisonProgress(out io.Writer, now func() time.Time) *comparisonProgress {
	c := &comparisonProgress{out: out, now: now, began: now(), spoken: now()}
	if isTerminal(out) {
		c.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithAutoRefresh())
	}
	return c
}

// report takes what a comparison reports.
func (c *comparisonProgress) report(p compare.Progress) {
	c.mu.Lock()
	if c.at.IsZero() || p.Done != c.last.Done {
		c.at = c.now()
	}
	c.last = p
	if c.bars == nil {
		defer c.mu.Unlock()
		if now := c.now(); p.Done == p.Total || now.Sub(c.spoken) >= comparisonEvery {
			c.spoken = now
			fmt.Fprintf(c.out, "compare: %d of %d, %s (%s)\n", p.Done, p.Total, c.remaining(), cmp.Or(p.Now, p.Note))
		}
		return
	}
	if c.bar == nil {
		c.bar = c.bars.AddBar(int64(p.Total), mpb.PrependDecorators(decor.Name("compare "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.remaining() + "  " + cmp.Or(c.last.Now, c.last.Note)
			})))
	}
	bar := c.bar
	c.mu.Unlock() // SetCurrent takes the library's lock, under which the decorator takes ours
	bar.SetCurrent(int64(p.Done))
}

// remaining is the time that is left, or what was taken when all is done.
func (c *comparisonProgress) remaining() string {
	now := c.now()
	switch {
	case c.last.Done == c.last.Total:
		return "done in " + roughly(now.Sub(c.began))
	case c.last.Left < 0:
		return "time left not known yet"
	}
	left := c.last.Left - now.Sub(c.at)
	if left <= 0 {
		return "it takes longer than what was done before" // so nothing tells how long
	}
	return "about " + roughly(left) + " left"
}

// wait ends the bar, which stays as it is.
func (c *comparisonProgress) wait() {
	if c.bars == nil {
		return
	}
	if c.bar != nil {
		c.bar.Abort(false) // nothing happens to a complete one
	}
	c.bars.Wait()
}

// roughly spells a duration for people.
func roughly(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
