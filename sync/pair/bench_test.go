package pair

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkJoin joins a rig with one and with four cameras, in order, interpolated, and out of order by 200 ms.
func BenchmarkJoin(b *testing.B) {
	for _, cameras := range []int{1, 4} {
		for name, cfg := range map[string]Config{
			"nearest":      {},
			"interpolated": {Interpolate: true},
			"disordered":   {Lateness: 200 * time.Millisecond},
		} {
			b.Run(fmt.Sprintf("%s/cameras=%d", name, cameras), func(b *testing.B) {
				cfg.MaxDt, cfg.Buffer = 50*time.Millisecond, 64
				for i := range cameras {
					cfg.Exo = append(cfg.Exo, fmt.Sprint("exo", i))
				}
				benchmarkJoin(b, cfg)
			})
		}
	}
}

func benchmarkJoin(b *testing.B, cfg Config) {
	j, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	pairs := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for k := 0; b.Loop(); k++ {
		i := int64(k)
		if cfg.Lateness > 0 {
			i ^= 1 // every other sample is one too early
		}
		at := i * 33 * ms
		for c := range cfg.Exo {
			if err := j.Exo(c, Sample{Seq: i, Time: at}); err != nil {
				b.Fatal(err)
			}
		}
		if err := j.Ego(Sample{Seq: i, Time: at + ms}); err != nil {
			b.Fatal(err)
		}
		for row, ok := j.Next(); ok; row, ok = j.Next() {
			pairs += len(row.Matches)
		}
	}
	runtime.ReadMemStats(&after)
	if pairs == 0 {
		b.Fatal("no pairs")
	}
	b.ReportMetric(float64(pairs)/b.Elapsed().Seconds(), "pairs/s")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N), "B/row")
}
