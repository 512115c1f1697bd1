package trainer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem/trainer/jobs"
)

// waiting are the cells whose job this trainer has given back because it lacks takes. It leaves them to other trainers for a
// while: trainers that look for work at the same pace would otherwise not see a job that one of them takes and gives back
// each time.
type waiting struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// add leaves a cell alone until a time.
func (w *waiting) add(cell string, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = map[string]time.Time{}
	}
	w.until[cell] = until
}

// end tells that a take of the cell has come.
func (w *waiting) end(cell string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.until, cell)
}

// others are the cells that aren't left alone.
func (w *waiting) others(cells []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	return slices.DeleteFunc(cells, func(cell string) bool { return now.Before(w.until[cell]) })
}

// waitForTakes gives a job back whose pairs have not all come here: another trainer may have them, or they are on their
// way.
func (t *Trainer) waitForTakes(ctx context.Context, c *jobs.Claim, missing string) error {
	why := fmt.Sprintf("trainer %s waits for the take %s", t.cfg.Name, missing)
	if waited := time.Since(c.Job.Created); waited > t.cfg.Jobs.Patience {
		return permanent{fmt.Errorf("no trainer has got all takes within %v: %s; new takes make a new job", t.cfg.Jobs.Patience, why)}
	}
	// Each other trainer looks twice in AckWait, so that it finds the job free before this one takes it again.
	t.waiting.add(c.Job.Cell, time.Now().Add(2*t.cfg.Jobs.AckWait))
	if t.collector.missing(c.Job) == "" {
		t.waiting.end(c.Job.Cell) // it came in between
	}
	return c.Postpone(ctx, why, t.cfg.Jobs.AckWait/3)
}
