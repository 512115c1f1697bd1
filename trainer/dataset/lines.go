package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode/utf8"
)

// maxLine bounds the lines of text files, so that a video given as one is refused at once.
const maxLine = 4096

// line is a line of a text file without white space at its ends, counted from 1.
type line struct {
	number int
	text   string
}

// lines walks over the lines of a text file that are not blank. After an error nothing more is yielded.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, maxLine)
		n := 0
		for s.Scan() {
			n++
			text := s.Text()
			if n == 1 {
				text = strings.TrimPrefix(text, "\uFEFF")
			}
			text = strings.TrimSpace(text)
			if text == "" {
				continue
			}
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				yield(line{number: n}, fmt.Errorf("found %.40q, expected UTF-8 text", text))
				return
			}
			if !yield(line{n, text}, nil) {
				return
			}
		}
		if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(line{number: n + 1}, fmt.Errorf("the line has more than %d bytes; is this a text file?", maxLine))
		} else if err != nil {
			yield(line{number: n + 1}, err)
		}
	}
}

// readLines calls fn with each line of a file. Errors, also those of fn, are given file and line.
func readLines(path string, fn func(line) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err // names the file
	}
	defer f.Close() //nolint:errcheck // only read
	for l, err := range lines(f) {
		if err == nil {
			err = fn(l)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, l.number, err)
		}
	}
	return nil
}
