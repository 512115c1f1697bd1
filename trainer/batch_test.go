package trainer

import (
	"strings"
	"testing"

	"tandem/stream/wire"
)

// What the batches of the tests have in common.
const (
	testRate  = 10.0
	testStart = int64(1_700_000_000_000_000_000)
	testDim   = 2
)

var (
	egoDigest = strings.Repeat("e", 64)
	exoDigest = strings.Repeat("a", 64)
)

// siteTime is when sample seq is taken.
func siteTime(seq uint64) int64 { return testStart + int64(seq)*1e8 }

// vectors are the features of samples: the sample's number, and what tells cameras apart.
func vectors(seqs []uint64, mark float32) []byte {
	var out []byte
	for _, s := range seqs {
		out, _ = wire.AppendF16(out, []float32{float32(s), mark})
	}
	return out
}

func sequenceOf(first uint64, n int) (seqs []uint64, times []int64) {
	for i := range n {
		seqs = append(seqs, first+uint64(i))
		times = append(times, siteTime(first+uint64(i)))
	}
	return seqs, times
}

// batch is a rig's batch of n samples from first on, without partners.
func batch(id TakeID, first uint64, n int) *wire.PairBatch {
	seqs, times := sequenceOf(first, n)
	deltas := wire.AppendDeltas(nil, times)
	return &wire.PairBatch{Ego: &wire.SampleBatch{
		Device: id.Device, Take: id.Take, Release: "r-1", Extractor: egoDigest, RateHz: testRate, FirstSeq: first,
		RawNs: deltas, SiteNs: deltas, StampKind: wire.StampKind_STAMP_KIND_SIDECAR, ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED,
		Dim: testDim, Features: vectors(seqs, -1),
	}}
}

// pairWith adds a track of an exo camera that has a partner for every sample but those listed, whose features are those
// of the same sequence number and mark.
func pairWith(b *wire.PairBatch, device string, mark float32, without ...uint64) *wire.ExoTrack {
	missing := map[uint64]bool{}
	for _, s := range without {
		missing[s] = true
	}
	t := &wire.ExoTrack{
		Device: device, Take: "t-" + device, Release: "r-1", Extractor: exoDigest, RateHz: testRate,
		StampKind: wire.StampKind_STAMP_KIND_SIDECAR, ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED, Dim: testDim,
	}
	var seqs []uint64
	var list, times []int64
	for i := range b.Ego.Len() {
		s := b.Ego.FirstSeq + uint64(i)
		t.DtNs, t.BoundNs = append(t.DtNs, 0), append(t.BoundNs, 0)
		if missing[s] {
			t.Index, t.Grade = append(t.Index, -1), append(t.Grade, wire.Grade_GRADE_REJECTED)
			continue
		}
		t.Index, t.Grade = append(t.Index, int32(len(seqs))), append(t.Grade, wire.Grade_GRADE_GOLD)
		seqs, list, times = append(seqs, s), append(list, int64(s)), append(times, siteTime(s))
	}
	t.Seq, t.RawNs, t.SiteNs = wire.AppendDeltas(nil, list), wire.AppendDeltas(nil, times), wire.AppendDeltas(nil, times)
	t.Features = vectors(seqs, mark)
	b.Exo = append(b.Exo, t)
	return t
}

// paired is a batch with partners of one exo camera for all samples.
func paired(id TakeID, first uint64, n int) *wire.PairBatch {
	b := batch(id, first, n)
	pairWith(b, "exo1", 1)
	return b
}

// last ends the take with the batch.
func last(b *wire.PairBatch) *wire.PairBatch {
	b.Last, b.Ego.Last = true, true
	return b
}

func encode(t testing.TB, b *wire.PairBatch) []byte {
	t.Helper()
	data, err := wire.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func openTestArchive(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := OpenArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func addAll(t testing.TB, a *Archive, list ...*wire.PairBatch) {
	t.Helper()
	for _, b := range list {
		stored, err := a.Add(b)
		if err != nil {
			t.Fatal(err)
		}
		if !stored {
			t.Fatalf("batch %s/%s/%d was taken for a resend", b.Ego.Device, b.Ego.Take, b.Ego.FirstSeq)
		}
	}
}
