package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestTrainLabelledLearns(t *testing.T) {
	r := worldRecipe()
	var notes []string
	takes, _ := world(1, 8, 300)
	n, err := TrainLabelled(t.Context(), "teacher", takes[:6], takes[6:], labelsOf(t, worldLabels...), worldLabels[:1], r,
		func(stage string, done, total int, note string) {
			notes = append(notes, fmt.Sprintf("%s %d/%d %s", stage, done, total, note))
		})
	if err != nil {
		t.Fatal(err)
	}
	test, _ := world(2, 3, 300)
	if s := scoreOf(t, n, test); s.MoF < 90 || s.F1At50 < 90 {
		t.Errorf("scores on new takes are %+v", s)
	}
	if n.RateHz != testRate || n.Decode.MinFrames != 3 || len(n.Decode.MinFramesByClass) != worldClasses || n.lag() != 4 || n.Dim() != worldDim {
		t.Errorf("the network is %+v", n)
	}
	if len(notes) != r.Epochs || !strings.HasPrefix(notes[0], "teacher 1/20 loss ") {
		t.Errorf("progress was %q", notes)
	}
	for _, note := range notes {
		if strings.Contains(note, "NaN") {
			t.Errorf("progress says %q", note)
		}
	}
}

func TestTrainLabelledIsDeterministic(t *testing.T) {
	r := worldRecipe()
	r.Epochs = 3
	takes, _ := world(1, 4, 100)
	a, b := trainWorld(t, takes, r), trainWorld(t, takes, r)
	if !sameWeights(a, b) {
		t.Error("the same seed gives other weights")
	}
	r.Seed++
	if c := trainWorld(t, takes, r); sameWeights(a, c) {
		t.Error("another seed gives the same weights")
	}
}

// TestTrainLabelledIgnoresWhatWasFilledIn: labels of lost samples are not trained on.
func TestTrainLabelledIgnoresWhatWasFilledIn(t *testing.T) {
	r := worldRecipe()
	r.Epochs = 2
	var nets []*Network
	for _, garbage := range []int{0, 3} {
		takes, _ := world(1, 4, 100)
		for i := 20; i < 40; i++ {
			takes[0].Weights[i], takes[0].Classes[i] = 0, garbage
		}
		nets = append(nets, trainWorld(t, takes, r))
	}
	if !sameWeights(nets[0], nets[1]) {
		t.Error("the labels of samples of weight 0 matter")
	}
}

func TestTrainLabelledRefuses(t *testing.T) {
	type input struct {
		takes, heldOut []LabelledTake
		classes        []string
		background     []string
		r              Recipe
	}
	for name, c := range map[string]struct {
		spoil func(*input)
		want  string
	}{
		"no takes":             {func(in *input) { in.takes = nil }, "0 takes to train on and 1 held out, expected at least 1 of each"},
		"nothing held out":     {func(in *input) { in.heldOut = nil }, "2 takes to train on and 0 held out"},
		"one class":            {func(in *input) { in.classes = worldLabels[:1] }, "expected at least 2"},
		"unknown background":   {func(in *input) { in.background = []string{"idle"} }, `the background "idle" is none of the classes`},
		"a class too few":      {func(in *input) { in.classes = worldLabels[:3] }, "has class 3, expected one of [0, 3)"},
		"a negative class":     {func(in *input) { in.heldOut[0].Classes[5] = -1 }, "take-2/exo1: sample 5 has class -1"},
		"a label too few":      {func(in *input) { in.takes[1].Classes = in.takes[1].Classes[1:] }, "take-1/exo1 has 59 labels for 60 samples"},
		"NaN":                  {func(in *input) { in.takes[1].Features[6*10+4] = float32(math.NaN()) }, "take-1/exo1: feature 4 of sample 10 is NaN"},
		"Inf held out":         {func(in *input) { in.heldOut[0].Features[0] = float32(math.Inf(1)) }, "take-2/exo1: feature 0 of sample 0 is +Inf"},
		"another dimension":    {func(in *input) { in.takes[1].Dim, in.takes[1].Features = 3, in.takes[1].Features[:180] }, "take-1/exo1 has 3 features a sample, expected 6"},
		"twice the dimension":  {func(in *input) { in.heldOut[0].Dim = 12 }, "take-2/exo1 has 12 features a sample, expected 6"},
		"an empty take":        {func(in *input) { in.takes[0] = LabelledTake{in.takes[0].slice(0, 0), nil} }, "take-0/exo1 has no samples"},
		"nothing with weight":  {func(in *input) { clear(in.takes[0].Weights); clear(in.takes[1].Weights) }, "not one frame has a weight"},
		"no epochs":            {func(in *input) { in.r.Epochs = 0 }, "epochs is 0"},
		"a rate that diverges": {func(in *input) { in.r.Rate, in.r.Epochs = 1e30, 3 }, "diverged"},
	} {
		t.Run(name, func(t *testing.T) {
			takes, _ := world(1, 3, 60)
			in := input{takes[:2], takes[2:], worldLabels, worldLabels[:1], worldRecipe()}
			c.spoil(&in)
			n, err := TrainLabelled(t.Context(), "teacher", in.takes, in.heldOut, labelsOf(t, in.classes...), in.background, in.r, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || n != nil {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestTrainLabelledStops(t *testing.T) {
	takes, _ := world(1, 3, 60)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := TrainLabelled(ctx, "teacher", takes[:2], takes[2:], labelsOf(t, worldLabels...), nil, worldRecipe(), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestScoreRefuses(t *testing.T) {
	r := worldRecipe()
	r.Epochs = 1
	takes, ego := world(1, 3, 60)
	n := trainWorld(t, takes, r)
	ego[0].Dim = 3 // half the dimension would pass for twice the samples
	if _, err := n.Score(ego[:1]); err == nil || !strings.Contains(err.Error(), "take-0/ego has 3 features a sample, expected 6") {
		t.Errorf("another dimension: %v", err)
	}
	ego[1].Classes[3] = 9
	if _, err := n.Score(ego[1:2]); err == nil || !strings.Contains(err.Error(), "take-1/ego: sample 3 has class 9") {
		t.Errorf("a class too high: %v", err)
	}
	ego[2].Features[0] = float32(math.NaN())
	if _, err := n.Predict(ego[2].Sequence); err == nil || !strings.Contains(err.Error(), "take-2/ego: feature 0 of sample 0 is NaN") {
		t.Errorf("NaN: %v", err)
	}
	if _, err := n.Score(nil); err == nil {
		t.Error("nothing was scored")
	}
}

// TestPredictLooksAhead: the committed label of a sample is the committed head's, lag samples later, and the provisional
// head's at the end.
func TestPredictLooksAhead(t *testing.T) {
	r := worldRecipe()
	r.Epochs, r.Hold = 5, 0
	takes, _ := world(1, 4, 120)
	n := trainWorld(t, takes, r)
	s := takes[3].Sequence
	whole, err := n.Predict(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []int{1, 4, 5, 60, 100} {
		part, err := n.Predict(s.slice(0, end))
		if err != nil {
			t.Fatal(err)
		}
		if sure := max(end-n.lag(), 0); len(part) != end || !slices.Equal(part[:sure], whole[:sure]) {
			t.Errorf("of the first %d samples: %v, want %v", end, part[:sure], whole[:sure])
		}
	}
}
