package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"tandem/stream/wire"
)

// DefaultDevice is the name under which Assign speaks to all devices that have no assignment of their own.
const DefaultDevice = "default"

// Assign says which release a device, or DefaultDevice, shall run. The release must be in the store, with the assigned
// digest.
func (r *Releases) Assign(ctx context.Context, device string, a *wire.Assignment) error {
	if err := wire.CheckToken("device", device); err != nil {
		return fmt.Errorf("assign: %w", err)
	}
	data, err := wire.Encode(a)
	if err != nil {
		return fmt.Errorf("assign to %s: %w", device, err)
	}
	info, err := r.Info(ctx, a.GetRelease())
	if err != nil {
		return fmt.Errorf("assign to %s: %w", device, err)
	}
	if info.GetSha256() != a.GetSha256() {
		return fmt.Errorf("assign to %s: %w: release %s has %s, the assignment says %s", device, ErrDigest, a.GetRelease(), info.GetSha256(), a.GetSha256())
	}
	if _, err := r.assign.Put(ctx, device, data); err != nil {
		return fmt.Errorf("assign %s to %s: %w", a.GetRelease(), device, err)
	}
	return nil
}

// Unassign removes a device's own assignment: the default's holds for it again.
func (r *Releases) Unassign(ctx context.Context, device string) error {
	if err := wire.CheckToken("device", device); err != nil {
		return fmt.Errorf("unassign: %w", err)
	}
	if err := r.assign.Delete(ctx, device); err != nil {
		return fmt.Errorf("unassign %s: %w", device, err)
	}
	return nil
}

// AssignmentWatch follows what a device shall run. Close ends it.
type AssignmentWatch struct {
	device  string
	watcher jetstream.KeyWatcher
	ready   bool // all that there was at the start has been told
	fresh   bool // entries has changed since it was looked at
	entries map[string]entry
	last    *wire.Assignment
}

// entry is the current state of a key: an assignment, or why there is none that could be read.
type entry struct {
	assignment *wire.Assignment
	err        error
}

// WatchAssignment starts following a device's assignment: its own where it has one, else the default's. It goes on across
// restarts of the server. ctx bounds the start only.
func (r *Releases) WatchAssignment(ctx context.Context, device string) (*AssignmentWatch, error) {
	if err := wire.CheckToken("device", device); err != nil {
		return nil, fmt.Errorf("watch assignment: %w", err)
	}
	if device == DefaultDevice {
		return nil, fmt.Errorf("watch assignment: device: %q stands for all devices without an assignment of their own", device)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("watch assignment of %s: %w", device, err)
	}
	// The watch must outlive ctx, which the library would tie it to.
	w, err := r.assign.WatchFiltered(context.WithoutCancel(ctx), []string{device, DefaultDevice})
	if err != nil {
		return nil, fmt.Errorf("watch assignment of %s: %w", device, err)
	}
	return &AssignmentWatch{device: device, watcher: w, entries: make(map[string]entry)}, nil
}

// Next waits for an assignment that differs from the one it returned before, and returns the newest; the first call
// returns at once when there is one. An assignment that can't be read is an error that wraps wire.ErrInvalid; Next may be
// called again after it. It must not be called by two goroutines at once.
func (w *AssignmentWatch) Next(ctx context.Context) (*wire.Assignment, error) {
	for {
		// Only the newest counts: take what has arrived already, too.
		if w.ready && w.fresh && len(w.watcher.Updates()) == 0 {
			w.fresh = false
			current, ok := w.entries[w.device]
			if !ok {
				current = w.entries[DefaultDevice]
			}
			if current.err != nil {
				return nil, fmt.Errorf("assignment of %s: %w", w.device, current.err)
			}
			if current.assignment != nil && !proto.Equal(current.assignment, w.last) {
				w.last = current.assignment
				return proto.CloneOf(w.last), nil
			}
		}
		select {
		case e, ok := <-w.watcher.Updates():
			if !ok {
				return nil, fmt.Errorf("watch assignment of %s: %w", w.device, errWatchEnded)
			}
			w.note(e)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var errWatchEnded = errors.New("the watch has ended")

// Close ends the watch. Next returns an error from then on.
func (w *AssignmentWatch) Close() error { return w.watcher.Stop() }

// note takes an update over; nil says that all there was has been told.
func (w *AssignmentWatch) note(e jetstream.KeyValueEntry) {
	w.fresh = true
	if e == nil {
		w.ready = true
		return
	}
	if e.Operation() != jetstream.KeyValuePut {
		delete(w.entries, e.Key())
		return
	}
	a, err := wire.DecodeAssignment(e.Value())
	w.entries[e.Key()] = entry{a, err}
}

// Assignment returns what a device shall run: its own assignment where it has one, else the default's. Without either it
// returns ErrNoRelease.
func (r *Releases) Assignment(ctx context.Context, device string) (*wire.Assignment, error) {
	if err := wire.CheckToken("device", device); err != nil {
		return nil, fmt.Errorf("assignment: %w", err)
	}
	for _, key := range []string{device, DefaultDevice} {
		e, err := r.assign.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("assignment of %s: %w", device, err)
		}
		a, err := wire.DecodeAssignment(e.Value())
		if err != nil {
			return nil, fmt.Errorf("assignment of %s: %w", device, err)
		}
		return a, nil
	}
	return nil, fmt.Errorf("assignment of %s: %w", device, ErrNoRelease)
}
