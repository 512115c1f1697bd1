package trainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/trainer/jobs"
)

// permanent is an error that comes again whenever the job is done again: the same takes give the same.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// work proposes jobs and does those that it gets, until ctx ends.
func (t *Trainer) work(ctx context.Context) error {
	// A job that another trainer has lost becomes free without anybody telling.
	tick := time.NewTicker(t.cfg.Jobs.AckWait / 2)
	defer tick.Stop()
	for {
		err := t.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			continue // there may be more
		case errors.As(err, &fatal{}):
			return err
		case !errors.Is(err, jobs.ErrNone):
			t.log.Warn("the hub can't be asked for work, will try again", "error", err)
		}
		select {
		case <-t.changed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fatal is an error that ends the trainer.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// step proposes what is to be done and does one job, or returns jobs.ErrNone.
func (t *Trainer) step(ctx context.Context) error {
	if err := t.findTeacher(ctx); err != nil {
		return err
	}
	cells, err := t.propose(ctx)
	if err != nil {
		return err
	}
	c, err := t.board.Take(ctx, t.waiting.others(cells))
	if err != nil {
		return err
	}
	return t.do(ctx, c)
}

// propose makes the jobs that are due, and returns the cells of which this trainer takes jobs.
func (t *Trainer) propose(ctx context.Context) (cells []string, err error) {
	if t.line == nil {
		if t.cfg.Labelled.Dir == "" {
			return nil, nil // another trainer of the line makes the teacher
		}
		return []string{jobs.TeacherCell}, t.board.Propose(ctx, jobs.TeacherCell, nil)
	}
	cells = t.collector.names()
	for _, cell := range cells {
		if takes := t.collector.complete(cell); len(takes) >= t.cfg.Distil.Takes {
			if err := t.board.Propose(ctx, cell, takes); err != nil {
				return nil, err
			}
		}
	}
	return cells, nil
}

// giveBackTime is how long the hub has to be told that a job is given back when the trainer ends.
const giveBackTime = 5 * time.Second

// do does a job. What becomes of it stands at the hub; an error is one of the hub's, or fatal.
func (t *Trainer) do(ctx context.Context, c *jobs.Claim) error {
	log := t.log.With("job", c.Job.ID())
	var err error
	if c.Job.Cell == jobs.TeacherCell {
		err = t.makeTeacher(ctx, c)
	} else {
		err = t.makeStudent(ctx, c)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && t.abandon:
		c.Abandon()
		return ctx.Err()
	case ctx.Err() != nil:
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
		defer cancel()
		if err := c.Return(late); err != nil {
			log.Warn("the job goes to another trainer only when the hub misses this one", "error", err)
		}
		return ctx.Err()
	case errors.Is(err, jobs.ErrLost):
		log.Warn("the job was taken over by another trainer", "error", err)
		return nil
	case errors.As(err, &permanent{}):
		log.Error("nothing was released, the running release goes on", "error", err)
		failed := c.Fail(ctx, err)
		if c.Job.Cell == jobs.TeacherCell {
			return fatal{fmt.Errorf("teacher: %w", err)}
		}
		return failed
	default:
		log.Warn("the job will be tried again", "attempts", c.Job.Attempts, "error", err)
		return c.Retry(ctx, err, t.cfg.Jobs.AckWait/10)
	}
}
