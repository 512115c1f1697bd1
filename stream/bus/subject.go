package bus

import (
	"fmt"
	"strings"

	"tandem/stream/wire"
)

// Kind is what a subject's messages are.
type Kind string

// The kinds of messages, each with a stream of its own.
const (
	Teacher  Kind = "teacher"  // wire.SampleBatch of exo cameras
	Segments Kind = "segments" // wire.SegmentEvent
	Pairs    Kind = "pairs"    // wire.PairBatch
	Status   Kind = "status"   // wire.Status
	Jobs     Kind = "jobs"     // tasks of a line's trainers (Queue); in the place of the device stands the line
)

// subjectRoot begins every subject: the product and the version of the subjects' form.
const subjectRoot = "tandem.v1."

// Subject is where a device's messages of one kind go: tandem.v1.<site>.<cell>.<device>.<kind>.
type Subject struct {
	Site, Cell, Device string // tokens: [a-z0-9-]{1,32}
	Kind               Kind
}

// String returns the subject's text. An empty field becomes the wildcard *, so that Subject{Kind: Pairs} is the filter for
// the pairs of all devices.
func (s Subject) String() string {
	var b strings.Builder
	b.WriteString(subjectRoot)
	for _, part := range []string{s.Site, s.Cell, s.Device, string(s.Kind)} {
		if b.Len() > len(subjectRoot) {
			b.WriteByte('.')
		}
		if part == "" {
			part = "*"
		}
		b.WriteString(part)
	}
	return b.String()
}

// Validate returns an error that names the first field which isn't fit for publishing.
func (s Subject) Validate() error {
	for _, f := range []struct{ name, value string }{{"site", s.Site}, {"cell", s.Cell}, {"device", s.Device}} {
		if err := wire.CheckToken(f.name, f.value); err != nil {
			return err
		}
	}
	switch s.Kind {
	case Teacher, Segments, Pairs, Status, Jobs:
		return nil
	default:
		return fmt.Errorf("kind: %.48q is unknown: expected %s, %s, %s, %s or %s", string(s.Kind), Teacher, Segments, Pairs, Status, Jobs)
	}
}

// With returns the subject of another kind of the same device.
func (s Subject) With(k Kind) Subject {
	s.Kind = k
	return s
}

// ParseSubject reads a subject's text. It accepts exactly what String gives for a valid Subject.
func ParseSubject(text string) (Subject, error) {
	rest, ok := strings.CutPrefix(text, subjectRoot)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 4 {
		return Subject{}, fmt.Errorf("subject %.200q: expected %s<site>.<cell>.<device>.<kind>", text, subjectRoot)
	}
	s := Subject{Site: parts[0], Cell: parts[1], Device: parts[2], Kind: Kind(parts[3])}
	if err := s.Validate(); err != nil {
		return Subject{}, fmt.Errorf("subject %.200q: %w", text, err)
	}
	return s, nil
}
