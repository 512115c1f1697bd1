package method

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tandem/learn/net"
	"tandem/runtime/ort"
	"tandem/tas"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// shots are pictures of 32 by 32 in memory.
type shots [][]byte

func (s shots) Len() int  { return len(s) }
func (s shots) Size() int { return 3 * 32 * 32 }
func (s shots) Read(i int, dst []byte) error {
	copy(dst, s[i])
	return nil
}

// eye is a small extractor with features of that width. Its running statistics are those of pictures, so that what it makes
// of them is not next to nothing.
func eye(t *testing.T, dim int) *backbone.Backbone {
	t.Helper()
	c := net.DepthwiseCNN{Width: 32, Height: 32, Stem: 8, Out: dim, Blocks: []net.CNNBlock{{Channels: 12, Stride: 2}}}
	p, err := c.NewParams(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range p.List() {
		if strings.HasSuffix(q.Name, "variance") {
			v, err := p.Get(q.Name)
			if err != nil {
				t.Fatal(err)
			}
			for i := range v {
				v[i] = 0.1
			}
		}
	}
	b, err := backbone.New(c, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noise are pictures of nothing.
func noise(n int, seed uint64) shots {
	rng := rand.New(rand.NewPCG(seed, 3))
	s := make(shots, n)
	for i := range s {
		s[i] = make([]byte, 3*32*32)
		for j := range s[i] {
			s[i][j] = byte(rng.UintN(256))
		}
	}
	return s
}

// stripes show a step of the work: stripes of its own width and colour, which the ego camera sees across and in other colours.
func stripes(classes []int, ego bool, seed uint64) shots {
	s := noise(len(classes), seed)
	for i, class := range classes {
		for y := range 32 {
			for x := range 32 {
				at, channel := x, class%3
				if ego {
					at, channel = y, (class+1)%3
				}
				p := &s[i][channel*32*32+y*32+x]
				*p /= 2
				if at/(2+2*class)%2 == 0 {
					*p += 120
				}
			}
		}
	}
	return s
}

// seen is a world of pictures: exo sequences with labels, pairs, and ego sequences with labels to test on.
func seen(t *testing.T, from *backbone.Backbone) (Problem, []Labelled) {
	t.Helper()
	labels, err := tas.NewLabels("reach", "fit", "screw")
	if err != nil {
		t.Fatal(err)
	}
	eyes, err := vision.Open(from, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := eyes.Close(); err != nil {
			t.Error(err)
		}
	}()
	p := Problem{Labels: labels}
	var test []Labelled
	for i := range uint64(4) {
		rng := rand.New(rand.NewPCG(i, 9))
		var classes []int
		for c := rng.IntN(3); len(classes) < 60; c = (c + 1 + rng.IntN(2)) % 3 {
			classes = append(classes, slices.Repeat([]int{c}, 6+rng.IntN(8))...)
		}
		view := func(name string, s shots) Labelled {
			y, err := eyes.See(s)
			if err != nil {
				t.Fatal(err)
			}
			return Labelled{Sequence: Sequence{Name: name, Dim: from.Contract.Dim, Features: y, Frames: &Frames{s, from}}, Classes: classes}
		}
		exo, ego := view("exo", stripes(classes, false, 2*i)), view("ego", stripes(classes, true, 2*i+1))
		exo.Frames = nil
		if i == 3 {
			test = append(test, ego)
			continue
		}
		p.Exo = append(p.Exo, exo)
		p.Pairs = append(p.Pairs, Pair{Name: "pair", Ego: ego.Sequence, Exo: []Sequence{exo.Sequence}})
	}
	return p, test
}

func TestTheExtractorFollowsTheExoCamera(t *testing.T) {
	p, test := seen(t, eye(t, 8))
	o := Options{Epochs: 4, Rate: 3e-3, Seed: 1, Network: Network{Channels: 12, Layers: 3, Dropout: -1}}
	o.Session.Threads = 1
	var err error
	if o.Teacher, err = Teacher(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	before, err := o.Teacher.Score(test)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Get("feature-extractor")
	if err != nil {
		t.Fatal(err)
	}
	student, err := m.Train(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	after, err := student.Score(test)
	if err != nil {
		t.Fatal(err)
	}
	if after.MoF < 85 || after.MoF < before.MoF+20 {
		t.Errorf("the teacher gets %.1f %% of the ego frames right, with the student's extractor %.1f %%", before.MoF, after.MoF)
	}
	if student.Reads(p.Exo[0].Sequence) || !student.Reads(test[0].Sequence) || !o.Teacher.Reads(p.Exo[0].Sequence) {
		t.Error("the student reads pictures, and the teacher features")
	}
	o.Epochs = 1
	var weights [3][]float32
	for i, seed := range []uint64{1, 1, 2} {
		o.Seed = seed
		model, err := m.Train(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		weights[i] = model.Extractor().Params.Weights
	}
	if !slices.Equal(weights[0], weights[1]) || slices.Equal(weights[0], weights[2]) {
		t.Error("the same seed gives another extractor, or another seed the same")
	}
}

func TestWithoutFramesThereIsNothingToFollow(t *testing.T) {
	from := eye(t, 8)
	p, test := seen(t, from)
	m, err := Get("feature-extractor")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Epochs: 1, Network: Network{Channels: 4, Layers: 2}}
	if o.Teacher, err = Teacher(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	student, err := m.Train(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	var none *NoFramesError
	test[0].Frames = nil
	if _, err := student.Score(test); !errors.As(err, &none) {
		t.Errorf("a sequence without pictures was judged: %v", err)
	}
	for name, spoil := range map[string]func(s *Sequence){
		"no frames":            func(s *Sequence) { s.Frames = nil },
		"can be trained":       func(s *Sequence) { s.Frames = &Frames{s.Frames, &backbone.Backbone{}} },
		"different extractors": func(s *Sequence) { s.Frames = &Frames{s.Frames, eye(t, 8)} },
		"pictures for":         func(s *Sequence) { s.Frames = &Frames{noise(3, 1), from} },
	} {
		q := p
		q.Pairs = slices.Clone(p.Pairs)
		spoil(&q.Pairs[1].Ego)
		if _, err := m.Train(t.Context(), q, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, expected an error with %q", err, name)
		}
	}
}
