package agent

import (
	"cmp"
	"maps"
	"slices"
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

// exoOrigin is what has to be known of an exo sample beside itself.
type exoOrigin struct {
	*wire.SampleBatch
	fix contentFix // is in the sample's time and bound
}

// originOf returns where an exo sample is from.
func originOf(s *pair.Sample) *exoOrigin {
	o, _ := s.Origin.(*exoOrigin)
	return o
}

// openTrack is one exo camera's part of an ego batch. A camera may begin another take within it, which is another track.
type openTrack struct {
	camera  int
	origin  *exoOrigin      // of the first match
	samples []pair.Sample   // partners and spare ones, in the order in which they came
	place   map[int64]int32 // in samples, by sequence number

	index  []int32 // in samples
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
	origin := originOf(m.Exo)
	t := o.track(camera, origin)
	if !t.holds(origin) {
		return false
	}
	if m.Other != nil {
		if !t.holds(originOf(m.Other)) {
			m.Other, m.Weight = nil, 0
			m.Dt, m.Bound = ego.Time-m.Exo.Time, ego.Bound+m.Exo.Bound
			if m.Grade = pair.GradeOf(max(m.Dt, -m.Dt) + m.Bound); m.Grade == pair.Rejected {
				return false
			}
		}
	}
	other := int32(-1)
	if m.Other != nil {
		other = t.sample(m.Other)
	}
	t.index = append(t.index, t.sample(m.Exo))
	t.other = append(t.other, other)
	t.weight = append(t.weight, float32(m.Weight))
	t.mixed = t.mixed || other >= 0
	t.dt = append(t.dt, m.Dt)
	t.bound = append(t.bound, m.Bound)
	t.grade = append(t.grade, grades[m.Grade])
	return true
}

// holds reports whether a batch's features are of the track's release, and its times corrected like the track's.
func (t *openTrack) holds(b *exoOrigin) bool { return t.origin.fix == b.fix && t.sameRelease(b) }

func (t *openTrack) sameRelease(b *exoOrigin) bool {
	return t.origin.Release == b.Release && t.origin.Extractor == b.Extractor && t.origin.Dim == b.Dim
}

// changed tells why a row stays without a partner that the track of its take doesn't hold.
func (o *openBatch) changed(camera int, s *pair.Sample) pair.Reason {
	if b := originOf(s); o.track(camera, b).sameRelease(b) {
		return correctionChanged
	}
	return releaseChanged
}

// sample returns the index of a sample in the track, which it is added to unless it is there.
func (t *openTrack) sample(s *pair.Sample) int32 {
	i, there := t.place[s.Seq]
	if !there {
		i = int32(len(t.samples))
		t.place[s.Seq] = i
		t.samples = append(t.samples, *s)
	}
	return i
}

// spareBytes bounds what the samples of a batch take once spare ones are among them.
const spareBytes = wire.MaxMessage / 4

// spare keeps an exo sample that is nobody's partner, and reports whether there was room for it: with another offset it would
// be one.
func (o *openBatch) spare(camera int, s *pair.Sample) bool {
	origin := originOf(s)
	size := len(s.Features)
	for _, t := range o.tracks {
		size += len(t.samples) * int(t.origin.Dim) * wire.F16Size
	}
	if size > spareBytes {
		return false
	}
	t := o.track(camera, origin)
	if t.sameRelease(origin) {
		t.sample(s)
	}
	return t.sameRelease(origin)
}

// track returns the camera's track of the exo take that a batch belongs to.
func (o *openBatch) track(camera int, origin *exoOrigin) *openTrack {
	for _, t := range o.tracks {
		if t.camera == camera && t.origin.Take == origin.Take {
			return t
		}
	}
	n := o.rows
	t := &openTrack{
		camera: camera, origin: origin, samples: make([]pair.Sample, 0, n), place: make(map[int64]int32, n),
		index: make([]int32, 0, n), dt: make([]int64, 0, n), bound: make([]int64, 0, n), grade: make([]wire.Grade, 0, n),
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
func (o *openBatch) message(cameras []string, maxDt time.Duration, seen *content) *wire.PairBatch {
	b := &wire.PairBatch{Ego: o.ego, Last: o.ego.Last, Rejected: maps.Clone(o.take.rejected), MaxDtNs: int64(maxDt)}
	for reason, n := range o.rejected {
		b.Rejected[reason] += n
	}
	for _, t := range o.tracks {
		x := t.message(cameras[t.camera])
		x.ContentOffset, _ = seen.estimateOf(t.camera)
		b.Exo = append(b.Exo, x)
	}
	return b
}

// message makes the camera's part of the message: samples in the order of their numbers.
func (t *openTrack) message(camera string) *wire.ExoTrack {
	order := make([]int32, len(t.samples))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(t.samples[a].Seq, t.samples[b].Seq) })
	n := len(order)
	seq, raw, at, within := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	features := make([]byte, 0, n*int(t.origin.Dim)*wire.F16Size)
	sorted := make([]int32, n)
	for to, from := range order {
		s := &t.samples[from]
		fix := originOf(s).fix
		seq[to], raw[to], at[to], within[to] = s.Seq, s.Raw, s.Time-fix.ns, s.Bound-fix.err
		features = append(features, s.Features...)
		sorted[from] = int32(to)
	}
	for _, list := range [][]int32{t.index, t.other} {
		for i, from := range list {
			if from >= 0 {
				list[i] = sorted[from]
			}
		}
	}
	x := &wire.ExoTrack{
		Device: camera, Take: t.origin.Take, Release: t.origin.Release, Extractor: t.origin.Extractor,
		RateHz: t.origin.RateHz, StampKind: t.origin.StampKind, ClockSource: t.origin.ClockSource,
		Dim: t.origin.Dim, Seq: wire.AppendDeltas(nil, seq), RawNs: wire.AppendDeltas(nil, raw),
		SiteNs: wire.AppendDeltas(nil, at), SampleBoundNs: wire.AppendDeltas(nil, within), Features: features,
		Index: t.index, DtNs: t.dt, BoundNs: t.bound, Grade: t.grade,
		CorrectionNs: t.origin.fix.ns, CorrectionErrorNs: t.origin.fix.err,
	}
	if t.mixed {
		x.Other, x.Weight = t.other, t.weight
	}
	return x
}

var grades = map[pair.Grade]wire.Grade{
	pair.Gold:   wire.Grade_GRADE_GOLD,
	pair.Silver: wire.Grade_GRADE_SILVER,
	pair.Bronze: wire.Grade_GRADE_BRONZE,
}
