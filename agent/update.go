package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"golang.org/x/sync/errgroup"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// updater brings assigned releases onto the device: fetch, check the digest, unpack, open and probe beside the running
// model, and hand over. On any failure the running model goes on, and the failure is counted and shown. The newest
// assignment wins at once, whatever is being done for the one before.
type updater struct {
	device   string
	models   opener
	store    *store
	releases *bus.Releases
	pipeline *pipeline
	status   *status
	count    *counters
	log      *slog.Logger
	patience patience

	swapping sync.Mutex // one release is handed over at a time
	reverted sync.Map   // digest of packed releases that had to be taken back: why
}

// errUnfit is wrapped by errors about a release that arrived as it was assigned and yet does not run here. Trying again
// would not mend it.
var errUnfit = errors.New("it does not run on this device")

// hopeless tells errors that trying again would not mend: the release itself is wrong.
func hopeless(err error) bool {
	return errors.Is(err, errUnfit) || errors.Is(err, bundle.ErrInvalid) || errors.Is(err, wire.ErrInvalid) || errors.Is(err, bus.ErrDigest)
}

// run follows the device's assignment until ctx ends.
func (u *updater) run(ctx context.Context) error {
	if err := u.store.sweep(); err != nil {
		u.log.Warn("leftovers in the store can't be removed", "store", u.store.dir, "error", err)
	}
	newest := make(chan *wire.Assignment, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		u.watch(ctx, newest)
		return nil
	})
	group.Go(func() error {
		for {
			select {
			case <-u.pipeline.health.sick:
				u.revert(ctx)
			case <-ctx.Done():
				return nil
			}
		}
	})
	group.Go(func() error {
		var a *wire.Assignment
		for ctx.Err() == nil {
			if a == nil {
				select {
				case a = <-newest:
				case <-ctx.Done():
				}
				continue
			}
			a = u.bring(ctx, a, newest)
		}
		return nil
	})
	return group.Wait()
}

// bring tries to bring a release to run until it does, until that is hopeless, or until there is a newer assignment, which
// it returns.
func (u *updater) bring(ctx context.Context, a *wire.Assignment, newest <-chan *wire.Assignment) *wire.Assignment {
	for retry := u.patience.firstRetry; ; retry = min(2*retry, u.patience.lastRetry) {
		try, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- u.update(try, a) }()
		var err error
		select {
		case err = <-done:
			cancel()
		case newer := <-newest:
			cancel()
			<-done //nolint:errcheck // superseded, whatever came of it
			return newer
		}
		if err == nil || ctx.Err() != nil {
			return nil
		}
		u.fail(a.Release, err)
		if hopeless(err) {
			return nil
		}
		wait := time.NewTimer(retry)
		select {
		case <-wait.C:
		case newer := <-newest:
			wait.Stop()
			return newer
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
	}
}

// watch puts assignments into newest, of which only the last counts, until ctx ends.
func (u *updater) watch(ctx context.Context, newest chan *wire.Assignment) {
	var last *wire.Assignment
	for retry := u.patience.firstRetry; ctx.Err() == nil; retry = min(2*retry, u.patience.lastRetry) {
		err := u.follow(ctx, func(a *wire.Assignment) {
			retry = u.patience.firstRetry
			if proto.Equal(a, last) {
				return // told again by another watch
			}
			last = a
			select {
			case <-newest: // has not been looked at
			default:
			}
			newest <- a
		})
		if ctx.Err() != nil {
			return
		}
		u.log.Warn("assignments can't be followed, will try again", "wait", retry, "error", err)
		wait := time.NewTimer(retry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

// follow calls assigned with each assignment until ctx ends or the watch breaks.
func (u *updater) follow(ctx context.Context, assigned func(*wire.Assignment)) error {
	watch, err := u.releases.WatchAssignment(ctx, u.device)
	if err != nil {
		return err
	}
	defer watch.Close() //nolint:errcheck // the connection ends it too
	for {
		a, err := watch.Next(ctx)
		switch {
		case err == nil:
			assigned(a)
		case errors.Is(err, wire.ErrInvalid):
			u.fail("", err)
		default:
			return err
		}
	}
}

func (u *updater) fail(release string, err error) {
	u.count.add("updates_failed", 1)
	text := "an assignment is not used: "
	if release != "" {
		text = "release " + release + " is not used: "
	}
	u.status.updateFailed(text + err.Error())
	u.log.Error("the running release goes on", "assigned", release, "error", err)
}

// update brings one release to run.
func (u *updater) update(ctx context.Context, a *wire.Assignment) error {
	u.status.assign(a.Release)
	if u.runs(a) {
		u.status.updateFailed("")
		return nil
	}
	if why, back := u.reverted.Load(a.Sha256); back {
		return fmt.Errorf("%w: %v", errUnfit, why)
	}
	u.log.Info("release assigned", "release", a.Release)
	dir, err := u.store.get(ctx, a)
	if err != nil {
		return err
	}
	m, err := open(dir, u.models)
	if err != nil {
		return join(fmt.Errorf("%w: %w", errUnfit, err), os.RemoveAll(dir.Path))
	}
	if err := u.handOver(ctx, m, a.Sha256); err != nil {
		return err
	}
	u.status.updateFailed("")
	if err := u.store.prune(dir.Path); err != nil {
		u.log.Warn("old releases can't be removed", "store", u.store.dir, "error", err)
	}
	return nil
}

// opener opens bundles, probed.
type opener interface {
	Open(b *bundle.Dir) (*model.Model, error)
}

// handOver hands an opened release to the pipeline, or closes it.
func (u *updater) handOver(ctx context.Context, m *model.Model, packed string) error {
	u.swapping.Lock()
	defer u.swapping.Unlock()
	if err := u.pipeline.swap(ctx, m, packed); err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

// revert goes back to the release that ran before, if that one worked, because the present one fails on every sample. It is not
// tried again before the agent starts anew.
func (u *updater) revert(ctx context.Context) {
	bad := u.pipeline.running.Load()
	proved, why := u.pipeline.health.last()
	if why == "" {
		return // it works again
	}
	if proved == nil {
		u.log.Error("the release fails, and there is none before it that worked: it goes on", "release", bad.bundle.Release, "error", why)
		return
	}
	err := func() error {
		m, err := open(proved.bundle, u.models)
		if err != nil {
			return err
		}
		if bad.packed != "" {
			u.reverted.Store(bad.packed, why)
		}
		return u.handOver(ctx, m, proved.packed)
	}()
	if err != nil {
		if ctx.Err() == nil {
			u.fail(bad.bundle.Release, fmt.Errorf("%s; the one before, %s, can't be gone back to: %w", why, proved.bundle.Release, err))
		}
		return
	}
	u.count.add("releases_reverted", 1)
	u.fail(bad.bundle.Release, fmt.Errorf("%s; %s runs again", why, proved.bundle.Release))
}

// open opens a bundle for this device: probed, and with results that messages can carry.
func open(dir *bundle.Dir, s opener) (*model.Model, error) {
	m, err := s.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := checkModel(m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// runs reports whether the assigned release runs already.
func (u *updater) runs(a *wire.Assignment) bool {
	now := u.pipeline.running.Load()
	if now == nil || now.bundle.Release != a.Release {
		return false
	}
	if now.packed != "" {
		return now.packed == a.Sha256
	}
	// The bundle of the configuration: the same name may hold something else. Packing is reproducible.
	hash := sha256.New()
	return now.bundle.Pack(hash) == nil && hex.EncodeToString(hash.Sum(nil)) == a.Sha256
}
