package method_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	learn "tandem/learn/train"
	"tandem/trainer/method"
)

// A run that diverges says at which stage, and hands on the parameters of the last good step.
func TestADivergingRunStopsWithItsLastGoodParameters(t *testing.T) {
	w := newWorld(1, 3, math.Pi/2)
	o := quick()
	o.Epochs = 2
	o.Teacher = teacher(t, w, o)
	o.Clip = 1e30
	for name, stage := range map[string]string{"tas": "tas", "feature": "adapter", "both": "adapter", "tandem": "alignment",
		"soft-dtw": "soft-dtw", "dann": "adaptation", "ego-oracle": "ego-oracle"} {
		o := o
		o.Rate = 1e15
		m, p := with(t, name, w)
		model, err := m.Train(t.Context(), p, o)
		var stopped *method.StoppedError
		var diverged *learn.DivergedError
		if model != nil || !errors.As(err, &stopped) || !errors.As(err, &diverged) {
			t.Errorf("%s: a diverging run gives %v", name, err)
			continue
		}
		if stopped.Stage != stage || !strings.Contains(err.Error(), stage+": ") || !strings.Contains(err.Error(), "diverged") {
			t.Errorf("%s: the stage is %q, expected %q: %v", name, stopped.Stage, stage, err)
		}
		if slices.ContainsFunc(stopped.Params.Weights, func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }) {
			t.Errorf("%s: the parameters that are left are not finite", name)
		}
	}
}
