package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/runtime/bundle"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// store keeps the releases that a device has fetched, each in a directory of its own named after the release and its
// digest: a release that was replaced under its name is another one. A directory with its final name is whole. One
// process uses it at a time.
type store struct {
	dir      string
	releases *bus.Releases
	log      *slog.Logger
}

// storeKeeps is how many releases stay on the disk: the one that runs and those to go back to.
const storeKeeps = 3

const (
	packedDir  = "packed"       // of downloads
	unpackName = ".bundle-next" // of the release that is being unpacked
)

func (s *store) path(a *wire.Assignment) string {
	return filepath.Join(s.dir, a.Release+"-"+a.Sha256[:12])
}

// get returns the unpacked release, from the disk when it is there and whole, else from the hub.
func (s *store) get(ctx context.Context, a *wire.Assignment) (*bundle.Dir, error) {
	path := s.path(a)
	d, err := readRelease(path, a.Release)
	if err == nil {
		return d, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || isDir(path) {
		s.log.Warn("stored release is damaged and fetched again", "release", a.Release, "error", err)
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	packed, err := s.releases.FetchBundle(ctx, a, filepath.Join(s.dir, packedDir))
	if err != nil {
		return nil, err
	}
	if d, err = s.unpack(packed, path, a.Release); err != nil && !errors.Is(err, bundle.ErrInvalid) {
		return nil, err // no fault of the download: it is tried again
	}
	return d, errors.Join(err, os.Remove(packed))
}

// readRelease reads a bundle that must be of the given release.
func readRelease(dir, release string) (*bundle.Dir, error) {
	d, err := bundle.Read(dir)
	if err != nil {
		return nil, err
	}
	if d.Release != release {
		return nil, fmt.Errorf("%w: it calls itself %q, the assignment %q", bundle.ErrInvalid, d.Release, release)
	}
	return d, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// unpack makes the directory path of a packed release; on any error it isn't there.
func (s *store) unpack(packed, path, release string) (*bundle.Dir, error) {
	f, err := os.Open(packed)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	next := filepath.Join(s.dir, unpackName)
	if err := os.RemoveAll(next); err != nil {
		return nil, err
	}
	defer os.RemoveAll(next) //nolint:errcheck // nothing is left there once it has been renamed, and the next sweep cleans
	if _, err := bundle.Unpack(f, next); err != nil {
		return nil, err
	}
	d, err := readRelease(next, release)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(next, path); err != nil {
		return nil, err
	}
	d.Path = path
	return d, syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes what an agent that was killed has left half-done.
func (s *store) sweep() error {
	var errs []error
	for _, dir := range []string{s.dir, filepath.Join(s.dir, packedDir)} {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		errs = append(errs, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".bundle-") || strings.HasPrefix(e.Name(), ".fetch-") {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// prune removes the oldest releases beyond storeKeeps, never the one at the path running.
func (s *store) prune(running string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	type stored struct {
		path string
		at   int64
	}
	var others []stored
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		info, err := e.Info()
		if err != nil || !e.IsDir() || e.Name() == packedDir || strings.HasPrefix(e.Name(), ".") || path == running {
			continue
		}
		others = append(others, stored{path, info.ModTime().UnixNano()})
	}
	slices.SortFunc(others, func(a, b stored) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.path, b.path)) })
	var errs []error
	for _, o := range others[min(storeKeeps-1, len(others)):] {
		s.log.Info("old release removed", "path", o.path)
		errs = append(errs, os.RemoveAll(o.path))
	}
	return errors.Join(errs...)
}
