package tas

import (
	"fmt"
	"slices"
)

// Labels is the ordered list of classes of a model or a data set: class i is output i of the model. It never changes
// after it was made and may be shared between goroutines. The zero value has no classes.
type Labels struct {
	names []string
	index map[string]int
}

// NewLabels makes the list of the given class names, in that order. A name may hold spaces inside, but is not empty, not
// given twice, and free of control characters and of white space at its ends.
func NewLabels(names ...string) (Labels, error) {
	l := Labels{names: slices.Clone(names), index: make(map[string]int, len(names))}
	for i, name := range names {
		if err := checkLabel(name); err != nil {
			return Labels{}, fmt.Errorf("class %d: %w", i, err)
		}
		if first, ok := l.index[name]; ok {
			return Labels{}, fmt.Errorf("class %d: the label %q is class %d already", i, name, first)
		}
		l.index[name] = i
	}
	return l, nil
}

// Len is the number of classes.
func (l Labels) Len() int { return len(l.names) }

// Name is the name of class i, or "" (which no class is called) if i is not in [0, Len()).
func (l Labels) Name(i int) string {
	if i < 0 || i >= len(l.names) {
		return ""
	}
	return l.names[i]
}

// Names is a copy of all names in order.
func (l Labels) Names() []string { return slices.Clone(l.names) }

// Index is the class of a name; false if there is no such class.
func (l Labels) Index(name string) (int, bool) {
	i, ok := l.index[name]
	return i, ok
}

// Encode turns names into classes. A name that is no class is an error that says at which frame (from 0) it stands.
func (l Labels) Encode(frames []string) ([]int, error) {
	ids := make([]int, len(frames))
	for t, name := range frames {
		id, ok := l.index[name]
		if !ok {
			return nil, fmt.Errorf("frame %d: the label %q is none of the %d classes", t, clip(name), len(l.names))
		}
		ids[t] = id
	}
	return ids, nil
}

// Decode turns classes into names. A number outside [0, Len()) is an error that says at which frame (from 0) it stands.
func (l Labels) Decode(ids []int) ([]string, error) {
	frames := make([]string, len(ids))
	for t, id := range ids {
		if id < 0 || id >= len(l.names) {
			return nil, fmt.Errorf("frame %d: class %d is not in [0, %d)", t, id, len(l.names))
		}
		frames[t] = l.names[id]
	}
	return frames, nil
}
