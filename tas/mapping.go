package tas

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// ReadMapping reads a file with one class a line, `id label`: the number, white space, the label, which may hold spaces.
// The lines may stand in any order, but the numbers are 0..n-1, each once, and no label occurs twice; everything else is
// an error that names the file and the line (from 1).
func ReadMapping(path string) (Labels, error) {
	return readFile(path, parseMapping)
}

// parseMapping is ReadMapping on an open file.
func parseMapping(name string, r io.Reader) (Labels, error) {
	type entry struct {
		label string
		line  int
	}
	byID := make(map[int]entry)
	byLabel := make(map[string]int) // the line
	highest := entry{}
	top := -1
	for l, err := range lines(name, r) {
		if err != nil {
			return Labels{}, err
		}
		id, label, err := parseMappingLine(l.text)
		if err != nil {
			return Labels{}, fmt.Errorf("%s:%d: %w", name, l.number, err)
		}
		if e, ok := byID[id]; ok {
			return Labels{}, fmt.Errorf("%s:%d: id %d is taken by %q at line %d; each id must occur once", name, l.number, id, clip(e.label), e.line)
		}
		if first, ok := byLabel[label]; ok {
			return Labels{}, fmt.Errorf("%s:%d: the label %q stands at line %d already; each label must occur once", name, l.number, clip(label), first)
		}
		byID[id] = entry{label, l.number}
		byLabel[label] = l.number
		if id > top {
			top, highest = id, byID[id]
		}
	}
	names := make([]string, len(byID))
	for id := range names {
		e, ok := byID[id]
		if !ok {
			return Labels{}, fmt.Errorf("%s:%d: id %d is too high: %d classes must be numbered 0 to %d, and %d is missing",
				name, highest.line, top, len(byID), len(byID)-1, id)
		}
		names[id] = e.label
	}
	labels, err := NewLabels(names...)
	if err != nil {
		return Labels{}, fmt.Errorf("%s: %w", name, err)
	}
	return labels, nil
}

// parseMappingLine splits `id label`.
func parseMappingLine(text []byte) (int, string, error) {
	end := bytes.IndexAny(text, " \t")
	if end < 0 {
		return 0, "", fmt.Errorf("found %q, expected `id label`", clip(string(text)))
	}
	id, err := strconv.Atoi(string(text[:end]))
	if err != nil || id < 0 {
		return 0, "", fmt.Errorf("the id is %q, expected a whole number from 0", clip(string(text[:end])))
	}
	label := string(bytes.TrimSpace(text[end:]))
	return id, label, checkLabel(label)
}

// WriteMapping writes the classes as the file that ReadMapping reads. The file appears whole or not at all, also when
// the power fails: it is written under another name in the same folder, flushed, and renamed. No classes are an error,
// since there is no such file.
func WriteMapping(path string, labels Labels) (err error) {
	if labels.Len() == 0 {
		return fmt.Errorf("write %s: there are no classes", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(formatMapping(labels))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// formatMapping is the text that parseMapping reads.
func formatMapping(labels Labels) []byte {
	var text bytes.Buffer
	for i, name := range labels.names {
		fmt.Fprintf(&text, "%d %s\n", i, name)
	}
	return text.Bytes()
}
