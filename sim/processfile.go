package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ProcessFPS is the frame rate that process files count in.
const ProcessFPS = 30

const (
	maxProcessFrames = ProcessFPS * 6 * 3600
	maxLabelBytes    = 200
)

// Process is a sequence of labelled steps that drives the worker. What lies between two steps is background.
type Process struct {
	Name  string // of the file, for messages
	Steps []Step // in order, not overlapping
}

// Step is a label on the half-open interval [Start, End) of frames at ProcessFPS.
type Step struct {
	Start, End int
	Label      string
}

// ReadProcess reads the process file at path. See [ParseProcess] for the format.
func ReadProcess(path string) (*Process, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read process: %w", err)
	}
	defer f.Close()
	return ParseProcess(path, f)
}

// ParseProcess reads "start<TAB>end<TAB>label" lines, in frames at [ProcessFPS] with an exclusive end; further columns are ignored, and
// so are empty lines. Steps are in order and don't overlap; a gap of one frame, as files with inclusive ends have between all steps, is closed. The label
// [Background] stands for itself. An error names the file and the line.
func ParseProcess(name string, r io.Reader) (*Process, error) {
	p := &Process{Name: name}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<16)
	line := 0
	for sc.Scan() {
		line++
		text := strings.TrimSuffix(sc.Text(), "\r")
		if line == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		s, err := parseStep(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if n := len(p.Steps); n > 0 {
			prev := &p.Steps[n-1]
			if s.Start < prev.End {
				return nil, fmt.Errorf("%s:%d: step starts in frame %d, before the one above ends in frame %d; want steps in order without overlap",
					name, line, s.Start, prev.End)
			}
			if s.Start == prev.End+1 {
				prev.End = s.Start
			}
		}
		p.Steps = append(p.Steps, s)
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("%s:%d: line longer than 64 kB; is this a text file?", name, line+1)
		}
		return nil, fmt.Errorf("read process %s: %w", name, err)
	}
	if len(p.Steps) == 0 {
		return nil, fmt.Errorf("%s: no steps; want lines of start<TAB>end<TAB>label", name)
	}
	return p, nil
}

func parseStep(text string) (Step, error) {
	if !utf8.ValidString(text) {
		return Step{}, errors.New("not UTF-8 text")
	}
	cols := strings.Split(text, "\t")
	if len(cols) < 3 {
		return Step{}, fmt.Errorf("%d columns; want start<TAB>end<TAB>label, separated by tabs", len(cols))
	}
	start, err := parseFrame("start", cols[0])
	if err != nil {
		return Step{}, err
	}
	end, err := parseFrame("end", cols[1])
	if err != nil {
		return Step{}, err
	}
	if end <= start {
		return Step{}, fmt.Errorf("end %d is not after start %d", end, start)
	}
	label := strings.TrimSpace(cols[2])
	switch {
	case label == "":
		return Step{}, errors.New("the label is empty")
	case len(label) > maxLabelBytes:
		return Step{}, fmt.Errorf("the label has %d bytes; want at most %d", len(label), maxLabelBytes)
	case strings.ContainsFunc(label, unicode.IsControl):
		return Step{}, fmt.Errorf("the label %q holds a control character", label)
	}
	return Step{start, end, label}, nil
}

func parseFrame(col, text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 || n > maxProcessFrames {
		return 0, fmt.Errorf("%s %q is not a frame number from 0 to %d", col, text, maxProcessFrames)
	}
	return n, nil
}

// frames returns the length of the process in its own frames.
func (p *Process) frames() int { return p.Steps[len(p.Steps)-1].End }
