package agent

import (
	"maps"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
)

// egoTake is what the batches of one take share.
type egoTake struct {
	name     string
	begun    bool              // a sample of it has gone into the joiner
	rejected map[string]uint64 // of the batches that are complete since the take began, by camera and reason
}

// openBatch is an ego batch on its way through the joiner.
type openBatch struct {
	take    *egoTake
	ego     *wire.SampleBatch
	rows    int
	decided int          // rows that are decided
	skipped map[int]bool // rows that never went into the joiner
	tracks  []*openTrack

	rejected map[string]uint64 // in this batch, by camera and reason
}

func newOpenBatch(take *egoTake, ego *wire.SampleBatch, rows int) *openBatch {
	return &openBatch{take: take, ego: ego, rows: rows, rejected: map[string]uint64{}}
}

// openTrack is one exo camera's part of an ego batch. A camera may begin another take within it, which is another track.
type openTrack struct {
	camera       int
	origin       *wire.SampleBatch // of the first match
	seq, raw, at []int64
	within       []int64 // bounds of the samples
	features     []byte

	index  []int32
	dt     []int64
	bound  []int64
	grade  []wire.Grade
	other  []int32
	weight []float32
	mixed  bool // some row has another sample
}

// add appends a match of the row that is being decided. It reports false when the exo camera changed its release within
// the batch: a track has features of one extractor only, so such a row stays without this partner.
func (o *openBatch) add(camera int, ego *pair.Sample, m pair.Match) bool {
	origin, _ := m.Exo.Origin.(*wire.SampleBatch)
	t := o.track(camera, origin)
	if !t.holds(origin) {
		return false
	}
	if m.Other != nil {
		if from, _ := m.Other.Origin.(*wire.SampleBatch); !t.holds(from) {
			m.Other, m.Weight = nil, 0
			m.Dt, m.Bound = ego.Time-m.Exo.Time, ego.Bound+m.Exo.Bound
			if m.Grade = pair.GradeOf(max(m.Dt, -m.Dt) + m.Bound); m.Grade == pair.Rejected {
				return false
			}
		}
	}
	other := int32(-1)
	if m.Other != nil && m.Other.Seq < m.Exo.Seq {
		other = t.sample(m.Other)
	}
	index := t.sample(m.Exo)
	if m.Other != nil && m.Other.Seq > m.Exo.Seq {
		other = t.sample(m.Other)
	}
	t.index = append(t.index, index)
	t.other = append(t.other, other)
	t.weight = append(t.weight, float32(m.Weight))
	t.mixed = t.mixed || other >= 0
	t.dt = append(t.dt, m.Dt)
	t.bound = append(t.bound, m.Bound)
	t.grade = append(t.grade, grades[m.Grade])
	return true
}

// holds reports whether a batch's features are of the track's release.
func (t *openTrack) holds(b *wire.SampleBatch) bool {
	return t.origin.Release == b.Release && t.origin.Extractor == b.Extractor && t.origin.Dim == b.Dim
}

// sample returns the index of a sample in the track, which it is added to unless it is there. Rows are decided in the order
// of time, so it is one of the newest or the next.
func (t *openTrack) sample(s *pair.Sample) int32 {
	for i := len(t.seq) - 1; i >= 0 && t.seq[i] >= s.Seq; i-- {
		if t.seq[i] == s.Seq {
			return int32(i)
		}
	}
	t.seq = append(t.seq, s.Seq)
	t.raw = append(t.raw, s.Raw)
	t.at = append(t.at, s.Time)
	t.within = append(t.within, s.Bound)
	t.features = append(t.features, s.Features...)
	return int32(len(t.seq) - 1)
}

// track returns the camera's track of the exo take that a batch belongs to.
func (o *openBatch) track(camera int, origin *wire.SampleBatch) *openTrack {
	for _, t := range o.tracks {
		if t.camera == camera && t.origin.Take == origin.Take {
			return t
		}
	}
	n := o.rows
	t := &openTrack{
		camera: camera, origin: origin,
		seq: make([]int64, 0, n), raw: make([]int64, 0, n), at: make([]int64, 0, n),
		index: make([]int32, 0, n), dt: make([]int64, 0, n), bound: make([]int64, 0, n), grade: make([]wire.Grade, 0, n),
		features: make([]byte, 0, n*int(origin.Dim)*wire.F16Size),
	}
	o.tracks = append(o.tracks, t)
	t.pad(o.decided)
	return t
}

// next ends the row that is being decided.
func (o *openBatch) next() {
	o.decided++
	for _, t := range o.tracks {
		t.pad(o.decided)
	}
}

// skip says that a row will not come out of the joiner.
func (o *openBatch) skip(row int) {
	if o.skipped == nil {
		o.skipped = map[int]bool{}
	}
	o.skipped[row] = true
}

// done passes over skipped rows and reports whether all rows are decided.
func (o *openBatch) done() bool {
	for o.skipped[o.decided] {
		o.next()
	}
	return o.decided == o.rows
}

// pad brings the track up to n rows: where it has no match, it says so.
func (t *openTrack) pad(n int) {
	for len(t.index) < n {
		t.index = append(t.index, -1)
		t.other = append(t.other, -1)
		t.weight = append(t.weight, 0)
		t.dt = append(t.dt, 0)
		t.bound = append(t.bound, 0)
		t.grade = append(t.grade, wire.Grade_GRADE_REJECTED)
	}
}

// message makes the batch of pairs, once all rows are decided.
func (o *openBatch) message(cameras []string, maxDt time.Duration) *wire.PairBatch {
	b := &wire.PairBatch{Ego: o.ego, Last: o.ego.Last, Rejected: maps.Clone(o.take.rejected), MaxDtNs: int64(maxDt)}
	for reason, n := range o.rejected {
		b.Rejected[reason] += n
	}
	for _, t := range o.tracks {
		x := &wire.ExoTrack{
			Device: cameras[t.camera], Take: t.origin.Take, Release: t.origin.Release, Extractor: t.origin.Extractor,
			RateHz: t.origin.RateHz, StampKind: t.origin.StampKind, ClockSource: t.origin.ClockSource,
			Dim: t.origin.Dim, Seq: wire.AppendDeltas(nil, t.seq), RawNs: wire.AppendDeltas(nil, t.raw),
			SiteNs: wire.AppendDeltas(nil, t.at), Features: t.features,
			Index: t.index, DtNs: t.dt, BoundNs: t.bound, Grade: t.grade, SampleBoundNs: wire.AppendDeltas(nil, t.within),
		}
		if t.mixed {
			x.Other, x.Weight = t.other, t.weight
		}
		b.Exo = append(b.Exo, x)
	}
	return b
}

var grades = map[pair.Grade]wire.Grade{
	pair.Gold:   wire.Grade_GRADE_GOLD,
	pair.Silver: wire.Grade_GRADE_SILVER,
	pair.Bronze: wire.Grade_GRADE_BRONZE,
}
