package trainer

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/runtime/bundle"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer/gate"
)

// teacherOf trains the teacher of the world's exo camera, once for all tests. It must not be changed.
var teacherOf = sync.OnceValues(func() (*Network, error) {
	takes, _ := world(1, 8, 300)
	labels, err := newWorldLabels()
	if err != nil {
		return nil, err
	}
	return TrainLabelled(context.Background(), "teacher", takes[:6], takes[6:], labels, worldLabels[:1], worldRecipe(), nil)
})

func teacher(t testing.TB) *Network {
	t.Helper()
	n, err := teacherOf()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// distil makes a student and compares it with the teacher, as a rig's first student is.
func distil(t testing.TB, split Split, r Recipe) *Distillation {
	t.Helper()
	return distilFrom(t, teacher(t), split, r, 1)
}

func distilFrom(t testing.TB, from *Network, split Split, r Recipe, seeds int) *Distillation {
	t.Helper()
	shared := lineTeacher{Release: "line-0001", Report: TeacherReport{Calibration: gate.Calibration{Temperature: 1}}}
	first := rival{release: "line-0001", devices: []string{"rig-1"},
		labels: func(take *PairedTake) ([]int, error) { return from.Predict(take.Ego) }}
	d, err := trial{line: &line{teacher: from, shared: shared}, split: split, rivals: []rival{first}, seeds: seeds, recipe: r}.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestStudentReachesTheTeacher: on a rig whose features are a mixing of the exo camera's, the student that has seen no
// label becomes about as good as the teacher is on its own camera; the teacher itself is lost there.
func TestStudentReachesTheTeacher(t *testing.T) {
	r := worldRecipe()
	exo, ego := world(10, 10, 300)
	d := distil(t, SplitTakes(pairUp(exo, ego)), r)
	testExo, testEgo := world(11, 4, 300)
	best := scoreOf(t, teacher(t), testExo)
	before := scoreOf(t, teacher(t), testEgo)
	after := scoreOf(t, d.Student, testEgo)
	if before.F1At50 > 0.5*best.F1At50 {
		t.Errorf("the teacher scores %.1f on the rig and %.1f at home: there is nothing to show", before.F1At50, best.F1At50)
	}
	if after.F1At50 < best.F1At50-10 || after.MoF < best.MoF-5 {
		t.Errorf("the student scores %+v on the rig, the teacher %+v at home", after, best)
	}
	if !d.Report.Better || d.Report.After.F1At50 < 85 || d.Report.Before.F1At50 > 50 {
		t.Errorf("the report is %+v", d.Report)
	}
	if d.Report.TrainTakes != 6 || d.Report.TrainPairs != 1800 || d.Report.GatePairs != 600 || d.Report.Seed != r.Seed {
		t.Errorf("the report counts %+v", d.Report)
	}
	if d.Student.Labels.Len() != worldClasses || d.Student.RateHz != testRate || !slices.Equal(d.Student.Decode.MinFramesByClass, teacher(t).Decode.MinFramesByClass) {
		t.Errorf("the student is %+v", d.Student)
	}
}

func TestDistilIsDeterministicAndLeavesTheTeacher(t *testing.T) {
	r := worldRecipe()
	r.Epochs = 2
	exo, ego := world(10, 5, 100)
	takes := pairUp(exo, ego)
	was := teacher(t).Clone()
	a, b := distil(t, SplitTakes(takes), r), distil(t, SplitTakes(takes), r)
	if !sameWeights(a.Student, b.Student) || !reflect.DeepEqual(a.Report, b.Report) {
		t.Error("the same seed gives another student")
	}
	if !sameWeights(teacher(t), was) {
		t.Error("the teacher was changed")
	}
	r.Seed++
	if c := distil(t, SplitTakes(takes), r); sameWeights(a.Student, c.Student) {
		t.Error("another seed gives the same student")
	}
}

// TestStudentsStream: what a student of each method says of whole takes is what its bundle says on a device, sample by sample.
func TestStudentsStream(t *testing.T) {
	exo, ego := world(10, 5, 60)
	split := SplitTakes(pairUp(exo, ego))
	for _, name := range labelFree {
		r := worldRecipe()
		r.Method, r.Epochs = name, 2
		d, err := Distil(t.Context(), teacher(t), split, r, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := d.Student.Write(filepath.Join(t.TempDir(), "bundle"), gray(t), bundle.Manifest{Release: "r-1", Created: time.Unix(0, testStart)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		device, err := openRival(b, d.Student.Labels, r.session())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range split.Gate {
			want, err := d.Student.Predict(p.Ego)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := device.labels(p); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: the device says %v, want %v (%v)", name, got, want, err)
			}
		}
		if err := device.close(); err != nil {
			t.Error(err)
		}
		if d.Report.Method != name {
			t.Errorf("%s: %+v", name, d.Report)
		}
	}
}

// TestMethodsThatAreRefused: students of a line are made without ego labels, and of pairs.
func TestMethodsThatAreRefused(t *testing.T) {
	exo, ego := world(10, 5, 60)
	for _, name := range []string{"ego-oracle", "exo-only", "magic"} {
		r := worldRecipe()
		r.Method = name
		if _, err := Distil(t.Context(), teacher(t), SplitTakes(pairUp(exo, ego)), r, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		c := Config{Site: "s", Cell: "c", Name: "n", Store: "d", Labelled: LabelledConfig{Dir: "l"}, Distil: DistilConfig{Method: name},
			NATS: bus.Client{URLs: []string{"nats://hub:4222"}}}
		if _, err := New(c, Options{}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "distil.method: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLateRigsAreComparedInTime: an exam about takes whose clocks are off asks for what the teacher says of the rig's instants.
func TestLateRigsAreComparedInTime(t *testing.T) {
	exo, ego := world(10, 1, 100)
	p := pairUp(exo, ego)[0]
	now, err := teacher(t).examine([]*PairedTake{p}, gate.Calibration{Temperature: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []int{7, -7} {
		list, err := teacher(t).examine([]*PairedTake{p}, gate.Calibration{Temperature: 1}, float64(late)+0.2)
		if err != nil {
			t.Fatal(err)
		}
		for f := range 100 {
			at := f + late
			if in := at >= 0 && at < 100; in != (list[0].Weights[f] > 0) || in && list[0].Teacher[f] != now[0].Teacher[at] {
				t.Fatalf("%d late: sample %d has weight %g and class %d", late, f, list[0].Weights[f], list[0].Teacher[f])
			}
		}
	}
}

// archived sends takes through an archive. spoil may change all of a batch but its features and times.
func archived(t *testing.T, takes []*PairedTake, spoil func(*wire.PairBatch)) []*PairedTake {
	t.Helper()
	a := openTestArchive(t, t.TempDir())
	var out []*PairedTake
	for _, p := range takes {
		b := batch(p.ID, 0, p.Ego.Len())
		pairWith(b, "exo1", 1)
		times := wire.AppendDeltas(nil, p.Ego.Times)
		b.Ego.SiteNs, b.Ego.RawNs = times, times
		b.Ego.Dim, b.Exo[0].Dim = worldDim, worldDim
		b.Ego.Features, _ = wire.AppendF16(nil, p.Ego.Features)
		b.Exo[0].Features, _ = wire.AppendF16(nil, p.Exo[0].Features)
		spoil(b)
		addAll(t, a, b)
		q, err := a.Take(p.ID)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, q)
	}
	return out
}

// TestNothingButFeaturesTeaches: all that Distil is given comes from pair messages. Whatever a rig or a camera may claim
// in them about labels, releases, clocks and rejections, the student is the same to the last bit, and the names of the
// teacher's classes don't matter either.
func TestNothingButFeaturesTeaches(t *testing.T) {
	r := worldRecipe()
	r.Epochs = 2
	exo, ego := world(10, 5, 100)
	takes := pairUp(exo, ego)
	plain := distil(t, SplitTakes(archived(t, takes, func(*wire.PairBatch) {})), r)
	garbage := SplitTakes(archived(t, takes, func(b *wire.PairBatch) {
		b.Ego.Labels, b.Ego.Classes = strings.Repeat("9", 64), 3
		b.Ego.Release, b.Exo[0].Release = "other", "r-9"
		b.Ego.ClockSource, b.Ego.BoundNs = wire.ClockSource_CLOCK_SOURCE_NONE, 77
		b.Ego.Skipped, b.Rejected = map[string]uint64{"dark": 3}, map[string]uint64{"exo1/far": 8}
		b.Exo[0].ContentOffset = &wire.ContentOffset{OffsetNs: -5, Confidence: 2}
		b.Exo[0].CorrectionNs = 12
		for i := range b.Exo[0].Grade {
			b.Exo[0].Grade[i] = wire.Grade_GRADE_BRONZE
		}
	}))
	if d := distil(t, garbage, r); !sameWeights(plain.Student, d.Student) || !reflect.DeepEqual(d.Report, plain.Report) {
		t.Error("something besides the features matters")
	}
	renamed := teacher(t).Clone()
	renamed.Labels = labelsOf(t, "background", "x", "a", "m")
	d := distilFrom(t, renamed, SplitTakes(archived(t, takes, func(*wire.PairBatch) {})), r, 1)
	if !sameWeights(plain.Student, d.Student) {
		t.Error("the names of the classes matter")
	}
}

// TestSamplesWithoutPartnersTeachNothing: where no camera has a partner, what the teacher makes of the repeated features
// is neither learnt nor asked for.
func TestSamplesWithoutPartnersTeachNothing(t *testing.T) {
	exo, ego := world(10, 1, 200)
	p := pairUp(exo, ego)[0]
	dark := &Sequence{Name: "exo2", Dim: worldDim, Times: p.Ego.Times, Weights: make([]float32, 200), Features: make([]float32, 200*worldDim)}
	p.Exo = append(p.Exo, dark)
	p.Ego.Weights[150] = 0
	for i := 180; i < 200; i++ {
		p.Exo[0].Weights[i] = 0
	}
	list, err := teacher(t).examine([]*PairedTake{p}, gate.Calibration{Temperature: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := list[0]
	said, err := teacher(t).probs(p.Exo[0])
	if err != nil {
		t.Fatal(err)
	}
	alone := said[0]
	if n := pairs([]*PairedTake{p}); n != 179 {
		t.Errorf("%d pairs, want 179", n)
	}
	for f := range 200 {
		want := float32(1)
		if f == 150 || f >= 180 {
			want = 0
		}
		var sum float64
		for c := range worldClasses {
			q := x.Probs[f*worldClasses+c]
			sum += float64(q)
			// A camera without a partner has no say beside one that has.
			if d := math.Abs(float64(q - alone[f*worldClasses+c])); f < 180 && d > 1e-5 {
				t.Fatalf("frame %d: the dark camera moved class %d by %g", f, c, d)
			}
		}
		if x.Weights[f] != want || math.Abs(sum-1) > 1e-5 {
			t.Fatalf("frame %d has weight %g and probabilities that add up to %g", f, x.Weights[f], sum)
		}
	}
}

// TestTargetAveragesTheCameras checks the average over two cameras that both have a partner.
func TestTargetAveragesTheCameras(t *testing.T) {
	exo, ego := world(10, 2, 100)
	p := pairUp(exo[:1], ego[:1])[0]
	p.Exo = append(p.Exo, exo[1].Sequence)
	probs, err := teacher(t).probs(p.Exo...)
	if err != nil {
		t.Fatal(err)
	}
	x, err := teacher(t).exam(p, gate.Calibration{Temperature: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range x.Probs {
		if d := math.Abs(float64(x.Probs[i] - (probs[0][i]+probs[1][i])/2)); d > 1e-6 {
			t.Fatalf("value %d is off by %g", i, d)
		}
	}
}

func TestDistilRefuses(t *testing.T) {
	noPartner := func(list []*PairedTake) {
		for _, p := range list {
			clear(p.Exo[0].Weights)
		}
	}
	for name, c := range map[string]struct {
		spoil func(*Split, *Recipe)
		want  string
	}{
		"nothing":                 {func(s *Split, _ *Recipe) { *s = Split{} }, "0 takes to train on, 0 to choose by and 0 to gate on"},
		"no gate":                 {func(s *Split, _ *Recipe) { s.Gate = nil }, "and 0 to gate on, expected at least 1 of each"},
		"recipe":                  {func(_ *Split, r *Recipe) { r.Temperature = 0 }, "temperature is 0"},
		"NaN of the rig":          {func(s *Split, _ *Recipe) { s.Train[1].Ego.Features[13] = float32(math.NaN()) }, "take rig-1/take-1: take-1/ego: feature 1 of sample 2 is NaN"},
		"NaN of a camera":         {func(s *Split, _ *Recipe) { s.Gate[0].Exo[0].Features[6] = float32(math.NaN()) }, "take rig-1/take-4: take-4/exo1: feature 0 of sample 1 is NaN"},
		"dimension of the rig":    {func(s *Split, _ *Recipe) { s.Choose[0].Ego.Dim = 3 }, "take rig-1/take-2: take-2/ego has 3 features a sample, expected 6"},
		"dimension of a camera":   {func(s *Split, _ *Recipe) { s.Train[0].Exo[0].Dim = 12 }, "take-0/exo1 has 12 features a sample, expected 6"},
		"lengths":                 {func(s *Split, _ *Recipe) { s.Train[0].Exo[0] = s.Train[0].Exo[0].slice(0, 50) }, "take-0/exo1 has 50 samples, the rig 60"},
		"rate":                    {func(s *Split, _ *Recipe) { s.Gate[0].RateHz = 30 }, "take rig-1/take-4 has 30 samples a second, the teacher reads 10"},
		"no camera":               {func(s *Split, _ *Recipe) { s.Gate[0].Exo = nil }, "take rig-1/take-4 has no exo camera"},
		"extractors":              {func(s *Split, _ *Recipe) { s.Gate[0].EgoExtractor = exoDigest }, "the features of the takes rig-1/take-0 and rig-1/take-4 are of different extractors"},
		"no pairs to train on":    {func(s *Split, _ *Recipe) { noPartner(s.Train) }, "not one pair in the 3 takes to train on"},
		"no pairs to choose by":   {func(s *Split, _ *Recipe) { noPartner(s.Choose) }, "not one pair in the 1 takes to choose by"},
		"no pairs to gate on":     {func(s *Split, _ *Recipe) { noPartner(s.Gate) }, "not one pair in the 1 takes to gate on"},
		"a rate that diverges":    {func(_ *Split, r *Recipe) { r.Rate, r.Epochs = 1e30, 3 }, "diverged"},
		"an empty part of a take": {func(s *Split, _ *Recipe) { s.Train[0] = s.Train[0].slice(3, 3) }, "has no samples"},
	} {
		t.Run(name, func(t *testing.T) {
			exo, ego := world(10, 5, 60)
			split, r := SplitTakes(pairUp(exo, ego)), worldRecipe()
			c.spoil(&split, &r)
			d, err := Distil(t.Context(), teacher(t), split, r, nil)
			if err == nil || d != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "distil: ") && name != "recipe" {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestDistilStops(t *testing.T) {
	exo, ego := world(10, 5, 60)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Distil(ctx, teacher(t), SplitTakes(pairUp(exo, ego)), worldRecipe(), func(_ string, done, _ int, _ string) {
		if done == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
