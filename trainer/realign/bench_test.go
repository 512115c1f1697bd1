package realign

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/trainer/pairfile"
)

// BenchmarkRedo aligns a take of ten minutes with two cameras.
func BenchmarkRedo(b *testing.B) {
	w := cell(1)
	w.seconds = 600
	in := b.TempDir()
	w.store(b, in, "rig-1", "take-1")
	info, err := os.Stat(pairfile.Dir(in).Path(pairfile.Take{Device: "rig-1", Name: "take-1"}))
	if err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]Options{"given": {Offsets: late(800, 5)}, "estimated": {Estimate: true}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(info.Size())
			var pairs uint64
			dir := b.TempDir()
			for b.Loop() {
				out := filepath.Join(dir, "new")
				r, err := Run(b.Context(), in, out, o)
				if err != nil {
					b.Fatal(err)
				}
				pairs += r.Takes[0].Cameras[0].After.Pairs()
				if err := os.RemoveAll(out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(pairs)/b.Elapsed().Seconds(), "pairs/s")
		})
	}
}

// BenchmarkEstimate estimates the offsets of b.N takes of 90 s: of a camera that is 0.8 s late, one that is 1.3 s early, and
// one that shows something else.
func BenchmarkEstimate(b *testing.B) {
	var claimed, within, frame, refused, pairs, beyond float64
	seed := uint64(1000)
	for b.Loop() {
		w := world{seed: seed, seconds: 90, spares: true, cameras: []view{
			{name: "late", late: 800 * time.Millisecond, bound: time.Millisecond},
			{name: "early", late: -1300 * time.Millisecond, bound: time.Millisecond, phase: 20 * time.Millisecond},
			{name: "strange", strange: true, bound: time.Millisecond},
		}}
		seed++
		in := filepath.Join(b.TempDir(), "in")
		w.store(b, in, "rig-1", "take-1")
		out, r := redo(b, in, Options{Estimate: true})
		for _, c := range r.Takes[0].Cameras {
			want, late := map[string]float64{"late": 800, "early": -1300}[c.Camera]
			switch off := math.Abs(c.OffsetMS - want); {
			case !late && c.Action == Refused:
				refused++
			case late && c.Action == Aligned:
				claimed++
				if off <= c.ErrorMS {
					within++
				}
				if off <= 1000.0/15 {
					frame++
				}
			}
		}
		w.truth(b, out, func(camera string, apart, dt, bound int64) {
			if camera != "strange" {
				if pairs++; max(apart-dt, dt-apart) > bound {
					beyond++
				}
			}
		})
	}
	n := float64(b.N)
	b.ReportMetric(claimed/n/2*100, "%claimed")
	b.ReportMetric(within/claimed*100, "%within-error")
	b.ReportMetric(frame/claimed*100, "%within-a-frame")
	b.ReportMetric(refused/n*100, "%unrelated-refused")
	b.ReportMetric(pairs, "pairs")
	b.ReportMetric(beyond, "beyond-bound")
}
