// Package pair joins a rig's stream of samples with the streams of fixed cameras: for each ego sample the exo sample of
// the same instant, with the time between them, a bound on it and a grade, and a counted reason where there is none.
package pair

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Grade is a pair's quality by the bound on |Δt|, the time between its two samples.
type Grade uint8

// Grades, best first. Rejected pairs carry no exo sample.
const (
	Gold     Grade = iota + 1 // bound ≤ 5 ms
	Silver                    // bound ≤ 20 ms
	Bronze                    // bound ≤ 100 ms
	Rejected                  // wider, or nothing to pair with
)

// Upper ends of the grades.
const (
	goldBound   = int64(5 * time.Millisecond)
	silverBound = int64(20 * time.Millisecond)
	bronzeBound = int64(100 * time.Millisecond)
)

// GradeOf returns the grade of a pair whose |Δt| is at most bound nanoseconds.
func GradeOf(bound int64) Grade {
	switch {
	case bound <= goldBound:
		return Gold
	case bound <= silverBound:
		return Silver
	case bound <= bronzeBound:
		return Bronze
	}
	return Rejected
}

// String returns the grade's lower-case name.
func (g Grade) String() string {
	switch g {
	case Gold:
		return "gold"
	case Silver:
		return "silver"
	case Bronze:
		return "bronze"
	}
	return "rejected"
}

// Reason says why an ego sample has no partner on a camera.
type Reason string

// Reasons of rejection.
const (
	TooFar  Reason = "too_far" // the nearest exo sample is further than MaxDt
	TooWide Reason = "bound"   // the clocks' bounds make it worse than bronze
	NoExo   Reason = "no_exo"  // the camera sent nothing of that time before the wait ran out
)

// Sample is one sample of a camera as the joiner needs it.
type Sample struct {
	Take     string
	Seq      int64
	Raw      int64 // raw stamp, ns
	Time     int64 // site time, ns since the Unix epoch
	Bound    int64 // half-width of the interval around Time that holds the true time, ns
	Features []byte
	Origin   any // carried through to the match: what the caller has to know of where the sample comes from
}

// Match is an exo camera's answer to one ego sample.
type Match struct {
	Exo    *Sample // nil when rejected; valid until the joiner's next call
	Dt     int64   // ego time minus exo time, ns
	Bound  int64   // half-width of the interval around Dt that holds the true difference, ns
	Grade  Grade
	Reason Reason // of a rejection
}

// Row is an ego sample with one match for each exo camera, in the order of Config.Exo.
type Row struct {
	Ego     Sample
	Matches []Match
}

// Config says what is joined.
type Config struct {
	Exo    []string      // the exo cameras, at least one, each once
	MaxDt  time.Duration // how far apart the samples of a pair may be, > 0
	Buffer int           // samples kept of each stream, ≥ 2; bounds the memory
}

// Joiner joins one rig with any number of exo cameras. It holds no goroutine and no clock: the caller pushes samples,
// asks WantsEgo and WantsExo before, and takes the rows that are ready with Next. Samples of a stream come in the order
// of time; one that goes back is refused with an error and counted. Only a new ego take may begin earlier than the last
// one, once no ego sample waits.
//
// An ego sample is decided on a camera when the camera's stream has reached its time, so that a nearer sample can no
// longer come, or when Expire gives the camera up. Within that rule the result does not depend on the order in which
// the streams arrive. With rows taken as they are ready, one of the streams always has room, however small the buffers.
type Joiner struct {
	cfg     Config
	maxDt   int64
	ego     queue
	exo     []track
	take    string // of the newest ego sample
	lastEgo int64  // time of the newest ego sample, valid once hasEgo
	hasEgo  bool
	matches []Match
	back    uint64
}

type track struct {
	queue
	newest  Sample // without features; valid once started
	passed  int64  // nothing of an earlier time comes any more; valid once started
	started bool
	expired int64 // ego samples up to here have been given up; valid once given
	given   bool
}

// New returns a joiner without samples.
func New(cfg Config) (*Joiner, error) {
	if len(cfg.Exo) == 0 {
		return nil, errors.New("pair: no exo camera is named")
	}
	for i, d := range cfg.Exo {
		if slices.Contains(cfg.Exo[:i], d) {
			return nil, fmt.Errorf("pair: two exo cameras are named %q", d)
		}
	}
	if cfg.MaxDt <= 0 {
		return nil, fmt.Errorf("pair: max_dt is %v, expected more than 0", cfg.MaxDt)
	}
	if cfg.Buffer < 2 {
		return nil, fmt.Errorf("pair: buffer is %d, expected at least 2", cfg.Buffer)
	}
	j := &Joiner{cfg: cfg, maxDt: int64(cfg.MaxDt), exo: make([]track, len(cfg.Exo)), matches: make([]Match, len(cfg.Exo))}
	j.ego.items = make([]Sample, cfg.Buffer)
	for i := range j.exo {
		j.exo[i].items = make([]Sample, cfg.Buffer)
	}
	return j, nil
}

// WantsEgo reports whether there is room for an ego sample.
func (j *Joiner) WantsEgo() bool { return !j.ego.full() }

// WantsExo reports whether there is room for a sample of exo camera i. What no waiting ego sample can use any more makes
// room; before the first ego sample, everything is kept that fits.
func (j *Joiner) WantsExo(i int) bool {
	j.evict(i)
	return !j.exo[i].full()
}

// LastEgo returns the time of the newest ego sample, and false before the first.
func (j *Joiner) LastEgo() (int64, bool) { return j.lastEgo, j.hasEgo }

// Ego pushes the rig's next sample. The joiner keeps s.Features.
func (j *Joiner) Ego(s Sample) error {
	if j.hasEgo && s.Time < j.lastEgo {
		if j.ego.n > 0 || s.Take == j.take {
			j.back++
			return fmt.Errorf("pair: ego sample %s/%d at %d ns goes back %d ns", s.Take, s.Seq, s.Time, j.lastEgo-s.Time)
		}
		for i := range j.exo {
			j.exo[i].given = false // what was given up was of another time
		}
	}
	if !j.WantsEgo() {
		return fmt.Errorf("pair: no room for ego sample %s/%d: %d samples wait", s.Take, s.Seq, j.ego.n)
	}
	j.hasEgo, j.lastEgo, j.take = true, s.Time, s.Take
	j.ego.push(s)
	return nil
}

// Exo pushes the next sample of exo camera i. The joiner keeps s.Features. The newest sample once more, as a message that
// is delivered twice brings it, is ignored.
func (j *Joiner) Exo(i int, s Sample) error {
	t := &j.exo[i]
	if t.started && s.Time < t.newest.Time {
		j.back++
		return fmt.Errorf("pair: sample %s/%d of %s at %d ns goes back %d ns", s.Take, s.Seq, j.cfg.Exo[i], s.Time, t.newest.Time-s.Time)
	}
	if t.started && s.Time == t.newest.Time && s.Seq == t.newest.Seq && s.Take == t.newest.Take {
		return nil
	}
	if !j.WantsExo(i) {
		return fmt.Errorf("pair: no room for sample %s/%d of %s: %d samples wait for the rig", s.Take, s.Seq, j.cfg.Exo[i], t.n)
	}
	t.push(s)
	t.started, t.passed = true, max(t.passed, s.Time)
	t.newest = Sample{Take: s.Take, Seq: s.Seq, Time: s.Time}
	return nil
}

// EndExo says that camera i's take has ended: ego samples up to MaxDt after its last sample are decided. A take of the
// camera that begins within 2 MaxDt may hold a nearer sample, which they don't wait for: in exchange the end of a take is
// not held up until the camera is given up. Saying it again changes nothing.
func (j *Joiner) EndExo(i int) {
	if t := &j.exo[i]; t.started {
		t.passed = max(t.passed, t.newest.Time+j.maxDt)
	}
}

// Expire gives camera i up for the ego samples that wait now.
func (j *Joiner) Expire(i int) {
	j.exo[i].given, j.exo[i].expired = true, j.lastEgo
}

// Waiting returns for how many ego samples the join waits.
func (j *Joiner) Waiting() int { return j.ego.n }

// Behind returns the exo cameras that the oldest ego sample waits for.
func (j *Joiner) Behind() []int {
	var list []int
	if j.ego.n > 0 {
		for i := range j.exo {
			if !j.decided(&j.exo[i], j.ego.at(0).Time) {
				list = append(list, i)
			}
		}
	}
	return list
}

// Back returns how many samples were refused because their time went back.
func (j *Joiner) Back() uint64 { return j.back }

func (j *Joiner) decided(t *track, ego int64) bool {
	return (t.started && t.passed >= ego) || (t.given && ego <= t.expired)
}

// Next returns the oldest ego sample once every camera is decided on it, and false when there is none. The row is valid
// until the next call.
func (j *Joiner) Next() (Row, bool) {
	if j.ego.n == 0 {
		return Row{}, false
	}
	ego := j.ego.at(0)
	for i := range j.exo {
		if !j.decided(&j.exo[i], ego.Time) {
			return Row{}, false
		}
	}
	for i := range j.exo {
		j.matches[i] = j.match(&j.exo[i], ego)
	}
	row := Row{Ego: *ego, Matches: j.matches}
	j.ego.pop()
	return row, true
}

// match picks the nearest sample; of two equally near ones the earlier.
func (j *Joiner) match(t *track, ego *Sample) Match {
	if t.n == 0 {
		return Match{Grade: Rejected, Reason: NoExo}
	}
	// The samples are sorted by time: the nearest is the first at or after ego's, or the one before it.
	k := t.search(ego.Time)
	if k == t.n || (k > 0 && ego.Time-t.at(k-1).Time <= t.at(k).Time-ego.Time) {
		k--
	}
	s := t.at(k)
	dt := ego.Time - s.Time
	m := Match{Exo: s, Dt: dt, Bound: ego.Bound + s.Bound}
	if max(dt, -dt) > j.maxDt {
		why := TooFar
		if !t.started || t.passed < ego.Time {
			why = NoExo
		}
		return Match{Grade: Rejected, Reason: why}
	}
	if m.Grade = GradeOf(max(dt, -dt) + m.Bound); m.Grade == Rejected {
		return Match{Grade: Rejected, Reason: TooWide}
	}
	return m
}

// evict drops what no ego sample that waits or may come can be paired with: what is too old, and what has another sample
// between itself and the oldest of them.
func (j *Joiner) evict(i int) {
	if !j.hasEgo {
		return
	}
	oldest := j.lastEgo
	if j.ego.n > 0 {
		oldest = j.ego.at(0).Time
	}
	t := &j.exo[i]
	for t.n > 0 && t.at(0).Time < oldest-j.maxDt {
		t.pop()
	}
	for t.n > 1 && (t.at(1).Time < oldest || t.at(1).Time == oldest && t.at(0).Time < oldest) {
		t.pop()
	}
}
