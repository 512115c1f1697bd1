package realign

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/stream/wire"
	"tandem/sync/pair"
	"tandem/trainer/pairfile"
)

const (
	epoch  = int64(1_790_000_000_000_000_000)
	dim    = 6
	period = int64(time.Second / 15)
)

// world is a take of a rig with its cameras: something happens, and everybody sees it in a way of his own.
type world struct {
	seed    uint64
	seconds int
	cameras []view
	spares  bool // the rig stores what it does not pair, too, and what it was told
	mix     bool // it interpolates
}

// view is an exo camera of the world.
type view struct {
	name    string
	late    time.Duration // its stamps
	strange bool          // it sees something else
	bound   time.Duration
	phase   time.Duration
	change  int // sample from which it has another release; 0 for none
}

// happens returns the class at each time.
func happens(seed uint64, seconds int) func(at int64) int {
	rng := rand.New(rand.NewPCG(seed, 7))
	var ends []int64
	var classes []int
	for t := int64(-20e9); t < int64(seconds+20)*1e9; {
		t += int64(6e8 + rng.Float64()*2.5e9)
		ends, classes = append(ends, t), append(classes, rng.IntN(5))
	}
	return func(at int64) int {
		for i, end := range ends {
			if at < end {
				return classes[i]
			}
		}
		return 0
	}
}

// film makes a camera's samples, 15 a second with 2 % of them lost. The stamps are late.
func (w world) film(stream uint64, v view) []pair.Sample {
	rng := rand.New(rand.NewPCG(w.seed, stream))
	world := happens(w.seed, w.seconds)
	if v.strange {
		world = happens(w.seed+1000, w.seconds)
	}
	mix := make([]float64, 5*dim)
	for i := range mix {
		mix[i] = rng.NormFloat64()
	}
	var list []pair.Sample
	for seq := range int64(w.seconds) * 15 {
		capture := seq*period + int64(v.phase) + int64(rng.NormFloat64()*5e5)
		row := make([]float32, dim)
		for d := range row {
			row[d] = float32(mix[world(capture)*dim+d] + 0.3*rng.NormFloat64())
		}
		if rng.IntN(50) == 0 {
			continue
		}
		features, _ := wire.AppendF16(nil, row)
		at := epoch + capture + int64(v.late)
		list = append(list, pair.Sample{Take: "t-" + v.name, Seq: seq, Raw: at - 12345, Time: at, Bound: int64(v.bound), Features: features})
	}
	return list
}

// batches makes what a rig sends.
func (w world) batches(t testing.TB, device, name string) []*wire.PairBatch {
	t.Helper()
	cfg := pair.Config{MaxDt: 100 * time.Millisecond, Buffer: 20 * (w.seconds + 10), Interpolate: w.mix}
	for _, v := range w.cameras {
		cfg.Exo = append(cfg.Exo, v.name)
	}
	j, err := pair.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ego := w.film(1, view{name: "ego", bound: time.Millisecond})
	for _, s := range ego {
		if err := j.Ego(s); err != nil {
			t.Fatal(err)
		}
	}
	films := make([][]pair.Sample, len(w.cameras))
	for i, v := range w.cameras {
		films[i] = w.film(uint64(i+2), v)
		for _, s := range films[i] {
			if err := j.Exo(i, s); err != nil {
				t.Fatal(err)
			}
		}
		j.Expire(i)
	}
	var out []*wire.PairBatch
	rejected := map[string]uint64{}
	first := make([]int, len(films)) // of what is not stored yet
	for len(ego) > 0 {
		n := 1
		for n < min(15, len(ego)) && ego[n].Seq == ego[n-1].Seq+1 {
			n++
		}
		var rows []pair.Row
		for range n {
			row, ok := j.Next()
			if !ok {
				t.Fatal("a row is missing")
			}
			row.Matches = append([]pair.Match(nil), row.Matches...)
			for i := range row.Matches {
				if m := &row.Matches[i]; m.Exo != nil {
					exo := *m.Exo
					m.Exo = &exo
				} else {
					rejected[w.cameras[i].name+"/"+string(m.Reason)]++
				}
			}
			rows = append(rows, row)
		}
		b := &wire.PairBatch{Ego: egoBatch(device, name, ego[:n]), Rejected: map[string]uint64{}}
		for k, v := range rejected {
			b.Rejected[k] = v
		}
		for i, v := range w.cameras {
			last := len(films[i])
			if n < len(ego) {
				for last = first[i]; last < len(films[i]) && films[i][last].Time < ego[n-1].Time+2e9; {
					last++
				}
			}
			b.Exo = append(b.Exo, w.tracks(v, i, rows, films[i][first[i]:last])...)
			first[i] = last
		}
		if w.spares {
			b.MaxDtNs = int64(cfg.MaxDt)
		}
		if ego = ego[n:]; len(ego) == 0 {
			b.Last, b.Ego.Last = true, true
		}
		out = append(out, b)
	}
	return out
}

func egoBatch(device, name string, list []pair.Sample) *wire.SampleBatch {
	b := &wire.SampleBatch{
		Device: device, Take: name, Release: "r-1", Extractor: strings.Repeat("e", 64), RateHz: 15, FirstSeq: uint64(list[0].Seq),
		StampKind: wire.StampKind_STAMP_KIND_DRIVER, ClockSource: wire.ClockSource_CLOCK_SOURCE_NTP, BoundNs: list[0].Bound, Dim: dim,
	}
	var raw, site []int64
	for _, s := range list {
		raw, site = append(raw, s.Raw), append(site, s.Time)
		b.Features = append(b.Features, s.Features...)
	}
	b.RawNs, b.SiteNs = wire.AppendDeltas(nil, raw), wire.AppendDeltas(nil, site)
	return b
}

func (w world) tracks(v view, camera int, rows []pair.Row, near []pair.Sample) []*wire.ExoTrack {
	release := func(s *pair.Sample) string {
		if v.change > 0 && s.Seq >= int64(v.change) {
			return "r-2"
		}
		return "r-1"
	}
	samples := map[int64]pair.Sample{}
	taken := ""
	for _, row := range rows {
		if m := row.Matches[camera]; m.Exo != nil && (taken == "" || taken == release(m.Exo)) {
			taken = release(m.Exo)
			samples[m.Exo.Seq] = *m.Exo
			if m.Other != nil && release(m.Other) == taken {
				samples[m.Other.Seq] = *m.Other
			}
		}
	}
	byRelease := map[string][]int64{}
	for s := range samples {
		byRelease[taken] = append(byRelease[taken], s)
	}
	if w.spares {
		for _, s := range near {
			if _, there := samples[s.Seq]; !there {
				samples[s.Seq] = s
				byRelease[release(&s)] = append(byRelease[release(&s)], s.Seq)
			}
		}
	}
	var out []*wire.ExoTrack
	for _, r := range []string{"r-1", "r-2"} {
		seqs := byRelease[r]
		if len(seqs) == 0 {
			continue
		}
		sortInts(seqs)
		x := &wire.ExoTrack{
			Device: v.name, Take: "t-" + v.name, Release: r, Extractor: strings.Repeat("e", 64), RateHz: 15,
			StampKind: wire.StampKind_STAMP_KIND_ARRIVAL, ClockSource: wire.ClockSource_CLOCK_SOURCE_NTP, Dim: dim, Seq: wire.AppendDeltas(nil, seqs),
		}
		at := map[int64]int32{}
		var raw, site, bound []int64
		for i, seq := range seqs {
			s := samples[seq]
			at[seq] = int32(i)
			raw, site, bound = append(raw, s.Raw), append(site, s.Time), append(bound, s.Bound)
			x.Features = append(x.Features, s.Features...)
		}
		x.RawNs, x.SiteNs = wire.AppendDeltas(nil, raw), wire.AppendDeltas(nil, site)
		if w.spares {
			x.SampleBoundNs = wire.AppendDeltas(nil, bound)
		}
		for _, row := range rows {
			m := row.Matches[camera]
			index, other, weight, dt, b, g := int32(-1), int32(-1), float32(0), int64(0), int64(0), wire.Grade_GRADE_REJECTED
			if m.Exo != nil && release(m.Exo) == r && taken == r {
				index, dt, b, g = at[m.Exo.Seq], m.Dt, m.Bound, grades[m.Grade]
				if m.Other != nil && release(m.Other) == r {
					other, weight = at[m.Other.Seq], float32(m.Weight)
				}
			}
			x.Index, x.DtNs, x.BoundNs, x.Grade = append(x.Index, index), append(x.DtNs, dt), append(x.BoundNs, b), append(x.Grade, g)
			if w.mix {
				x.Other, x.Weight = append(x.Other, other), append(x.Weight, weight)
			}
		}
		out = append(out, x)
	}
	return out
}

func sortInts(v []int64) {
	for i := range v {
		for k := i; k > 0 && v[k] < v[k-1]; k-- {
			v[k], v[k-1] = v[k-1], v[k]
		}
	}
}

// store writes the take into an archive.
func (w world) store(t testing.TB, dir, device, name string) {
	t.Helper()
	out, err := pairfile.Dir(dir).Create(pairfile.Take{Device: device, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range w.batches(t, device, name) {
		if err := out.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// redo aligns an archive anew and returns where.
func redo(t testing.TB, in string, o Options) (string, *Report) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "new")
	r, err := Run(t.Context(), in, out, o)
	if err != nil {
		t.Fatal(err)
	}
	return out, r
}

// sameFiles compares two archives byte for byte.
func sameFiles(t testing.TB, a, b string) bool {
	t.Helper()
	takes, err := pairfile.Dir(a).Takes()
	if err != nil || len(takes) == 0 {
		t.Fatalf("%d takes, %v", len(takes), err)
	}
	for _, id := range takes {
		one, err := os.ReadFile(pairfile.Dir(a).Path(id))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(pairfile.Dir(b).Path(id))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			return false
		}
	}
	return true
}

// truth calls fn with how far the samples of each pair truly are apart, and with what the archive says of the pair.
func (w world) truth(t testing.TB, dir string, fn func(camera string, apart int64, dt, bound int64)) {
	t.Helper()
	takes, err := pairfile.Dir(dir).Takes()
	if err != nil {
		t.Fatal(err)
	}
	late := map[string]int64{}
	for _, v := range w.cameras {
		late[v.name] = int64(v.late)
	}
	for _, id := range takes {
		err := pairfile.Dir(dir).Read(id, func(b *wire.PairBatch) error {
			ego := wire.AppendValues(nil, b.Ego.SiteNs)
			for _, x := range b.Exo {
				exo := wire.AppendValues(nil, x.SiteNs)
				for i, k := range x.Index {
					if k < 0 {
						continue
					}
					at := float64(exo[k] - epoch)
					if o := otherOf(x, i); o >= 0 {
						at += float64(x.Weight[i]) * float64(exo[o]-exo[k])
					}
					fn(x.Device, ego[i]-epoch-(int64(math.Round(at))-late[x.Device]), x.DtNs[i], x.BoundNs[i])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
