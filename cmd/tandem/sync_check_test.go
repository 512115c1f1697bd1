package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"tandem/trainer/realign"
)

// filmed is a scene of two hands that go from place to place, which cameras film.
type filmed struct {
	at    [2][]float64 // instants at which a hand is at a place
	place [2][]image.Point
}

func newFilmed(seed uint64, seconds float64) *filmed {
	rng := rand.New(rand.NewPCG(seed, 1))
	f := &filmed{}
	for h := range f.at {
		for t := -5.0; t < seconds+5; t += 0.4 + rng.Float64() {
			f.at[h] = append(f.at[h], t)
			f.place[h] = append(f.place[h], image.Pt(h*60+10+rng.IntN(50), 15+rng.IntN(60)))
		}
	}
	return f
}

// hand is where a hand is: it goes smoothly from one place to the next, in 0.35 s.
func (f *filmed) hand(h int, t float64) (x, y float64) {
	i := 0
	for i+1 < len(f.at[h]) && f.at[h][i+1] <= t {
		i++
	}
	a := f.place[h][max(0, i-1)]
	b := f.place[h][i]
	s := min(1, (t-f.at[h][i])/0.35)
	s = s * s * (3 - 2*s)
	return float64(a.X) + s*float64(b.X-a.X), float64(a.Y) + s*float64(b.Y-a.Y)
}

// picture is what a camera sees at t, w×h: the hands in front of a pattern, mirrored or not, with a sensor's noise.
func (f *filmed) picture(t *testing.T, at float64, w, h int, mirrored bool, rng *rand.Rand) gocv.Mat {
	t.Helper()
	m := gocv.NewMatWithSize(h, w, gocv.MatTypeCV8UC1)
	pixels, err := m.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for i := range pixels {
		pixels[i] = uint8(90 + 40*((i%w)/12%2) + 30*((i/w)/10%2))
	}
	for k := range 2 {
		x, y := f.hand(k, at)
		if mirrored {
			x = 130 - x
		}
		p := image.Pt(int(x/130*float64(w)), int(y/100*float64(h)))
		if err := gocv.Circle(&m, p, w/12, color.RGBA{230, 230, 230, 0}, -1); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range pixels {
		pixels[i] = uint8(int(v) + rng.IntN(5) - 2)
	}
	return m
}

// film writes a video of the scene that shows it late seconds later.
func (f *filmed) film(t *testing.T, path string, fps float64, w, h int, seconds, late float64, mirrored bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(w), 2))
	pictures := filepath.Ext(path) == ""
	var out *gocv.VideoWriter
	if pictures {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	} else {
		codec := map[string]string{".mp4": "mp4v", ".avi": "MJPG"}[filepath.Ext(path)]
		var err error
		if out, err = gocv.VideoWriterFile(path, codec, fps, w, h, false); err != nil {
			t.Fatal(err)
		}
		defer out.Close()
	}
	for i := range int(seconds * fps) {
		m := f.picture(t, float64(i)/fps-late, w, h, mirrored, rng)
		if pictures {
			if !gocv.IMWrite(filepath.Join(path, fmt.Sprintf("%04d.jpg", i)), m) {
				t.Fatal("a picture can't be written")
			}
		} else if err := out.Write(m); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
}

func check(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"sync", "check"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestSyncCheckTellsOffsetsAndVerdicts(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	f := newFilmed(1, 14)
	f.film(t, in("ego.mp4"), 10, 96, 72, 14, 0, false)
	f.film(t, in("same.avi"), 14, 104, 58, 14, 0, true)
	f.film(t, in("late"), 8, 80, 60, 14, 0.7, false)
	newFilmed(2, 14).film(t, in("other.mp4"), 10, 96, 72, 14, 0, true)

	code, out, errs := check(t, "--band", "2s", in("ego.mp4"), in("same.avi"))
	if code != exitOK || !strings.Contains(out, "nothing needs to be done") || !strings.Contains(out, "times of the container") || errs != "ego" && strings.Contains(errs, "tandem:") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	figure := in("figure.png")
	code, out, _ = check(t, "--band", "2s", "--fps", "8", "--json", "--plot", figure, in("ego.mp4"), in("same.avi"), "left="+in("late"), in("other.mp4"))
	var r syncCheckReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if code != exitUnrelated || len(r.Cameras) != 3 || r.Ego.Name != "ego" || r.Ego.Frames != 140 {
		t.Errorf("exit %d, %+v", code, r)
	}
	for i, want := range []struct {
		name, verdict string
		ms            float64
	}{{"same", "ok", 0}, {"left", "shifted", 700}, {"other", "unrelated", math.NaN()}} {
		c := r.Cameras[i]
		if c.Name != want.name || c.Verdict != want.verdict || math.Abs(c.OffsetMS-want.ms) > 35 || want.verdict == "unrelated" && c.Reason == "" {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	if list, err := realign.ReadOffsets(strings.NewReader(out)); err != nil || len(list) != 1 || list[0].Camera != "left" || list[0].OffsetMS != r.Cameras[1].OffsetMS || list[0].ErrorMS <= 0 {
		t.Errorf("sync redo reads %+v, %v", list, err)
	}
	if pic := gocv.IMRead(figure, gocv.IMReadColor); pic.Empty() || pic.Cols() < 1000 {
		t.Errorf("the figure is %dx%d", pic.Cols(), pic.Rows())
	} else {
		pic.Close()
	}
	code, out, _ = check(t, "--band", "2s", "--fps", "8", "--tolerance", "10ms", in("ego.mp4"), in("late"))
	if code != exitShifted || !strings.Contains(out, "tandem sync redo") || !strings.Contains(out, "--offset late=") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out, errs := check(t, "--band", "2s", "--fps", "8", "--one-clock", in("ego.mp4"), in("late"), "again="+in("late")); code != exitShifted || strings.Count(out, "shifted") != 2 {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	t.Run("stamps", func(t *testing.T) { checkStamps(t, dir) })
	t.Run("bad", func(t *testing.T) { checkBad(t, dir) })
}

// checkStamps gives two videos stamps files, by which the one is 300 ms later than its container says.
func checkStamps(t *testing.T, dir string) {
	stamp := func(name string, frames int, period, start int64) {
		b := []byte("frame,raw_ns\n")
		for i := range frames {
			b = fmt.Appendf(b, "%d,%d\n", i, start+int64(i)*period)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".stamps.csv"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(filepath.Join(dir, name+".stamps.csv")) })
	}
	ego, same := filepath.Join(dir, "ego.mp4"), filepath.Join(dir, "same.avi")
	const start = 1_700_000_000_000_000_000
	stamp("ego", 140, 1e8, start)
	if code, out, errs := check(t, "--band", "2s", ego, same); code != exitOK || strings.Contains(out, "stamps.csv") {
		t.Errorf("one of two stamps files: exit %d\n%s\n%s", code, out, errs)
	}
	if code, _, errs := check(t, "--band", "2s", "--stamps", "file", ego, same); code != exitFailed || !strings.Contains(errs, "same.stamps.csv") {
		t.Errorf("a stamps file is missing: exit %d\n%s", code, errs)
	}
	stamp("same", 196, 71_428_571, start+300e6)
	if code, out, errs := check(t, "--band", "2s", ego, same); code != exitShifted || !strings.Contains(out, "times of "+filepath.Join(dir, "same.stamps.csv")) {
		t.Errorf("stamps: exit %d\n%s\n%s", code, out, errs)
	}
	if code, out, errs := check(t, "--band", "2s", "--stamps", "container", ego, same); code != exitOK {
		t.Errorf("stamps left alone: exit %d\n%s\n%s", code, out, errs)
	}
	stamp("same", 196, 71_428_571, start+3600e9)
	if code, _, errs := check(t, "--band", "2s", ego, same); code != exitFailed || !strings.Contains(errs, "no instant in common") || !strings.Contains(errs, "--stamps container") {
		t.Errorf("stamps an hour apart: exit %d\n%s", code, errs)
	}
}

func checkBad(t *testing.T, dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	f := newFilmed(1, 2)
	f.film(t, in("short.avi"), 15, 160, 120, 2, 0, false)
	if err := os.WriteFile(in("text.mp4"), []byte("no video"), 0o644); err != nil {
		t.Fatal(err)
	}
	ego := in("ego.mp4")
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "1 videos", []string{ego}},
		{exitUsage, "two cameras are called ego", []string{ego, in("a") + "/ego.avi"}},
		{exitUsage, "--band", []string{"--band", "1ms", ego, ego}},
		{exitUsage, "--stamps", []string{"--stamps", "mine", ego, ego}},
		{exitUsage, "--plot", []string{"--plot", "a.jpg", ego, "b=" + ego}},
		{exitUsage, "--window", []string{"--window", "3s", ego, "b=" + ego}},
		{exitFailed, "missing.mp4", []string{ego, in("missing.mp4")}},
		{exitFailed, "text.mp4", []string{ego, in("text.mp4")}},
		{exitFailed, "lasts 1.9 s, less than the 10s", []string{"--band", "2s", ego, in("short.avi")}},
	} {
		code, out, errs := check(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%v: exit %d\n%s\n%s", c.args, code, out, errs)
		}
	}
}

func TestBenchSyncReadsFeaturesAndPrintsOffsets(t *testing.T) {
	if _, _, err := readPooled(t.TempDir()); err == nil || !strings.Contains(err.Error(), "features_ego") {
		t.Errorf("an empty directory gives %v", err)
	}
	data := filepath.Join("..", "..", "..", "shared", "data", "two-stream-50salads")
	if _, err := os.Stat(data); err != nil {
		t.Skip("the shared data set is not here")
	}
	videos, dim, err := readPooled(data)
	if err != nil || len(videos) != 50 || dim != [2]int{16, 10} {
		t.Errorf("%d videos of %v features, %v", len(videos), dim, err)
	}
}
