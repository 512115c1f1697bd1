package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer/jobs"
)

// collector stores the pairs of the configured cells, each cell's in an archive of its own: STORE/pairs for a trainer of one
// `cell`, STORE/cells/CELL/pairs for one of `cells`.
type collector struct {
	cfg *Config

	mu    sync.Mutex
	cells map[string]*Archive
}

// openCollector opens the archives that are there, and those of the cells that are named.
func openCollector(cfg *Config) (*collector, error) {
	c := &collector{cfg: cfg, cells: map[string]*Archive{}}
	names := slices.Clone(cfg.Cells)
	if cfg.everyCell() {
		names = nil
		entries, err := os.ReadDir(filepath.Join(cfg.Store, cellsDir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && wire.CheckToken("cell", e.Name()) == nil {
				names = append(names, e.Name())
			}
		}
	}
	for _, name := range names {
		if _, err := c.open(name); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

const cellsDir = "cells"

// open returns a cell's archive. mu is held, or nobody else knows of c yet.
func (c *collector) open(cell string) (*Archive, error) {
	if a := c.cells[cell]; a != nil {
		return a, nil
	}
	dir := filepath.Join(c.cfg.Store, cellsDir, cell, "pairs")
	if c.cfg.Cell != "" {
		dir = filepath.Join(c.cfg.Store, "pairs")
	}
	a, err := OpenArchive(dir)
	if err == nil {
		c.cells[cell] = a
	}
	return a, err
}

func (c *collector) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []error
	for _, a := range c.cells {
		all = append(all, a.Close())
	}
	return errors.Join(all...)
}

// archive returns a cell's archive, nil if nothing has come from the cell.
func (c *collector) archive(cell string) *Archive {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cells[cell]
}

// names returns the cells of which there is an archive, sorted.
func (c *collector) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for name := range c.cells {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (c *collector) stats() ArchiveStats {
	var sum ArchiveStats
	for _, name := range c.names() {
		s := c.archive(name).Stats()
		sum.Takes += s.Takes
		sum.Ended += s.Ended
		sum.Pairs += s.Pairs
		sum.Unpaired += s.Unpaired
		sum.Duplicates += s.Duplicates
		sum.Torn += s.Torn
	}
	return sum
}

// add stores a batch; complete tells that it is new and ends its take.
func (c *collector) add(cell string, b *wire.PairBatch) (complete bool, err error) {
	c.mu.Lock()
	a, err := c.open(cell)
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	stored, err := a.Add(b)
	return stored && b.Last, err
}

// consumers makes the durable consumers, whose names are this trainer's own: each process keeps all pairs of its cells.
func (c *collector) consumers(ctx context.Context, conn *bus.Conn, cfg bus.ConsumerConfig) ([]*bus.Consumer, error) {
	cells := c.cfg.Cells
	if c.cfg.everyCell() {
		cells = []string{""} // any
	}
	var list []*bus.Consumer
	for _, cell := range cells {
		cfg := cfg
		cfg.Stream, cfg.Filters = bus.StreamPairs, []bus.Subject{{Site: c.cfg.Site, Cell: cell, Kind: bus.Pairs}}
		cfg.Durable = wire.Token(fmt.Sprintf("archive-%s-%s", c.cfg.Name, cell))
		consumer, err := bus.NewConsumer(ctx, conn.JetStream(), cfg)
		if err != nil {
			return nil, err
		}
		list = append(list, consumer)
	}
	return list, nil
}

// complete lists the cell's takes that are complete, as a job names them.
func (c *collector) complete(cell string) []jobs.Take {
	a := c.archive(cell)
	if a == nil {
		return nil
	}
	var list []jobs.Take
	for _, id := range a.Ended() {
		list = append(list, jobs.Take{Device: id.Device, Take: id.Take, Batches: a.Batches(id)})
	}
	return list
}

// missing names the first of a job's takes of which the archive hasn't got all batches yet; empty if it holds them all.
func (c *collector) missing(j *jobs.Job) string {
	a := c.archive(j.Cell)
	for _, t := range j.Takes {
		id := TakeID{t.Device, t.Take}
		if a == nil {
			return id.String()
		}
		if n := a.Batches(id); n < t.Batches {
			return fmt.Sprintf("%s (%d of %d batches)", id, n, t.Batches)
		}
	}
	return ""
}

// collect stores a batch of pairs. It is acknowledged to the hub only when it is on the disk.
func (t *Trainer) collect(_ context.Context, m *bus.Message) error {
	b, err := wire.DecodePairBatch(m.Data)
	if err != nil {
		return err
	}
	s, err := bus.ParseSubject(m.Subject)
	if err != nil {
		return fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	complete, err := t.collector.add(s.Cell, b)
	if err != nil {
		return err
	}
	if complete {
		t.log.Info("paired take is complete", "cell", s.Cell, "device", b.Ego.Device, "take", b.Ego.Take, "complete", len(t.collector.complete(s.Cell)))
		t.waiting.end(s.Cell)
		t.wake()
	}
	return nil
}
