package tas

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// line is a line of a text file without its end, counted from 1.
type line struct {
	number int
	text   []byte // without white space at its ends; valid until the next line
}

// lines walks over the lines of a text file up to the last that isn't blank. A byte order mark and the ends of lines
// (LF or CRLF) are taken off. A blank line before the last text is an error, since whether it counts as a frame or not,
// somebody's frames would shift; so is a file without any text, and a line longer than any label. After an error,
// which names the file and the line, nothing more is yielded.
func lines(name string, r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 2*maxLabelBytes)
		number, blank, texts := 0, 0, 0
		for s.Scan() {
			number++
			text := s.Bytes()
			if number == 1 {
				text = bytes.TrimPrefix(text, []byte("\uFEFF"))
			}
			text = bytes.TrimSpace(text)
			if len(text) == 0 {
				if blank == 0 {
					blank = number
				}
				continue
			}
			if blank > 0 {
				yield(line{}, fmt.Errorf("%s:%d: the line is blank, but text follows at line %d; every line must hold a label", name, blank, number))
				return
			}
			texts++
			if !yield(line{number: number, text: text}, nil) {
				return
			}
		}
		switch err := s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(line{}, fmt.Errorf("%s:%d: the line is longer than any label (%d bytes); is this a text file?", name, number+1, maxLabelBytes))
		case err != nil:
			yield(line{}, fmt.Errorf("read %s: %w", name, err))
		case texts == 0:
			yield(line{}, fmt.Errorf("%s is empty; expected one label a line", name))
		}
	}
}

// readFile opens a file and hands it to parse together with its name for errors.
func readFile[T any](path string, parse func(name string, r io.Reader) (T, error)) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, err // names the operation and the file already
	}
	defer func() {
		_ = f.Close() // it was only read
	}()
	return parse(path, f)
}
