package dejitter

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzStamps feeds any arrivals and driver stamps: stamps never go back, and errors are positive.
func FuzzStamps(f *testing.F) {
	seed := func(v ...int64) {
		var b []byte
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
		f.Add(b)
	}
	seed(0)
	seed(math.MaxInt64, math.MinInt64, 0, -1, math.MaxInt64, math.MaxInt64, math.MinInt64, math.MinInt64)
	var steady []int64
	for k := range int64(80) {
		steady = append(steady, epoch+k*33_333_333, k*33_333_333)
	}
	seed(steady...)
	seed(append(steady, math.MaxInt64, math.MinInt64, math.MinInt64, math.MaxInt64)...)
	seed(make([]int64, 200)...)
	f.Fuzz(func(t *testing.T, b []byte) {
		with, without := newDejitter(t, 0), newDejitter(t, 1e9)
		last := [2]int64{math.MinInt64, math.MinInt64}
		check := func(i int, s Stamp) {
			if s.Time < last[i] || s.Error <= 0 || s.Doubt < 0 || s.Bound() <= 0 || s.Missed < 0 {
				t.Fatalf("after %d: %+v", last[i], s)
			}
			last[i] = s.Time
		}
		// Twice, and the second time as distances, so that steady streams are near.
		at := int64(0)
		for round := range 2 {
			for p := b; len(p) >= 16; p = p[16:] {
				arrival, driver := int64(binary.LittleEndian.Uint64(p)), int64(binary.LittleEndian.Uint64(p[8:]))
				if round == 1 {
					at = add(at, arrival%100e6)
					arrival = at
				}
				check(0, with.Driver(arrival, driver))
				check(1, without.Next(arrival))
			}
		}
		for _, d := range []*Dejitter{with, without} {
			if r := d.Rate(); !(r >= 0) || math.IsInf(r, 0) || math.IsNaN(d.Noise()) {
				t.Fatalf("rate %v, noise %v", r, d.Noise())
			}
		}
	})
}
