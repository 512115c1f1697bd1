package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// updater brings assigned releases onto the device: fetch, check the digest, unpack, open and probe beside the running
// model, and hand over. On any failure the running model goes on, and the failure is counted and shown.
type updater struct {
	device   string
	dir      string // of unpacked releases
	opts     ort.Options
	releases *bus.Releases
	pipeline *pipeline
	status   *status
	count    *counters
	log      *slog.Logger
}

// Back-off between attempts at a release that could not be fetched.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = time.Minute
)

// run follows the device's assignment until ctx ends.
func (u *updater) run(ctx context.Context) error {
	watch, err := u.releases.WatchAssignment(ctx, u.device)
	if err != nil {
		return err
	}
	defer watch.Close() //nolint:errcheck // the connection ends it too
	next := func(ctx context.Context) (*wire.Assignment, error) { return watch.Next(ctx) }
	var assigned *wire.Assignment
	retry := firstRetry
	for {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if assigned != nil {
			wait, cancel = context.WithTimeout(ctx, retry)
			retry = min(2*retry, lastRetry)
		}
		a, err := next(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			assigned, retry = a, firstRetry
		case assigned != nil && errors.Is(err, context.DeadlineExceeded):
			// Time to try the failed one again.
		case errors.Is(err, wire.ErrInvalid):
			u.fail("", err)
			continue
		default:
			return err
		}
		err = u.update(ctx, assigned)
		switch {
		case err == nil:
			assigned = nil
		case ctx.Err() != nil:
			return nil
		default:
			u.fail(assigned.Release, err)
			if hopeless(err) {
				assigned = nil
			}
		}
	}
}

// hopeless tells errors that trying again would not mend: the release itself is wrong.
func hopeless(err error) bool {
	return errors.Is(err, bundle.ErrInvalid) || errors.Is(err, model.ErrProbe) || errors.Is(err, ort.ErrModel) ||
		errors.Is(err, wire.ErrInvalid) || errors.Is(err, bus.ErrDigest)
}

func (u *updater) fail(release string, err error) {
	u.count.add("updates_failed", 1)
	u.status.fail(fmt.Sprintf("release %s is not used: %v", release, err))
	u.log.Error("release is not used, the running one goes on", "release", release, "error", err)
}

// update brings one release to run.
func (u *updater) update(ctx context.Context, a *wire.Assignment) error {
	u.status.assign(a.Release)
	if now := u.pipeline.running.Load(); now != nil && now.release == a.Release {
		return nil
	}
	u.log.Info("release assigned", "release", a.Release)
	dir, err := u.fetch(ctx, a)
	if err != nil {
		return err
	}
	m, err := model.OpenProbed(dir, u.opts)
	if err != nil {
		return err
	}
	if err := u.pipeline.swap(ctx, m); err != nil {
		return errors.Join(err, m.Close())
	}
	u.status.clear()
	return nil
}

// fetch returns the unpacked release, from the device's own store when it is there.
func (u *updater) fetch(ctx context.Context, a *wire.Assignment) (*bundle.Dir, error) {
	// The digest is part of the name: a release that was replaced under its name is another one.
	path := filepath.Join(u.dir, a.Release+"-"+a.Sha256[:12])
	d, err := bundle.Read(path)
	if err == nil {
		return d, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		u.log.Warn("stored release is damaged and fetched again", "release", a.Release, "error", err)
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	packed, err := u.releases.FetchBundle(ctx, a, filepath.Join(u.dir, "packed"))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(packed)
	if err != nil {
		return nil, err
	}
	d, err = bundle.Unpack(f, path)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if d.Release != a.Release {
		return nil, errors.Join(fmt.Errorf("%w: it calls itself %q, the assignment %q", bundle.ErrInvalid, d.Release, a.Release), os.RemoveAll(path))
	}
	return d, os.Remove(packed)
}
