package model

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"tandem/runtime/bundle"
)

// Shelf opens bundles for the cameras of one process. Models of the same bundle that are open at the same time share what is loaded,
// and have histories of their own. It may be used by several goroutines.
type Shelf struct {
	Selector *Selector
	Cameras  int // that the process has; with 2 or more, their pictures are run together where that is faster
	Log      *slog.Logger

	mu    sync.Mutex
	items map[[sha256.Size]byte]*item
}

// item is a bundle that is open.
type item struct {
	root  *Model
	users int
}

// Open opens a bundle as the Selector does. The caller closes the model.
func (s *Shelf) Open(b *bundle.Dir) (*Model, error) {
	if s.Cameras < 2 {
		return s.Selector.Open(b)
	}
	manifest, err := os.ReadFile(filepath.Join(b.Path, bundle.ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", b.Release, err)
	}
	key := sha256.Sum256(manifest) // it holds the digests of all files
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.items[key]
	if x == nil {
		x = &item{}
		if x.root, err = s.Selector.Open(b); err != nil {
			return nil, err
		}
		if err := s.batch(x.root); err != nil {
			return nil, errors.Join(err, x.root.Close())
		}
		if s.items == nil {
			s.items = map[[sha256.Size]byte]*item{}
		}
		s.items[key] = x
	}
	x.users++
	m, err := x.root.share()
	if err != nil {
		return nil, errors.Join(err, s.put(key))
	}
	m.Bundle = b
	m.closed = func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.put(key)
	}
	return m, nil
}

// put takes a model back.
func (s *Shelf) put(key [sha256.Size]byte) error {
	x := s.items[key]
	if x.users--; x.users > 0 {
		return nil
	}
	delete(s.items, key)
	return x.root.Close()
}

// batch finds out whether cameras' pictures are run together.
func (s *Shelf) batch(m *Model) error {
	got, err := m.Extractor.Batch(s.Cameras)
	if err != nil {
		return fmt.Errorf("release %s: %w", m.Bundle.Release, err)
	}
	if s.Log != nil {
		s.Log.Info("cameras share the extractor", "release", m.Bundle.Release, "cameras", s.Cameras, "together", got.On, "because", got.Why)
	}
	return nil
}

// share returns another model on what this one has loaded.
func (m *Model) share() (*Model, error) {
	e, err := m.Extractor.Share()
	if err != nil {
		return nil, err
	}
	seg, err := m.Segmenter.Share()
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &Model{Bundle: m.Bundle, Extractor: e, Segmenter: seg, Selection: m.Selection}, nil
}
