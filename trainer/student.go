package trainer

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tandem/stream/bus"
	"tandem/trainer/gate"
	"tandem/trainer/jobs"
)

// makeStudent does a job for a cell: it distils, checks and releases.
func (t *Trainer) makeStudent(ctx context.Context, c *jobs.Claim) error {
	if missing := t.collector.missing(c.Job); missing != "" {
		return t.waitForTakes(ctx, c, missing)
	}
	done, err := t.finishRelease(ctx, c)
	if done || err != nil {
		return err
	}
	takes := t.takes(c.Job)
	if len(takes) == 0 {
		return permanent{errors.New("no paired take can be used")}
	}
	devices := map[string]bool{}
	for _, p := range takes {
		devices[p.ID.Device] = true
	}
	running, err := t.releaser.running(ctx, slices.Sorted(maps.Keys(devices)))
	if err != nil {
		return err
	}
	t.log.Info("distillation begins", "job", c.Job.ID(), "takes", len(takes), "seeds", t.cfg.Gate.Seeds)
	rivals, err := t.rivals(ctx, running)
	if err != nil {
		return err
	}
	trial := trial{line: t.line, split: SplitTakes(takes), rivals: rivals, recipe: t.recipe, progress: t.progress,
		seeds: t.cfg.Gate.Seeds, gate: gate.Config{Margin: t.cfg.Gate.Margin, Confidence: t.cfg.Gate.Confidence}}
	d, err := trial.run(ctx)
	if err != nil {
		return permanent{err}
	}
	for _, x := range d.Report.Gate {
		t.log.Info("gate", "job", c.Job.ID(), "against", x.Running, "devices", x.Devices, "better", x.Verdict.Better, "why", x.Verdict.Why)
	}
	if !d.Report.Better {
		if err := c.Close(ctx, jobs.Rejected, d.Report); err != nil {
			return err
		}
		if t.hooks.Rejected != nil {
			t.hooks.Rejected(d)
		}
		return nil
	}
	return t.release(ctx, c, d)
}

// finishRelease ends a job whose release is at the hub already: whoever made it ended before it could say so.
func (t *Trainer) finishRelease(ctx context.Context, c *jobs.Claim) (done bool, err error) {
	if c.Job.Release == "" {
		return false, nil
	}
	info, err := t.releaser.releases.Info(ctx, c.Job.Release)
	if errors.Is(err, bus.ErrNoRelease) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := t.releaser.assign(ctx, info, c.Job.Devices...); err != nil {
		return false, err
	}
	t.log.Info("release of another trainer is assigned", "job", c.Job.ID(), "release", info.Release)
	return true, c.Close(ctx, jobs.Released, nil)
}

// takes reads a job's takes. One that can't be used is left out.
func (t *Trainer) takes(j *jobs.Job) []*PairedTake {
	archive := t.collector.archive(j.Cell)
	var list []*PairedTake
	for _, x := range j.Takes {
		id := TakeID{x.Device, x.Take}
		p, err := archive.Take(id)
		if err == nil && p.EgoExtractor != t.line.digest {
			err = errors.New("its features are of another extractor than the line's")
		}
		if err != nil {
			t.log.Warn("take is left out", "take", id.String(), "error", err)
			continue
		}
		list = append(list, p)
	}
	return list
}

// release publishes the student and assigns it to the devices whose running release it is better than.
func (t *Trainer) release(ctx context.Context, c *jobs.Claim, d *Distillation) error {
	var devices []string
	for _, x := range d.Report.Gate {
		if x.Verdict.Better {
			devices = append(devices, x.Devices...)
		}
	}
	name := c.Job.Release // reserved by a trainer that ended before it had published
	if name == "" {
		var err error
		if name, err = t.releaser.next(ctx, t.board); err != nil {
			return err
		}
	}
	if err := c.Reserve(ctx, name, devices, d.Report); err != nil {
		return err
	}
	info, err := t.releaser.publish(ctx, name, d.Student, t.line.extractor, t.line.shared.Release, d.Report)
	if err != nil {
		return err
	}
	if err := t.releaser.assign(ctx, info, devices...); err != nil {
		return err
	}
	if err := c.Close(ctx, jobs.Released, nil); err != nil {
		return err
	}
	t.log.Info("student is released", "job", c.Job.ID(), "release", info.Release, "devices", devices)
	if t.hooks.Released != nil {
		t.hooks.Released(info, d)
	}
	return nil
}
