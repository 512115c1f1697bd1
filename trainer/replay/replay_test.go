package replay

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tandem/runtime/bundle"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/tas"
	"tandem/trainer/dataset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newWorld is a world of two takes of random features, whose labels are what the bundle's network says of them with every label a little
// late, so that there is something to score.
func newWorld(t *testing.T, b *bundle.Dir, o Options) *world {
	t.Helper()
	w := &world{o: o, set: &dataset.Dataset{Name: "walks", RateHz: b.RateHz}, view: dataset.View{Name: "ego", Role: dataset.Ego, Dim: b.Extractor.Dim}}
	rng := rand.New(rand.NewPCG(3, 9))
	for _, name := range []string{"one", "two"} {
		const n = 240
		x := take{name: name, samples: n, data: make([]float32, n*w.view.Dim), gt: make([]string, n)}
		for i := range x.data {
			if i >= w.view.Dim {
				x.data[i] = .9 * x.data[i-w.view.Dim]
			}
			x.data[i] += float32(rng.NormFloat64())
		}
		w.takes = append(w.takes, x)
	}
	probs, err := w.frameByFrame(t.Context(), b, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.takes {
		labels := segment.Hold(argmaxes(probs[i], len(b.Labels)), 4)
		for j := range w.takes[i].gt {
			w.takes[i].gt[j] = b.Labels[labels[max(0, j-2)]]
		}
	}
	return w
}

func argmaxes(p []float32, classes int) (out []int) {
	for ; len(p) > 0; p = p[classes:] {
		best := 0
		for c, v := range p[:classes] {
			if v > p[best] {
				best = c
			}
		}
		out = append(out, best)
	}
	return out
}

func withPrior(m *bundle.Manifest) {
	k := len(m.Labels)
	p := &bundle.Prior{Lag: 3, Weight: 1}
	for range k {
		row := make([]float64, k)
		for i := range row {
			row[i] = -math.Log(float64(k))
		}
		p.LogTransitions = append(p.LogTransitions, row)
	}
	m.Segmenter.Decode.Prior = p
}

// TestACommittedStreamWithAllItsTimeIsTheOfflineRun: without a commit lag that cuts holds, the committed stream of a causal network says
// what the same decoder says of the whole take; and each variant is as late as its parts add up to.
func TestACommittedStreamWithAllItsTimeIsTheOfflineRun(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{MinFrames: 4, Lag: 5, Change: withPrior})
	w := newWorld(t, b, Options{})
	w.total = len(w.takes) * (1 + len(w.o.variants(b)))
	steps := 0
	w.o.Progress = func(done, total int) {
		if steps++; done != steps || total != w.total {
			t.Errorf("step %d: %d of %d", steps, done, total)
		}
	}
	r, err := w.student(t.Context(), Student{Bundle: b})
	if err != nil {
		t.Fatal(err)
	}
	if steps != w.total {
		t.Errorf("%d of %d steps were told", steps, w.total)
	}
	late := map[Variant]float64{
		{}: 0, {Hold: true}: .3, {Lag: true}: .5, {Lag: true, Hold: true}: .8,
		{Prior: true}: 0, {Prior: true, Hold: true}: .3, {Prior: true, Lag: true}: .8, {Prior: true, Lag: true, Hold: true}: 1.1,
	}
	seen := map[string]int{}
	for _, x := range r.Rows {
		seen[x.Stream]++
		if x.Stream != Committed {
			continue
		}
		if math.Abs(x.Late-late[x.Variant]) > 1e-9 {
			t.Errorf("%+v is %g s late, want %g", x.Variant, x.Late, late[x.Variant])
		}
		// A prior of equal transitions decides nothing, so its path through the take is that of its lag, too.
		if x.Lag && x.OfSame != 100 {
			t.Errorf("%+v keeps %g %% of the offline F1@50, %g", x.Variant, x.OfSame, x.F1At50)
		}
		if x.Online == nil || x.Online.DelayMedian <= 0 && x.Lag {
			t.Errorf("%+v: online %+v", x.Variant, x.Online)
		}
	}
	if seen[Offline] != 4 || seen[Provisional] != 1 || seen[Committed] != 8 {
		t.Errorf("rows %v", seen)
	}
}

func TestTheLagCutsHoldsAndCantBeShorterThanTheNetworks(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{MinFrames: 9, Lag: 5})
	w := newWorld(t, b, Options{Lag: .8})
	s := Student{Bundle: b}
	if err := w.check(s); err != nil {
		t.Fatal(err)
	}
	r, err := w.student(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Rows[len(r.Rows)-1]; last.Late != .8 {
		t.Errorf("it is %g s late, want 0.8", last.Late)
	}
	w.o.Lag = .4
	if err := w.check(s); err == nil || !strings.Contains(err.Error(), "can't commit within 0.4 s: its network is 0.50 s late") {
		t.Errorf("got %v", err)
	}
}

// TestLostSamplesAreNotPushed: samples that a data set has filled in are lost ones to the segmenter, which bridges them.
func TestLostSamplesAreNotPushed(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	w := newWorld(t, b, Options{})
	x := &w.takes[0]
	x.weights = make([]float32, x.samples)
	for i := range x.weights {
		x.weights[i] = 1
	}
	x.weights[100], x.weights[101] = 0, 0
	s, err := segment.Open(b, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events, err := w.events(t.Context(), s, x)
	if err != nil {
		t.Fatal(err)
	}
	var bridged, covered uint64
	for _, e := range events {
		if e.Kind == tas.EventCommitted {
			bridged += e.Bridged
			covered += e.LastSeq - e.FirstSeq + 1
		}
	}
	if bridged != 2 || covered != uint64(x.samples) {
		t.Errorf("%d samples were bridged and %d covered, want 2 and %d", bridged, covered, x.samples)
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	for want, change := range map[string]func(w *world){
		"is for 10 samples a second, walks has 5": func(w *world) { w.set.RateHz = 5 },
		"has 3; import it":                        func(w *world) { w.view.Dim = 3 },
		`doesn't know the label "dance"`:          func(w *world) { w.takes[1].gt[7] = "dance" },
	} {
		w := newWorld(t, b, Options{})
		change(w)
		if err := w.check(Student{Bundle: b}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestOpenEarly: a segmenter of the first head alone commits what that head says, at once.
func TestOpenEarly(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{Lag: 5})
	for _, heads := range []int{0, 3} {
		if _, err := segment.OpenEarly(b, heads, ort.Options{}); err == nil || !strings.Contains(err.Error(), "it has 2, expected 1 to as many") {
			t.Errorf("%d heads: %v", heads, err)
		}
	}
	w := newWorld(t, b, Options{})
	s, err := segment.OpenEarly(b, 1, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Lag() != 0 || s.CommitDelay() != 0 {
		t.Errorf("it is %d and %d samples late, want none", s.Lag(), s.CommitDelay())
	}
	events, err := w.events(t.Context(), s, &w.takes[0])
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]tas.Event{}
	for _, e := range events {
		if e.Kind == tas.EventCommitted || e.Kind == tas.EventProvisional && !e.Open {
			said[e.Kind] = append(said[e.Kind], e)
		}
	}
	first, final := said[tas.EventProvisional], said[tas.EventCommitted]
	if len(final) < 5 || len(first) != len(final) {
		t.Fatalf("%d provisional segments and %d committed ones", len(first), len(final))
	}
	for i, e := range final {
		if f := first[i]; e.Label != f.Label || e.Start != f.Start || e.End != f.End {
			t.Errorf("committed %+v, at first %+v", e, f)
		}
	}
}

func TestMeanAndSpread(t *testing.T) {
	row := func(f1, delay float64) Result {
		return Result{Rows: []Row{
			{Stream: Offline, Figures: Figures{F1At50: 90}},
			{Stream: Committed, Late: delay, Figures: Figures{F1At50: f1, Online: &Online{DelayMedian: delay}}},
		}}
	}
	list := mean([]Result{row(80, 1), row(90, 2)})
	c := list[1]
	if c.F1At50 != 85 || math.Abs(c.SD.F1At50-math.Sqrt(50)) > 1e-12 || c.Online.DelayMedian != 1.5 || c.Late != 2 {
		t.Errorf("%+v, %+v", c, c.SD)
	}
	if one := mean([]Result{row(80, 1)}); one[1].SD != nil || one[1].F1At50 != 80 {
		t.Errorf("%+v", one)
	}
}
