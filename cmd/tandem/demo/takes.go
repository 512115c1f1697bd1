package demo

import (
	"context"
	"fmt"
	"path/filepath"

	"tandem/sim"
)

// Kinds of takes of the simulated cell, each a directory of takes. Their numbers go on from one kind to the next, so that
// no moment of one is in another.
const (
	labelledTakes = "labelled" // exo cameras only, with labels: what the teacher learns from
	pairedTakes   = "paired"   // what is paired: nobody looks at their labels, but the oracle
	testTakes     = "test"     // what is reported on
	liveTakes     = "live"     // what the rig streams while its release is changed
)

// takes are the rendered takes of the simulated cell by kind.
type takes struct {
	dir  string
	kind map[string][]*sim.Take
}

// path returns the recording of a camera.
func (t *takes) path(kind string, take *sim.Take, camera string) string {
	return filepath.Join(t.dir, kind, take.Name, camera+".mp4")
}

// render makes all takes for a seed.
func render(ctx context.Context, c *Config, seed uint64, dir string) (*takes, error) {
	t := &takes{dir: dir, kind: map[string][]*sim.Take{}}
	type batch struct {
		kind    string
		n       int
		cameras []string
	}
	batches := []batch{
		{labelledTakes, c.Labelled, []string{exo1, exo2}},
		{pairedTakes, c.Paired, nil},
		{testTakes, c.Test, nil},
		{liveTakes, 1, []string{"ego"}},
	}
	if c.own() {
		batches = batches[:1]
	}
	var work []sim.Batch
	first, total := 0, 0
	for _, b := range batches {
		w := sim.Batch{Config: sim.Config{Seed: seed, Length: c.Length, FPS: c.FPS, Cameras: sim.DefaultCameras(b.cameras...)}}
		for i := range b.n {
			w.Takes = append(w.Takes, sim.TakeSpec{Name: fmt.Sprintf("%s-%03d", b.kind, i+1), Index: first + i})
		}
		first += b.n
		n, err := w.Pictures()
		if err != nil {
			return nil, err
		}
		total += n
		work = append(work, w)
	}
	done := 0
	for i, w := range work {
		w.Progress = func(n int) {
			done += n
			if c.Progress != nil && n > 0 {
				c.Progress("render", done, total, batches[i].kind+" takes")
			}
		}
		list, err := w.Render(ctx, filepath.Join(dir, batches[i].kind))
		if err != nil {
			return nil, err
		}
		t.kind[batches[i].kind] = list
	}
	return t, nil
}
