package train_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

func newParams(t testing.TB, seed uint64) *nn.Params {
	t.Helper()
	p, err := small.NewParams(seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// calm is the loss without dropout, so that runs can be compared.
func calm(b *nn.Build) *graph.Tensor {
	c := small
	c.Dropout = 0
	return c.Loss(b, net.Objective{Labels: 1, Smooth: 0.15})
}

func step(t testing.TB, tr *train.Trainer, samples []train.Sample) float64 {
	t.Helper()
	loss, err := tr.Step(t.Context(), samples, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

func apart(a, b []float32) float64 {
	var d, n float64
	for i := range a {
		d += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / n)
}

func TestSameSeedGivesSameWeights(t *testing.T) {
	run := func(seed uint64, threads int) []float32 {
		p := newParams(t, 3)
		tr := newTrainer(t, p, labelled, train.Config{
			Seed: seed, Clip: 1, Buckets: []int{120}, Adam: optim.AdamConfig{Decay: 0.01}, Session: ort.Options{Threads: threads},
		})
		cfg := train.FitConfig{Epochs: 2, Batch: 2, Rate: 1e-2, Seed: seed}
		if _, err := train.Fit(t.Context(), tr, sequences(4, 4), cfg, train.Hooks{}); err != nil {
			t.Fatal(err)
		}
		return p.Weights
	}
	first := run(5, 1)
	if !slices.Equal(first, run(5, 1)) {
		t.Error("two runs of one seed differ")
	}
	if !slices.Equal(run(5, 2), run(5, 2)) {
		t.Error("two runs of one seed on two threads differ")
	}
	if slices.Equal(first, run(6, 1)) {
		t.Error("another seed gives the same weights")
	}
}

// However sequences are spread over buckets, rows and runs, a step sees the same gradient: the mean over all frames.
func TestBucketsRowsAndRunsDoNotChangeTheGradient(t *testing.T) {
	samples := sequences(5, 8)
	samples[2].Weights = make([]float32, samples[2].Frames)
	for i := range samples[2].Weights {
		samples[2].Weights[i] = float32(i%3) / 2
	}
	var exact []int // no padding at all
	for _, s := range samples {
		exact = append(exact, s.Frames)
	}
	slices.Sort(exact)
	exact = slices.Compact(exact)
	var loss float64
	var grads []float32
	for i, cfg := range []train.Config{
		{Buckets: exact},
		{Buckets: []int{300}},
		{Buckets: []int{80, 100, 120}},
		{Buckets: []int{100, 150}, Rows: 2},
		{Buckets: []int{128}, Rows: 8},
	} {
		tr := newTrainer(t, newParams(t, 3), calm, cfg)
		l := step(t, tr, samples)
		if i == 0 {
			loss, grads = l, slices.Clone(tr.Gradient())
			continue
		}
		if math.Abs(l/loss-1) > 1e-5 || apart(tr.Gradient(), grads) > 1e-4 {
			t.Errorf("%+v: loss %g, expected %g; gradient %.2g from the one without padding", cfg, l, loss, apart(tr.Gradient(), grads))
		}
	}
}

func TestNoisyDataStopsTrainingWithTheLastGoodParameters(t *testing.T) {
	p := newParams(t, 3)
	tr := newTrainer(t, p, labelled, train.Config{})
	samples := sequences(2, 1)
	step(t, tr, samples)
	good := slices.Clone(p.Weights)
	huge := sequences(1, 2)
	for i := range huge[0].Float[net.Features] {
		huge[0].Float[net.Features][i] *= 1e38
	}
	huge[0].Name = "huge"
	_, err := tr.Step(t.Context(), append(samples, huge...), 1e-3)
	var diverged *train.DivergedError
	if !errors.As(err, &diverged) || diverged.Step != 1 || !slices.Contains(diverged.Samples, "huge") {
		t.Fatalf("features of 1e38 give %v", err)
	}
	if !slices.Equal(p.Weights, good) {
		t.Error("the failed step changed the parameters")
	}
	step(t, tr, samples) // the trainer can go on
	if slices.Equal(p.Weights, good) || tr.Steps() != 2 {
		t.Error("the step after the failed one changed nothing")
	}
}

func TestAGradientThatIsNotFiniteStopsTraining(t *testing.T) {
	p := newParams(t, 3)
	// The root of something that is 0 has a finite value and an infinite slope.
	tr := newTrainer(t, p, func(b *nn.Build) *graph.Tensor {
		loss := calm(b)
		return b.Add(loss, b.Sqrt(b.Scale(loss, 0)))
	}, train.Config{})
	good := slices.Clone(p.Weights)
	_, err := tr.Step(t.Context(), sequences(1, 1), 1e-3)
	var diverged *train.DivergedError
	if !errors.As(err, &diverged) || diverged.What != "gradient norm" || !slices.Equal(p.Weights, good) {
		t.Errorf("got %v", err)
	}
}

func TestBadSamplesAreNamed(t *testing.T) {
	tr := newTrainer(t, newParams(t, 3), labelled, train.Config{Buckets: []int{64, 128}})
	for _, c := range []struct {
		spoil func(s *train.Sample)
		want  string
	}{
		{func(s *train.Sample) { s.Frames = 0 }, "no frames"},
		{func(s *train.Sample) { s.Frames++ }, "values for the input"},
		{func(s *train.Sample) { s.Weights = []float32{1} }, "1 weights for"},
		{func(s *train.Sample) { s.Weights = make([]float32, s.Frames); s.Weights[3] = -1 }, "frame 3 has weight -1"},
		{func(s *train.Sample) { s.Float[net.Features][2*small.In+1] = float32(math.NaN()) },
			`frame 2 of the input "features" has the value NaN at 1`},
		{func(s *train.Sample) { s.Float[net.Features][0] = float32(math.Inf(-1)) }, `frame 0 of the input "features" has the value -Inf`},
		{func(s *train.Sample) { s.Float = nil }, `0 values for the input "features"`},
		{func(s *train.Sample) { s.Labels = nil }, "0 labels"},
		{func(s *train.Sample) { s.Labels[net.Labels][5] = 4 }, `frame 5 of the input "labels" has the label 4, expected [0, 4)`},
		{func(s *train.Sample) { s.Labels[net.Labels][5] = -1 }, "label -1"},
		{func(s *train.Sample) { *s = long() }, "it has 200 frames, the longest bucket 128; cut it with Windows"},
	} {
		s := sequences(3, 1)
		c.spoil(&s[1])
		s[1].Name = "the bad one"
		_, err := train.Fit(t.Context(), tr, s, train.FitConfig{Epochs: 1, Rate: 1}, train.Hooks{})
		if !errors.Is(err, train.ErrSample) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the bad one") {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
	s := sequences(1, 1)
	s[0].Labels[net.Labels][5] = -1
	s[0].Weights = slices.Repeat([]float32{1}, s[0].Frames)
	s[0].Weights[5] = 0
	if err := tr.Check(s); err != nil {
		t.Errorf("a frame without weight must not need a label: %v", err)
	}
	clear(s[0].Weights)
	if _, err := tr.Step(t.Context(), s, 1); !errors.Is(err, train.ErrSample) {
		t.Errorf("a batch without weights gives %v", err)
	}
	if _, err := tr.Step(t.Context(), []train.Sample{long()}, 1); !errors.Is(err, train.ErrSample) {
		t.Errorf("a long sample gives %v", err)
	}
	if _, err := tr.Step(t.Context(), nil, 1); !errors.Is(err, train.ErrSample) {
		t.Errorf("no samples give %v", err)
	}
}

func long() train.Sample {
	const frames = 200
	return train.Sample{Frames: frames, Float: map[string][]float32{net.Features: make([]float32, frames*small.In)},
		Labels: map[string][]int64{net.Labels: make([]int64, frames)}}
}

func TestWindowsCoverEveryFrameOnce(t *testing.T) {
	s := long()
	s.Name = "take"
	for i := range s.Labels[net.Labels] {
		s.Labels[net.Labels][i] = int64(i)
		s.Float[net.Features][i*small.In] = float32(i)
	}
	list, err := s.Windows(64, 14)
	if err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for _, w := range list {
		for i := range w.Frames {
			frame := w.Labels[net.Labels][i]
			if w.Float[net.Features][i*small.In] != float32(frame) {
				t.Fatalf("%s: features and labels of frame %d part", w.Name, i)
			}
			if w.Weights[i] == 0 {
				continue
			}
			if frame != next {
				t.Fatalf("%s: frame %d counts, expected %d", w.Name, frame, next)
			}
			next++
		}
	}
	if next != 200 || len(list) != 4 || list[1].Name != "take[50:114]" {
		t.Errorf("%d windows cover %d frames, the second is %s", len(list), next, list[1].Name)
	}
	if whole, err := s.Windows(200, 0); err != nil || len(whole) != 1 || whole[0].Weights != nil {
		t.Errorf("a window as long as the sample: %d, %v", len(whole), err)
	}
	if _, err := s.Windows(10, 10); !errors.Is(err, train.ErrSample) {
		t.Errorf("windows of nothing but context give %v", err)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	tr := newTrainer(t, newParams(t, 3), labelled, train.Config{Buckets: []int{128}, Clip: 1})
	samples := sequences(3, 1)
	step(t, tr, samples)
	if n := testing.AllocsPerRun(10, func() { step(t, tr, samples) }); n > 0 {
		t.Errorf("a step allocates %g times", n)
	}
}

// Closing sessions to save memory costs time, and nothing else.
func TestFewSessionsGiveTheSameParameters(t *testing.T) {
	run := func(sessions int) []float32 {
		p := newParams(t, 3)
		tr := newTrainer(t, p, labelled, train.Config{Buckets: []int{70, 80, 90, 100, 120}, Sessions: sessions, Seed: 2})
		for range 2 {
			step(t, tr, sequences(8, 5))
		}
		return p.Weights
	}
	if !slices.Equal(run(0), run(2)) {
		t.Error("another number of open sessions gives other parameters")
	}
}

func TestCancelledTrainingStopsBetweenRuns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newParams(t, 3)
	tr := newTrainer(t, p, labelled, train.Config{})
	var weights []float32
	result, err := train.Fit(ctx, tr, sequences(4, 1), train.FitConfig{Epochs: 50, Rate: 1e-3}, train.Hooks{
		Progress: func(train.Progress) { weights = slices.Clone(p.Weights); cancel() },
	})
	if !errors.Is(err, context.Canceled) || result.Epochs != 1 || !slices.Equal(p.Weights, weights) {
		t.Errorf("got %v after %d epochs", err, result.Epochs)
	}
}

func TestFitLeavesTheBestParametersAndLosesPatience(t *testing.T) {
	p := newParams(t, 3)
	tr := newTrainer(t, p, labelled, train.Config{})
	scores := []float64{1, 3, 2, 2.5, 9}
	var best []float32
	result, err := train.Fit(t.Context(), tr, sequences(2, 1), train.FitConfig{Epochs: 5, Rate: 1e-2, Patience: 2}, train.Hooks{
		Evaluate: func(_ context.Context, p *nn.Params) (float64, error) {
			s := scores[0]
			scores = scores[1:]
			if s == 3 {
				best = slices.Clone(p.Weights)
			}
			return s, nil
		},
	})
	if err != nil || result.Best != 3 || result.BestEpoch != 2 || result.Epochs != 4 {
		t.Errorf("result %+v, %v", result, err)
	}
	if !slices.Equal(p.Weights, best) {
		t.Error("the parameters left are not the best ones")
	}
	_, err = train.Fit(t.Context(), tr, sequences(2, 1), train.FitConfig{Epochs: 1, Rate: 1}, train.Hooks{
		Evaluate: func(context.Context, *nn.Params) (float64, error) { return math.NaN(), nil },
	})
	if err == nil || !strings.Contains(err.Error(), "not a number") {
		t.Errorf("a score of NaN gives %v", err)
	}
	for _, cfg := range []train.FitConfig{{}, {Epochs: 1}, {Epochs: 1, Rate: math.NaN()}, {Epochs: 1, Rate: 1, EMA: 1}} {
		if _, err := train.Fit(t.Context(), tr, sequences(1, 1), cfg, train.Hooks{}); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	if _, err := train.Fit(t.Context(), tr, nil, train.FitConfig{Epochs: 1, Rate: 1}, train.Hooks{}); err == nil {
		t.Error("no samples were taken")
	}
}

func TestTrainerRefusesWhatCannotBeTrained(t *testing.T) {
	p := newParams(t, 3)
	for name, make := range map[string]func() (*train.Trainer, error){
		"buckets [64 32]": func() (*train.Trainer, error) { return train.New(p, labelled, train.Config{Buckets: []int{64, 32}}) },
		"empty list":      func() (*train.Trainer, error) { return train.New(p, labelled, train.Config{Buckets: []int{}}) },
		"adam": func() (*train.Trainer, error) {
			return train.New(p, labelled, train.Config{Adam: optim.AdamConfig{Beta1: 2}})
		},
		"one element": func() (*train.Trainer, error) {
			return train.New(p, func(b *nn.Build) *graph.Tensor { return small.Forward(b, b.Features("features", small.In))[0] }, train.Config{})
		},
		"no parameters": func() (*train.Trainer, error) {
			none, err := nn.Declare(func(*nn.Build) {})
			if err != nil {
				return nil, err
			}
			return train.New(none, labelled, train.Config{})
		},
	} {
		if _, err := make(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, expected %q", err, name)
		}
	}
}

// A student that is distilled from a teacher's probabilities comes to agree with it.
func TestDistillationBringsTheStudentToTheTeacher(t *testing.T) {
	samples := sequences(8, 1)
	teacher := newParams(t, 3)
	tr := newTrainer(t, teacher, calm, train.Config{Buckets: []int{120}})
	if _, err := train.Fit(t.Context(), tr, samples, train.FitConfig{Epochs: 10, Rate: 1e-2}, train.Hooks{}); err != nil {
		t.Fatal(err)
	}
	model, err := small.Infer(teacher)
	if err != nil {
		t.Fatal(err)
	}
	pred, err := net.NewPredictor(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pred.Close() }()
	lag := small.Lags[1]
	for i := range samples {
		out, err := pred.Run(samples[i].Float[net.Features])
		if err != nil {
			t.Fatal(err)
		}
		// The late head's judgement of each frame; the last ones have none.
		probs := make([]float32, len(out[1]))
		samples[i].Weights = make([]float32, samples[i].Frames)
		for f := range samples[i].Frames - lag {
			softmax(probs[f*small.Classes:(f+1)*small.Classes], out[1][(f+lag)*small.Classes:])
			samples[i].Weights[f] = 1
		}
		samples[i].Float[net.Teacher] = probs
	}
	student := newParams(t, 99)
	tr = newTrainer(t, student, func(b *nn.Build) *graph.Tensor {
		c := small
		c.Dropout = 0
		return c.Loss(b, net.Objective{Teacher: 1, Temperature: 2})
	}, train.Config{Buckets: []int{120}})
	before := accuracy(t, student, samples, 1)
	if _, err := train.Fit(t.Context(), tr, samples, train.FitConfig{Epochs: 30, Rate: 1e-2}, train.Hooks{}); err != nil {
		t.Fatal(err)
	}
	want, got := accuracy(t, teacher, samples, 1), accuracy(t, student, samples, 1)
	if before > 0.6 || want < 0.95 || got < want-0.02 {
		t.Errorf("the teacher has %.3f of the frames right, the student %.3f, before %.3f", want, got, before)
	}
}

func softmax(dst, z []float32) {
	var sum float64
	for i := range dst {
		sum += math.Exp(float64(z[i]))
	}
	for i := range dst {
		dst[i] = float32(math.Exp(float64(z[i])) / sum)
	}
}
