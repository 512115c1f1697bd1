package demo

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tandem/tas"
	"tandem/trainer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a loop of seconds: few, short takes at a low rate. It shows that the loop closes, not how good it gets.
func small(t *testing.T) Config {
	c := Default()
	c.Out = filepath.Join(t.TempDir(), "demo")
	c.Labelled, c.Paired, c.Test, c.Length, c.FPS = 3, 5, 1, 18*time.Second, 5
	c.Recipe = trainer.RecipeConfig{RateHz: 5, Channels: 24, Layers: 5, Epochs: 25}
	return c
}

func TestTheLoopCloses(t *testing.T) {
	c := small(t)
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.PairsLost != 0 || r.PairsDuplicated != 0 || r.FramesLostInSwap != 0 {
		t.Errorf("lost %d pairs, %d twice, %d frames lost in the swap, want none", r.PairsLost, r.PairsDuplicated, r.FramesLostInSwap)
	}
	if want := uint64(5 * 18 * 5); r.Pairs < want*9/10 || r.Pairs > want {
		t.Errorf("%d pairs, want nearly all of %d samples", r.Pairs, want)
	}
	if r.ReleaseBefore != "line-0001" || r.ReleaseAfter != "line-0002" {
		t.Errorf("releases %q and %q", r.ReleaseBefore, r.ReleaseAfter)
	}
	if r.TeacherOnExo == nil || r.Oracle == nil || !(r.Adapted.MoF > r.ExoOnly.MoF) {
		t.Errorf("scores: teacher %v, before %+v, after %+v, oracle %v", r.TeacherOnExo, r.ExoOnly, r.Adapted, r.Oracle)
	}
	data, err := os.ReadFile(filepath.Join(c.Out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{
		"teacher_on_exo", "exo_only", "adapted", "oracle", "gap_closed_f1_50", "pairs", "pairs_lost", "pairs_duplicated",
		"frames_lost_in_swap", "release_before", "release_after", "seconds",
	} {
		if _, ok := keys[k]; !ok {
			t.Errorf("report.json has no %q", k)
		}
	}
	checkEvents(t, r, c)
	f, err := os.Open(r.Strips)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 480 {
		t.Errorf("strips.png: %v", err)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil || !strings.Contains(text.String(), "adapted on ego") {
		t.Errorf("the table is %q (%v)", text.String(), err)
	}
}

// checkEvents reads what the demo has left for tandem eval --online and scores it again.
func checkEvents(t *testing.T, r *Report, c Config) {
	t.Helper()
	events, err := tas.ReadEvents(r.Events)
	if err != nil {
		t.Fatal(err)
	}
	gt, err := tas.ReadFrames(filepath.Join(filepath.Dir(r.Events), "truth", "test-001-after.txt"))
	if err != nil {
		t.Fatal(err)
	}
	v := tas.OnlineVideo{Name: "test-001-after", GT: gt, Rate: c.FPS}
	swaps := 0
	for _, e := range events {
		switch {
		case e.Reason == "swap" && e.Kind == tas.EventCommitted:
			swaps++
		case e.Take == v.Name && e.Kind == tas.EventOrigin:
			v.Origin = e.Start
		case e.Take == v.Name:
			v.Events = append(v.Events, e)
		}
	}
	s, err := tas.ScoreOnline([]tas.OnlineVideo{v}, "background")
	if err != nil {
		t.Fatal(err)
	}
	if swaps != 1 || r.Online == nil || s.Committed != r.Online.Committed || s.Starts != r.Online.Starts || s.Provisional == nil || s.Lag.Median <= 0 {
		t.Errorf("%d swaps; the files score %+v, the report says %+v", swaps, s, r.Online)
	}
	// The demo's own way of scoring, at the same instants.
	if d := s.Committed.F1At50 - r.Adapted.F1At50; d > 1e-9 || d < -1e-9 {
		t.Errorf("F1@50 is %g by its events, %g by the demo's table", s.Committed.F1At50, r.Adapted.F1At50)
	}
}

func TestOutIsNotOverwritten(t *testing.T) {
	c := small(t)
	c.Out = t.TempDir()
	if err := os.WriteFile(filepath.Join(c.Out, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatalf("got %v, want a refusal", err)
	}
	if _, err := os.Stat(filepath.Join(c.Out, "precious")); err != nil {
		t.Fatal(err)
	}
}

func TestBadRecordingsShowBeforeTheLongWork(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("hello, this is no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ego, want string }{{text, "not a playable video"}, {filepath.Join(dir, "none.mp4"), "does not exist"}} {
		cfg := small(t)
		cfg.Exo, cfg.Ego = []string{c.ego}, c.ego
		cfg.Progress = func(stage string, _, _ int, _ string) { t.Errorf("%s: %s had begun", c.ego, stage) }
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.ego, err, c.want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	c := small(t)
	c.Listen = "127.0.0.1:99999"
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "99999") {
		t.Fatalf("got %v, want an error that names the port", err)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--out":            func(c *Config) { c.Out = "" },
		"--seeds":          func(c *Config) { c.Seeds = nil },
		"--labelled-takes": func(c *Config) { c.Labelled = 1 },
		"--paired-takes":   func(c *Config) { c.Paired = 0 },
		"--test-takes":     func(c *Config) { c.Test = 0 },
		"--minutes":        func(c *Config) { c.Length = time.Second },
		"--exo and --ego":  func(c *Config) { c.Ego = "x.mp4" },
		"--teacher-takes":  func(c *Config) { c.TeacherTakes = "x" },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
}

func TestSummaryOverSeeds(t *testing.T) {
	run := func(seed uint64, before, after, oracle float64) SeedRun {
		s := func(f float64) *tas.Scores { return &tas.Scores{F1At50: f} }
		r := Result{ExoOnly: s(before), Adapted: s(after), Oracle: s(oracle), TeacherOnExo: s(90), Pairs: 10, PairsLost: 1}
		r.GapClosedF1At50 = gapClosed(r.ExoOnly, r.Adapted, r.Oracle)
		return SeedRun{seed, r}
	}
	r := summarize([]SeedRun{run(1, 10, 55, 100), run(2, 20, 100, 100)})
	if *r.GapClosedF1At50 != 0.75 || r.Spread.Min != 0.5 || r.Spread.Max != 1 || r.Pairs != 20 || r.PairsLost != 2 || r.Adapted.F1At50 != 77.5 {
		t.Errorf("summary %+v, spread %+v", r.Result, r.Spread)
	}
	if g := gapClosed(&tas.Scores{F1At50: 50}, &tas.Scores{F1At50: 60}, &tas.Scores{F1At50: 50}); g != nil {
		t.Errorf("a gap of nothing was closed by %g", *g)
	}
}
