package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// vector is fp16 [rows, columns] with distinct numbers.
func vector(rows, columns int) []byte {
	v := make([]float32, rows*columns)
	for i := range v {
		v[i] = float32(i) / 8
	}
	b, _ := AppendF16(nil, v)
	return b
}

const t0 = int64(1_750_000_000_000_000_000)

func times(n int, from int64) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = from + int64(i)*1e8
	}
	return AppendDeltas(nil, v)
}

// sampleBatch is a valid batch of 3 samples with 2 rows of scores that lag by 2 samples.
func sampleBatch() *SampleBatch {
	return &SampleBatch{
		Device: "exo-1", Take: "take-7", Release: "r1", Extractor: digest("extractor"), RateHz: 10, FirstSeq: 30,
		RawNs: times(3, t0), SiteNs: times(3, t0+5), StampKind: StampKind_STAMP_KIND_DRIVER,
		ClockSource: ClockSource_CLOCK_SOURCE_NTP, BoundNs: 2e6, Dim: 4, Features: vector(3, 4),
		Classes: 5, ScoreSeq: AppendDeltas(nil, []int64{28, 30}), Scores: vector(2, 5), Labels: digest("labels"),
		Skipped: map[string]uint64{"late": 2},
	}
}

// pairBatch is a valid batch of 3 ego samples, two of them paired.
func pairBatch() *PairBatch {
	ego := sampleBatch()
	ego.Device, ego.Classes, ego.ScoreSeq, ego.Scores, ego.Labels = "rig-1", 0, nil, nil, ""
	return &PairBatch{
		Ego: ego,
		Exo: []*ExoTrack{{
			Device: "exo-1", Take: "take-7", Release: "r1", Extractor: digest("extractor"), RateHz: 10,
			StampKind: StampKind_STAMP_KIND_DRIVER, ClockSource: ClockSource_CLOCK_SOURCE_PTP,
			Dim: 4, Seq: AppendDeltas(nil, []int64{0, 3}), RawNs: times(2, t0), SiteNs: times(2, t0), Features: vector(2, 4),
			Index: []int32{0, -1, 1}, DtNs: []int64{-5, 0, 7}, BoundNs: []int64{3e6, 0, 3e7},
			Grade:         []Grade{Grade_GRADE_GOLD, Grade_GRADE_REJECTED, Grade_GRADE_BRONZE},
			ContentOffset: &ContentOffset{OffsetNs: -12e6, Confidence: 3.5},
		}},
		Rejected: map[string]uint64{"no_exo_sample": 1},
	}
}

// realigned is a valid batch that was re-aligned.
func realigned() *PairBatch {
	p := pairBatch()
	x := p.Exo[0]
	x.SampleBoundNs, x.CorrectionNs, x.CorrectionErrorNs = []int64{2e6, 0}, -8e8, 3e7
	x.CorrectionDriftPpm, x.CorrectionRefNs = -12.5, t0
	x.ContentOffset.ErrorNs = 3e7
	rig := pairBatch().Exo[0]
	rig.RawNs, rig.SiteNs, rig.Features = nil, nil, nil
	p.Rig = &RigPairs{Exo: []*ExoTrack{rig}, Rejected: map[string]uint64{"exo-1/no_exo": 1}, Cameras: []string{"exo-1"}}
	p.MaxDtNs = 1e8
	return p
}

func segmentEvent() *SegmentEvent {
	return &SegmentEvent{
		Device: "rig-1", Take: "take-7", Release: "r1", Label: "tighten screw", StartNs: t0, EndNs: t0 + 1e9, Confidence: 0.75,
		Revision: 2, Kind: SegmentKind_SEGMENT_KIND_COMMITTED, EndReason: EndReason_END_REASON_GAP, BoundNs: 1e6, FirstSeq: 4, LastSeq: 14,
		DecidedNs: t0 + 3e9, Bridged: 2, Rushed: 11,
	}
}

func status() *Status {
	return &Status{
		Device: "rig-1", Role: "ego", SiteNs: t0, ReleaseRunning: "r1", ReleaseAssigned: "r2", State: DeviceState_DEVICE_STATE_UPDATING,
		Counters: map[string]uint64{"frames": 7}, Gauges: map[string]float64{"fps": 29.97}, Error: "camera: no frames since 3 s",
		Versions: map[string]string{"tandem": "v0.1.0"},
		Clock: &ClockStatus{
			State: ClockState_CLOCK_STATE_LOCKED, Source: "ntp hub:123", OffsetNs: -3e9, BoundNs: 4e5,
			Sources: []*TimeSource{{
				Name: "ntp hub:123", State: ClockState_CLOCK_STATE_LOCKED, OffsetNs: -3e9, BoundNs: 4e5, SkewPpm: -12.5, SkewErrorPpm: 0.5,
				RoundTripNs: 5e5, HeardNs: 2e8, Steps: 1, Problems: 3,
			}, {Name: "chrony", State: ClockState_CLOCK_STATE_UNSYNCHRONIZED, HeardNs: -1, Problem: "nothing listens there"}},
		},
		Pairs: []*PairCounts{{Exo: "exo-1", Gold: 7, Rejected: map[string]uint64{"no_exo": 1}}},
		Host:  "cell-7", Instance: math.MaxUint64, StartedNs: t0, EveryNs: 5e9,
	}
}

func assignment() *Assignment {
	return &Assignment{Release: "r2", Sha256: digest("bundle"), IssuedNs: t0}
}

func releaseInfo() *ReleaseInfo {
	return &ReleaseInfo{Release: "r2", Parent: "r1", CreatedNs: t0, Sha256: digest("bundle"), Size: 4711, Report: `{"f1_50": 71.5}`}
}

// roundTrip encodes and decodes a message.
func roundTrip[M Message](t *testing.T, m M, decode func([]byte) (M, error)) {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(m)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("encoded twice, the bytes differ: %v", err)
	}
	got, err := decode(data)
	if err != nil || !proto.Equal(got, m) {
		t.Errorf("got %v, %v, want %v", got, err, m)
	}
}

func TestRoundTrip(t *testing.T) {
	roundTrip(t, sampleBatch(), DecodeSampleBatch)
	roundTrip(t, &SampleBatch{Device: "d", Take: "t", Release: "r", Extractor: digest(""), RateHz: 1, FirstSeq: 9, Last: true,
		StampKind: 1, ClockSource: 1}, DecodeSampleBatch)
	bounded := sampleBatch()
	bounded.SampleBoundNs = AppendDeltas(nil, []int64{1e6, 2e6, 5e5})
	roundTrip(t, bounded, DecodeSampleBatch)
	roundTrip(t, pairBatch(), DecodePairBatch)
	mixed := pairBatch()
	mixed.Exo[0].Other, mixed.Exo[0].Weight = []int32{1, -1, -1}, []float32{0.25, 0, 0}
	roundTrip(t, mixed, DecodePairBatch)
	roundTrip(t, realigned(), DecodePairBatch)
	roundTrip(t, segmentEvent(), DecodeSegmentEvent)
	roundTrip(t, status(), DecodeStatus)
	roundTrip(t, assignment(), DecodeAssignment)
	roundTrip(t, releaseInfo(), DecodeReleaseInfo)
}

func TestNewerSendersFieldsAreSkipped(t *testing.T) {
	data, err := Encode(assignment())
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, 0xfa, 0x3e, 3, 'n', 'e', 'w') // field 1007, a string
	if got, err := DecodeAssignment(data); err != nil || !proto.Equal(got, assignment()) {
		t.Errorf("got %v, %v", got, err)
	}
}

// refused is a change to a valid message and the error that it must get from both sides.
type refused[M Message] struct {
	want   string
	change func(M)
}

func checkRefused[M Message](t *testing.T, valid func() M, decode func([]byte) (M, error), cases []refused[M]) {
	t.Helper()
	for _, c := range cases {
		m := valid()
		c.change(m)
		_, encodeErr := Encode(m)
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, decodeErr := decode(data)
		for side, err := range map[string]error{"encode": encodeErr, "decode": decodeErr} {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want %q", side, err, c.want)
			}
		}
	}
}

func TestSampleBatchRefusals(t *testing.T) {
	inf, _ := AppendF16(nil, []float32{float32(math.Inf(1))})
	checkRefused(t, sampleBatch, DecodeSampleBatch, []refused[*SampleBatch]{
		{"SampleBatch.device: \"Exo 1\" is not a token", func(b *SampleBatch) { b.Device = "Exo 1" }},
		{"SampleBatch.take: \"\"", func(b *SampleBatch) { b.Take = "" }},
		{"SampleBatch.release: ", func(b *SampleBatch) { b.Release = "r/1" }},
		{"SampleBatch.extractor: \"abc\" is not a digest", func(b *SampleBatch) { b.Extractor = "abc" }},
		{"SampleBatch.extractor: ", func(b *SampleBatch) { b.Extractor = strings.ToUpper(digest("x")) }},
		{"SampleBatch.rate_hz: 0", func(b *SampleBatch) { b.RateHz = 0 }},
		{"SampleBatch.rate_hz: NaN", func(b *SampleBatch) { b.RateHz = math.NaN() }},
		{"SampleBatch.rate_hz: +Inf", func(b *SampleBatch) { b.RateHz = math.Inf(1) }},
		{"SampleBatch.first_seq: ", func(b *SampleBatch) { b.FirstSeq = math.MaxUint64 }},
		{"SampleBatch.raw_ns: 2 elements, expected 3", func(b *SampleBatch) { b.RawNs = b.RawNs[:2] }},
		{"SampleBatch.raw_ns: element 0", func(b *SampleBatch) { b.RawNs[0] = math.MinInt64 }},
		{"SampleBatch.raw_ns: 3 elements, expected 4", func(b *SampleBatch) { b.SiteNs = append(b.SiteNs, 1) }},
		{"SampleBatch.site_ns: element 1 is -", func(b *SampleBatch) { b.SiteNs[1] = -2 * t0 }},
		{"SampleBatch.site_ns: element 2", func(b *SampleBatch) { b.SiteNs[2] = math.MaxInt64 }},
		{"SampleBatch.site_ns: no samples", func(b *SampleBatch) { b.SiteNs, b.RawNs, b.Features = nil, nil, nil }},
		{"SampleBatch.site_ns: 16385, expected 0 to 16384", func(b *SampleBatch) { b.SiteNs = make([]int64, MaxSamples+1) }},
		{"SampleBatch.stamp_kind: missing", func(b *SampleBatch) { b.StampKind = 0 }},
		{"SampleBatch.clock_source: unknown value 99", func(b *SampleBatch) { b.ClockSource = 99 }},
		{"SampleBatch.bound_ns: -1 ns", func(b *SampleBatch) { b.BoundNs = -1 }},
		{"SampleBatch.sample_bound_ns: 2 elements, expected 3", func(b *SampleBatch) { b.SampleBoundNs = []int64{1, 0} }},
		{"SampleBatch.sample_bound_ns: element 1 is -1 ns", func(b *SampleBatch) { b.SampleBoundNs = []int64{1, -2, 0} }},
		{"SampleBatch.sample_bound_ns: element 2 is 2000001 ns, expected at most 2000000", func(b *SampleBatch) { b.SampleBoundNs = []int64{0, 2e6, 1} }},
		{"SampleBatch.dim: 0, expected 1 to 32768", func(b *SampleBatch) { b.Dim = 0 }},
		{"SampleBatch.dim: 32769", func(b *SampleBatch) { b.Dim = MaxDim + 1 }},
		{"SampleBatch.features: 23 bytes, expected 24 (3 × 4 in fp16)", func(b *SampleBatch) { b.Features = b.Features[:23] }},
		{"SampleBatch.features: number 2 of row 1 is not finite", func(b *SampleBatch) { copy(b.Features[12:], inf) }},
		{"SampleBatch.classes: 0", func(b *SampleBatch) { b.Classes = 0 }},
		{"SampleBatch.labels: \"\" is not a digest", func(b *SampleBatch) { b.Labels = "" }},
		{"SampleBatch.score_seq: element 1 is 28, not above", func(b *SampleBatch) { b.ScoreSeq[1] = 0 }},
		{"SampleBatch.score_seq: element 0 is -1", func(b *SampleBatch) { b.ScoreSeq[0] = -1 }},
		{"SampleBatch.score_seq: element 1 is -", func(b *SampleBatch) { b.ScoreSeq[1] = math.MaxInt64 }},
		{"SampleBatch.score_seq: 33 is beyond the end, 33", func(b *SampleBatch) { b.ScoreSeq[1] = 5 }},
		{"SampleBatch.score_seq: 0, expected 1", func(b *SampleBatch) { b.ScoreSeq = nil }},
		{"SampleBatch.scores: 18 bytes, expected 20", func(b *SampleBatch) { b.Scores = b.Scores[:18] }},
		{"SampleBatch.scores: number 1 of row 0", func(b *SampleBatch) { copy(b.Scores[2:], inf) }},
		{"SampleBatch.skipped: \"\" is not a name", func(b *SampleBatch) { b.Skipped[""] = 1 }},
		{"SampleBatch.skipped: \"a b\"", func(b *SampleBatch) { b.Skipped["a b"] = 1 }},
	})
}

func TestPairBatchRefusals(t *testing.T) {
	exo := func(change func(*ExoTrack)) func(*PairBatch) { return func(p *PairBatch) { change(p.Exo[0]) } }
	checkRefused(t, pairBatch, DecodePairBatch, []refused[*PairBatch]{
		{"PairBatch.ego: missing", func(p *PairBatch) { p.Ego = nil }},
		{"PairBatch.ego.device: ", func(p *PairBatch) { p.Ego.Device = "" }},
		{"PairBatch.ego.scores: ", func(p *PairBatch) { p.Ego = sampleBatch() }},
		{"PairBatch.exo[0].device: ", exo(func(e *ExoTrack) { e.Device = "?" })},
		{"PairBatch.exo[0].take: ", exo(func(e *ExoTrack) { e.Take = "" })},
		{"PairBatch.exo[0].release: ", exo(func(e *ExoTrack) { e.Release = "" })},
		{"PairBatch.exo[0].extractor: ", exo(func(e *ExoTrack) { e.Extractor = "" })},
		{"PairBatch.exo[0].rate_hz: ", exo(func(e *ExoTrack) { e.RateHz = -1 })},
		{"PairBatch.exo[0].stamp_kind: ", exo(func(e *ExoTrack) { e.StampKind = 0 })},
		{"PairBatch.exo[0].clock_source: ", exo(func(e *ExoTrack) { e.ClockSource = -1 })},
		{"PairBatch.exo[0].seq: element 1 is 0", exo(func(e *ExoTrack) { e.Seq[1] = 0 })},
		{"PairBatch.exo[0].raw_ns: ", exo(func(e *ExoTrack) { e.RawNs = nil })},
		{"PairBatch.exo[0].site_ns: ", exo(func(e *ExoTrack) { e.SiteNs = e.SiteNs[:1] })},
		{"PairBatch.exo[0].dim: ", exo(func(e *ExoTrack) { e.Dim = 0 })},
		{"PairBatch.exo[0].features: 15 bytes, expected 16", exo(func(e *ExoTrack) { e.Features = e.Features[1:] })},
		{"PairBatch.exo[0].index: 2 elements, expected 3", exo(func(e *ExoTrack) { e.Index = e.Index[1:] })},
		{"PairBatch.exo[0].index: element 2 is 2, expected -1 to 1", exo(func(e *ExoTrack) { e.Index[2] = 2 })},
		{"PairBatch.exo[0].index: element 0 is -2", exo(func(e *ExoTrack) { e.Index[0] = -2 })},
		{"PairBatch.exo[0].dt_ns: ", exo(func(e *ExoTrack) { e.DtNs = nil })},
		{"PairBatch.exo[0].dt_ns: element 2", exo(func(e *ExoTrack) { e.DtNs[2] = math.MinInt64 })},
		{"PairBatch.exo[0].dt_ns: element 1 has a difference", exo(func(e *ExoTrack) { e.DtNs[1] = 3 })},
		{"PairBatch.exo[0].bound_ns: ", exo(func(e *ExoTrack) { e.BoundNs = nil })},
		{"PairBatch.exo[0].bound_ns[0]: -1", exo(func(e *ExoTrack) { e.BoundNs[0] = -1 })},
		{"PairBatch.exo[0].grade: ", exo(func(e *ExoTrack) { e.Grade = nil })},
		{"PairBatch.exo[0].grade[2]: unknown value 5", exo(func(e *ExoTrack) { e.Grade[2] = 5 })},
		{"PairBatch.exo[0].other: 1 elements, expected 3", exo(func(e *ExoTrack) { e.Other, e.Weight = []int32{1}, make([]float32, 3) })},
		{"PairBatch.exo[0].weight: 0 elements, expected 3", exo(func(e *ExoTrack) { e.Other = []int32{1, -1, -1} })},
		{"PairBatch.exo[0].other: element 0 is 2", exo(func(e *ExoTrack) { e.Other, e.Weight = []int32{2, -1, -1}, make([]float32, 3) })},
		{"PairBatch.exo[0].other: element 1 is 0 beside index -1", exo(func(e *ExoTrack) { e.Other, e.Weight = []int32{1, 0, -1}, make([]float32, 3) })},
		{"PairBatch.exo[0].weight: element 0 is NaN", exo(func(e *ExoTrack) { e.Other, e.Weight = []int32{1, -1, -1}, []float32{float32(math.NaN()), 0, 0} })},
		{"PairBatch.exo[0].weight: element 2 is 0.5 beside other -1", exo(func(e *ExoTrack) { e.Other, e.Weight = []int32{1, -1, -1}, []float32{0.5, 0, 0.5} })},
		{"PairBatch.exo[0].grade: element 1 is GRADE_GOLD without", exo(func(e *ExoTrack) { e.Grade[1] = Grade_GRADE_GOLD })},
		{"PairBatch.exo[0].content_offset.confidence: NaN", exo(func(e *ExoTrack) { e.ContentOffset.Confidence = math.NaN() })},
		{"PairBatch.exo[0].content_offset.offset_ns: ", exo(func(e *ExoTrack) { e.ContentOffset.OffsetNs = math.MinInt64 })},
		{"PairBatch.exo[0].correction_ns: ", exo(func(e *ExoTrack) { e.CorrectionNs = math.MaxInt64 })},
		{"PairBatch.exo[1].device: two tracks of device exo-1, take take-7", func(p *PairBatch) { p.Exo = append(p.Exo, pairBatch().Exo[0]) }},
		{"PairBatch.exo: 65", func(p *PairBatch) {
			for range MaxExo {
				p.Exo = append(p.Exo, &ExoTrack{})
			}
		}},
		{"PairBatch.rejected: ", func(p *PairBatch) { p.Rejected["\x00"] = 1 }},
		{"PairBatch.ego: no samples", func(p *PairBatch) {
			p.Ego.RawNs, p.Ego.SiteNs, p.Ego.Features, p.Exo, p.Ego.Last = nil, nil, nil, nil, true
		}},
	})
}

func TestRealignedRefusals(t *testing.T) {
	exo := func(change func(*ExoTrack)) func(*PairBatch) { return func(p *PairBatch) { change(p.Exo[0]) } }
	rig := func(change func(*ExoTrack)) func(*PairBatch) { return func(p *PairBatch) { change(p.Rig.Exo[0]) } }
	checkRefused(t, realigned, DecodePairBatch, []refused[*PairBatch]{
		{"PairBatch.max_dt_ns: -1", func(p *PairBatch) { p.MaxDtNs = -1 }},
		{"PairBatch.exo[0].sample_bound_ns: 1 elements, expected 2", exo(func(e *ExoTrack) { e.SampleBoundNs = e.SampleBoundNs[:1] })},
		{"PairBatch.exo[0].sample_bound_ns: element 1 is -1", exo(func(e *ExoTrack) { e.SampleBoundNs[1] = -2e6 - 1 })},
		{"PairBatch.exo[0].correction_ref_ns: ", exo(func(e *ExoTrack) { e.CorrectionRefNs = math.MaxInt64 })},
		{"PairBatch.exo[0].correction_error_ns: -1", exo(func(e *ExoTrack) { e.CorrectionErrorNs = -1 })},
		{"PairBatch.exo[0].correction_drift_ppm: NaN", exo(func(e *ExoTrack) { e.CorrectionDriftPpm = math.NaN() })},
		{"PairBatch.exo[0].content_offset.error_ns: -1", exo(func(e *ExoTrack) { e.ContentOffset.ErrorNs = -1 })},
		{"PairBatch.rig.cameras: 0", func(p *PairBatch) { p.Rig.Cameras = nil }},
		{"PairBatch.rig.cameras: exo-1 does not come after exo-1", func(p *PairBatch) { p.Rig.Cameras = []string{"exo-1", "exo-1"} }},
		{"PairBatch.rig.cameras: \"?\"", func(p *PairBatch) { p.Rig.Cameras = []string{"?"} }},
		{"PairBatch.rig.rejected: ", func(p *PairBatch) { p.Rig.Rejected["\x00"] = 1 }},
		{"PairBatch.rig.exo[0].features: 16 elements, expected 0", rig(func(e *ExoTrack) { e.Features = vector(2, 4) })},
		{"PairBatch.rig.exo[0].raw_ns: 2 elements", rig(func(e *ExoTrack) { e.RawNs = times(2, t0) })},
		{"PairBatch.rig.exo[0].index: element 2 is 2", rig(func(e *ExoTrack) { e.Index[2] = 2 })},
		{"PairBatch.rig.exo[1].device: two tracks of device exo-1, take take-7, release r1", func(p *PairBatch) { p.Rig.Exo = append(p.Rig.Exo, p.Rig.Exo[0]) }},
	})
}

func TestOtherRefusals(t *testing.T) {
	checkRefused(t, segmentEvent, DecodeSegmentEvent, []refused[*SegmentEvent]{
		{"SegmentEvent.device: ", func(e *SegmentEvent) { e.Device = "a.b" }},
		{"SegmentEvent.take: ", func(e *SegmentEvent) { e.Take = "" }},
		{"SegmentEvent.release: ", func(e *SegmentEvent) { e.Release = "" }},
		{"SegmentEvent.label: missing", func(e *SegmentEvent) { e.Label = "" }},
		{"SegmentEvent.label: \"a\\nb\" is not one line", func(e *SegmentEvent) { e.Label = "a\nb" }},
		{"SegmentEvent.label: 257 bytes", func(e *SegmentEvent) { e.Label = strings.Repeat("a", 257) }},
		{"SegmentEvent.start_ns: -1", func(e *SegmentEvent) { e.StartNs = -1 }},
		{"SegmentEvent.end_ns: ", func(e *SegmentEvent) { e.EndNs = e.StartNs }},
		{"SegmentEvent.confidence: 1.01", func(e *SegmentEvent) { e.Confidence = 1.01 }},
		{"SegmentEvent.confidence: NaN", func(e *SegmentEvent) { e.Confidence = math.NaN() }},
		{"SegmentEvent.kind: missing", func(e *SegmentEvent) { e.Kind = 0 }},
		{"SegmentEvent.end_reason: missing", func(e *SegmentEvent) { e.EndReason = 0 }},
		{"SegmentEvent.end_reason: unknown value 77", func(e *SegmentEvent) { e.EndReason, e.Kind = 77, 1 }},
		{"SegmentEvent.bound_ns: ", func(e *SegmentEvent) { e.BoundNs = math.MinInt64 }},
		{"SegmentEvent.last_seq: 3 is before the first, 4", func(e *SegmentEvent) { e.LastSeq = 3 }},
		{"SegmentEvent.end_reason: END_REASON_GAP, but a confirmed segment", func(e *SegmentEvent) { e.Kind = SegmentKind_SEGMENT_KIND_CONFIRMED }},
		{"SegmentEvent.decided_ns: -1", func(e *SegmentEvent) { e.DecidedNs = -1 }},
		{"SegmentEvent.bridged: 12 bridged", func(e *SegmentEvent) { e.Bridged = 12 }},
		{"SegmentEvent.bridged: 2 bridged and 12 rushed", func(e *SegmentEvent) { e.Rushed = 12 }},
	})
	checkRefused(t, status, DecodeStatus, []refused[*Status]{
		{"Status.device: ", func(s *Status) { s.Device = "" }},
		{"Status.role: ", func(s *Status) { s.Role = "Ego" }},
		{"Status.site_ns: ", func(s *Status) { s.SiteNs = -1 }},
		{"Status.release_running: ", func(s *Status) { s.ReleaseRunning = "R" }},
		{"Status.release_assigned: ", func(s *Status) { s.ReleaseAssigned = "R" }},
		{"Status.state: missing", func(s *Status) { s.State = 0 }},
		{"Status.counters: ", func(s *Status) { s.Counters["a\tb"] = 1 }},
		{"Status.gauges: fps is +Inf", func(s *Status) { s.Gauges["fps"] = math.Inf(1) }},
		{"Status.gauges: 1025 entries", func(s *Status) {
			for i := range MaxNames {
				s.Gauges[strings.Repeat("g", 1+i%100)+string(rune('a'+i/100))] = 1
			}
		}},
		{"Status.error: ", func(s *Status) { s.Error = "one\ntwo" }},
		{"Status.versions: ", func(s *Status) { s.Versions[" "] = "1" }},
		{"Status.versions[go]: ", func(s *Status) { s.Versions["go"] = "\x7f" }},
		{"Status.clock.state: missing", func(s *Status) { s.Clock.State = 0 }},
		{"Status.clock.bound_ns: ", func(s *Status) { s.Clock.BoundNs = -1 }},
		{"Status.clock.problem: ", func(s *Status) { s.Clock.Problem = "a\nb" }},
		{"Status.clock.sources[0].skew_ppm: NaN", func(s *Status) { s.Clock.Sources[0].SkewPpm = math.NaN() }},
		{"Status.clock.sources[1].heard_ns: -2", func(s *Status) { s.Clock.Sources[1].HeardNs = -2 }},
		{"Status.clock.sources[1].state: unknown value 99", func(s *Status) { s.Clock.Sources[1].State = 99 }},
		{"Status.pairs[0].exo: ", func(s *Status) { s.Pairs[0].Exo = "Exo 1" }},
		{"Status.every_ns: ", func(s *Status) { s.EveryNs = -1 }},
	})
	checkRefused(t, assignment, DecodeAssignment, []refused[*Assignment]{
		{"Assignment.release: ", func(a *Assignment) { a.Release = "" }},
		{"Assignment.sha256: ", func(a *Assignment) { a.Sha256 = digest("x")[1:] + "g" }},
		{"Assignment.issued_ns: ", func(a *Assignment) { a.IssuedNs = -1 }},
	})
	checkRefused(t, releaseInfo, DecodeReleaseInfo, []refused[*ReleaseInfo]{
		{"ReleaseInfo.release: ", func(r *ReleaseInfo) { r.Release = "../r" }},
		{"ReleaseInfo.parent: ", func(r *ReleaseInfo) { r.Parent = "R" }},
		{"ReleaseInfo.parent: r2 is its own parent", func(r *ReleaseInfo) { r.Parent = r.GetRelease() }},
		{"ReleaseInfo.created_ns: ", func(r *ReleaseInfo) { r.CreatedNs = math.MaxInt64 }},
		{"ReleaseInfo.sha256: ", func(r *ReleaseInfo) { r.Sha256 = "" }},
		{"ReleaseInfo.size: 0", func(r *ReleaseInfo) { r.Size = 0 }},
		{"ReleaseInfo.report: not valid JSON", func(r *ReleaseInfo) { r.Report = "{" }},
		{"ReleaseInfo.report: ", func(r *ReleaseInfo) { r.Report = `"` + strings.Repeat("a", MaxReport) + `"` }},
	})
}

func TestPartners(t *testing.T) {
	rows := []float32{0, 1, 10, 11, 20, 21}
	x := &ExoTrack{Dim: 2, Index: []int32{2, 0}}
	if got := x.Partner(0, rows); got[0] != 20 || got[1] != 21 {
		t.Errorf("partner %v", got)
	}
	x.Other, x.Weight = []int32{-1, 1}, []float32{0, 0.25}
	if got := x.Partner(0, rows); got[0] != 20 || got[1] != 21 {
		t.Errorf("partner %v", got)
	}
	if got := x.Partner(1, rows); got[0] != 2.5 || got[1] != 3.5 || rows[0] != 0 {
		t.Errorf("mixture %v of %v", got, rows)
	}
}

func TestMessagesBeyondTheLimitAreRefused(t *testing.T) {
	b := sampleBatch()
	b.Dim = MaxDim
	b.RawNs, b.SiteNs = times(200, t0), times(200, t0)
	b.Features = make([]byte, F16Size*200*MaxDim)
	if _, err := Encode(b); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "send shorter batches") {
		t.Errorf("encode: %v", err)
	}
	if _, err := DecodeSampleBatch(make([]byte, MaxMessage+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("decode: %v", err)
	}
}

func TestDeltas(t *testing.T) {
	for _, v := range [][]int64{nil, {5}, {5, 5, 3, -9}, {math.MinInt64, math.MaxInt64, 0, math.MinInt64}} {
		if got := AppendValues(nil, AppendDeltas(nil, v)); len(got) != len(v) || string(mustJSON(got)) != string(mustJSON(v)) {
			t.Errorf("%v became %v", v, got)
		}
	}
	buf := make([]int64, 0, 8)
	v := []int64{1, 4, 9}
	if n := testing.AllocsPerRun(10, func() { AppendValues(buf, AppendDeltas(buf[4:4], v)) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestMessageIDs(t *testing.T) {
	if got, want := sampleBatch().ID(), "exo-1/take-7/30"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := pairBatch().ID(), "rig-1/take-7/30"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := segmentEvent().ID(), "rig-1/take-7/4/2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := MessageID("d", "t", math.MaxUint64), "d/t/18446744073709551615"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTokenOfAnyText(t *testing.T) {
	for in, want := range map[string]string{
		"exo-1": "exo-1",
		"a":     "a",
	} {
		if got := Token(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	seen := make(map[string]string)
	for _, in := range []string{"", "My Video (1).mp4", "my video 1.mp4", "ÄÖ", "äö", strings.Repeat("long-", 20), strings.Repeat("long-", 21), "---- ", "a b", "a_b"} {
		got := Token(in)
		if err := CheckToken("x", got); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q both became %s", in, other, got)
		}
		seen[got] = in
	}
	if got := Token("My Video (1).mp4"); !strings.HasPrefix(got, "my-video-1-mp4-") {
		t.Errorf("got %s", got)
	}
}

func TestOneLine(t *testing.T) {
	for _, in := range []string{"a\nb\r\n\tc", "ok", "", "\xff\xfe", strings.Repeat("ä", MaxText), strings.Repeat("x\n", MaxText)} {
		s := status()
		s.Error = OneLine(in)
		if err := s.Validate(); err != nil {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if got := OneLine("a\nb\r\n\tc"); got != "a b c" {
		t.Errorf("got %q", got)
	}
}

func TestZstd(t *testing.T) {
	src := bytes.Repeat([]byte("background\ntighten screw\n"), 4000)
	packed, err := Compress(src)
	if err != nil || len(packed) > len(src)/50 {
		t.Fatalf("%d bytes became %d: %v", len(src), len(packed), err)
	}
	if got, err := Decompress(packed, len(src)); err != nil || !bytes.Equal(got, src) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	for name, data := range map[string][]byte{"limit": packed, "cut": packed[:len(packed)/2], "noise": []byte("no zstd at all")} {
		limit := len(src)
		if name == "limit" {
			limit--
		}
		if _, err := Decompress(data, limit); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, ErrInvalid)
		}
	}
	bomb, err := Compress(make([]byte, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decompress(bomb, 1<<20); !errors.Is(err, ErrInvalid) {
		t.Errorf("a bomb of %d bytes: %v", len(bomb), err)
	}
	if got, err := Decompress(nil, 10); err != nil || len(got) != 0 {
		t.Errorf("nothing: %q, %v", got, err)
	}
}
