package method_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tandem/tas"
	"tandem/trainer/method"
)

const (
	classes = 3
	dim     = 6
)

// world is a work in three steps, seen by two cameras that show the steps in mixes of their own.
type world struct {
	exo, ego []method.Labelled
}

// newWorld makes takes; rotate is how far the ego view turns the exo view's features (0 not at all), and late[i] by how
// many frames the exo side of take i is late.
func newWorld(seed uint64, takes int, rotate float64, late ...int) world {
	rng := rand.New(rand.NewPCG(seed, 5))
	look := rand.New(rand.NewPCG(99, 5)) // the same in each world
	exo, turned := make([]float64, classes*dim), make([]float64, classes*dim)
	for i := range exo {
		exo[i] = 2 * look.NormFloat64()
	}
	for i := range turned {
		turned[i] = exo[i]*math.Cos(rotate) + 2*look.NormFloat64()*math.Sin(rotate)
	}
	var w world
	const frames, margin = 96, 24
	for i := range takes {
		work := make([]int, 0, frames+2*margin)
		for c := rng.IntN(classes); len(work) < frames+2*margin; c = (c + 1 + rng.IntN(classes-1)) % classes {
			for range 9 + rng.IntN(12) {
				work = append(work, c)
			}
		}
		view := func(name string, mix []float64, shift int) method.Labelled {
			l := method.Labelled{Sequence: method.Sequence{Name: name, Dim: dim}}
			for t := range frames {
				c := work[margin+t-shift]
				l.Classes = append(l.Classes, c)
				for d := range dim {
					l.Features = append(l.Features, float32(mix[c*dim+d]+0.4*rng.NormFloat64()))
				}
			}
			return l
		}
		shift := 0
		if len(late) > 0 {
			shift = late[i%len(late)]
		}
		name := "take" + string(rune('a'+i))
		w.exo = append(w.exo, view(name+"/exo", exo, shift))
		w.ego = append(w.ego, view(name+"/ego", turned, 0))
	}
	return w
}

func labels(t testing.TB) tas.Labels {
	t.Helper()
	l, err := tas.NewLabels("reach", "fit", "screw")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// problem is what a label-free method gets.
func (w world) problem(t testing.TB) method.Problem {
	p := method.Problem{Labels: labels(t), Exo: w.exo}
	for i := range w.ego {
		p.Pairs = append(p.Pairs, method.Pair{Name: w.ego[i].Name, Ego: w.ego[i].Sequence, Exo: []method.Sequence{w.exo[i].Sequence}})
	}
	return p
}

func quick() method.Options {
	o := method.Options{Epochs: 8, Rate: 1e-2, Seed: 1, AdapterChannels: 16, AdapterLayers: 2,
		Network: method.Network{Channels: 12, Layers: 3, Dropout: -1}}
	o.Session.Threads = 1
	o.Offset.Band = 10
	return o
}

// with returns what the method of a name learns from.
func with(t testing.TB, name string, w world) (method.Method, method.Problem) {
	t.Helper()
	m, err := method.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	p := w.problem(t)
	if m.UsesOracle() {
		p.Oracle = method.NewOracle(w.ego)
	}
	return m, p
}

func train(t testing.TB, name string, w world, o method.Options) *method.Model {
	t.Helper()
	m, p := with(t, name, w)
	model, err := m.Train(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func accuracy(t testing.TB, m *method.Model, takes []method.Labelled) float64 {
	t.Helper()
	s, err := m.Score(takes)
	if err != nil {
		t.Fatal(err)
	}
	return s.MoF
}

func teacher(t testing.TB, w world, o method.Options) *method.Model {
	t.Helper()
	m, err := method.Teacher(t.Context(), w.problem(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Where the ego view is another one altogether, methods that use pairs learn what the teacher knows; where it is only a
// little different, unpaired ones get nearer.
func TestEachMethodLearns(t *testing.T) {
	o := quick()
	far, farTest := newWorld(1, 6, math.Pi/2), newWorld(2, 3, math.Pi/2)
	o.Teacher = teacher(t, far, o)
	if got := accuracy(t, o.Teacher, farTest.exo); got < 90 {
		t.Errorf("the teacher has %.1f %% of the exo frames right", got)
	}
	unadapted := accuracy(t, train(t, "exo-only", far, o), farTest.ego)
	if unadapted > 70 {
		t.Errorf("exo-only has %.1f %% of the frames right: the views are too much alike for this test", unadapted)
	}
	for _, name := range []string{"ego-oracle", "tas", "feature", "both", "tandem"} {
		if got := accuracy(t, train(t, name, far, o), farTest.ego); got < 90 {
			t.Errorf("%s has %.1f %% of the frames right, without adaptation %.1f %%", name, got, unadapted)
		}
	}
	o.Adapter = "transformer"
	if got := accuracy(t, train(t, "feature", far, o), farTest.ego); got < 90 {
		t.Errorf("feature with a transformer has %.1f %% of the frames right", got)
	}
	o.Adapter = ""
	near, nearTest := newWorld(3, 6, 0.5), newWorld(4, 3, 0.5)
	o.Teacher = teacher(t, near, o)
	for _, name := range []string{"coral", "mmd", "dann", "tcc"} {
		if got := accuracy(t, train(t, name, near, o), nearTest.ego); got < 80 {
			t.Errorf("%s has %.1f %% of the frames right", name, got)
		}
	}
}

// With clocks that are wrong by another amount in each take, tandem finds by how much, and what it learns is in time.
func TestTandemFindsTheOffsets(t *testing.T) {
	late := []int{-7, 4, 0, 8, -3, 6}
	w, test := newWorld(5, 6, math.Pi/2, late...), newWorld(6, 3, math.Pi/2)
	o := quick()
	o.Teacher = teacher(t, w, o)
	if got := accuracy(t, train(t, "soft-dtw", w, o), test.ego); got < 90 {
		t.Errorf("soft-dtw, which doesn't look at the times, has %.1f %% of the frames right", got)
	}
	m := train(t, "tandem", w, o)
	for i, f := range m.Offsets {
		if math.Abs(f.Frames-float64(late[i])) > 1 {
			t.Errorf("%s is %d frames late, estimated %.2f", f.Pair, late[i], f.Frames)
		}
	}
	mine, published := accuracy(t, m, test.ego), accuracy(t, train(t, "tas", w, o), test.ego)
	if mine < 90 || mine < published+5 {
		t.Errorf("tandem has %.1f %% of the frames right, tas %.1f %%", mine, published)
	}
}

func TestTheSameSeedGivesTheSameWeights(t *testing.T) {
	w := newWorld(1, 3, 0.5)
	o := quick()
	o.Epochs = 1
	o.Network.Dropout = 0.2
	if one, two := teacher(t, w, o), teacher(t, w, o); !slices.Equal(one.Params.Weights, two.Params.Weights) {
		t.Error("the same seed gives two teachers")
	} else {
		o.Teacher = one
	}
	for _, name := range method.Names() {
		if name == "feature-extractor" {
			continue // it needs pictures, and has a test of its own
		}
		one, two := train(t, name, w, o), train(t, name, w, o)
		if !slices.Equal(one.Params.Weights, two.Params.Weights) {
			t.Errorf("%s: the same seed gives two results", name)
		}
		if name == "exo-only" {
			continue // the teacher itself
		}
		other := o
		other.Seed = 2
		if three := train(t, name, w, other); slices.Equal(one.Params.Weights, three.Params.Weights) {
			t.Errorf("%s: another seed gives the same result", name)
		}
	}
}

// Published changes how the methods of the paper train, and no other's training.
func TestAsPublished(t *testing.T) {
	w := newWorld(1, 3, 0.5)
	o := quick()
	o.Epochs = 2
	o.Teacher = teacher(t, w, o)
	published := o
	published.Published = true
	for name, changes := range map[string]bool{"tas": true, "feature": true, "both": true, "tandem": false, "coral": false} {
		one, two := train(t, name, w, o), train(t, name, w, published)
		if slices.Equal(one.Params.Weights, two.Params.Weights) == changes {
			t.Errorf("%s: other weights as published: %v", name, !changes)
		}
	}
}

// The epoch is chosen by agreement with the teacher on pairs that are held out.
func TestHeldOutPairsChooseTheEpoch(t *testing.T) {
	w, held, test := newWorld(1, 4, math.Pi/2), newWorld(7, 2, math.Pi/2), newWorld(2, 3, math.Pi/2)
	o := quick()
	o.Teacher = teacher(t, w, o)
	for name, least := range map[string]float64{"tas": 85, "feature": 90, "both": 85, "tandem": 85} {
		m, p := with(t, name, w)
		p.Choose = held.problem(t).Pairs
		model, err := m.Train(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := accuracy(t, model, test.ego); got < least {
			t.Errorf("%s has %.1f %% of the frames right", name, got)
		}
	}
}

func TestOtherNetworks(t *testing.T) {
	w, test := newWorld(1, 5, math.Pi/2), newWorld(2, 2, math.Pi/2)
	o := quick()
	o.Teacher = teacher(t, w, o) // not causal
	o.Network.Kind, o.Network.Lags = "causal", []int{0, 3}
	if got := accuracy(t, train(t, "tandem", w, o), test.ego); got < 85 {
		t.Errorf("a causal student has %.1f %% of the frames right", got)
	}
	// Each scale follows the teacher's, and a network of one output all of them. The takes are as short as to leave one frame at
	// the deepest level.
	o = quick()
	o.Network = method.Network{Kind: "c2f", Channels: 16}
	o.Epochs = 10
	o.Teacher = teacher(t, w, o)
	if got := accuracy(t, o.Teacher, test.exo); got < 85 {
		t.Errorf("a C2F-TCN has %.1f %% of the exo frames right", got)
	}
	if got := accuracy(t, train(t, "tas", w, o), test.ego); got < 85 {
		t.Errorf("a C2F-TCN taught by one has %.1f %% of the frames right", got)
	}
	o.Epochs = 1
	w = newWorld(1, 2, math.Pi/2)
	o.Network = quick().Network
	train(t, "tas", w, o)
}

func TestBadInputIsNamed(t *testing.T) {
	nan := float32(math.NaN())
	spoiled := func(s method.Sequence, at int, v float32) method.Sequence {
		s.Features = slices.Clone(s.Features)
		s.Features[at] = v
		return s
	}
	w := newWorld(1, 2, math.Pi/2)
	o := quick()
	o.Epochs = 1
	ready := teacher(t, w, o)
	for _, c := range []struct {
		name, method string
		spoil        func(p *method.Problem, o *method.Options)
		want         string
	}{
		{"exo NaN", "tas", func(p *method.Problem, o *method.Options) {
			o.Teacher = nil
			p.Exo = slices.Clone(p.Exo)
			p.Exo[1].Sequence = spoiled(p.Exo[1].Sequence, 3*dim+2, nan)
		}, "takeb/exo: feature 2 of frame 3 is NaN"},
		{"ego infinity", "tandem", func(p *method.Problem, _ *method.Options) {
			p.Pairs[0].Ego = spoiled(p.Pairs[0].Ego, 7*dim, float32(math.Inf(1)))
		}, "the pair takea/ego, ego: takea/ego: feature 0 of frame 7 is +Inf"},
		{"no exo", "tas", func(p *method.Problem, o *method.Options) { o.Teacher, p.Exo = nil, nil }, "no labelled exo sequences"},
		{"no pairs", "feature", func(p *method.Problem, _ *method.Options) { p.Pairs = nil }, "no pairs"},
		{"no partner", "tas", func(p *method.Problem, _ *method.Options) {
			for i := range p.Pairs {
				p.Pairs[i].Ego.Weights = make([]float32, p.Pairs[i].Ego.Len())
			}
		}, "not one frame of the 2 pairs has a partner"},
		{"no camera", "tas", func(p *method.Problem, _ *method.Options) { p.Pairs[1].Exo = nil }, "takeb/ego has no exo sequence"},
		{"one frame", "tas", func(p *method.Problem, _ *method.Options) { p.Pairs[1].Ego.Features = p.Pairs[1].Ego.Features[:dim] },
			"has 1 frames, expected at least 2"},
		{"lengths", "tas", func(p *method.Problem, _ *method.Options) { p.Pairs[1].Ego.Features = p.Pairs[1].Ego.Features[:4*dim] },
			"has 96 frames, the ego sequence 4"},
		{"class", "tas", func(p *method.Problem, o *method.Options) {
			o.Teacher = nil
			p.Exo = slices.Clone(p.Exo)
			p.Exo[0].Classes = slices.Clone(p.Exo[0].Classes)
			p.Exo[0].Classes[5] = classes
		}, "the label of frame 5 is class 3"},
		{"background", "tas", func(p *method.Problem, o *method.Options) { o.Teacher, p.Background = nil, []string{"rest"} }, `"rest"`},
		{"rate", "tas", func(_ *method.Problem, o *method.Options) { o.Rate = -1 }, "learning rate -1"},
		{"network", "tas", func(_ *method.Problem, o *method.Options) { o.Network.Kind = "rnn" }, `no network "rnn"`},
		{"adapter", "feature", func(_ *method.Problem, o *method.Options) { o.Adapter = "rnn" }, `no adapter "rnn", expected one of tcn, transformer`},
		{"adapter that looks ahead", "feature", func(_ *method.Problem, o *method.Options) {
			o.Adapter, o.Network.Kind = "transformer", "causal"
		}, "a transformer adapter sees the whole take"},
		{"lags", "tas", func(_ *method.Problem, o *method.Options) { o.Network.Lags = []int{2} }, "no lags"},
		{"classes", "tas", func(p *method.Problem, _ *method.Options) { p.Labels, _ = tas.NewLabels("a", "b", "c") }, "the teacher's classes"},
		{"batch", "coral", func(_ *method.Problem, o *method.Options) { o.Batch = 2 }, "batches of 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, p := with(t, c.method, w)
			o := o
			o.Teacher = ready
			c.spoil(&p, &o)
			model, err := m.Train(t.Context(), p, o)
			if err == nil || model != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.method+": ") {
				t.Errorf("got %v, expected %q", err, c.want)
			}
		})
	}
	m, p := with(t, "tas", w)
	p.Oracle = method.NewOracle(w.ego)
	if _, err := m.Train(t.Context(), p, o); !errors.Is(err, method.ErrOracle) {
		t.Errorf("ego labels for tas: %v", err)
	}
	m, p = with(t, "ego-oracle", w)
	p.Oracle = nil
	if _, err := m.Train(t.Context(), p, o); !errors.Is(err, method.ErrOracle) {
		t.Errorf("no ego labels for the oracle: %v", err)
	}
	p.Oracle = method.NewOracle(nil)
	if _, err := m.Train(t.Context(), p, o); err == nil {
		t.Error("an empty oracle was taken")
	}
	if _, err := method.Get("magic"); err == nil || !strings.Contains(err.Error(), "tandem") {
		t.Errorf("an unknown method gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m, p = with(t, "tas", w)
	if _, err := m.Train(ctx, p, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled training gives %v", err)
	}
}

// Two streams of other widths need a method with a first layer of its own.
func TestWidthsMayDifferWhereAMethodAllowsIt(t *testing.T) {
	w := newWorld(1, 3, math.Pi/2)
	for i, l := range w.ego {
		var wide []float32
		for f := range l.Len() {
			wide = append(append(wide, l.Features[f*dim:(f+1)*dim]...), 1)
		}
		w.ego[i].Dim, w.ego[i].Features = dim+1, wide
	}
	o := quick()
	o.Epochs = 1
	o.Teacher = teacher(t, w, o)
	for _, name := range method.Names() {
		m, p := with(t, name, w)
		_, err := m.Train(t.Context(), p, o)
		var width *method.WidthError
		alike := name == "exo-only" || name == "coral" || name == "mmd" || name == "dann" || name == "feature-extractor"
		if errors.As(err, &width) != alike || (err != nil && !alike) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
