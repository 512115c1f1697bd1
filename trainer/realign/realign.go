// Package realign pairs the samples of a pair archive anew, with other offsets between the cameras: a camera's latency that
// clocks can't see is often known only when the pairs are there.
//
// Nothing is lost. Every sample of the rig and of the fixed cameras is in the new archive, with its raw stamp and its site
// time as they were; exo samples that are nobody's partner any more stay with the batch in which the rig had them. Each
// batch keeps what the rig had paired and what was corrected, so that Options.Undo gives the first archive back, byte for
// byte, however often it was aligned in between. What was written is read again and compared before it gets its name.
package realign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tandem/sync/pair"
	"tandem/trainer/pairfile"
)

// DefaultMaxDt is how far apart the samples of a pair may be, for archives that don't say what the rig had: an agent's default.
const DefaultMaxDt = 100 * time.Millisecond

// Options say what is done.
type Options struct {
	Offsets  []Offset
	Estimate bool // estimate the offsets of the cameras that Offsets does not name
	Undo     bool // put back what the rigs paired; Offsets and Estimate are not used then
	MaxDt    time.Duration
	Progress func(done, total int, note string) // in takes; may be nil
}

// Run reads the archive in a directory, or in pairs/ of it, and writes the aligned one into out, which must be empty or not
// there. It may run beside a trainer that writes to the archive. After an error, nothing is left behind.
func Run(ctx context.Context, in, out string, o Options) (_ *Report, err error) {
	dir, takes, err := locate(in)
	if err != nil {
		return nil, err
	}
	list, err := newOffsets(o.Offsets)
	if err != nil {
		return nil, err
	}
	if o.MaxDt < 0 || o.MaxDt > time.Second {
		return nil, fmt.Errorf("max_dt is %v, expected up to 1s", o.MaxDt)
	}
	abs, err := prepare(dir, out)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(abs), "."+filepath.Base(abs)+".part-*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", out, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	w := &work{in: dir, out: pairfile.Dir(tmp), offsets: list, Options: o}
	report := &Report{Out: out}
	for i, id := range takes {
		w.progress(i, len(takes), id.String())
		t, err := w.run(ctx, id)
		if err != nil {
			return nil, explain(err, out)
		}
		report.Takes = append(report.Takes, t)
	}
	if o, ok := list.unused(); ok && !w.Undo {
		return nil, fmt.Errorf("the offset for %s fits no camera of a take; there are %s", o, report.names())
	}
	if err := commit(tmp, abs); err != nil {
		return nil, explain(err, out)
	}
	w.progress(len(takes), len(takes), out)
	return report, nil
}

// locate returns the archive in a directory, and its takes.
func locate(in string) (pairfile.Dir, []pairfile.Take, error) {
	for _, d := range []string{in, filepath.Join(in, "pairs")} {
		takes, err := pairfile.Dir(d).Takes()
		if err != nil && d == in {
			return "", nil, err // names the directory
		}
		if len(takes) > 0 {
			return pairfile.Dir(d), takes, nil
		}
	}
	return "", nil, fmt.Errorf("%s holds no DEVICE/TAKE.pairs: expected a trainer's archive of pairs, or its store", in)
}

// prepare checks the directory that will be written and makes its parent.
func prepare(in pairfile.Dir, out string) (abs string, err error) {
	if abs, err = filepath.Abs(out); err != nil {
		return "", err
	}
	from, err := filepath.Abs(string(in))
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(from, abs); err == nil && !strings.HasPrefix(rel, "..") {
		return "", fmt.Errorf("%s lies in the archive that is read; name a directory outside of it", out)
	}
	entries, err := os.ReadDir(abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty; name another directory", out)
	}
	return abs, os.MkdirAll(filepath.Dir(abs), 0o755)
}

// explain says what to do about a full disk.
func explain(err error, out string) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("write %s: %w; nothing of it is left; the new archive needs about as much room as the old one", out, err)
	}
	return err
}

// commit makes a finished directory durable and gives it its name.
func commit(tmp, dir string) error {
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // the archive is no secret to the machine's users
		return err
	}
	err := filepath.WalkDir(tmp, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = syncDir(path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// work is a run.
type work struct {
	Options
	in, out pairfile.Dir
	offsets *offsets
}

func (w *work) progress(done, total int, note string) {
	if w.Progress != nil {
		w.Progress(done, total, note)
	}
}

// run aligns a take, or copies it if there is nothing to do.
func (w *work) run(ctx context.Context, id pairfile.Take) (report TakeReport, err error) {
	if err := ctx.Err(); err != nil {
		return report, err
	}
	t, err := open(w.in, id)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, t.file.Close()) }()
	report = TakeReport{Device: id.Device, Take: id.Name, Samples: t.sum.egoSamples, Torn: t.file.Torn()}
	list, err := w.plan(ctx, t, &report)
	if err != nil {
		return report, err
	}
	changed := len(list) > 0
	for _, c := range report.Cameras {
		changed = changed || c.Action == Undone
	}
	if changed {
		t.settle()
		if len(list) > 0 {
			if err := t.join(list, t.maxDtOf(w.MaxDt)); err != nil {
				return report, err
			}
		}
		err = newWriter(t, list, w.Undo).write(w.out, ctx.Err)
	} else {
		err = t.file.CopyTo(w.out)
	}
	if err != nil {
		return report, fmt.Errorf("%s: %w", w.in.Path(id), err)
	}
	return report, w.verify(t, &report)
}

// plan decides what becomes of each camera, and returns those that are paired anew.
func (w *work) plan(ctx context.Context, t *take, report *TakeReport) ([]*alignment, error) {
	var list []*alignment
	var guesses map[string]*guess
	if w.Estimate && !w.Undo {
		var unknown []*camera
		for _, name := range slices.Sorted(maps.Keys(t.cameras)) {
			if _, given := w.offsets.find(t.id, name); !given {
				unknown = append(unknown, t.cameras[name])
			}
		}
		var err error
		if guesses, err = t.estimate(ctx, unknown); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.cameras)) {
		c := t.cameras[name]
		r := CameraReport{Camera: name, Action: Kept, Before: c.before, Samples: uint64(len(c.samples))}
		offset, given := w.offsets.find(t.id, name)
		switch {
		case w.Undo:
			if c.aligned {
				r.Action = Undone
			}
		case given:
			r.Action = Aligned
		case w.Estimate:
			g := guesses[name]
			r.Confidence, r.Against = g.confidence, g.by
			if g.err != nil {
				r.Note = g.err.Error()
				if !errors.Is(g.err, errAgrees) {
					r.Action = Refused
				}
				break
			}
			r.Action, offset = Aligned, g.Offset
		}
		if r.Action == Aligned {
			offset.Device, offset.Take = t.id.Device, t.id.Name
			list = append(list, newAlignment(c, offset, t.middle()))
		}
		report.Cameras = append(report.Cameras, r)
	}
	return list, nil
}

// verify reads what was written: all samples must be there.
func (w *work) verify(t *take, report *TakeReport) error {
	got, err := open(w.out, t.id)
	if err != nil {
		return fmt.Errorf("read what was written: %w", err)
	}
	defer got.file.Close() //nolint:errcheck // only read
	if got.sum != t.sum {
		return fmt.Errorf("%s: what was written does not hold the samples that were read (%d of the rig and %d exo, expected %d and %d); nothing is changed, please report this",
			t.id, got.sum.egoSamples, got.sum.exoSamples, t.sum.egoSamples, t.sum.exoSamples)
	}
	for i := range report.Cameras {
		r := &report.Cameras[i]
		c := got.cameras[r.Camera]
		if c == nil {
			continue // it never had a sample
		}
		r.After, r.Unpaired = c.before, c.unpaired()
		r.OffsetMS, r.DriftPPM, r.ErrorMS = c.before.OffsetMS, c.drift, c.error
		if n := r.After.Rejected[string(pair.TooWide)]; r.Action == Aligned && n > r.After.Pairs() {
			r.Note = fmt.Sprintf("an offset that is known to ±%.0f ms makes most pairs worse than bronze; give it with a smaller error if you know it better", r.ErrorMS)
		}
	}
	return nil
}
