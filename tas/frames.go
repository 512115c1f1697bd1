package tas

import (
	"fmt"
	"io"
)

// ReadFrames reads a file with one label a line, one line a frame. Labels may hold spaces; white space at the ends of a
// line is no part of them, and lines may end with LF or CRLF. A missing or empty file, a blank line before the last
// label, and a line that is no label are errors that name the file and the line (from 1). Blank lines at the end are
// no frames.
func ReadFrames(path string) ([]string, error) {
	return readFile(path, parseFrames)
}

// parseFrames is ReadFrames on an open file.
func parseFrames(name string, r io.Reader) ([]string, error) {
	var frames []string
	known := make(map[string]string) // one string a class, not one a frame
	for l, err := range lines(name, r) {
		if err != nil {
			return nil, err
		}
		label, ok := known[string(l.text)]
		if !ok {
			label = string(l.text)
			if err := checkLabel(label); err != nil {
				return nil, fmt.Errorf("%s:%d: %w; expected one label a line", name, l.number, err)
			}
			known[label] = label
		}
		frames = append(frames, label)
	}
	return frames, nil
}
