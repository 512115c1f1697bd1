package realign

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"tandem/stream/wire"
	"tandem/sync/pair"
	"tandem/trainer/pairfile"
)

// writer writes a take's records as they are aligned now.
type writer struct {
	take  *take
	list  map[string]*alignment // by camera
	undo  bool
	names []string // the cameras of list, sorted
	cache []cached // records read last, newest first
}

type cached struct {
	at int64
	b  *wire.PairBatch
}

// cacheSize is how many records are kept: partners lie in one or two of them, which move on with the batches.
const cacheSize = 8

func newWriter(t *take, list []*alignment, undo bool) *writer {
	w := &writer{take: t, list: map[string]*alignment{}, undo: undo}
	for _, a := range list {
		w.list[a.name] = a
		w.names = append(w.names, a.name)
	}
	slices.Sort(w.names)
	return w
}

// write writes the take's file into a directory.
func (w *writer) write(dir pairfile.Dir, step func() error) (err error) {
	out, err := dir.Create(w.take.id)
	if err != nil {
		return err
	}
	defer func() {
		if closing := out.Close(); err == nil {
			err = closing
		}
	}()
	for _, r := range w.take.records {
		if err := step(); err != nil {
			return err
		}
		b, err := w.take.file.Read(r.at)
		if err != nil {
			return err
		}
		if w.undo {
			err = w.restore(b)
		} else {
			err = w.realign(b, r)
		}
		if err == nil {
			err = out.Add(b)
		}
		if err != nil {
			return fmt.Errorf("the record at byte %d: %w", r.at, err)
		}
	}
	return nil
}

// realign gives a batch the partners that its samples have now.
func (w *writer) realign(b *wire.PairBatch, r *record) error {
	if b.Rig == nil {
		b.Rig = &wire.RigPairs{Rejected: maps.Clone(b.Rejected)}
		for _, x := range b.Exo {
			b.Rig.Exo = append(b.Rig.Exo, withoutSamples(x))
		}
	}
	b.Rig.Cameras = append(b.Rig.Cameras, w.names...)
	slices.Sort(b.Rig.Cameras)
	b.Rig.Cameras = slices.Compact(b.Rig.Cameras)

	old := b.Exo
	b.Exo = nil
	for _, name := range w.order(b.Rig.Exo) {
		if a := w.list[name]; a != nil {
			tracks, err := w.tracks(a, r, b.Rig.Exo)
			if err != nil {
				return err
			}
			b.Exo = append(b.Exo, tracks...)
			continue
		}
		for _, x := range old {
			if x.Device == name {
				b.Exo = append(b.Exo, x)
			}
		}
	}
	rejected := map[string]uint64{}
	for reason, n := range b.Rejected {
		if name, _, ok := rejection(reason); !ok || w.list[name] == nil {
			rejected[reason] = n
		}
	}
	for name, a := range w.list {
		for why, n := range a.rejected[r] {
			rejected[name+"/"+why] = n
		}
	}
	b.Rejected = rejected
	return nil
}

// order returns the cameras in the order of the rig's tracks, and then all others.
func (w *writer) order(rig []*wire.ExoTrack) []string {
	var names []string
	for _, x := range rig {
		if !slices.Contains(names, x.Device) {
			names = append(names, x.Device)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.take.cameras)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func withoutSamples(x *wire.ExoTrack) *wire.ExoTrack {
	c, _ := proto.Clone(x).(*wire.ExoTrack)
	c.RawNs, c.SiteNs, c.Features = nil, nil, nil
	return c
}

// tracks makes a camera's tracks of a batch: the partners of the batch's samples, and the samples that stay with it
// because they are nobody's partner.
func (w *writer) tracks(a *alignment, r *record, rig []*wire.ExoTrack) ([]*wire.ExoTrack, error) {
	type key struct{ take, release string }
	groups := map[key][]*sample{}
	heads := map[key]*header{}
	add := func(s *sample) {
		k := key{s.take, s.head.release}
		if heads[k] == nil {
			heads[k] = s.head
		}
		groups[k] = append(groups[k], s)
	}
	rows := a.rows[r]
	for _, m := range rows {
		if m.sample != nil {
			add(m.sample)
		}
		if m.other != nil {
			add(m.other)
		}
	}
	for _, s := range r.homes {
		if !s.partner && w.take.cameras[a.name].samples[s.sampleKey] == s {
			add(s)
		}
	}
	var tracks []*wire.ExoTrack
	for k, list := range groups {
		slices.SortFunc(list, func(x, y *sample) int { return cmp.Compare(x.seq, y.seq) })
		list = slices.Compact(list)
		x, err := w.track(a, heads[k], list)
		if err != nil {
			return nil, err
		}
		for range r.site {
			x.Index, x.DtNs, x.BoundNs, x.Grade = append(x.Index, -1), append(x.DtNs, 0), append(x.BoundNs, 0), append(x.Grade, wire.Grade_GRADE_REJECTED)
		}
		for i, m := range rows {
			if m.sample == nil || (key{m.sample.take, m.sample.head.release}) != k {
				continue
			}
			x.Index[i], x.DtNs[i], x.BoundNs[i], x.Grade[i] = find(list, m.sample), m.dt, m.bound, grades[m.grade]
			if m.other != nil {
				if x.Other == nil {
					x.Other, x.Weight = slices.Repeat([]int32{-1}, len(rows)), make([]float32, len(rows))
				}
				x.Other[i], x.Weight[i] = find(list, m.other), m.weight
			}
		}
		for _, was := range rig {
			if was.Device == a.name && was.Take == k.take && was.Release == k.release {
				x.ContentOffset = was.ContentOffset
			}
		}
		tracks = append(tracks, x)
	}
	slices.SortFunc(tracks, func(x, y *wire.ExoTrack) int {
		return cmp.Or(cmp.Compare(x.SiteNs[0], y.SiteNs[0]), cmp.Compare(x.Take, y.Take), cmp.Compare(x.Release, y.Release))
	})
	return tracks, nil
}

// find returns where a sample is in a list that is sorted by sequence numbers.
func find(list []*sample, s *sample) int32 {
	at, _ := slices.BinarySearchFunc(list, s.seq, func(x *sample, seq int64) int { return cmp.Compare(x.seq, seq) })
	return int32(at)
}

// track makes a track of samples, without what belongs to the ego samples.
func (w *writer) track(a *alignment, head *header, list []*sample) (*wire.ExoTrack, error) {
	x := &wire.ExoTrack{
		Device: a.name, Take: list[0].take, Release: head.release, Extractor: head.extractor, RateHz: head.rateHz,
		StampKind: head.stamp, ClockSource: head.clock, Dim: head.dim,
		CorrectionNs: a.fix.ns, CorrectionDriftPpm: a.fix.drift, CorrectionErrorNs: a.fix.err,
	}
	if a.fix.drift != 0 {
		x.CorrectionRefNs = a.fix.ref
	}
	var seq, raw, site, bound []int64
	known := true
	for _, s := range list {
		features, err := w.features(s)
		if err != nil {
			return nil, err
		}
		seq, raw, site, bound = append(seq, s.seq), append(raw, s.raw), append(site, s.site), append(bound, s.bound)
		known = known && s.bound >= 0
		x.Features = append(x.Features, features...)
	}
	x.Seq, x.RawNs, x.SiteNs = wire.AppendDeltas(nil, seq), wire.AppendDeltas(nil, raw), wire.AppendDeltas(nil, site)
	if known {
		x.SampleBoundNs = wire.AppendDeltas(nil, bound)
	}
	return x, nil
}

// features returns a sample's features.
func (w *writer) features(s *sample) ([]byte, error) {
	b, err := w.stored(s.at)
	if err != nil {
		return nil, err
	}
	width := int(s.head.dim) * wire.F16Size
	return b.Exo[s.track].Features[s.row*width : (s.row+1)*width], nil
}

// stored returns a record as it is in the file, from those read last if it is there.
func (w *writer) stored(at int64) (*wire.PairBatch, error) {
	for i, c := range w.cache {
		if c.at == at {
			copy(w.cache[1:i+1], w.cache[:i])
			w.cache[0] = c
			return c.b, nil
		}
	}
	b, err := w.take.file.Read(at)
	if err != nil {
		return nil, err
	}
	if len(w.cache) < cacheSize {
		w.cache = append(w.cache, cached{})
	}
	copy(w.cache[1:], w.cache)
	w.cache[0] = cached{at, b}
	return b, nil
}

// restore gives a batch the partners that the rig gave its samples.
func (w *writer) restore(b *wire.PairBatch) error {
	if b.Rig == nil {
		return nil
	}
	tracks := b.Rig.Exo
	for _, x := range tracks {
		c := w.take.camera(x.Device)
		var raw, site []int64
		for _, seq := range wire.AppendValues(nil, x.Seq) {
			s := c.samples[sampleKey{x.Take, seq}]
			if s == nil {
				return fmt.Errorf("sample %d of %s/%s, which the rig had paired, is in no record of the take", seq, x.Device, x.Take)
			}
			features, err := w.features(s)
			if err != nil {
				return err
			}
			raw, site = append(raw, s.raw), append(site, s.site)
			x.Features = append(x.Features, features...)
		}
		x.RawNs, x.SiteNs = wire.AppendDeltas(nil, raw), wire.AppendDeltas(nil, site)
	}
	b.Exo, b.Rejected, b.Rig = tracks, b.Rig.Rejected, nil
	return nil
}

var grades = map[pair.Grade]wire.Grade{
	pair.Gold:   wire.Grade_GRADE_GOLD,
	pair.Silver: wire.Grade_GRADE_SILVER,
	pair.Bronze: wire.Grade_GRADE_BRONZE,
}
