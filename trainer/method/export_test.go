package method_test

import (
	"strings"
	"testing"

	"tandem/learn/net"
	"tandem/trainer/method"
)

// TestChosenTeacher: the epoch is chosen on the sequences held out, which are not trained on.
func TestChosenTeacher(t *testing.T) {
	w := newWorld(1, 6, 0)
	p := w.problem(t)
	p.Exo, p.Pairs = w.exo[:4], nil
	o := quick()
	last, err := method.Teacher(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	// Held-out labels that are all wrong but one's choose another epoch, and leave what is trained on alone.
	held := method.Labelled{Sequence: w.exo[5].Sequence, Classes: make([]int, w.exo[5].Len())}
	chosen, err := method.ChosenTeacher(t.Context(), p, []method.Labelled{held}, o)
	if err != nil {
		t.Fatal(err)
	}
	best, err := chosen.Score([]method.Labelled{held})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := last.Score([]method.Labelled{held})
	if err != nil {
		t.Fatal(err)
	}
	if sum := best.MoF + best.Edit + best.F1At50; sum < plain.MoF+plain.Edit+plain.F1At50 {
		t.Errorf("the chosen epoch scores %+v on what it was chosen by, the last one %+v", best, plain)
	}
	held.Classes = held.Classes[1:]
	if _, err := method.ChosenTeacher(t.Context(), p, []method.Labelled{held}, o); err == nil || !strings.Contains(err.Error(), "teacher: held out: ") {
		t.Errorf("a label too few: %v", err)
	}
}

func TestStreamsAreCausal(t *testing.T) {
	w := newWorld(1, 2, 0)
	p := w.problem(t)
	p.Pairs = nil
	o := quick()
	o.Epochs = 1
	looksAhead, err := method.Teacher(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := looksAhead.Stream(); err == nil || !strings.Contains(err.Error(), "only a causal one can be streamed") {
		t.Errorf("%v", err)
	}
	o.Network.Kind, o.Network.Lags = "causal", []int{0, 3}
	m, err := method.Teacher(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, spec, err := m.Stream(); err != nil || len(spec.States) != o.Network.Layers {
		t.Errorf("%+v, %v", spec, err)
	}
	c, ok := m.TCN()
	if lags := m.Lags(); !ok || len(lags) != 2 || lags[1] != 3 || c.Symmetric {
		t.Errorf("%+v with lags %v", c, lags)
	}
	// What was stored is the same again, and a copy is one.
	again, err := method.FromTCN(c, m.Params.Clone(), m.Labels, m.Background, o.Session)
	if err != nil {
		t.Fatal(err)
	}
	clone := m.Clone()
	clear(m.Params.Weights)
	want, err := clone.Predict(w.exo[0].Sequence)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Predict(w.exo[0].Sequence)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want.Probs {
		if got.Probs[i] != v {
			t.Fatalf("probability %d is %g, want %g", i, got.Probs[i], v)
		}
	}
	if _, err := method.FromTCN(net.TCN{In: 1, Channels: 1, Layers: 1, Classes: 2}, m.Params, m.Labels, nil, o.Session); err == nil {
		t.Error("two classes for three labels")
	}
}
