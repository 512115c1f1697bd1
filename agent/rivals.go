package agent

import (
	"slices"
	"time"
)

// rivals notices that two cameras send under one name: a take goes on after another one has begun in the middle of it. It
// judges by the stream alone, so that whoever reads it later finds the same.
type rivals struct {
	take   string   // the newest
	since  int64    // site time of its first sample
	before []string // takes that were followed by another, newest last
	until  int64    // site time before which samples may be of either camera
}

const (
	rivalsKept = 16                 // takes that are remembered
	rivalsFor  = int64(time.Minute) // how long after such a change nothing is believed
)

// contested takes the next batch of the stream and reports whether its samples may be of either of two cameras.
func (r *rivals) contested(take string, first, last int64) bool {
	switch {
	case take == r.take:
	case !slices.Contains(r.before, take):
		if r.before = append(r.before, r.take); len(r.before) > rivalsKept {
			r.before = r.before[1:]
		}
		r.take, r.since = take, first
	case first >= r.since: // not a recording that is played again
		r.before = append(slices.DeleteFunc(r.before, func(t string) bool { return t == take }), r.take)
		r.take, r.until = take, last+rivalsFor
		return true
	}
	return first < r.until
}
