package clocksim

import (
	"reflect"
	"testing"
	"time"
)

// The same assertions as of the thousand runs in docs/sync.md, on fewer.
func TestTheTruthIsInsideTheInterval(t *testing.T) {
	report, err := Measure(t.Context(), Config{Runs: 14, Length: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range report.Links {
		t.Logf("%+v", l)
	}
	for _, m := range report.Missed() {
		t.Error(m)
	}
}

func TestRunsRepeat(t *testing.T) {
	cfg := Config{Runs: 7, Length: 3 * time.Minute, Links: Links()[:1]}
	a, err := Measure(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Threads = 1
	b, err := Measure(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two measurements differ:\n%+v\n%+v", a, b)
	}
}

func TestMeasureRefusesTooLittle(t *testing.T) {
	for _, cfg := range []Config{{Runs: 2}, {Length: time.Minute}} {
		if _, err := Measure(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
