package agent

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/stream/wire"
)

// TestEveryEgoSampleIsPairedOnceWhateverTheInterleaving plays random streams, cut into random batches, with buffers of all
// sizes, from three goroutines in random order. The pairs must be those found by looking at everything.
func TestEveryEgoSampleIsPairedOnceWhateverTheInterleaving(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { interleave(t, seed) })
	}
}

type egoStream struct {
	batches []*wire.SampleBatch
	at      []int64 // of each sample
	seq     []int64
}

// stream makes a random stream of a device in takes, at a period in ms. Times rise over all takes.
func randomStream(rng *rand.Rand, device string, period int64) egoStream {
	var s egoStream
	at := rng.Int64N(500)
	for take := range 1 + rng.IntN(3) {
		seq := rng.Int64N(3)
		n := 20 + rng.IntN(40)
		for n > 0 {
			size := min(n, 1+rng.IntN(9))
			var times []int64
			for i := range size {
				at += max(0, period+rng.Int64N(period)-period/2)
				times = append(times, at)
				s.at, s.seq = append(s.at, at), append(s.seq, seq+int64(i))
			}
			n -= size
			s.batches = append(s.batches, batchOf(device, fmt.Sprint("t", take), "r", seq, n == 0, times...))
			seq += int64(size)
			if n > 0 && rng.IntN(6) == 0 { // lost samples
				gap := 1 + rng.Int64N(5)
				seq, at = seq+gap, at+gap*period
			}
		}
		if rng.IntN(2) == 0 { // the end of the take comes by itself
			s.batches[len(s.batches)-1].Last = false
			s.batches = append(s.batches, batchOf(device, fmt.Sprint("t", take), "r", seq, true))
		}
		at += 121 + rng.Int64N(400) // twice MaxDt: see Joiner.EndExo
	}
	return s
}

func interleave(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := newBench(t, []int{2, 3, 5, 64}[rng.IntN(4)], "exo1", "exo2")
	ego := randomStream(rng, "rig", 66)
	exo := []egoStream{randomStream(rng, "exo1", 33), randomStream(rng, "exo2", 100)}

	ctx, cancel := context.WithCancel(t.Context())
	var players, all sync.WaitGroup
	all.Go(func() {
		if err := b.run(ctx); err != nil {
			t.Error(err)
		}
	})
	play := func(s egoStream, seed uint64, push func(*wire.SampleBatch) error) {
		players.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 8))
			for _, batch := range s.batches {
				<-time.After(time.Duration(rng.IntN(20)) * time.Millisecond)
				if err := push(batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	play(ego, seed*3, func(s *wire.SampleBatch) error { return b.ego(ctx, s) })
	for i := range exo {
		play(exo[i], seed*3+1+uint64(i), func(s *wire.SampleBatch) error { return b.exo(ctx, i, s) })
	}
	// What a camera has beyond the rig's last sample waits for more of the rig, as it should: one sample far away frees it.
	end := batchOf("rig", "end", "s", 0, true, 1<<30)
	all.Go(func() {
		<-time.After(time.Hour)
		if err := b.ego(ctx, end); err != nil {
			t.Error(err)
		}
	})
	players.Wait()
	<-time.After(2 * time.Hour)
	must(t, b.settle(ctx))
	cancel()
	all.Wait()

	out := b.published()
	b.check(append(slices.Clone(ego.batches), end)...)
	row := 0
	for _, p := range out[:len(out)-1] {
		for i := range p.Ego.Len() {
			want := map[string]bool{}
			for c, x := range exo {
				if k := nearest(x.at, ego.at[row]); k >= 0 {
					want[fmt.Sprintf("exo%d:%d@%d", c+1, x.seq[k], x.at[k])] = true
				}
			}
			got := map[string]bool{}
			for _, x := range p.Exo {
				if k := x.Index[i]; k >= 0 {
					at := (wire.AppendValues(nil, x.SiteNs)[k] - clipStart) / ms
					got[fmt.Sprintf("%s:%d@%d", x.Device, wire.AppendValues(nil, x.Seq)[k], at)] = true
					if x.DtNs[i] != (ego.at[row]-at)*ms {
						t.Errorf("seed %d: Δt %d of ego at %d ms and exo at %d ms", seed, x.DtNs[i], ego.at[row], at)
					}
				}
			}
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d: ego sample %d at %d ms: pairs %v, want %v", seed, row, ego.at[row], got, want)
			}
			row++
		}
	}
	if row != len(ego.at) {
		t.Errorf("seed %d: %d of %d ego samples", seed, row, len(ego.at))
	}
}

// nearest returns the index of the time that an ego sample is paired with, -1 for none. Of several equal ones it is the
// last that is not after the ego sample, else the first.
func nearest(times []int64, ego int64) int {
	best := -1
	for k, at := range times {
		d := max(at-ego, ego-at)
		if d > 60 {
			continue
		}
		if best < 0 || d < max(times[best]-ego, ego-times[best]) || at == times[best] && at < ego {
			best = k
		}
	}
	return best
}
