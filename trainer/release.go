package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tandem/runtime/bundle"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer/jobs"
)

// releaser turns networks into bundles on disk and into releases at the hub.
type releaser struct {
	name     string // prefix of release names
	dir      string // of bundles
	releases *bus.Releases
	now      func() time.Time
}

// next returns a release name that nobody has: neither another trainer of the line, nor the disk, nor the hub.
func (r *releaser) next(ctx context.Context, board *jobs.Board) (string, error) {
	for {
		n, err := board.NextNumber(ctx)
		if err != nil {
			return "", err
		}
		if n > maxNumber {
			return "", fmt.Errorf("all release names %s-0001 to %s-%d are taken", r.name, r.name, maxNumber)
		}
		name := fmt.Sprintf("%s-%04d", r.name, n)
		if _, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			continue
		}
		_, err = r.releases.Info(ctx, name)
		if errors.Is(err, bus.ErrNoRelease) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}

const maxNumber = 9999

// publish writes a bundle of the network and uploads it under a name that next gave. report becomes part of the manifest.
func (r *releaser) publish(ctx context.Context, name string, n *Network, ex Extractor, parent string, report any) (*wire.ReleaseInfo, error) {
	text, err := json.Marshal(report)
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	created := r.now().UTC()
	// What a process that was cut off has left of it is made anew.
	if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	dir, err := n.Write(filepath.Join(r.dir, name), ex, bundle.Manifest{Release: name, Parent: parent, Created: created, Report: text})
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	// The archive goes into the store as it is packed; it is never whole in memory.
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := dir.Pack(pw)
		pw.CloseWithError(err)
		packed <- err
	}()
	info, err := r.releases.PutBundle(ctx, &wire.ReleaseInfo{
		Release: name, Parent: parent, CreatedNs: created.UnixNano(), Report: string(text),
	}, pr)
	pr.CloseWithError(err)
	if e := <-packed; err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	return info, nil
}

// assign makes devices run a release.
func (r *releaser) assign(ctx context.Context, info *wire.ReleaseInfo, devices ...string) error {
	for _, d := range devices {
		a := &wire.Assignment{Release: info.Release, Sha256: info.Sha256, IssuedNs: r.now().UnixNano()}
		if err := r.releases.Assign(ctx, d, a); err != nil {
			return err
		}
	}
	return nil
}
