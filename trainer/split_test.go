package trainer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// bareTake is a take of n samples from the instant start on, whose features are their times.
func bareTake(device string, number int, start int64, n int) *PairedTake {
	id := TakeID{device, fmt.Sprintf("take-%03d", number)}
	s := &Sequence{Name: id.String(), Dim: 1}
	for i := range n {
		s.Times = append(s.Times, start+int64(i)*1e8)
		s.Features = append(s.Features, float32(start/1e8)+float32(i))
		s.Weights = append(s.Weights, 1)
	}
	x := *s
	x.Name = "exo1"
	return &PairedTake{ID: id, Ego: s, Exo: []*Sequence{&x}, RateHz: 10}
}

func (s Split) parts() map[string][]*PairedTake {
	return map[string][]*PairedTake{"train": s.Train, "choose": s.Choose, "gate": s.Gate}
}

// samplesOf counts the samples in the parts, and checks that none is in two, nor an instant.
func samplesOf(t *testing.T, s Split) int {
	t.Helper()
	samples, instants := map[string]string{}, map[int64]string{}
	for part, list := range s.parts() {
		for _, p := range list {
			if p.Ego.Len() == 0 {
				t.Errorf("%s holds an empty piece of %s", part, p.ID)
			}
			if p.Exo[0].Len() != p.Ego.Len() || !slices.Equal(p.Exo[0].Features, p.Ego.Features) {
				t.Errorf("%s: the cameras of %s are cut otherwise than the rig", part, p.ID)
			}
			for i, at := range p.Ego.Times {
				key := fmt.Sprintf("%s at %d", p.ID, at)
				if was, ok := samples[key]; ok {
					t.Errorf("%s is in %s and in %s", key, was, part)
				}
				if was, ok := instants[at]; ok && was != part {
					t.Errorf("the instant %d is in %s and in %s", at, was, part)
				}
				samples[key], instants[at] = part, part
				if want := float32(p.Ego.Times[0]/1e8) + float32(i); p.Ego.Row(i)[0] != want {
					t.Errorf("%s has the features of another sample", key)
				}
			}
		}
	}
	return len(samples)
}

func TestSplitByTakes(t *testing.T) {
	for n := minTakes; n <= 23; n++ {
		var takes []*PairedTake
		for i := range n {
			takes = append(takes, bareTake("rig", i, int64(i)*100e9, 7))
		}
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		rng.Shuffle(n, func(i, j int) { takes[i], takes[j] = takes[j], takes[i] })
		s := SplitTakes(takes)
		if got := samplesOf(t, s); got != n*7 {
			t.Errorf("%d takes: %d samples, want %d", n, got, n*7)
		}
		if len(s.Train)+len(s.Choose)+len(s.Gate) != n || len(s.Choose) < n/5 || len(s.Gate) < n/5 || len(s.Train) < 3*(n/5) {
			t.Errorf("%d takes are split into %d, %d and %d", n, len(s.Train), len(s.Choose), len(s.Gate))
		}
		if s.Train[0].ID.Take != "take-000" || s.Choose[0].ID.Take != "take-002" || s.Gate[0].ID.Take != "take-004" {
			t.Errorf("the order of time does not decide: %s, %s, %s", s.Train[0].ID, s.Choose[0].ID, s.Gate[0].ID)
		}
	}
}

func TestSplitOfFewTakes(t *testing.T) {
	for n := 1; n < minTakes; n++ {
		var takes []*PairedTake
		for i := range n {
			takes = append(takes, bareTake("rig", i, int64(i)*100e9, 100))
		}
		s := SplitTakes(takes)
		if got := samplesOf(t, s); got != n*100 {
			t.Errorf("%d takes: %d samples, want %d", n, got, n*100)
		}
		for part, want := range map[string]int{"train": 60, "choose": 20, "gate": 20} {
			for _, p := range s.parts()[part] {
				if p.Ego.Len() != want {
					t.Errorf("%d takes: %s has %d frames of %s, want %d", n, part, p.Ego.Len(), p.ID, want)
				}
			}
		}
		for i, p := range s.Gate { // what comes last is kept for the gate
			if s.Train[i].Ego.Times[0] > s.Choose[i].Ego.Times[0] || s.Choose[i].Ego.Times[0] > p.Ego.Times[0] {
				t.Errorf("%d takes: the parts of %s are not in the order of time", n, p.ID)
			}
		}
	}
}

// TestSplitOfSimultaneousTakes: rigs that work at the same time see the same work, so that no part may have it from
// another rig.
func TestSplitOfSimultaneousTakes(t *testing.T) {
	for _, shifts := range []int{1, 8} {
		var takes []*PairedTake
		total := 0
		for i := range shifts {
			at := int64(i) * 1000e9
			takes = append(takes,
				bareTake("rig-1", i, at, 100), bareTake("rig-2", i, at+5e9, 30), bareTake("rig-3", i, at+9e9, 40), // chained
				bareTake("rig-4", i, at+99*1e8, 1))
			total += 171
		}
		if got := samplesOf(t, SplitTakes(takes)); got != total {
			t.Errorf("%d shifts: %d samples, want %d", shifts, got, total)
		}
	}
}

func TestSplitOfNothing(t *testing.T) {
	if s := SplitTakes(nil); s.Train != nil || s.Choose != nil || s.Gate != nil {
		t.Errorf("got %+v", s)
	}
	tiny := []*PairedTake{bareTake("rig", 0, 0, 1), bareTake("rig", 1, 1e12, 0), bareTake("rig", 2, 2e12, 2)}
	if got := samplesOf(t, SplitTakes(tiny)); got != 3 {
		t.Errorf("%d samples, want 3", got)
	}
}

// TestSplitOfATakeWhoseClockWentBack: whatever the times say, nothing is in two parts.
func TestSplitOfATakeWhoseClockWentBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		p := bareTake("rig", 0, 0, 20)
		rng.Shuffle(20, func(i, j int) { p.Ego.Times[i], p.Ego.Times[j] = p.Ego.Times[j], p.Ego.Times[i] })
		n := 0
		for _, list := range SplitTakes([]*PairedTake{p}).parts() {
			for _, q := range list {
				n += q.Ego.Len()
			}
		}
		if n != 20 {
			t.Fatalf("times %v: %d of 20 samples are in the split", p.Ego.Times, n)
		}
	}
}
