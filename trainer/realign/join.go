package realign

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

// Reasons beside the joiner's, as a rig has them.
const (
	releaseChanged = "release_changed" // a batch's partners of one take of a camera are of one release
	timeWentBack   = "time_went_back"  // the ego sample is earlier than one before it
	unsynchronized = "unsynchronized"  // the rig didn't know the site's time
)

// buffer is the joiner's. Samples are pushed in the order of time, so that few wait.
const buffer = 1024

// alignment is a camera of a take that is paired anew.
type alignment struct {
	*camera
	offset   Offset
	fix      correction
	rows     map[*record][]match
	rejected map[*record]map[string]uint64 // since the take began
	after    Pairing
}

// match is an ego sample's partner; none if the sample is nil.
type match struct {
	sample    *sample
	other     *sample // on the other side of the ego sample, where the rig interpolates
	weight    float32 // of other
	dt, bound int64
	grade     pair.Grade
}

// correction is what is added to a camera's stamps.
type correction struct {
	ns    int64
	drift float64 // ppm
	ref   int64
	err   int64
}

func (c correction) at(t int64) int64 {
	return c.ns + int64(math.Round(c.drift*1e-6*float64(t-c.ref)))
}

func newAlignment(c *camera, o Offset, middle int64) *alignment {
	return &alignment{
		camera: c, offset: o, after: newPairing(),
		fix:  correction{ns: -int64(math.Round(o.OffsetMS * 1e6)), drift: 0 - o.DriftPPM, ref: middle, err: int64(math.Round(o.ErrorMS * 1e6))},
		rows: map[*record][]match{}, rejected: map[*record]map[string]uint64{},
	}
}

// join pairs the take's samples with those of some cameras, by the rules of package pair.
func (t *take) join(list []*alignment, maxDt time.Duration) error {
	cfg := pair.Config{MaxDt: maxDt, Buffer: buffer, Interpolate: t.interpolated}
	for _, a := range list {
		cfg.Exo = append(cfg.Exo, a.name)
	}
	j, err := pair.New(cfg)
	if err != nil {
		return err
	}
	run := &joining{j: j, list: list, ego: newEgoStream(t.sorted())}
	for _, a := range list {
		run.exo = append(run.exo, newExoStream(a))
	}
	run.run()
	for _, a := range list {
		a.finish(t.sorted())
	}
	return nil
}

// finish settles what goes by batches: the release, and the counts.
func (a *alignment) finish(sorted []*record) {
	for _, r := range sorted {
		heads := map[string]*header{}
		for i := range a.rows[r] {
			m := &a.rows[r][i]
			if m.sample == nil {
				continue
			}
			head := heads[m.sample.take]
			if head == nil {
				head = m.sample.head
				heads[m.sample.take] = head
			}
			if !head.features(m.sample.head) || m.other != nil && !head.features(m.other.head) {
				a.reject(r, releaseChanged)
				*m = match{}
				continue
			}
			m.sample.partner = true
			if m.other != nil {
				m.other.partner = true
			}
			a.after.count(grades[m.grade])
		}
		for why, n := range a.rejected[r] {
			a.after.Rejected[why] += n
		}
		a.rejected[r] = maps.Clone(a.after.Rejected)
	}
}

func (a *alignment) reject(r *record, why string) {
	if a.rejected[r] == nil {
		a.rejected[r] = map[string]uint64{}
	}
	a.rejected[r][why]++
}

// joining pushes the streams of a take into a joiner.
type joining struct {
	j    *pair.Joiner
	list []*alignment
	ego  *egoStream
	exo  []*exoStream
}

func (x *joining) run() {
	for {
		x.drain()
		if x.ego.done() && x.j.Waiting() == 0 {
			return
		}
		if x.push() {
			continue
		}
		// What waits, waits for cameras that have nothing more.
		for _, i := range x.j.Behind() {
			x.j.Expire(i)
		}
	}
}

// push pushes the earliest sample for which there is room.
func (x *joining) push() bool {
	best, at := -2, int64(math.MaxInt64)
	if v, ok := x.ego.time(); ok && x.j.WantsEgo() {
		best, at = -1, v
	}
	for i, s := range x.exo {
		if v, ok := s.time(); ok && v < at && x.j.WantsExo(i) {
			best, at = i, v
		}
	}
	switch best {
	case -2:
		return false
	case -1:
		r, row := x.ego.take()
		if r.bound[row] >= wire.UnknownBound {
			x.rejectAll(r, unsynchronized)
			break
		}
		err := x.j.Ego(pair.Sample{Seq: int64(row), Time: at, Bound: r.bound[row], Origin: r})
		if err != nil {
			x.rejectAll(r, timeWentBack)
		}
	default:
		s := x.exo[best].take()
		// It can't be refused: the stream is sorted, and there is room.
		_ = x.j.Exo(best, pair.Sample{Take: s.sample.take, Seq: s.sample.seq, Time: at, Bound: s.bound, Origin: s.sample})
	}
	return true
}

func (x *joining) rejectAll(r *record, why string) {
	for _, a := range x.list {
		a.reject(r, why)
	}
}

// drain takes the rows that are decided.
func (x *joining) drain() {
	for row, ok := x.j.Next(); ok; row, ok = x.j.Next() {
		r, _ := row.Ego.Origin.(*record)
		for i, m := range row.Matches {
			a := x.list[i]
			if a.rows[r] == nil {
				a.rows[r] = make([]match, len(r.site))
			}
			switch {
			case m.Exo != nil:
				s, _ := m.Exo.Origin.(*sample)
				found := match{sample: s, dt: m.Dt, bound: m.Bound, grade: m.Grade}
				if m.Other != nil {
					found.other, _ = m.Other.Origin.(*sample)
					found.weight = float32(m.Weight)
				}
				a.rows[r][row.Ego.Seq] = found
			case m.Reason == pair.TooFar && row.Ego.Time < x.exo[i].first:
				a.reject(r, string(pair.NoExo)) // the archive holds nothing of that time
			default:
				a.reject(r, string(m.Reason))
			}
		}
	}
}

// egoStream are the rig's samples.
type egoStream struct {
	records []*record
	row     int
}

func newEgoStream(sorted []*record) *egoStream {
	return &egoStream{records: slices.DeleteFunc(slices.Clone(sorted), func(r *record) bool { return len(r.site) == 0 })}
}

func (s *egoStream) done() bool { return len(s.records) == 0 }

func (s *egoStream) time() (int64, bool) {
	if s.done() {
		return 0, false
	}
	return s.records[0].site[s.row], true
}

func (s *egoStream) take() (*record, int) {
	r, row := s.records[0], s.row
	if s.row++; s.row == len(r.site) {
		s.records, s.row = s.records[1:], 0
	}
	return r, row
}

// exoStream are a camera's samples with the time that they have now.
type exoStream struct {
	samples []timed
	first   int64
}

type timed struct {
	sample      *sample
	time, bound int64
}

func newExoStream(a *alignment) *exoStream {
	s := &exoStream{samples: make([]timed, 0, len(a.samples)), first: math.MaxInt64}
	for _, v := range a.samples {
		v.partner = false
		if v.bound >= 0 { // what has no bound can't be paired
			s.samples = append(s.samples, timed{v, v.site + a.fix.at(v.site), v.bound + a.fix.err})
		}
	}
	slices.SortFunc(s.samples, func(x, y timed) int {
		return cmp.Or(cmp.Compare(x.time, y.time), cmp.Compare(x.sample.take, y.sample.take), cmp.Compare(x.sample.seq, y.sample.seq))
	})
	if len(s.samples) > 0 {
		s.first = s.samples[0].time
	}
	return s
}

func (s *exoStream) time() (int64, bool) {
	if len(s.samples) == 0 {
		return 0, false
	}
	return s.samples[0].time, true
}

func (s *exoStream) take() timed {
	v := s.samples[0]
	s.samples = s.samples[1:]
	return v
}

// maxDtOf returns how far apart the samples of a pair may be: as asked for, as the rig had it, or an agent's default.
func (t *take) maxDtOf(asked time.Duration) time.Duration {
	switch {
	case asked > 0:
		return asked
	case t.maxDt > 0:
		return time.Duration(t.maxDt)
	}
	return DefaultMaxDt
}
