package trainer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"tandem/stream/wire"
)

// stored puts batches into an archive and reads their take.
func stored(t *testing.T, list ...*wire.PairBatch) (*PairedTake, error) {
	t.Helper()
	a := openTestArchive(t, t.TempDir())
	addAll(t, a, list...)
	p, err := a.Take(take1)
	if err == nil {
		checkShape(t, p)
	}
	return p, err
}

// checkShape checks what holds of every paired take: all sequences have one length and one time axis.
func checkShape(t *testing.T, p *PairedTake) {
	t.Helper()
	for _, s := range append([]*Sequence{p.Ego}, p.Exo...) {
		if s.Len() != p.Ego.Len() || len(s.Times) != s.Len() || len(s.Features) != s.Len()*s.Dim {
			t.Fatalf("%s has %d weights, %d times and %d features of %d", s.Name, s.Len(), len(s.Times), len(s.Features), s.Dim)
		}
	}
	if err := p.check(testDim, testRate); err != nil {
		t.Fatal(err)
	}
}

// numbers returns the sequence numbers from which the frames' features were made.
func numbers(s *Sequence) []float32 {
	out := make([]float32, s.Len())
	for i := range out {
		out[i] = s.Row(i)[0]
	}
	return out
}

func TestTakeJoinsBatches(t *testing.T) {
	p, err := stored(t, paired(take1, 40, 3), paired(take1, 43, 2), last(paired(take1, 45, 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{40, 41, 42, 43, 44, 45}
	if p.ID != take1 || p.RateHz != testRate || p.EgoExtractor != egoDigest || p.ExoExtractor != exoDigest || len(p.Exo) != 1 {
		t.Errorf("got %+v", p)
	}
	if !slices.Equal(numbers(p.Ego), want) || !slices.Equal(numbers(p.Exo[0]), want) {
		t.Errorf("samples %v and %v, want %v", numbers(p.Ego), numbers(p.Exo[0]), want)
	}
	if p.Ego.Row(0)[1] != -1 || p.Exo[0].Row(0)[1] != 1 {
		t.Errorf("rig and camera are mixed up: %v, %v", p.Ego.Row(0), p.Exo[0].Row(0))
	}
	for i, at := range p.Ego.Times {
		if at != siteTime(uint64(40+i)) || p.Ego.Weights[i] != 1 || p.Exo[0].Weights[i] != 1 {
			t.Errorf("frame %d: time %d, weights %g and %g", i, at, p.Ego.Weights[i], p.Exo[0].Weights[i])
		}
	}
}

func TestTakeFillsLostSamples(t *testing.T) {
	p, err := stored(t, paired(take1, 0, 3), paired(take1, 6, 2))
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{0, 1, 2, 2, 2, 2, 6, 7}
	weights := []float32{1, 1, 1, 0, 0, 0, 1, 1}
	for _, s := range []*Sequence{p.Ego, p.Exo[0]} {
		if !slices.Equal(numbers(s), want) || !slices.Equal(s.Weights, weights) {
			t.Errorf("%s: samples %v with weights %v, want %v with %v", s.Name, numbers(s), s.Weights, want, weights)
		}
	}
	for i, at := range p.Ego.Times {
		if at != siteTime(uint64(i)) {
			t.Errorf("frame %d is of %d, want %d", i, at, siteTime(uint64(i)))
		}
	}
}

func TestTakeRefusesALongLoss(t *testing.T) {
	if _, err := stored(t, paired(take1, 0, 3), paired(take1, 3+50, 2)); err != nil {
		t.Errorf("5 s lost: %v, want them filled in", err)
	}
	_, err := stored(t, paired(take1, 0, 3), paired(take1, 3+51, 2))
	if err == nil || !strings.Contains(err.Error(), "51 samples (5.1 s) are lost at once after sample 2") || !strings.Contains(err.Error(), take1.String()) {
		t.Errorf("5.1 s lost: %v", err)
	}
}

// TestTakeWithoutPartners: frames without a partner have weight 0 and the features of a neighbour.
func TestTakeWithoutPartners(t *testing.T) {
	b, c := batch(take1, 0, 5), batch(take1, 5, 4)
	pairWith(b, "exo1", 1, 0, 1, 3)
	d := paired(take1, 9, 2)
	p, err := stored(t, b, c, d)
	if err != nil {
		t.Fatal(err)
	}
	x := p.Exo[0]
	if want := []float32{2, 2, 2, 2, 4, 4, 4, 4, 4, 9, 10}; !slices.Equal(numbers(x), want) {
		t.Errorf("partners %v, want %v", numbers(x), want)
	}
	if want := []float32{0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1}; !slices.Equal(x.Weights, want) {
		t.Errorf("weights %v, want %v", x.Weights, want)
	}
	if slices.Contains(p.Ego.Weights, 0) {
		t.Errorf("the rig's weights are %v", p.Ego.Weights)
	}
}

// TestTakeOfTwoCameras: one comes late, one goes early; each keeps its own features.
func TestTakeOfTwoCameras(t *testing.T) {
	b, c := batch(take1, 0, 3), batch(take1, 3, 3)
	pairWith(b, "exo2", 2)
	pairWith(c, "exo2", 2, 4, 5)
	pairWith(c, "exo1", 1)
	p, err := stored(t, b, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Exo) != 2 || p.Exo[0].Name != "exo1" || p.Exo[1].Name != "exo2" {
		t.Fatalf("cameras %v", p.Exo)
	}
	for k, want := range []struct{ numbers, weights []float32 }{
		{[]float32{3, 3, 3, 3, 4, 5}, []float32{0, 0, 0, 1, 1, 1}},
		{[]float32{0, 1, 2, 3, 3, 3}, []float32{1, 1, 1, 1, 0, 0}},
	} {
		x := p.Exo[k]
		if !slices.Equal(numbers(x), want.numbers) || !slices.Equal(x.Weights, want.weights) {
			t.Errorf("%s: %v with %v, want %v with %v", x.Name, numbers(x), x.Weights, want.numbers, want.weights)
		}
		for i := range x.Len() {
			if x.Row(i)[1] != float32(k+1) {
				t.Errorf("%s: frame %d has the features of camera %g", x.Name, i, x.Row(i)[1])
			}
		}
	}
}

// TestTakeOfACameraThatBeganAgain: one batch holds two takes of the same camera, in either order.
func TestTakeOfACameraThatBeganAgain(t *testing.T) {
	for _, newFirst := range []bool{false, true} {
		b := batch(take1, 0, 6)
		pairWith(b, "exo1", 1, 2, 3, 4, 5)
		pairWith(b, "exo1", 1, 0, 1, 2).Take = "again"
		if newFirst {
			slices.Reverse(b.Exo)
		}
		p, err := stored(t, b, paired(take1, 6, 2))
		if err != nil {
			t.Fatal(err)
		}
		if want := []float32{0, 1, 1, 3, 4, 5, 6, 7}; len(p.Exo) != 1 || !slices.Equal(numbers(p.Exo[0]), want) {
			t.Errorf("partners %v, want %v", numbers(p.Exo[0]), want)
		}
		if want := []float32{1, 1, 0, 1, 1, 1, 1, 1}; !slices.Equal(p.Exo[0].Weights, want) {
			t.Errorf("weights %v, want %v", p.Exo[0].Weights, want)
		}
	}
}

// TestTakeIgnoresRejectedPartners: a partner whose clock is not known well enough teaches nothing.
func TestTakeIgnoresRejectedPartners(t *testing.T) {
	b := paired(take1, 0, 4)
	b.Exo[0].Grade[1] = wire.Grade_GRADE_REJECTED
	p, err := stored(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 0, 1, 1}; !slices.Equal(p.Exo[0].Weights, want) || p.Exo[0].Row(1)[0] != 0 {
		t.Errorf("weights %v, want %v; frame 1 has the features of sample %g", p.Exo[0].Weights, want, p.Exo[0].Row(1)[0])
	}
}

func TestTakeRefuses(t *testing.T) {
	change := func(b *wire.PairBatch, f func(*wire.PairBatch)) *wire.PairBatch {
		f(b)
		return b
	}
	rejectAll := func(b *wire.PairBatch) {
		for i := range b.Exo[0].Grade {
			b.Exo[0].Grade[i] = wire.Grade_GRADE_REJECTED
		}
	}
	wider := func(x *wire.ExoTrack) {
		x.Dim = 3
		x.Features = make([]byte, 3*wire.F16Size*x.Len())
	}
	for name, c := range map[string]struct {
		list []*wire.PairBatch
		want string
	}{
		"no samples":         {[]*wire.PairBatch{last(batch(take1, 0, 0))}, "it has no samples"},
		"no partners":        {[]*wire.PairBatch{batch(take1, 0, 3)}, "not one of its samples has a partner"},
		"rejected partners":  {[]*wire.PairBatch{change(paired(take1, 0, 3), rejectAll)}, "not one of its samples has a partner"},
		"overlapping":        {[]*wire.PairBatch{paired(take1, 0, 3), paired(take1, 2, 3)}, "sample 2 comes twice"},
		"another extractor":  {[]*wire.PairBatch{paired(take1, 0, 3), change(paired(take1, 3, 3), func(b *wire.PairBatch) { b.Ego.Extractor = exoDigest })}, "the rig's extractor changed at sample 3"},
		"another rate":       {[]*wire.PairBatch{paired(take1, 0, 3), change(paired(take1, 3, 3), func(b *wire.PairBatch) { b.Ego.RateHz = 15 })}, "the rig's rate changed from 10 to 15 at sample 3"},
		"another exo":        {[]*wire.PairBatch{paired(take1, 0, 3), change(paired(take1, 3, 3), func(b *wire.PairBatch) { b.Exo[0].Extractor = egoDigest })}, "exo1 at sample 3: its features are of another extractor"},
		"two extractors":     {[]*wire.PairBatch{change(paired(take1, 0, 3), func(b *wire.PairBatch) { pairWith(b, "exo2", 2).Extractor = egoDigest })}, "exo2 at sample 0: its features are of another extractor"},
		"another dimension":  {[]*wire.PairBatch{paired(take1, 0, 3), change(paired(take1, 3, 3), func(b *wire.PairBatch) { wider(b.Exo[0]) })}, "exo1 at sample 3: its features are of another extractor"},
		"two dimensions":     {[]*wire.PairBatch{change(paired(take1, 0, 3), func(b *wire.PairBatch) { wider(pairWith(b, "exo2", 2)) })}, "exo2 at sample 0"},
		"a camera elsewhere": {nil, "holds no take rig-1/take-1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := stored(t, c.list...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestPairedTakeCheck(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*PairedTake)
		want  string
	}{
		"rate":          {func(p *PairedTake) { p.RateHz = 30 }, "has 30 samples a second, the teacher reads 10"},
		"no camera":     {func(p *PairedTake) { p.Exo = nil }, "has no exo camera"},
		"NaN of rig":    {func(p *PairedTake) { p.Ego.Features[5] = float32(math.NaN()) }, "feature 1 of sample 2 is NaN"},
		"Inf of camera": {func(p *PairedTake) { p.Exo[0].Features[2] = float32(math.Inf(-1)) }, "exo1: feature 0 of sample 1 is -Inf"},
		"dimension":     {func(p *PairedTake) { p.Ego.Dim = 1 }, "has 1 features a sample, expected 2"},
		"length":        {func(p *PairedTake) { p.Exo[0] = p.Exo[0].slice(0, 2) }, "exo1 has 2 samples, the rig 4"},
		"short":         {func(p *PairedTake) { p.Ego.Features = p.Ego.Features[:3] }, "has 3 values for 4 samples of 2 features"},
		"empty":         {func(p *PairedTake) { *p = *p.slice(1, 1) }, "has no samples"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := stored(t, paired(take1, 0, 4))
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(p)
			if err := p.check(testDim, testRate); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), take1.String()) {
				t.Errorf("got %v, want an error with the take and %q", err, c.want)
			}
		})
	}
}
