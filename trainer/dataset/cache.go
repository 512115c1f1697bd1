package dataset

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// cache keeps the features that were used last, up to a number of bytes. Features that are being read by one goroutine
// are waited for by the others, which do not read them again.
type cache struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	entries map[cacheKey]*cacheEntry
	order   *list.List // of *cacheEntry that are complete, last used first
}

type cacheKey struct{ take, view int }

type cacheEntry struct {
	key      cacheKey
	done     chan struct{} // closed when the features are there, or the error
	features *Features
	err      error
	place    *list.Element // nil until it is complete
}

func newCache(limit int64) *cache {
	if limit == 0 {
		limit = DefaultCacheBytes
	}
	return &cache{limit: max(limit, 0), entries: map[cacheKey]*cacheEntry{}, order: list.New()}
}

// get returns the features of a key from the cache or from load.
func (c *cache) get(ctx context.Context, key cacheKey, load func() (*Features, error)) (*Features, error) {
	for {
		c.mu.Lock()
		e, ok := c.entries[key]
		if !ok {
			e = &cacheEntry{key: key, done: make(chan struct{})}
			c.entries[key] = e
			c.mu.Unlock()
			return c.fill(e, load)
		}
		if e.place != nil {
			c.order.MoveToFront(e.place)
		}
		c.mu.Unlock()
		select {
		case <-e.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Somebody else's cancellation is no error of ours.
		if errors.Is(e.err, context.Canceled) || errors.Is(e.err, context.DeadlineExceeded) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		return e.features, e.err
	}
}

// fill loads an entry, which nobody else does meanwhile, and lets old ones go that are too much.
func (c *cache) fill(e *cacheEntry, load func() (*Features, error)) (*Features, error) {
	e.err = errors.New("reading the features broke off")
	defer close(e.done)
	defer func() { // before done is closed
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.err != nil || e.features.bytes() > c.limit {
			delete(c.entries, e.key)
			return
		}
		e.place = c.order.PushFront(e)
		c.used += e.features.bytes()
		for c.used > c.limit {
			last := c.order.Remove(c.order.Back()).(*cacheEntry)
			delete(c.entries, last.key)
			c.used -= last.features.bytes()
		}
	}()
	e.features, e.err = load()
	return e.features, e.err
}
