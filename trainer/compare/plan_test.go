package compare

import (
	"slices"
	"strings"
	"testing"

	"tandem/trainer/method"
)

func TestTwoSweepsAreTwoCurvesUnlessCrossed(t *testing.T) {
	for _, c := range []struct {
		jitter, pairs []float64
		cross         bool
		want          []cell
	}{
		{nil, nil, false, []cell{{"tas", 0, 1}}},
		{[]float64{12}, []float64{0.1}, false, []cell{{"tas", 12, 0.1}}},
		{[]float64{12}, []float64{1, 0.1}, false, []cell{{"tas", 12, 1}, {"tas", 12, 0.1}}},
		{[]float64{0, 12}, []float64{1, 0.1}, false, []cell{{"tas", 0, 1}, {"tas", 12, 1}, {"tas", 0, 0.1}}},
		{[]float64{0, 12}, []float64{1, 0.1}, true, []cell{{"tas", 0, 1}, {"tas", 0, 0.1}, {"tas", 12, 1}, {"tas", 12, 0.1}}},
	} {
		p := Plan{Methods: []string{"tas"}, Jitter: c.jitter, Pairs: c.pairs, Cross: c.cross}
		if got := p.cells(); !slices.Equal(got, c.want) {
			t.Errorf("jitter %v, pairs %v, cross %v: %v, want %v", c.jitter, c.pairs, c.cross, got, c.want)
		}
	}
}

func TestSeedsBeginWhereWanted(t *testing.T) {
	if got := (Plan{Seeds: 2}).seeds(); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("from the start: %v", got)
	}
	if got := (Plan{Seeds: 3, FirstSeed: 11}).seeds(); !slices.Equal(got, []uint64{11, 12, 13}) {
		t.Errorf("from 11: %v", got)
	}
}

// Results of a file that was written before there were hold and teacher's network are found as long as neither is used.
func TestRecipesStay(t *testing.T) {
	p := Plan{Options: method.Options{Epochs: 40, Rate: 1e-3, Network: method.Network{Kind: "tcn"}}}
	old := p.recipe()
	if strings.Contains(old, "hold") || strings.Contains(old, "teacher") {
		t.Errorf("recipe %q", old)
	}
	p.TeacherNetwork.Kind = "tcn"
	if p.recipe() != old {
		t.Errorf("the same network named twice: %q", p.recipe())
	}
	seen := []string{old}
	for _, change := range []func(*Plan){
		func(p *Plan) { p.TeacherNetwork.Kind = "c2f" },
		func(p *Plan) { p.TeacherNetwork = method.Network{Kind: "tcn", Channels: 8} },
		func(p *Plan) { p.Hold = 3 },
		func(p *Plan) { p.Hold = HoldAuto },
	} {
		q := p
		change(&q)
		if r := q.recipe(); slices.Contains(seen, r) {
			t.Errorf("%q stands for two recipes", r)
		} else {
			seen = append(seen, r)
		}
	}
}

func TestTheHoldComesFromTheTeachersLabels(t *testing.T) {
	var labels []method.Labelled
	for n := range 20 { // segments of 1 to 20 frames
		l := method.Labelled{}
		for range n + 1 {
			l.Classes = append(l.Classes, 0)
		}
		labels = append(labels, l)
	}
	if got := (Plan{Hold: HoldAuto}).holding(labels, 9).frames; got != 3 {
		t.Errorf("automatic: %d frames, want 3, a third of the median", got)
	}
	if got := (Plan{Hold: 7}).holding(labels, 9).frames; got != 7 {
		t.Errorf("given: %d frames", got)
	}
}
