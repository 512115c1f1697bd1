package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Batch renders takes side by side.
type Batch struct {
	Config   Config
	Takes    []TakeSpec
	Parallel int                // takes at a time; 0 is the number of processors
	Progress func(pictures int) // how many more pictures are done; called by one goroutine at a time; may be nil
}

// Pictures returns how many pictures the batch renders.
func (b *Batch) Pictures() (int, error) {
	n := 0
	for _, spec := range b.Takes {
		s, err := NewScene(b.Config, spec)
		if err != nil {
			return 0, err
		}
		n += s.Shots()
	}
	return n, nil
}

// Render renders all takes into directories of their names under dir and returns their truth in order. After the first error, or when
// ctx ends, it stops the others; takes that were complete before stay.
func (b *Batch) Render(ctx context.Context, dir string) ([]*Take, error) {
	scenes := make([]*Scene, len(b.Takes))
	names := map[string]bool{}
	for i, spec := range b.Takes {
		s, err := NewScene(b.Config, spec)
		if err != nil {
			return nil, err
		}
		// Nothing is rendered when a take can't be put in its place.
		path := filepath.Join(dir, s.take.Name)
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("render take %s: %w; remove it or choose another place", path, ErrExists)
		}
		if names[s.take.Name] {
			return nil, fmt.Errorf("render: two takes are named %s", s.take.Name)
		}
		names[s.take.Name] = true
		scenes[i] = s
	}
	parallel := b.Parallel
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	var mu sync.Mutex
	progress := func(n int) {
		if b.Progress == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		b.Progress(n)
	}
	out := make([]*Take, len(scenes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, s := range scenes {
		g.Go(func() (err error) {
			out[i], err = s.Render(ctx, filepath.Join(dir, s.take.Name), progress)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}
