package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Auto is the format that Open finds out itself.
const Auto = "auto"

// Format is a layout of files that Open understands.
type Format struct {
	Name   string
	Files  string // the files that it is known by
	Videos bool   // it holds videos: Options.Extractor and Options.RateHz are needed

	is   func(dir string) bool
	open func(ctx context.Context, dir string, o Options) (*contents, error)
}

// Formats returns the formats in the order in which Auto tries them.
func Formats() []Format {
	return []Format{
		{"tandem", "dataset.json", false, isTandem, openTandem},
		{"two-stream", "features_exo/*.npy, features_ego/*.npy, groundTruth/*.txt, mapping.txt, splits/*.bundle", false, isTwoStream, openTwoStream},
		{"ms-tcn", "features/*.npy, groundTruth/*.txt, mapping.txt, splits/*.bundle", false, isMSTCN, openMSTCN},
		{"assembly101", "coarse-annotations/{actions.csv,coarse_labels,coarse_splits} and TSM_features/CAMERA/data.mdb", false, isAssembly101, openAssembly101},
		{"ego-exo4d", "takes.json, annotations/keystep_{train,val}.json and features/omnivore_video/UID_CAMERA_STREAM.pt", false, isEgoExo4D, openEgoExo4D},
		{"pairs", "DEVICE/TAKE.pairs of a trainer's store", false, isPairs, openPairs},
		{"sim", "TAKE/truth.json with videos, as tandem sim renders", true, isSim, openSim},
	}
}

// FormatNames returns the names of the formats.
func FormatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// Open opens the data set in a directory, in a format by name, or Auto. What can be checked without reading features and
// labels is checked; Dataset.Check reads all. The caller closes the data set.
func Open(ctx context.Context, dir, format string, o Options) (*Dataset, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	f, err := Detect(dir, format)
	if err != nil {
		return nil, err
	}
	c, err := f.open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("%s data set: %w", f.Name, err)
	}
	if c.name == "" {
		if abs, err := filepath.Abs(dir); err == nil {
			c.name = filepath.Base(abs)
		}
	}
	d, err := assemble(f.Name, c, o)
	if err != nil {
		return nil, fmt.Errorf("%s data set %s: %w", f.Name, dir, err)
	}
	return d, nil
}

// Detect returns the format of a name, or, of Auto, that of the files in a directory. The error about a directory in no
// format says what it holds and what was expected.
func Detect(dir, name string) (Format, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return Format{}, fmt.Errorf("open data set: %w", err)
	case !info.IsDir():
		return Format{}, fmt.Errorf("open data set: %s is a file, expected a directory", dir)
	}
	formats := Formats()
	if name != Auto && name != "" {
		i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
		if i < 0 {
			return Format{}, fmt.Errorf("there is no format %q, expected %s or %s", name, strings.Join(FormatNames(), ", "), Auto)
		}
		return formats[i], nil
	}
	for _, f := range formats {
		if f.is(dir) {
			return f, nil
		}
	}
	found, err := inventory(dir)
	if err != nil {
		return Format{}, fmt.Errorf("open data set: %w", err)
	}
	var expected []string
	for _, f := range formats {
		expected = append(expected, f.Name+": "+f.Files)
	}
	return Format{}, fmt.Errorf("%s is in no format of a data set: it holds %s; expected one of %s", dir, found, strings.Join(expected, "; "))
}

// inventory says in a few words what a directory holds.
func inventory(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	const most = 8
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	switch n := len(names); {
	case n == 0:
		return "nothing", nil
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most), nil
	}
	return strings.Join(names, ", "), nil
}

// isDir and isFile tell what stands at a path.
func isDir(elem ...string) bool {
	info, err := os.Stat(filepath.Join(elem...))
	return err == nil && info.IsDir()
}

func isFile(elem ...string) bool {
	info, err := os.Stat(filepath.Join(elem...))
	return err == nil && info.Mode().IsRegular()
}

// filesWith lists the files of a directory with an ending, without it, sorted. A missing directory holds none.
func filesWith(dir, ending string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err // names the directory
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ending)
		if ok && !e.IsDir() && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

// few spells some of a list of names.
func few(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
