package dejittersim

import (
	"slices"
	"testing"
)

func TestStampsKeepTheirTargets(t *testing.T) {
	r, err := Measure(t.Context(), Config{Frames: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Missed() {
		t.Error(m)
	}
	for _, c := range r.Cameras {
		if c.Ratio > 1.6 || c.Doubtful > c.Frames*4/10 || c.SureP99 > 1e-3 {
			t.Errorf("%+v", c)
		}
		t.Logf("%+v", c)
	}
}

func TestAMissedTargetIsTold(t *testing.T) {
	r := Report{Frames: 100_000, Cameras: []Result{{Camera: "good", ErrorP99: 2e-3, RateError: 1e-6}, {Camera: "bad", ErrorP99: 3e-3, RateError: 2e-6},
		{Camera: "bold", Frames: 1000, ErrorP99: 1e-3, BeyondBound: 1}}}
	want := []string{"bad: the p99 of the error is 3.000 ms, expected at most 2 ms", "bad: the rate is off by 2e-06, expected at most 1e-06",
		"bold: 1 of 1000 stamps are off by more than their bound, expected at most 1e-05"}
	if got := r.Missed(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
