package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/trainer/backbone"
	"tandem/trainer/dataset/npy"
)

// Tandem's own layout is two-stream with what that lacks:
//
//	dataset.json                 the manifest: rate, views, takes, digests of all files
//	features_VIEW/TAKE.npy       float32 [D, T] in Fortran order, so that a frame's features lie together
//	times_VIEW/TAKE.npy          int64 [T], nanoseconds, where the samples are not evenly spaced
//	weights_VIEW/TAKE.npy        float32 [T], where lost samples were filled in
//	frames_VIEW/, extractor/     see Pictures
//	groundTruth/, groundTruth_ego/, mapping.txt, splits/
//
// What reads two-stream data sets reads it too.
const (
	manifestFile   = "dataset.json"
	manifestSchema = 1
	timesDir       = "times"
	weightsDir     = "weights"
	// maxManifest bounds the manifest; one of a hundred thousand files has some 20 MB.
	maxManifest = 256 << 20
)

// manifest is dataset.json.
type manifest struct {
	Schema     int               `json:"schema"`
	Name       string            `json:"name"`
	Source     string            `json:"source"` // the format that it was imported from
	RateHz     float64           `json:"rate_hz"`
	Labels     []string          `json:"labels"`
	Background []string          `json:"background"`
	Views      []View            `json:"views"` // exo views first
	Takes      []manifestTake    `json:"takes"` // by name
	Notes      []string          `json:"notes"`
	Files      map[string]string `json:"files"` // lower-case hex SHA-256 by path with slashes, all but the manifest
}

type manifestTake struct {
	Name    string   `json:"name"`
	Samples int      `json:"samples"`
	Views   []string `json:"views"`
	Exo     bool     `json:"labelled"`
	Ego     bool     `json:"ego_labelled"`
}

func isTandem(dir string) bool { return isFile(dir, manifestFile) }

// readManifest reads and checks a manifest, and returns it with its own digest.
func readManifest(path string) (*manifest, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, "", err
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(text)
	return m, hex.EncodeToString(sum[:]), nil
}

func parseManifest(text []byte) (*manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var m manifest
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the manifest")
	}
	return &m, m.validate()
}

func (m *manifest) validate() error {
	switch {
	case m.Schema != manifestSchema:
		return fmt.Errorf("schema is %d, this program reads %d", m.Schema, manifestSchema)
	case !(m.RateHz >= 0 && m.RateHz <= maxRate):
		return fmt.Errorf("rate_hz is %g, expected 0 to %d", m.RateHz, maxRate)
	case len(m.Takes) == 0:
		return errors.New("takes is empty")
	}
	names := map[string]bool{}
	for i, v := range m.Views {
		if err := checkName("view", v.Name); err != nil {
			return fmt.Errorf("views[%d]: %w", i, err)
		}
		if names[v.Name] || v.Dim < 1 || v.Role != Exo && v.Role != Ego {
			return fmt.Errorf("views[%d]: name %q, role %q, dim %d: expected a name once, exo or ego, and at least one feature", i, v.Name, v.Role, v.Dim)
		}
		names[v.Name] = true
	}
	for i, t := range m.Takes {
		if err := checkName("take", t.Name); err != nil {
			return fmt.Errorf("takes[%d]: %w", i, err)
		}
		if i > 0 && t.Name <= m.Takes[i-1].Name {
			return fmt.Errorf("takes[%d]: %q stands after %q, expected each name once in their order", i, t.Name, m.Takes[i-1].Name)
		}
		if t.Samples < 1 {
			return fmt.Errorf("takes[%d]: samples is %d, expected 1 or more", i, t.Samples)
		}
		for _, v := range t.Views {
			if !names[v] {
				return fmt.Errorf("takes[%d]: there is no view %q", i, v)
			}
		}
	}
	for name, sum := range m.Files {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size || strings.ToLower(sum) != sum {
			return fmt.Errorf("files: the digest of %.60q is %.70q, expected a SHA-256 as 64 lower-case hex digits", name, sum)
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("files: %.60q points out of the data set", name)
		}
	}
	return nil
}

// own is a data set in Tandem's layout.
type own struct {
	layout
	manifest *manifest
	at       []int               // which of the manifest's views ours are
	files    map[string][]string // the manifest's files by take, sorted; under "" those of no take
	backbone *backbone.Backbone  // of pictures; nil where there are none
}

func openTandem(ctx context.Context, dir string, o Options) (*contents, error) {
	m, digest, err := readManifest(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, err
	}
	if o.TimeMajor || o.SourceHz > 0 {
		return nil, fmt.Errorf("%s says how the arrays lie and their rate; leave the options for that out", filepath.Join(dir, manifestFile))
	}
	views, err := chooseViews(m.Views, o)
	if err != nil {
		return nil, err
	}
	x := &own{layout: layout{root: dir, views: views}, manifest: m}
	for i, v := range views {
		views[i].Dim = 0 // is read from the files and compared
		x.dirs = append(x.dirs, featuresDir+"_"+v.Name)
		x.at = append(x.at, slices.IndexFunc(m.Views, func(w View) bool { return w.Name == v.Name }))
	}
	c, err := x.contents(ctx, Options{Folds: max(o.Folds, 2)}) // splits may be missing
	if err != nil {
		return nil, err
	}
	if err := x.compare(); err != nil {
		return nil, err
	}
	x.sortFiles()
	if err := x.verifyFiles(ctx, x.files[""]); err != nil {
		return nil, err
	}
	c.name, c.rateHz, c.background, c.digest = m.Name, m.RateHz, m.Background, digest
	if c.background == nil {
		c.background = []string{}
	}
	c.notes = append(slices.Clone(m.Notes), c.notes...)
	c.open, c.verify = x.open, x.verify
	if err := x.openBackbone(); err != nil {
		return nil, err
	}
	if c.backbone = x.backbone; c.backbone != nil {
		c.pictures = x.pictures
	}
	return c, nil
}

// compare makes sure that the files are those of the manifest.
func (x *own) compare() error {
	m, path := x.manifest, filepath.Join(x.root, manifestFile)
	if !slices.Equal(x.labels.Names(), m.Labels) && x.labels.Len()+len(m.Labels) > 0 {
		return fmt.Errorf("%s has other classes than %s; import the data set again", filepath.Join(x.root, mappingFile), path)
	}
	for i, v := range x.views {
		if dim := m.Views[x.at[i]].Dim; v.Dim != dim {
			return fmt.Errorf("%s has %d features a frame, %s says %d; import the data set again", filepath.Join(x.root, x.dirs[i]), v.Dim, path, dim)
		}
	}
	said := make(map[string]manifestTake, len(m.Takes))
	for _, t := range m.Takes {
		said[t.Name] = t
	}
	for _, t := range x.takes {
		want, ok := said[t.name]
		if !ok {
			return fmt.Errorf("take %s is not in %s; import the data set again", t.name, path)
		}
		if want.Samples != t.samples {
			return fmt.Errorf("take %s has %d samples, %s says %d; import the data set again", t.name, t.samples, path, want.Samples)
		}
		for v, seen := range t.views {
			switch says := slices.Contains(want.Views, x.views[v].Name); {
			case says && !seen:
				return fmt.Errorf("%s is missing, which %s lists; import the data set again", x.array(v, t.name), path)
			case seen && !says:
				return fmt.Errorf("%s is not in %s; import the data set again", x.array(v, t.name), path)
			}
		}
		if t.exo != want.Exo || t.ego && !want.Ego {
			return fmt.Errorf("%s says otherwise whether take %s has labels; import the data set again", path, t.name)
		}
	}
	for _, t := range m.Takes {
		chosen := slices.ContainsFunc(x.views, func(v View) bool { return slices.Contains(t.Views, v.Name) })
		if chosen && x.take(t.Name) < 0 {
			return fmt.Errorf("take %s of %s is missing; import the data set again", t.Name, path)
		}
	}
	return nil
}

// open opens the features of a take with their times and weights.
func (x *own) open(ctx context.Context, take, view int) (_ *stored, err error) {
	s, err := x.layout.open(ctx, take, view)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	t, v := x.takes[take], x.views[view]
	for _, kind := range []string{timesDir, weightsDir} {
		name := kind + "_" + v.Name + "/" + t.name + arrayEnding
		if _, ok := x.manifest.Files[name]; !ok {
			continue
		}
		if err := readAlong(filepath.Join(x.root, filepath.FromSlash(name)), s, t.samples); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readAlong reads a file of times or weights.
func readAlong(path string, s *stored, samples int) (err error) {
	f, err := npy.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if len(f.Shape) != 1 || f.Shape[0] != samples {
		return fmt.Errorf("%s is of shape %v, expected [%d]", path, f.Shape, samples)
	}
	if f.Type == npy.Int64 {
		s.times = make([]int64, samples)
		return f.Ints(0, s.times)
	}
	s.weights = make([]float32, samples)
	if err := f.Floats(0, s.weights); err != nil {
		return err
	}
	for i, w := range s.weights {
		if !(w >= 0 && w <= 1) {
			return fmt.Errorf("%s: the weight of frame %d is %g, expected 0 to 1", path, i, w)
		}
	}
	return nil
}

// sortFiles says which take the manifest's files belong to.
func (x *own) sortFiles() {
	x.files = map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(x.manifest.Files)) {
		dir, base, _ := strings.Cut(name, "/")
		take := ""
		if dir != splitsDir && dir != extractorDir && base != "" {
			take = strings.TrimSuffix(strings.TrimSuffix(base, arrayEnding), labelEnding)
		}
		x.files[take] = append(x.files[take], name)
	}
}

// verify compares a take's files with their digests.
func (x *own) verify(ctx context.Context, take int) error {
	return x.verifyFiles(ctx, x.files[x.takes[take].name])
}

func (x *own) verifyFiles(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(x.root, filepath.FromSlash(name))
		got, err := digestFile(path)
		if err != nil {
			return err
		}
		if want := x.manifest.Files[name]; got != want {
			return fmt.Errorf("%s has changed since it was imported: its SHA-256 is %s, expected %s", path, got, want)
		}
	}
	return nil
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
