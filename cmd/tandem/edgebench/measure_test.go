package edgebench

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
)

// small measures next to nothing, of everything.
func small(t *testing.T) Config {
	c := Default()
	c.Bundle = modeltest.New(t, modeltest.Options{RateHz: 15}).Path
	c.Width, c.Height, c.FPS, c.Length = 64, 48, 30, 8*time.Second
	c.Rounds, c.Round, c.Paced, c.Hours = 2, 10*time.Millisecond, 100*time.Millisecond, 0.01
	return c
}

func TestRunMeasuresEverything(t *testing.T) {
	c := small(t)
	c.Cameras = 2
	stages := map[string]bool{}
	c.Progress = func(stage string, done, total int) {
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
		stages[stage] = true
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"render", "rounds", "paced", "hours"} {
		if !stages[want] {
			t.Errorf("no progress of %s was told, only %v", want, stages)
		}
	}
	if v := r.Video; !v.Simulated || v.Width != 64 || v.Height != 48 || v.FPS != 30 || v.Frames != 240 || r.Bundle.Builtin || r.Bundle.States == 0 {
		t.Errorf("video %+v, bundle %+v", v, r.Bundle)
	}
	for name, s := range map[string]Speed{
		"decode": r.Bare.Decode, "preprocess": r.Bare.Preprocess, "extractor": r.Bare.Extractor, "segmenter": r.Bare.Segmenter,
		"models": r.Bare.Models, "decode busy": r.Bare.DecodeBusy, "models busy": r.Bare.ModelsBusy, "beside": r.Bare.ModelsBeside,
	} {
		want := 2
		if strings.HasSuffix(name, "busy") {
			want = 6 // before the pipelines, between them and after them
		}
		if len(s.Round) != want || !(s.FPS > 0) || !(s.P50 > 0) || s.P50 > s.P99 || s.P99 > s.Max {
			t.Errorf("%s: %+v", name, s)
		}
	}
	checkPipeline(t, r)
	for _, p := range r.Paced {
		if p.Samples < 10 || !(p.Label.P50 > 0) || p.Label.P50 > p.Published.P50 || p.Decode.Max == 0 {
			t.Errorf("at the camera's pace: %+v", p)
		}
	}
	if got := len(r.Paced); got != 4 { // one camera and two, at both rates
		t.Errorf("%d runs at the camera's pace, want 4", got)
	}
	if h := r.Hours; h.Frames != 540 || !(h.Ratio > 0) || !(h.First.P50 > 0) || !(h.Last.P50 > 0) || h.Events == 0 {
		t.Errorf("hours %+v", h)
	}
	if r.Agent != nil {
		t.Errorf("an agent was measured that nobody asked for: %+v", r.Agent)
	}
	checkPrinted(t, r)
}

// checkPipeline checks what was found out about the pipeline's throughput and allocations.
func checkPipeline(t *testing.T, r *Report) {
	t.Helper()
	if len(r.Pipeline) != 2 || len(r.Allocations) != 2 || r.Pipeline[0].RateHz != 30 || r.Pipeline[1].RateHz != 15 {
		t.Fatalf("pipeline %+v, allocations %+v", r.Pipeline, r.Allocations)
	}
	for i, p := range r.Pipeline {
		if p.Cameras != 2 || len(p.Round) != 2 || len(p.Ratios) != 2 || len(p.Lost) > 0 || !(p.Stages.Extract.P50 > 0) || !(p.Stages.Segment.P50 > 0) {
			t.Errorf("pipeline %+v", p)
		}
		for k := range p.Ratios {
			if got, want := p.Ratios[k], p.Round[k]/p.Floors[k]; math.Abs(got-want) > 1e-9*want {
				t.Errorf("round %d: ratio %g, want %g", k, got, want)
			}
			at := 3*k + i
			mean := func(list []float64) float64 { return (list[at] + list[at+1]) / 2 }
			floor := min(mean(r.Bare.DecodeBusy.Round), mean(r.Bare.ModelsBusy.Round)*30/p.RateHz)
			if math.Abs(p.Floors[k]-floor) > 0.2*floor { // the share is that of the samples that there were
				t.Errorf("round %d: floor %g, want %g", k, p.Floors[k], floor)
			}
		}
		if share := p.Samples / p.FPS; math.Abs(share-p.RateHz/30) > 0.1 {
			t.Errorf("at %g Hz %g of the frames are samples", p.RateHz, share)
		}
		if a := r.Allocations[i]; a.Samples < 50 || i == 0 && a.Quiet < quietEnough || a.Messages == 0 || a.PerFrame > float64(a.Most) {
			t.Errorf("allocations %+v", a)
		}
	}
}

// checkPrinted checks that the text and the JSON say all.
func checkPrinted(t *testing.T, r *Report) {
	t.Helper()
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"decode, all cores busy", "30 fps, 15 Hz", "segmenter:", "allocations a frame"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, out.String())
		}
	}
	if n := len(r.Targets); n < 6 || n > 7 { // whether allocations can be told at 15 Hz depends on the messages
		t.Errorf("%d targets: %v", n, r.Targets)
	}
	missed := r.Missed()
	for _, x := range r.Targets {
		if met := x.Found <= x.Want; !x.Least && met != x.Met || x.Least && (x.Found >= x.Want) != x.Met {
			t.Errorf("%+v", x)
		}
		if slices.Contains(missed, x.String()) == x.Met {
			t.Errorf("%s: met %v, missed are %q", x, x.Met, missed)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestTheDefaultBundleRuns(t *testing.T) {
	c := small(t)
	c.Bundle, c.Student, c.Steps = "", 3*time.Second, 2
	in, err := open(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	if r := in.rel; !r.Builtin || r.RateHz != 15 || r.Dim != 256 || r.Input != "3x112x112" || r.States != 8 {
		t.Errorf("release %+v", r)
	}
	if d, err := in.atRate(30); err != nil || d.RateHz != 30 || d.Extractor.SHA256 != in.rel.dir.Extractor.SHA256 {
		t.Errorf("at 30 Hz: %+v, %v", d, err)
	}
	if err := in.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(in.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", in.dir, err)
	}
}

func TestWhatIsGivenIsLookedAtFirst(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"not a playable video": func(c *Config) { c.Video = text },
		"does not exist":       func(c *Config) { c.Video = filepath.Join(dir, "none.mp4") },
		"is no video file":     func(c *Config) { c.Video = "rtsp://camera.example/1" },
		"manifest.json":        func(c *Config) { c.Bundle = dir },
	} {
		c := small(t)
		c.Progress = func(stage string, _, _ int) { t.Errorf("%s: %s had begun", want, stage) }
		change(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
}
