package dataset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"tandem/trainer/dataset/npy"
)

// loads counts how often keys are loaded.
type loads map[cacheKey]int

func (l loads) get(t *testing.T, c *cache, take, floats int) {
	t.Helper()
	key := cacheKey{take, 0}
	if _, err := c.get(t.Context(), key, func() (*Features, error) {
		l[key]++
		return &Features{Data: make([]float32, floats)}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c, l := newCache(100), loads{} // 25 numbers
	l.get(t, c, 1, 10)
	l.get(t, c, 2, 10)
	l.get(t, c, 1, 10)
	l.get(t, c, 3, 10) // 2 goes
	l.get(t, c, 1, 10)
	l.get(t, c, 2, 10) // 3 goes
	l.get(t, c, 1, 10)
	l.get(t, c, 4, 26) // is too large, nothing goes
	l.get(t, c, 4, 26)
	l.get(t, c, 2, 10)
	if got, want := fmt.Sprint(l), "map[{1 0}:1 {2 0}:2 {3 0}:1 {4 0}:2]"; got != want {
		t.Errorf("loads %s, want %s", got, want)
	}
	if c.used != 80 || len(c.entries) != 2 || c.order.Len() != 2 {
		t.Errorf("%d bytes, %d entries, %d in order", c.used, len(c.entries), c.order.Len())
	}
	none := newCache(-1)
	l.get(t, none, 1, 1)
	l.get(t, none, 1, 1)
	if l[cacheKey{1, 0}] != 3 || none.used != 0 {
		t.Error("a cache of no bytes kept something")
	}
}

func TestCacheReadsOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(100)
		n := 0
		var g errgroup.Group
		release := make(chan struct{})
		for range 8 {
			g.Go(func() error {
				f, err := c.get(t.Context(), cacheKey{}, func() (*Features, error) {
					n++ // by one goroutine, or the race detector speaks
					<-release
					return &Features{Samples: 7}, nil
				})
				if err == nil && f.Samples != 7 {
					err = errors.New("other features")
				}
				return err
			})
		}
		synctest.Wait()
		close(release)
		if err := g.Wait(); err != nil || n != 1 {
			t.Errorf("read %d times, %v", n, err)
		}
	})
}

func TestCacheAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(100)
		bad := errors.New("bad")
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		g.Go(func() error { // is canceled while it reads
			_, err := c.get(ctx, cacheKey{}, func() (*Features, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("the canceled one: %w", err)
			}
			return nil
		})
		synctest.Wait()
		g.Go(func() error { // waits for it, and then reads itself
			_, err := c.get(t.Context(), cacheKey{}, func() (*Features, error) { return nil, bad })
			if !errors.Is(err, bad) {
				return fmt.Errorf("the one that waited: %w", err)
			}
			return nil
		})
		impatient, stop := context.WithCancel(t.Context())
		g.Go(func() error {
			_, err := c.get(impatient, cacheKey{}, func() (*Features, error) { return nil, bad })
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("the impatient one: %w", err)
			}
			return nil
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if len(c.entries) != 0 {
			t.Errorf("%d errors were kept", len(c.entries))
		}
	})
}

func TestConcurrentReaders(t *testing.T) {
	d := open(t, small(t), Options{CacheBytes: 250}) // some takes
	var g errgroup.Group
	for k := range 8 {
		g.Go(func() error {
			random := rand.New(rand.NewPCG(1, uint64(k)))
			for range 200 {
				x := d.takes[random.IntN(4)]
				view := []string{"exo", "ego2"}[random.IntN(2)]
				f, err := x.Features(context.Background(), view)
				if err != nil {
					return err
				}
				if i := random.IntN(f.Samples); f.Row(i)[1] != at(view, 1, i) {
					return fmt.Errorf("take %s, %s: frame %d is %v", x.Name, view, i, f.Row(i))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A data set of 32 MB passes through a fraction of that. Its files are holes.
func TestADatasetIsNeverInMemoryAsAWhole(t *testing.T) {
	const takes, dim, samples = 32, 128, 2048 // 1 MB each
	root := t.TempDir()
	var list strings.Builder
	for i := range takes {
		name := fmt.Sprintf("take%02d", i)
		put(t, root, "features_exo/"+name+".npy", "")
		f, err := os.Create(filepath.Join(root, "features_exo", name+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := npy.NewWriter(f, npy.Float32, i%2 == 0, dim, samples); err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err == nil {
			err = f.Truncate(info.Size() + 4*dim*samples)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&list, name)
	}
	put(t, root, "splits/train.split1.bundle", list.String()[len("take00\n"):])
	put(t, root, "splits/test.split1.bundle", "take00\n")
	d := open(t, root, Options{CacheBytes: 3 << 20})
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most uint64
	look := func() {
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	for i, x := range d.Takes() {
		f, err := x.Features(t.Context(), "exo")
		if err != nil || len(f.Data) != dim*samples {
			t.Fatalf("%d values, %v", len(f.Data), err)
		}
		if i%8 == 7 {
			look()
		}
	}
	var checked atomic.Int64
	s, err := d.Check(t.Context(), func(done, _ int, _ string) {
		checked.Add(1)
		if done%16 == 15 {
			look()
		}
	})
	if err != nil || len(s.Problems) > 0 || s.Bytes != takes*4*dim*samples || checked.Load() != takes+1 {
		t.Errorf("%+v, %v, %d calls of progress", s, err, checked.Load())
	}
	if got := int64(most) - int64(before); got > 12<<20 {
		t.Errorf("%d MB of %d MB are in memory, expected no more than the cache of 3 MB and a tile or two", got>>20, s.Bytes>>20)
	}
}
