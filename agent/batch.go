package agent

import (
	"maps"
	"slices"

	"tandem/runtime/bundle"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// sample is one tick of a camera on its way out of the pipeline. The slices are the pipeline's and hold until the next
// sample.
type sample struct {
	seq      int64
	raw      int64 // ns
	site     int64 // ns
	bound    int64 // half-width of the interval around site, ns
	kind     frame.RawKind
	source   wire.ClockSource
	features []float32
	scores   []float32 // logits of the sample scoreSeq, nil when there are none
	scoreSeq int64
}

// maxBatchBytes bounds a batch's features, so that a batch of pairs with many exo cameras stays below wire.MaxMessage.
const maxBatchBytes = 512 << 10

// batcher gathers samples into SampleBatches of about one second. A batch ends at a gap, when the kind of stamps or the
// source of site time changes, when the release changes, and at the end of a take.
type batcher struct {
	device  string
	take    string
	camera  camera
	b       *bundle.Dir
	labels  string // digest of the label list
	size    int    // samples
	skipped map[string]uint64

	batch  *wire.SampleBatch
	kind   frame.RawKind    // of the newest sample
	source wire.ClockSource // of the newest sample
	raw    []int64
	site   []int64
	bounds []int64
	seqs   []int64 // of scores
}

// camera is what a batch has to know of where its stamps come from.
type camera struct {
	live  bool // not a recording
	start bool // a recording whose site time is configured
}

// begin starts a take.
func (b *batcher) begin(take string, c camera) {
	b.take, b.camera, b.kind, b.source = take, c, frame.Arrival, c.clockSource(frame.Arrival)
	b.drop()
	clear(b.skipped)
}

// use starts a release, after flush.
func (b *batcher) use(dir *bundle.Dir, labels string) {
	b.b, b.labels = dir, labels
	most := maxBatchBytes / (wire.F16Size * max(dir.Extractor.Dim, 1))
	b.size = max(1, min(int(dir.RateHz+0.5), most))
}

// skip counts frames and samples of the take that will be in no batch.
func (b *batcher) skip(reason string, n uint64) {
	if n == 0 {
		return
	}
	if b.skipped == nil {
		b.skipped = map[string]uint64{}
	}
	b.skipped[reason] += n
}

// add takes a sample. It returns the batch that it completed, or nil, and whether the sample could not be taken because a
// feature does not fit fp16: it becomes a gap in the stream then, and the caller counts it.
func (b *batcher) add(s *sample) (done *wire.SampleBatch, overflow bool) {
	if b.batch != nil && (s.seq != int64(b.batch.FirstSeq)+int64(len(b.raw)) || s.kind != b.kind || s.source != b.source) {
		done = b.flush(false)
	}
	b.kind, b.source = s.kind, s.source
	if b.batch == nil {
		b.batch = b.fresh(s.seq)
	}
	features, bad := wire.AppendF16(b.batch.Features, s.features)
	if bad > 0 {
		if len(b.raw) == 0 {
			b.drop()
			return done, true
		}
		return b.flush(false), true
	}
	b.batch.Features = features
	b.raw = append(b.raw, s.raw)
	b.site = append(b.site, s.site)
	b.bounds = append(b.bounds, s.bound)
	if s.scores != nil {
		b.score(s)
	}
	// A batch that ended above has left this sample alone in a new one: with size 1 both would be due at once.
	if done == nil && len(b.raw) >= b.size {
		done = b.flush(false)
	}
	return done, false
}

func (b *batcher) score(s *sample) {
	if b.batch.Scores == nil {
		b.batch.Scores = make([]byte, 0, b.size*len(s.scores)*wire.F16Size)
		b.batch.Classes, b.batch.Labels = uint32(len(s.scores)), b.labels
	}
	if scores, bad := wire.AppendF16(b.batch.Scores, s.scores); bad == 0 {
		b.batch.Scores = scores
		b.seqs = append(b.seqs, s.scoreSeq)
	}
}

func (b *batcher) fresh(first int64) *wire.SampleBatch {
	return &wire.SampleBatch{
		Device: b.device, Take: b.take, Release: b.b.Release, Extractor: b.b.Extractor.SHA256, RateHz: b.b.RateHz,
		FirstSeq: uint64(first), StampKind: b.camera.stampKind(b.kind), ClockSource: b.source,
		Dim:      uint32(b.b.Extractor.Dim),
		Features: make([]byte, 0, b.size*b.b.Extractor.Dim*wire.F16Size),
	}
}

// flush ends the batch; nil when there is none.
func (b *batcher) flush(last bool) *wire.SampleBatch {
	done := b.batch
	if done == nil {
		return nil
	}
	done.RawNs = wire.AppendDeltas(make([]int64, 0, len(b.raw)), b.raw)
	done.SiteNs = wire.AppendDeltas(make([]int64, 0, len(b.site)), b.site)
	if len(b.bounds) > 0 {
		done.BoundNs = slices.Max(b.bounds)
		if slices.Min(b.bounds) < done.BoundNs {
			done.SampleBoundNs = wire.AppendDeltas(make([]int64, 0, len(b.bounds)), b.bounds)
		}
	}
	done.ScoreSeq = wire.AppendDeltas(make([]int64, 0, len(b.seqs)), b.seqs)
	if len(b.skipped) > 0 {
		done.Skipped = maps.Clone(b.skipped)
	}
	done.Last = last
	b.drop()
	return done
}

// drop forgets what has been gathered.
func (b *batcher) drop() {
	b.batch, b.raw, b.site, b.bounds, b.seqs = nil, b.raw[:0], b.site[:0], b.bounds[:0], b.seqs[:0]
}

// end returns the batch that ends the take after the sample next-1. It may be empty: it says then only that the take has
// ended.
func (b *batcher) end(next int64) *wire.SampleBatch {
	if b.batch == nil {
		b.batch = b.fresh(next)
	}
	return b.flush(true)
}

// stampKind tells what a raw stamp is. The same property of OpenCV is the driver's clock on a camera and the position in
// the container on a recording.
func (c camera) stampKind(k frame.RawKind) wire.StampKind {
	switch {
	case k == frame.Sidecar:
		return wire.StampKind_STAMP_KIND_SIDECAR
	case k == frame.Nominal:
		return wire.StampKind_STAMP_KIND_COUNTER
	case k == frame.Driver && c.live:
		return wire.StampKind_STAMP_KIND_DRIVER
	case k == frame.Driver:
		return wire.StampKind_STAMP_KIND_MEDIA
	}
	return wire.StampKind_STAMP_KIND_ARRIVAL
}

// clockSource tells where site time comes from when nobody is asked. A recording's stamps are taken for site time; a live
// camera's come from the host's clock, as do those of a recording that is played as if it were of now.
func (c camera) clockSource(k frame.RawKind) wire.ClockSource {
	if !c.live && (k == frame.Sidecar || c.start) {
		return wire.ClockSource_CLOCK_SOURCE_RECORDED
	}
	return wire.ClockSource_CLOCK_SOURCE_NONE
}
