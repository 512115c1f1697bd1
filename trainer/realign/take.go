package realign

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"tandem/stream/wire"
	"tandem/trainer/pairfile"
)

// take is what is known of a take's file without the features.
type take struct {
	id      pairfile.Take
	file    *pairfile.File
	records []*record
	cameras map[string]*camera
	sum     checksum

	maxDt        int64 // of the rig; 0 if it does not say
	interpolated bool  // by the rig
}

// record is a record of the file.
type record struct {
	at       int64
	first    uint64
	site     []int64 // of the ego samples
	bound    []int64 // of each
	rejected map[string]uint64
	rig      *wire.RigPairs // what the rig paired, if the batch was re-aligned
	homes    []*sample      // exo samples that stay with the record if they have no partner
}

// camera is an exo camera of the take.
type camera struct {
	name    string
	samples map[sampleKey]*sample
	before  Pairing
	drift   float64 // that was applied, ppm
	error   float64 // of the offset that was applied, ms
	aligned bool    // before, by an earlier run
}

func (c *camera) unpaired() uint64 {
	var n uint64
	for _, s := range c.samples {
		if !s.partner {
			n++
		}
	}
	return n
}

type sampleKey struct {
	take string
	seq  int64
}

// header is what the samples of a track share.
type header struct {
	release, extractor string
	rateHz             float64
	stamp              wire.StampKind
	clock              wire.ClockSource
	dim                uint32
}

// features reports whether two samples can be in one track.
func (h *header) features(other *header) bool {
	return h.release == other.release && h.extractor == other.extractor && h.dim == other.dim
}

// sample is an exo sample, and where it is stored.
type sample struct {
	sampleKey
	raw, site, bound int64
	head             *header
	at               int64 // record
	track, row       int
	homed            bool
	partner          bool // of an ego sample
}

// open reads a take's file.
func open(dir pairfile.Dir, id pairfile.Take) (_ *take, err error) {
	t := &take{id: id, cameras: map[string]*camera{}}
	t.file, err = dir.Open(id, t.add)
	if err != nil {
		return nil, err
	}
	for i, r := range t.sorted() {
		for reason, n := range r.rejected {
			if c, why, ok := rejection(reason); ok && t.cameras[c] != nil {
				t.cameras[c].before.Rejected[why] = max(t.cameras[c].before.Rejected[why], n)
			}
		}
		if i > 0 {
			if last := t.sorted()[i-1]; r.first < last.first+uint64(len(last.site)) {
				_ = t.file.Close()
				return nil, fmt.Errorf("%s: the record at byte %d repeats sample %d", dir.Path(id), r.at, r.first)
			}
		}
	}
	return t, nil
}

func (t *take) add(at int64, b *wire.PairBatch) error {
	r := &record{
		at: at, first: b.Ego.FirstSeq, site: wire.AppendValues(nil, b.Ego.SiteNs), bound: b.Ego.Bounds(nil),
		rejected: b.Rejected, rig: b.Rig,
	}
	t.records = append(t.records, r)
	t.sum.ego(b)
	t.maxDt = max(t.maxDt, b.MaxDtNs)
	for i, x := range b.Exo {
		if err := t.addTrack(r, i, x); err != nil {
			return fmt.Errorf("the record at byte %d: %w", at, err)
		}
	}
	if b.Rig != nil {
		for _, name := range b.Rig.Cameras {
			t.camera(name).aligned = true
		}
	}
	return nil
}

func (t *take) camera(name string) *camera {
	c := t.cameras[name]
	if c == nil {
		c = &camera{name: name, samples: map[sampleKey]*sample{}, before: newPairing()}
		t.cameras[name] = c
	}
	return c
}

func (t *take) addTrack(r *record, track int, x *wire.ExoTrack) error {
	c := t.camera(x.Device)
	head := &header{
		release: x.Release, extractor: x.Extractor, rateHz: x.RateHz, stamp: x.StampKind, clock: x.ClockSource, dim: x.Dim,
	}
	seq, raw, site := wire.AppendValues(nil, x.Seq), wire.AppendValues(nil, x.RawNs), wire.AppendValues(nil, x.SiteNs)
	bounds := sampleBounds(r, x)
	width := int(x.Dim) * wire.F16Size
	for k := range seq {
		s := &sample{
			sampleKey: sampleKey{x.Take, seq[k]}, raw: raw[k], site: site[k], bound: bounds[k], head: head,
			at: r.at, track: track, row: k,
		}
		if old := c.samples[s.sampleKey]; old != nil {
			if old.raw != s.raw || old.site != s.site || !old.head.features(head) {
				return fmt.Errorf("sample %d of %s/%s differs from that in the record at byte %d; was the take played twice under one name?",
					s.seq, x.Device, x.Take, old.at)
			}
			old.bound = max(old.bound, s.bound)
			continue
		}
		c.samples[s.sampleKey] = s
		t.sum.exo(x.Device, s, x.Features[k*width:(k+1)*width])
	}
	c.before.OffsetMS = 0 - float64(x.CorrectionNs)/1e6
	c.drift, c.error = 0-x.CorrectionDriftPpm, float64(x.CorrectionErrorNs)/1e6
	for i, k := range x.Index {
		if k >= 0 && x.Grade[i] != wire.Grade_GRADE_REJECTED {
			c.before.count(x.Grade[i])
			c.samples[sampleKey{x.Take, seq[k]}].partner = true
			if other := otherOf(x, i); other >= 0 {
				t.interpolated = true
				c.samples[sampleKey{x.Take, seq[other]}].partner = true
			}
		}
	}
	return nil
}

// otherOf returns which exo sample lies on the other side of an ego sample where the rig interpolates, -1 for none.
func otherOf(x *wire.ExoTrack, i int) int32 {
	if len(x.Other) == 0 {
		return -1
	}
	return x.Other[i]
}

// sampleBounds returns the bound of each exo sample's site time, -1 where it isn't known. Older rigs store only that of the
// pairs, in which it is added to the ego sample's.
func sampleBounds(r *record, x *wire.ExoTrack) []int64 {
	if len(x.SampleBoundNs) > 0 {
		return wire.AppendValues(nil, x.SampleBoundNs)
	}
	bounds := make([]int64, x.Len())
	for k := range bounds {
		bounds[k] = -1
	}
	for i, k := range x.Index {
		if k >= 0 {
			bounds[k] = max(bounds[k], x.BoundNs[i]-r.bound[i]-x.CorrectionErrorNs, 0)
			if other := otherOf(x, i); other >= 0 { // the pair has the bound of the worse
				bounds[other] = max(bounds[other], bounds[k])
			}
		}
	}
	return bounds
}

// sorted returns the records in the order of the ego samples. A batch without samples ends the take.
func (t *take) sorted() []*record {
	list := slices.Clone(t.records)
	slices.SortStableFunc(list, func(a, b *record) int { return cmp.Compare(a.first, b.first) })
	return list
}

// settle gives each sample of the cameras a record to stay with: the first in which the rig had it.
func (t *take) settle() {
	for _, r := range t.records {
		if r.rig == nil {
			continue
		}
		for _, x := range r.rig.Exo {
			for _, seq := range wire.AppendValues(nil, x.Seq) {
				if s := t.camera(x.Device).samples[sampleKey{x.Take, seq}]; s != nil {
					t.home(r, s)
				}
			}
		}
	}
	byAt := make(map[int64]*record, len(t.records))
	for _, r := range t.records {
		byAt[r.at] = r
	}
	for _, c := range t.cameras {
		for _, s := range c.samples {
			t.home(byAt[s.at], s)
		}
	}
	for _, r := range t.records {
		slices.SortFunc(r.homes, func(a, b *sample) int {
			return cmp.Or(cmp.Compare(a.take, b.take), cmp.Compare(a.seq, b.seq))
		})
	}
}

func (t *take) home(r *record, s *sample) {
	if !s.homed {
		s.homed = true
		r.homes = append(r.homes, s)
	}
}

// middle returns the time in the middle of the rig's take, where an offset with a drift holds; 0 without samples.
func (t *take) middle() int64 {
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range t.records {
		for _, v := range r.site {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high {
		return 0
	}
	return low + (high-low)/2
}

// checksum is of the samples of a take, whatever their order and however often one is stored.
type checksum struct {
	egoSamples, exoSamples uint64
	egoSum, exoSum         uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *checksum) ego(b *wire.PairBatch) {
	c.egoSamples += uint64(b.Ego.Len())
	e := b.Ego
	h := fields{}
	h.text(e.Device, e.Take, e.Release, e.Extractor)
	h.numbers(int64(e.FirstSeq), e.BoundNs, int64(e.StampKind), int64(e.ClockSource), int64(e.Len()))
	h.numbers(e.SampleBoundNs...)
	h.numbers(e.RawNs...)
	h.numbers(e.SiteNs...)
	if b.Last {
		h.numbers(1)
	}
	c.egoSum += h.sum(e.Features)
}

func (c *checksum) exo(camera string, s *sample, features []byte) {
	c.exoSamples++
	h := fields{}
	h.text(camera, s.take, s.head.release, s.head.extractor)
	h.numbers(s.seq, s.raw, s.site)
	c.exoSum += h.sum(features)
}

// fields are what is summed up beside the features.
type fields []byte

func (f *fields) text(list ...string) {
	for _, s := range list {
		*f = append(append(*f, s...), 0)
	}
}

func (f *fields) numbers(list ...int64) {
	for _, v := range list {
		*f = binary.AppendVarint(*f, v)
	}
}

func (f *fields) sum(features []byte) uint64 {
	return uint64(crc32.Update(crc32.Checksum(*f, castagnoli), castagnoli, features))
}
