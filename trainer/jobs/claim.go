package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// Claim is a job in this process's hands. While it is held the hub is told that somebody works on it. Exactly one of
// Close, Fail, Retry, Postpone, Return and Abandon ends it; ErrLost from any method says that another trainer has the job,
// and ends it as well.
type Claim struct {
	Job *Job

	board    *Board
	revision uint64
	task     *bus.Task
}

// Reserve notes what the job is about to release, so that whoever takes it over releases the same and no second one.
// Nothing may be published before it has returned nil.
func (c *Claim) Reserve(ctx context.Context, release string, devices []string, report any) error {
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	c.Job.Release, c.Job.Devices, c.Job.Report = release, devices, text
	return c.write(ctx)
}

// Close closes the job as released or rejected. Its effect must be there for good.
func (c *Claim) Close(ctx context.Context, status Status, report any) error {
	if report != nil {
		text, err := json.Marshal(report)
		if err != nil {
			return err
		}
		c.Job.Report = text
	}
	c.Job.Status, c.Job.Error = status, ""
	if err := c.write(ctx); err != nil {
		return err
	}
	if err := c.task.Done(ctx); err != nil {
		c.board.log.Warn("job is closed, but will be offered once more", "id", c.Job.ID(), "error", err)
	}
	return nil
}

// Fail closes a job that cannot be done: the same takes would fail again.
func (c *Claim) Fail(ctx context.Context, why error) error {
	c.Job.Status, c.Job.Error = Failed, wire.OneLine(why.Error())
	if err := c.write(ctx); err != nil {
		return err
	}
	c.task.GiveUp(c.Job.Error)
	return nil
}

// Retry gives the job back after a failure that may pass, such as of the hub or a disk. It counts as an attempt.
func (c *Claim) Retry(ctx context.Context, why error, delay time.Duration) error {
	return c.giveBack(ctx, why.Error(), delay)
}

// Postpone gives the job back for another trainer, or for later, since something that it needs is not here yet. It doesn't
// count as an attempt.
func (c *Claim) Postpone(ctx context.Context, why string, delay time.Duration) error {
	c.Job.Attempts--
	return c.giveBack(ctx, why, delay)
}

// Return gives the job back because this process ends. It doesn't count as an attempt.
func (c *Claim) Return(ctx context.Context) error {
	c.Job.Attempts--
	return c.giveBack(ctx, c.Job.Error, 0)
}

// Abandon leaves the job as a process does that is killed.
func (c *Claim) Abandon() { c.task.Abandon() }

func (c *Claim) giveBack(ctx context.Context, why string, delay time.Duration) error {
	c.Job.Status, c.Job.Error = Queued, wire.OneLine(why)
	err := c.write(ctx)
	if !errors.Is(err, ErrLost) {
		c.task.Later(delay)
	}
	return err
}

// write stores the job. Once it is another's, the hub is not told any more that we work on it.
func (c *Claim) write(ctx context.Context) error {
	revision, err := c.board.write(ctx, c.Job, c.revision)
	if err != nil {
		if errors.Is(err, ErrLost) {
			c.task.Abandon()
		}
		return err
	}
	c.revision = revision
	return nil
}
