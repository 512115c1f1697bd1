package agent

import (
	"tandem/stream/wire"
	"tandem/sync/pair"
)

// egoTake is what the batches of one take share.
type egoTake struct {
	name     string
	rejected map[string]uint64 // since the take began, by camera and reason
}

// openBatch is an ego batch on its way through the joiner.
type openBatch struct {
	take    *egoTake
	ego     *wire.SampleBatch
	rows    int
	decided int          // rows that are decided
	skipped map[int]bool // rows that never went into the joiner
	tracks  []*openTrack
}

// openTrack is one exo camera's part of an ego batch. A camera may begin another take within it, which is another track.
type openTrack struct {
	camera       int
	origin       *wire.SampleBatch // of the first match
	seq, raw, at []int64
	index        []int32
	dt           []int64
	bound        []int64
	grade        []wire.Grade
	features     []byte
}

// add appends a match of the row that is being decided. It reports false when the exo camera changed its release within
// the batch: a track has features of one extractor only, so such a row stays without this partner.
func (o *openBatch) add(camera int, m pair.Match) bool {
	origin, _ := m.Exo.Origin.(*wire.SampleBatch)
	t := o.track(camera, origin)
	if t.origin.Release != origin.Release || t.origin.Extractor != origin.Extractor || t.origin.Dim != origin.Dim {
		return false
	}
	if n := len(t.seq); n == 0 || t.seq[n-1] != m.Exo.Seq {
		t.seq = append(t.seq, m.Exo.Seq)
		t.raw = append(t.raw, m.Exo.Raw)
		t.at = append(t.at, m.Exo.Time)
		t.features = append(t.features, m.Exo.Features...)
	}
	t.index = append(t.index, int32(len(t.seq)-1))
	t.dt = append(t.dt, m.Dt)
	t.bound = append(t.bound, m.Bound)
	t.grade = append(t.grade, grades[m.Grade])
	return true
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
		t.dt = append(t.dt, 0)
		t.bound = append(t.bound, 0)
		t.grade = append(t.grade, wire.Grade_GRADE_REJECTED)
	}
}

// message makes the batch of pairs, once all rows are decided.
func (o *openBatch) message(cameras []string) *wire.PairBatch {
	b := &wire.PairBatch{Ego: o.ego, Last: o.ego.Last, Rejected: make(map[string]uint64, len(o.take.rejected))}
	for reason, n := range o.take.rejected {
		b.Rejected[reason] = n
	}
	for _, t := range o.tracks {
		b.Exo = append(b.Exo, &wire.ExoTrack{
			Device: cameras[t.camera], Take: t.origin.Take, Release: t.origin.Release, Extractor: t.origin.Extractor,
			RateHz: t.origin.RateHz, StampKind: t.origin.StampKind, ClockSource: t.origin.ClockSource,
			Dim: t.origin.Dim, Seq: wire.AppendDeltas(nil, t.seq), RawNs: wire.AppendDeltas(nil, t.raw),
			SiteNs: wire.AppendDeltas(nil, t.at), Features: t.features,
			Index: t.index, DtNs: t.dt, BoundNs: t.bound, Grade: t.grade,
		})
	}
	return b
}

var grades = map[pair.Grade]wire.Grade{
	pair.Gold:   wire.Grade_GRADE_GOLD,
	pair.Silver: wire.Grade_GRADE_SILVER,
	pair.Bronze: wire.Grade_GRADE_BRONZE,
}
