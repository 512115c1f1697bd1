package realign

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What the clocks don't know is told from what the cameras show; a camera that shows something else stays as it was.
func TestEstimate(t *testing.T) {
	for seed := range uint64(4) {
		w := world{seed: 60 + seed, seconds: 90, spares: true, cameras: []view{
			{name: "late", late: 800 * time.Millisecond, bound: time.Millisecond},
			{name: "early", late: -1300 * time.Millisecond, bound: time.Millisecond, phase: 20 * time.Millisecond},
			{name: "strange", strange: true, bound: time.Millisecond},
			{name: "good", bound: time.Millisecond},
		}}
		in := t.TempDir()
		w.store(t, in, "rig-1", "take-1")
		out, r := redo(t, in, Options{Estimate: true})
		for _, c := range r.Takes[0].Cameras {
			t.Logf("seed %d: %s %s %+.1f ± %.1f ms, %.0f ppm, confidence %.2f, %s", seed, c.Camera, c.Action, c.OffsetMS, c.ErrorMS, c.DriftPPM, c.Confidence, c.Note)
			want := map[string]float64{"late": 800, "early": -1300}[c.Camera]
			switch {
			case c.Camera == "good":
				if c.Action != Kept || !strings.Contains(c.Note, "agrees with the clocks") || c.After.Pairs() != c.Before.Pairs() {
					t.Errorf("seed %d: a good camera: %+v", seed, c)
				}
			case c.Camera == "strange":
				if c.Action != Refused || !strings.Contains(c.Note, "can't be told") || c.OffsetMS != 0 || c.After.Pairs() != c.Before.Pairs() {
					t.Errorf("seed %d: an unrelated camera: %+v", seed, c)
				}
			case c.Against != "good":
				t.Errorf("seed %d: %s was told from %q, expected the fixed camera that agrees with its clock", seed, c.Camera, c.Against)
			case c.Action != Aligned || math.Abs(c.OffsetMS-want) > 67 || math.Abs(c.OffsetMS-want) > c.ErrorMS:
				t.Errorf("seed %d: %+.0f ms late, and %+v", seed, want, c)
			}
		}
		wrong, n := 0, 0
		w.truth(t, out, func(camera string, apart, dt, bound int64) {
			if camera != "strange" {
				if n++; max(apart-dt, dt-apart) > bound {
					wrong++
				}
			}
		})
		if wrong > 0 {
			t.Errorf("seed %d: %d of %d pairs beyond their bound", seed, wrong, n)
		}
	}
}

func TestTooShortToTell(t *testing.T) {
	w := cell(70)
	w.seconds = 12
	in := t.TempDir()
	w.store(t, in, "rig-1", "take-1")
	out, r := redo(t, in, Options{Estimate: true, Offsets: []Offset{{Camera: "exo2", OffsetMS: 3}}})
	if c := r.Takes[0].Cameras; c[0].Action != Refused || !strings.Contains(c[0].Note, "expected at least") || c[1].Action != Aligned || c[1].OffsetMS != 3 {
		t.Errorf("%+v", c)
	}
	if sameFiles(t, in, out) {
		t.Error("the offset that was given was not applied")
	}
}
