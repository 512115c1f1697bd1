package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrStamps is wrapped by every error about a sidecar: a file that is not as it should be, or doesn't fit its video.
var ErrStamps = errors.New("bad stamps file")

const (
	sidecarExt    = ".stamps.csv"
	sidecarHeader = "frame,raw_ns"
)

// SidecarPath returns where the stamps of a recording are looked for: NAME.stamps.csv beside NAME.mp4. For pictures it
// is the directory's name with the same ending.
func SidecarPath(recording string) string {
	clean := filepath.Clean(recording)
	if hasPattern(filepath.Base(clean)) {
		return filepath.Dir(clean) + sidecarExt
	}
	if st, err := os.Stat(clean); err == nil && st.IsDir() {
		return clean + sidecarExt
	}
	return strings.TrimSuffix(clean, filepath.Ext(clean)) + sidecarExt
}

// ReadStamps reads a sidecar: the header line "frame,raw_ns", then one row for each frame in order, its number from 0
// and its raw stamp in nanoseconds since the Unix epoch. Stamps may repeat (a doubled frame) and never go back. Errors
// wrap ErrStamps and name file and line, except that a file which can't be opened is the operating system's error.
func ReadStamps(path string) ([]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("stamps file: %w", err)
	}
	defer f.Close()
	return parseStamps(f, path)
}

func parseStamps(r io.Reader, name string) ([]int64, error) {
	lines := bufio.NewScanner(r)
	line := 0
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s:%d: %s", ErrStamps, name, line, fmt.Sprintf(format, args...))
	}
	var stamps []int64
	for lines.Scan() {
		line++
		row := bytes.TrimRight(lines.Bytes(), "\r")
		if line == 1 {
			if got := bytes.TrimPrefix(row, []byte("\ufeff")); string(got) != sidecarHeader {
				return nil, bad("header is %s; want %q", quote(got), sidecarHeader)
			}
			continue
		}
		number, stamp, ok := bytes.Cut(row, []byte(","))
		if !ok {
			return nil, bad("row is %s; want a frame number, a comma and a stamp", quote(row))
		}
		if want := strconv.Itoa(len(stamps)); string(number) != want {
			return nil, bad("frame is %s; want %s: one row for each frame, numbered from 0", quote(number), want)
		}
		ns, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return nil, bad("raw_ns is %s; want a whole number of nanoseconds since the Unix epoch", quote(stamp))
		}
		if n := len(stamps); n > 0 && ns < stamps[n-1] {
			return nil, bad("raw_ns goes back from %d to %d; stamps must not decrease", stamps[n-1], ns)
		}
		stamps = append(stamps, ns)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		line++
		return nil, bad("line is longer than %d bytes; want %q and a row for each frame", bufio.MaxScanTokenSize, sidecarHeader)
	case err != nil:
		return nil, fmt.Errorf("%w: read %s: %w", ErrStamps, name, err)
	case line == 0:
		line = 1
		return nil, bad("file is empty; want the header %q and a row for each frame", sidecarHeader)
	case len(stamps) == 0:
		return nil, bad("no rows after the header; want one for each frame")
	}
	return stamps, nil
}

// quote shows found bytes in an error, not more of them than a reader wants to see.
func quote(b []byte) string {
	const most = 40
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}
