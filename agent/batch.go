package agent

import (
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
	kind     frame.RawKind
	features []float32
	scores   []float32 // logits of the sample scoreSeq, nil when there are none
	scoreSeq int64
}

// batcher gathers samples into SampleBatches of about one second. A batch ends at a gap, at the end of a take, and when
// the release changes.
type batcher struct {
	device string
	bound  int64 // ns
	take   string
	b      *bundle.Dir
	labels string // digest of the label list
	size   int
	batch  *wire.SampleBatch
	raw    []int64
	site   []int64
	seqs   []int64 // of scores
}

// begin starts a take or a release.
func (b *batcher) begin(take string, dir *bundle.Dir, labels string) {
	b.take, b.b, b.labels = take, dir, labels
	b.size = max(1, int(dir.RateHz+0.5))
}

// add takes a sample. It returns the batch that it completed, or nil, and whether the sample could not be taken because a
// feature does not fit fp16.
func (b *batcher) add(s *sample) (done *wire.SampleBatch, overflow bool) {
	if b.batch != nil && s.seq != int64(b.batch.FirstSeq)+int64(len(b.raw)) {
		done = b.flush(false)
	}
	if b.batch == nil {
		b.batch = b.fresh(s)
	}
	features, bad := wire.AppendF16(b.batch.Features, s.features)
	if bad > 0 {
		// The sample becomes a gap in the stream; the caller counts it.
		if done == nil && len(b.raw) > 0 {
			done = b.flush(false)
		}
		if len(b.raw) == 0 {
			b.batch = nil
		}
		return done, true
	}
	b.batch.Features = features
	b.raw = append(b.raw, s.raw)
	b.site = append(b.site, s.site)
	if s.scores != nil {
		if scores, bad := wire.AppendF16(b.batch.Scores, s.scores); bad == 0 {
			b.batch.Scores = scores
			b.batch.Classes = uint32(len(s.scores))
			b.batch.Labels = b.labels
			b.seqs = append(b.seqs, s.scoreSeq)
		}
	}
	if done == nil && len(b.raw) >= b.size {
		done = b.flush(false)
	}
	return done, false
}

func (b *batcher) fresh(s *sample) *wire.SampleBatch {
	return &wire.SampleBatch{
		Device: b.device, Take: b.take, Release: b.b.Release, Extractor: b.b.Extractor.SHA256, RateHz: b.b.RateHz,
		FirstSeq: uint64(s.seq), StampKind: stampKinds[s.kind], ClockSource: clockSource(s.kind), BoundNs: b.bound,
		Dim:      uint32(len(s.features)),
		Features: make([]byte, 0, b.size*len(s.features)*wire.F16Size),
	}
}

// flush ends the batch; nil when it is empty and the take goes on. The last batch of a take may be empty: it says that
// the take has ended, after the sequence number before its first.
func (b *batcher) flush(last bool) *wire.SampleBatch {
	done := b.batch
	if done == nil {
		return nil
	}
	done.RawNs = wire.AppendDeltas(nil, b.raw)
	done.SiteNs = wire.AppendDeltas(nil, b.site)
	done.ScoreSeq = wire.AppendDeltas(nil, b.seqs)
	done.Last = last
	b.batch, b.raw, b.site, b.seqs = nil, b.raw[:0], b.site[:0], b.seqs[:0]
	return done
}

// end returns the batch that ends the take after the sample next-1.
func (b *batcher) end(next int64) *wire.SampleBatch {
	if b.batch == nil {
		b.batch = b.fresh(&sample{seq: next, kind: frame.Arrival, features: make([]float32, b.b.Extractor.Dim)})
	}
	return b.flush(true)
}

var stampKinds = map[frame.RawKind]wire.StampKind{
	frame.Arrival: wire.StampKind_STAMP_KIND_ARRIVAL,
	frame.Driver:  wire.StampKind_STAMP_KIND_DRIVER,
	frame.Sidecar: wire.StampKind_STAMP_KIND_SIDECAR,
	frame.Nominal: wire.StampKind_STAMP_KIND_COUNTER,
}

// clockSource tells where site time comes from. A recording's stamps are taken for site time; a live camera's come from
// the host's clock.
func clockSource(k frame.RawKind) wire.ClockSource {
	if k == frame.Sidecar {
		return wire.ClockSource_CLOCK_SOURCE_RECORDED
	}
	return wire.ClockSource_CLOCK_SOURCE_NONE
}
