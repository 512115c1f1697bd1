package dataset

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/tas"
	"tandem/trainer/dataset/npy"
)

// Import writes the data set in Tandem's own layout into a directory, which must be empty or not there, and checks on the
// way all that Check checks: the first problem is the error, and nothing is left behind then. The directory appears when
// it is complete. No more than some megabytes of features are in memory at a time, where the format allows it.
func (d *Dataset) Import(ctx context.Context, dir string, progress Progress) (_ Summary, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return Summary{}, fmt.Errorf("import into %s: it is not empty; name another directory", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Summary{}, fmt.Errorf("import into %s: %w", dir, err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Summary{}, err
	}
	parent := filepath.Dir(abs)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return Summary{}, fmt.Errorf("import into %s: %w", dir, err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(abs)+".part-*")
	if err != nil {
		return Summary{}, fmt.Errorf("import into %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	w := &converter{d: d, root: tmp, manifest: manifest{
		Schema: manifestSchema, Name: d.Name, Source: d.Format, RateHz: d.RateHz, Labels: d.Labels.Names(),
		Background: nonNil(slices.Clone(d.Background)), Views: d.Views(), Notes: nonNil(slices.Clone(d.Notes)), Files: map[string]string{},
	}}
	for i, t := range d.takes {
		if progress != nil {
			progress(i, len(d.takes), t.Name)
		}
		if err := w.take(ctx, t); err != nil {
			return Summary{}, fmt.Errorf("take %s: %w", t.Name, err)
		}
	}
	if err := w.finish(); err != nil {
		return Summary{}, fmt.Errorf("import into %s: %w", dir, err)
	}
	if progress != nil {
		progress(len(d.takes), len(d.takes), d.Name)
	}
	if err := commit(tmp, abs); err != nil {
		return Summary{}, fmt.Errorf("import into %s: %w", dir, err)
	}
	return d.Summary(), nil
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// commit gives a finished directory its name, durably.
func commit(tmp, dir string) error {
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // others may read data sets
		return err
	}
	if err := syncDir(tmp); err != nil {
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

// converter writes a data set.
type converter struct {
	d        *Dataset
	root     string
	manifest manifest
}

func (w *converter) take(ctx context.Context, t *Take) error {
	m := manifestTake{Name: t.Name, Samples: t.Samples, Views: t.Views(), Exo: t.Labelled, Ego: t.EgoLabelled}
	for v, seen := range w.d.store.takes[t.index].views {
		if seen {
			if err := w.view(ctx, t, v); err != nil {
				return err
			}
			if err := w.pictures(ctx, t, v); err != nil {
				return err
			}
		}
	}
	var exo, ego []int
	var err error
	if t.Labelled {
		if exo, err = w.d.exoLabels(ctx, t.index); err != nil {
			return err
		}
		if err := w.labels(labelsDir, t, exo); err != nil {
			return err
		}
	}
	if t.EgoLabelled && w.d.egoLabels != nil {
		if ego, err = w.d.egoLabels(ctx, t.index); err != nil {
			return err
		}
		if !t.Labelled || !slices.Equal(exo, ego) {
			err = w.labels(labelsDir+egoSuffix, t, ego)
		}
	}
	w.manifest.Takes = append(w.manifest.Takes, m)
	return err
}

// view writes the features of a take's view, with times and weights where there are some.
func (w *converter) view(ctx context.Context, t *Take, v int) error {
	name := w.d.store.views[v].Name
	file, err := w.create(featuresDir+"_"+name, t.Name+arrayEnding)
	if err != nil {
		return err
	}
	var out *npy.Writer
	times, weights, err := w.d.store.scan(ctx, t.index, v, func(_ int, rows []float32, dim int) (err error) {
		if out == nil {
			w.manifest.Views[v].Dim = dim
			if out, err = npy.NewWriter(file, npy.Float32, true, dim, t.Samples); err != nil {
				return err
			}
		}
		return out.Floats(rows)
	})
	if err == nil {
		err = out.Close()
	}
	if err := file.close(err); err != nil {
		return err
	}
	if times != nil {
		err := w.array(timesDir+"_"+name, t.Name, npy.Int64, len(times), func(out *npy.Writer) error { return out.Ints(times) })
		if err != nil {
			return err
		}
	}
	if weights != nil {
		return w.array(weightsDir+"_"+name, t.Name, npy.Float32, len(weights), func(out *npy.Writer) error { return out.Floats(weights) })
	}
	return nil
}

// array writes an array of one axis.
func (w *converter) array(dir, take string, typ npy.Type, n int, fill func(*npy.Writer) error) error {
	file, err := w.create(dir, take+arrayEnding)
	if err != nil {
		return err
	}
	out, err := npy.NewWriter(file, typ, false, n)
	if err == nil {
		err = errors.Join(fill(out), out.Close())
	}
	return file.close(err)
}

func (w *converter) labels(dir string, t *Take, classes []int) error {
	names, err := w.d.Labels.Decode(classes)
	if err != nil {
		return err
	}
	return w.text(dir, t.Name+labelEnding, names)
}

// text writes lines.
func (w *converter) text(dir, name string, lines []string) error {
	file, err := w.create(dir, name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, strings.Join(lines, "\n")+"\n")
	return file.close(err)
}

// finish writes what belongs to no take, the manifest last.
func (w *converter) finish() error {
	if w.d.Labels.Len() > 0 {
		path := filepath.Join(w.root, mappingFile)
		if err := tas.WriteMapping(path, w.d.Labels); err != nil {
			return err
		}
		sum, err := digestFile(path)
		if err != nil {
			return err
		}
		w.manifest.Files[mappingFile] = sum
	}
	for _, f := range w.d.store.folds {
		for part, list := range map[string][]string{"train": f.Train, "test": f.Test, "pairs": f.Pairs} {
			if len(list) == 0 {
				continue
			}
			name := part + ".split" + f.Name + ".bundle"
			if !bundleName.MatchString(name) {
				return fmt.Errorf("fold %q can't be the name of a file", f.Name)
			}
			if err := w.text(splitsDir, name, withEnding(list)); err != nil {
				return err
			}
		}
	}
	if err := w.extractor(); err != nil {
		return err
	}
	dirs, err := os.ReadDir(w.root)
	if err != nil {
		return err
	}
	for _, e := range dirs {
		if e.IsDir() {
			if err := syncDir(filepath.Join(w.root, e.Name())); err != nil {
				return err
			}
		}
	}
	text, err := json.MarshalIndent(w.manifest, "", " ")
	if err != nil {
		return err
	}
	file, err := w.create("", manifestFile)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return file.close(err)
}

func withEnding(takes []string) []string {
	out := make([]string, len(takes))
	for i, t := range takes {
		out[i] = t + labelEnding
	}
	return out
}

// outFile is a file that is being written and digested.
type outFile struct {
	*bufio.Writer
	f    *os.File
	hash hash.Hash
	done func(sum string)
}

func (w *converter) create(dir, name string) (*outFile, error) {
	if dir != "" {
		if err := os.MkdirAll(filepath.Join(w.root, dir), 0o755); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(filepath.Join(w.root, dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	key := name
	if dir != "" {
		key = dir + "/" + name
	}
	return &outFile{
		Writer: bufio.NewWriterSize(io.MultiWriter(f, h), 1<<16), f: f, hash: h,
		done: func(sum string) { w.manifest.Files[key] = sum },
	}, nil
}

// close ends the file durably, unless there was an error before.
func (o *outFile) close(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if err == nil {
		err = o.f.Sync()
	}
	if err = errors.Join(err, o.f.Close()); err != nil {
		return err
	}
	o.done(hex.EncodeToString(o.hash.Sum(nil)))
	return nil
}
