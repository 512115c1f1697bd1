package pair

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Config says what is joined.
type Config struct {
	Exo    []string      // the exo cameras, at least one, each once
	MaxDt  time.Duration // how far apart the samples of a pair may be, > 0
	Buffer int           // samples kept of each stream, ≥ 2; bounds the memory
	// Lateness is how much older than the newest sample of its stream a sample may be, ≥ 0. Rows wait that long. Buffers
	// must hold the samples of Lateness and MaxDt; where they don't, the wait is cut short and counted as overrun.
	Lateness time.Duration
	// Interpolate gives a match both neighbours of the ego sample where they are of one take and within MaxDt.
	Interpolate bool
	// Spare asks for the exo samples that are nobody's partner but lie within Spare of the rig's samples: with another offset
	// they would be. 0 asks for none. A row waits for none of them; those after a take's last row are not handed out. With
	// Lateness, one that comes twice may be handed out twice.
	Spare time.Duration
}

// ErrDoubled is returned by Joiner.Ego for a sample that it has.
var ErrDoubled = errors.New("pair: the ego sample came twice")

// Joiner joins one rig with any number of exo cameras. It holds no goroutine and no clock: the caller pushes samples,
// asks WantsEgo and WantsExo before, and takes the rows that are ready with Next. Samples of a stream come in the order
// of time, or with Config.Lateness out of it by so much; one that goes further back is refused with an error and counted.
// Only a new ego take may begin earlier than the last one, once no ego sample waits.
//
// An ego sample is decided on a camera when the camera's stream has passed its time, so that a nearer sample can no
// longer come, or when Expire gives the camera up. With rows taken as they are ready, one of the streams always has room,
// however small the buffers.
type Joiner struct {
	cfg      Config
	maxDt    int64
	lateness int64
	ego      queue
	exo      []track
	take     string // of the newest ego sample
	lastEgo  int64  // time of the newest ego sample, valid once hasEgo
	hasEgo   bool
	passed   int64 // no ego sample of up to here comes any more
	matches  []Match
	counts   Counts     // of the rig's samples
	lastRow  int64      // time of the row that was decided last
	rowTake  string     // and its take
	spares   [][]Sample // by camera, of the row
}

type track struct {
	queue
	newest  Sample // without features; valid once started
	passed  int64  // every sample of up to here has come; valid once started
	ended   int64  // what comes now is no partner of ego samples up to here
	started bool
	expired int64 // ego samples up to here have been given up; valid once given
	given   bool
	spare   []Sample // samples that nobody can be paired with any more, and nobody was
	handed  []Sample // those of the last row
	counts  Counts
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
	const most = 24 * time.Hour
	if cfg.MaxDt <= 0 || cfg.MaxDt > most {
		return nil, fmt.Errorf("pair: max_dt is %v, expected more than 0 and at most %v", cfg.MaxDt, most)
	}
	if cfg.Buffer < 2 {
		return nil, fmt.Errorf("pair: buffer is %d, expected at least 2", cfg.Buffer)
	}
	if cfg.Lateness < 0 || cfg.Lateness > most {
		return nil, fmt.Errorf("pair: lateness is %v, expected 0 to %v", cfg.Lateness, most)
	}
	if cfg.Spare < 0 || cfg.Spare > most {
		return nil, fmt.Errorf("pair: spare is %v, expected 0 to %v", cfg.Spare, most)
	}
	j := &Joiner{
		cfg: cfg, maxDt: int64(cfg.MaxDt), lateness: int64(cfg.Lateness), passed: math.MinInt64,
		exo: make([]track, len(cfg.Exo)), matches: make([]Match, len(cfg.Exo)),
	}
	j.ego.items = make([]item, cfg.Buffer)
	for i := range j.exo {
		j.exo[i].items, j.exo[i].ended = make([]item, cfg.Buffer), math.MinInt64
	}
	if cfg.Spare > 0 {
		j.spares = make([][]Sample, len(cfg.Exo))
	}
	return j, nil
}

// watermark returns up to where a stream with the given newest sample is complete. In a stream that keeps the order of
// time, what has the newest one's time comes behind it and changes nothing.
func (j *Joiner) watermark(newest int64) int64 {
	if j.lateness == 0 {
		return newest
	}
	return newest - j.lateness - 1
}

// WantsEgo reports whether there is room for an ego sample.
func (j *Joiner) WantsEgo() bool {
	if !j.ego.full() {
		return true
	}
	if first := j.ego.at(0).Time; first > j.passed {
		j.passed = first
		j.counts.Overrun++
	}
	return false
}

// WantsExo reports whether there is room for a sample of exo camera i. What no waiting ego sample can use any more makes
// room; before the first ego sample, everything is kept that fits. With Config.Lateness, a row may be ready after it
// has said no.
func (j *Joiner) WantsExo(i int) bool {
	j.evict(i)
	t := &j.exo[i]
	if !t.full() {
		return true
	}
	if j.ego.n > 0 && !j.decided(t, j.ego.at(0).Time) {
		// Only samples that came out of order can be waited for with a full buffer.
		t.passed = max(t.passed, t.at(t.n-1).Time)
		t.counts.Overrun++
	}
	return false
}

// LastEgo returns the time of the newest ego sample, and false before the first.
func (j *Joiner) LastEgo() (int64, bool) { return j.lastEgo, j.hasEgo }

// Ego pushes the rig's next sample. The joiner keeps s.Features. ErrDoubled is for a sample that waits already.
func (j *Joiner) Ego(s Sample) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("pair: ego sample %s/%d: %w", s.Take, s.Seq, err)
	}
	if j.hasEgo && (s.Time < j.lastEgo-j.lateness || j.lateness > 0 && s.Time <= j.passed) {
		if j.ego.n > 0 || s.Take == j.take {
			j.counts.Back++
			return fmt.Errorf("pair: ego sample %s/%d at %d ns goes back %d ns", s.Take, s.Seq, s.Time, j.lastEgo-s.Time)
		}
		for i := range j.exo {
			j.exo[i].given = false // what was given up was of another time
		}
		j.passed, j.lastEgo = math.MinInt64, s.Time
	}
	if !j.WantsEgo() {
		return fmt.Errorf("pair: no room for ego sample %s/%d: %d samples wait", s.Take, s.Seq, j.ego.n)
	}
	if !j.ego.insert(item{Sample: s}) {
		j.counts.Doubled++
		return ErrDoubled
	}
	if !j.hasEgo || s.Time >= j.lastEgo {
		j.lastEgo, j.take = s.Time, s.Take
	}
	j.hasEgo, j.passed = true, max(j.passed, j.watermark(j.lastEgo))
	return nil
}

// EndEgo says that no ego sample comes any more that is older than the newest: rows don't wait for Config.Lateness then.
func (j *Joiner) EndEgo() {
	if j.hasEgo {
		j.passed = j.lastEgo
	}
}

// Exo pushes the next sample of exo camera i. The joiner keeps s.Features. A sample once more, as a message that
// is delivered twice brings it, is ignored.
func (j *Joiner) Exo(i int, s Sample) error {
	t := &j.exo[i]
	if err := s.check(); err != nil {
		return fmt.Errorf("pair: sample %s/%d of %s: %w", s.Take, s.Seq, j.cfg.Exo[i], err)
	}
	if t.started && s.Time < t.newest.Time-j.lateness {
		t.counts.Back++
		return fmt.Errorf("pair: sample %s/%d of %s at %d ns goes back %d ns", s.Take, s.Seq, j.cfg.Exo[i], s.Time, t.newest.Time-s.Time)
	}
	if t.started && same(&s, &t.newest) {
		t.counts.Doubled++
		return nil
	}
	if !j.WantsExo(i) {
		return fmt.Errorf("pair: no room for sample %s/%d of %s: %d samples wait for the rig", s.Take, s.Seq, j.cfg.Exo[i], t.n)
	}
	if !t.insert(item{Sample: s, after: t.ended}) {
		t.counts.Doubled++
		return nil
	}
	if !t.started || s.Time >= t.newest.Time {
		t.newest = Sample{Take: s.Take, Seq: s.Seq, Time: s.Time}
	}
	if passed := j.watermark(t.newest.Time); !t.started || passed > t.passed {
		t.passed = passed
	}
	t.started = true
	return nil
}

// EndExo says that camera i's take has ended, after its last sample: ego samples up to MaxDt after that are decided. A
// take of the camera that begins within 2 MaxDt may hold a nearer sample, which they are not paired with: in exchange the
// end of a take is not held up until the camera is given up. Saying it again changes nothing.
func (j *Joiner) EndExo(i int) {
	if t := &j.exo[i]; t.started {
		t.ended = t.newest.Time + j.maxDt
		t.passed = max(t.passed, t.ended)
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

// Counts returns what became of exo camera i's pairs and samples.
func (j *Joiner) Counts(i int) Counts { return j.exo[i].counts }

// EgoCounts returns what was refused of the rig's samples; its pairs are counted by camera.
func (j *Joiner) EgoCounts() Counts { return j.counts }

// Back returns how many samples were refused because their time went back.
func (j *Joiner) Back() uint64 {
	n := j.counts.Back
	for i := range j.exo {
		n += j.exo[i].counts.Back
	}
	return n
}

// decided reports whether no sample can come any more that an ego sample's match depends on.
func (j *Joiner) decided(t *track, ego int64) bool {
	if t.given && ego <= t.expired {
		return true
	}
	if !t.started || t.passed < ego {
		return false
	}
	// Out of order, what lies between the ego sample and the next one known may be on its way.
	if j.lateness == 0 || ego <= t.ended || t.passed >= ego+j.maxDt {
		return true
	}
	k := t.search(ego)
	return k < t.n && t.at(k).Time <= t.passed
}

// Next returns the oldest ego sample once every camera is decided on it, and false when there is none. The row is valid
// until the next call.
func (j *Joiner) Next() (Row, bool) {
	if j.ego.n == 0 {
		return Row{}, false
	}
	ego := &j.ego.at(0).Sample
	if ego.Time > j.passed {
		return Row{}, false
	}
	for i := range j.exo {
		if !j.decided(&j.exo[i], ego.Time) {
			return Row{}, false
		}
	}
	for i := range j.spares {
		j.spares[i] = j.handOut(i, ego)
	}
	for i := range j.exo {
		j.match(&j.exo[i], ego, &j.matches[i])
		j.exo[i].counts.count(&j.matches[i])
	}
	row := Row{Ego: *ego, Matches: j.matches, Spare: j.spares}
	j.lastRow, j.rowTake = ego.Time, ego.Take
	j.ego.pop()
	return row, true
}

// match picks the nearest sample; of two equally near ones the earlier.
func (j *Joiner) match(t *track, ego *Sample, m *Match) {
	// The samples are sorted by time: the nearest is the first at or after ego's, or the one before it. What came after
	// the end of the take that decided on ego doesn't count.
	right := t.search(ego.Time)
	left := right - 1
	for left >= 0 && t.at(left).after >= ego.Time {
		left--
	}
	for right < t.n && t.at(right).after >= ego.Time {
		right++
	}
	k := right
	if right == t.n || left >= 0 && ego.Time-t.at(left).Time <= t.at(right).Time-ego.Time {
		k = left
	}
	if k < 0 || abs(ego.Time-t.at(k).Time) > j.maxDt {
		*m = Match{Grade: Rejected, Reason: TooFar}
		if !t.started || t.passed < ego.Time {
			m.Reason = NoExo
		}
		return
	}
	s := &t.at(k).Sample
	other := left + right - k
	*m = Match{Exo: s, Dt: ego.Time - s.Time, Bound: min(ego.Bound, mostBound) + min(s.Bound, mostBound)}
	if j.cfg.Interpolate && m.Dt != 0 && left >= 0 && right < t.n {
		j.between(&t.at(other).Sample, ego, m)
	}
	if m.Grade = GradeOf(abs(m.Dt) + m.Bound); m.Grade == Rejected {
		*m = Match{Grade: Rejected, Reason: TooWide}
		return
	}
	t.at(k).used = true
	if m.Other != nil {
		t.at(other).used = true
	}
}

// between makes m a match with both neighbours, if they belong together.
func (j *Joiner) between(other, ego *Sample, m *Match) {
	if abs(ego.Time-other.Time) > j.maxDt || other.Take != m.Exo.Take {
		return
	}
	m.Other, m.Weight = other, float64(m.Dt)/float64(other.Time-m.Exo.Time)
	m.Dt, m.Bound = 0, min(ego.Bound, mostBound)+min(max(m.Exo.Bound, other.Bound), mostBound)
}

// evict drops what no ego sample that waits or may come can be paired with: what is too old, and what has another sample
// between itself and the oldest of them.
func (j *Joiner) evict(i int) {
	if !j.hasEgo {
		return
	}
	oldest := j.lastEgo - j.lateness
	if j.ego.n > 0 {
		oldest = min(j.ego.at(0).Time, max(oldest, j.passed))
	}
	t := &j.exo[i]
	for t.n > 0 && t.at(0).Time < oldest-j.maxDt {
		j.drop(t, oldest)
	}
	for t.n > 1 {
		next := t.at(1)
		if next.after >= oldest || next.Time > oldest || next.Time == oldest && t.at(0).Time == oldest {
			return
		}
		j.drop(t, oldest)
	}
}

// drop drops the oldest sample. If nobody was paired with it, and it is near a row, it is a spare one.
func (j *Joiner) drop(t *track, oldest int64) {
	old, near := t.at(0), int64(j.cfg.Spare)
	if near > 0 && !old.used && (old.Time >= oldest-near || abs(old.Time-j.lastRow) <= near) {
		if len(t.spare) >= mostSpare {
			t.spare = append(t.spare[:0], t.spare[mostSpare/2:]...)
			t.counts.Unkept += mostSpare / 2
		}
		t.spare = append(t.spare, old.Sample)
	}
	t.pop()
}

// handOut returns the spare samples of camera i that lie near an ego sample that is being decided, or the one before it.
func (j *Joiner) handOut(i int, ego *Sample) []Sample {
	j.evict(i) // so that what is spare does not depend on when the samples came
	t, near := &j.exo[i], int64(j.cfg.Spare)
	t.handed = t.handed[:0]
	for _, s := range t.spare {
		if s.Time >= ego.Time-near || j.rowTake == ego.Take && abs(s.Time-j.lastRow) <= near {
			t.handed = append(t.handed, s)
		}
	}
	clear(t.spare)
	t.spare = t.spare[:0]
	return t.handed
}

// mostSpare bounds the spare samples of a camera between two rows.
const mostSpare = 4096

// Limits, ns: no difference of times, and no sum of bounds, overflows.
const (
	mostTime  = 1 << 62 // in the year 2116
	mostBound = 1 << 61
)

// check refuses what can't be reckoned with.
func (s *Sample) check() error {
	switch {
	case s.Time <= -mostTime || s.Time >= mostTime:
		return fmt.Errorf("its time of %d ns is out of range", s.Time)
	case s.Bound < 0:
		return fmt.Errorf("its bound is %d ns, expected 0 or more", s.Bound)
	}
	return nil
}

func abs(x int64) int64 { return max(x, -x) }
