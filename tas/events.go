package tas

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Kinds of an Event.
const (
	EventProvisional = "provisional" // a first opinion; a higher revision of the same first_seq replaces it
	EventConfirmed   = "confirmed"   // label and start of a committed segment that has not ended; both are final
	EventCommitted   = "committed"   // final
	EventOrigin      = "origin"      // no segment: start_ns is when the first frame of the take's truth begins
)

// Event is a line of a file of segment events, as a device's stream has them. Times are nanoseconds of site time.
type Event struct {
	Device     string  `json:"device,omitempty"`
	Take       string  `json:"take"`
	Release    string  `json:"release,omitempty"`
	Kind       string  `json:"kind"`
	Label      string  `json:"label,omitempty"`
	Start      int64   `json:"start_ns"`
	End        int64   `json:"end_ns,omitempty"`     // of an open segment: where it has come so far
	Decided    int64   `json:"decided_ns,omitempty"` // of the newest sample when this was decided
	FirstSeq   uint64  `json:"first_seq"`
	LastSeq    uint64  `json:"last_seq"`
	Revision   uint32  `json:"revision"`
	Open       bool    `json:"open,omitempty"` // it has not ended
	Reason     string  `json:"reason,omitempty"`
	Confidence float64 `json:"confidence"`
	Bound      int64   `json:"bound_ns"` // half-width of the interval that holds the true time of each end
	Bridged    uint64  `json:"bridged,omitempty"`
	Rushed     uint64  `json:"rushed,omitempty"`
}

const (
	maxEventLine = 64 << 10
	maxEventTime = 1 << 62
)

// WriteEvent writes an event as a line.
func WriteEvent(w io.Writer, e *Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// WriteEvents writes a file of events: whole, or not at all.
func WriteEvents(path string, events []Event) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write events: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone once it has been renamed
	w := bufio.NewWriter(f)
	for i := range events {
		if err == nil {
			err = WriteEvent(w, &events[i])
		}
	}
	if err = errors.Join(err, w.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ReadEvents reads a file of events, one JSON object a line. Blank lines are skipped. Unknown fields, a line that is no event, and
// a file without one are errors that name the file and the line (from 1).
func ReadEvents(path string) ([]Event, error) { return readFile(path, parseEvents) }

// parseEvents is ReadEvents on an open file.
func parseEvents(name string, r io.Reader) ([]Event, error) {
	var list []Event
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxEventLine)
	line := 0
	for s.Scan() {
		line++
		text := bytes.TrimSpace(s.Bytes())
		if len(text) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		var e Event
		err := d.Decode(&e)
		if err == nil && d.InputOffset() < int64(len(text)) {
			err = errors.New("text follows the object")
		}
		if err == nil {
			err = e.check()
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w; expected one segment event a line (docs/segments.md)", name, line, err)
		}
		list = append(list, e)
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: the line is longer than any event (%d bytes); is this a file of events?", name, line+1, maxEventLine)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(list) == 0:
		return nil, fmt.Errorf("%s is empty; expected one segment event a line", name)
	}
	return list, nil
}

func (e *Event) check() error {
	outside := func(ns int64) bool { return ns < 0 || ns >= maxEventTime }
	switch {
	case e.Take == "":
		return errors.New("take is missing")
	case checkLabel(e.Take) != nil:
		return fmt.Errorf("take: %w", checkLabel(e.Take))
	case outside(e.Start):
		return fmt.Errorf("start_ns is %d, expected nanoseconds since 1970", e.Start)
	case e.Kind == EventOrigin:
		return nil
	case e.Kind != EventProvisional && e.Kind != EventConfirmed && e.Kind != EventCommitted:
		return fmt.Errorf("kind is %q, expected %s, %s, %s or %s", clip(e.Kind), EventProvisional, EventConfirmed, EventCommitted, EventOrigin)
	case checkLabel(e.Label) != nil:
		return checkLabel(e.Label)
	case outside(e.End) || e.End <= e.Start:
		return fmt.Errorf("end_ns is %d, expected more than start_ns, %d", e.End, e.Start)
	case outside(e.Decided) || e.Decided == 0:
		return fmt.Errorf("decided_ns is %d, expected the site time at which the event was decided", e.Decided)
	case e.LastSeq < e.FirstSeq:
		return fmt.Errorf("last_seq is %d, before first_seq, %d", e.LastSeq, e.FirstSeq)
	case e.Kind == EventCommitted && e.Open:
		return errors.New("a committed segment has ended, but open is true")
	}
	return nil
}
