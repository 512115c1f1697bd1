package motion_test

import (
	"errors"
	"image"
	"image/color"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"tandem/stream/capture"
	"tandem/sync/offset/motion"
)

// world is a wall with a pattern, larger than any picture of it, and noise that each picture has of its own.
type world struct {
	wall gocv.Mat
	rng  *rand.Rand
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{gocv.NewMatWithSize(360, 480, gocv.MatTypeCV8UC1), rand.New(rand.NewPCG(seed, 1))}
	t.Cleanup(func() { w.wall.Close() })
	w.wall.SetTo(gocv.NewScalar(110, 0, 0, 0))
	for range 160 {
		at := image.Pt(w.rng.IntN(480), w.rng.IntN(360))
		v := uint8(30 + w.rng.IntN(200))
		if err := gocv.Circle(&w.wall, at, 6+w.rng.IntN(18), color.RGBA{v, v, v, 0}, -1); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// look is a picture of 160×120 of the wall at x, with a hand in front of it if there is one.
func (w *world) look(t *testing.T, x float64, hand *image.Point) gocv.Mat {
	t.Helper()
	m := gocv.NewMatWithSize(2, 3, gocv.MatTypeCV64F)
	defer m.Close()
	m.SetDoubleAt(0, 0, 1)
	m.SetDoubleAt(1, 1, 1)
	m.SetDoubleAt(0, 2, -x)
	m.SetDoubleAt(1, 2, -100)
	pic := gocv.NewMat()
	if err := gocv.WarpAffine(w.wall, &pic, m, image.Pt(160, 120)); err != nil {
		t.Fatal(err)
	}
	if hand != nil {
		if err := gocv.Circle(&pic, *hand, 14, color.RGBA{235, 235, 235, 0}, -1); err != nil {
			t.Fatal(err)
		}
	}
	pixels, err := pic.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range pixels {
		pixels[i] = uint8(min(255, max(0, int(v)+w.rng.IntN(5)-2)))
	}
	return pic
}

func add(t *testing.T, m *motion.Meter, at int, pic gocv.Mat) {
	t.Helper()
	defer pic.Close()
	if err := m.Add(int64(at)*int64(time.Second)/15, pic); err != nil {
		t.Fatal(err)
	}
}

// A hand that moves shows, whether the head moves or not; a head that moves shows as such, and hardly as anything else.
func TestHeadAndHandAreToldApart(t *testing.T) {
	w := newWorld(t, 1)
	m, fixed := motion.NewMeter(motion.Head), motion.NewMeter(motion.Fixed)
	defer m.Close()
	defer fixed.Close()
	const moving, quiet = 3.0, 0.0
	x, hand := 100.0, 40
	steps := []struct{ head, hand float64 }{}
	for i := range 40 {
		s := struct{ head, hand float64 }{quiet, quiet}
		if i/10%2 == 1 {
			s.head = moving
		}
		if i/20%2 == 1 {
			s.hand = moving
		}
		steps = append(steps, s)
	}
	see := func(at int) {
		pic := w.look(t, x, &image.Point{X: hand, Y: 80})
		add(t, fixed, at, pic.Clone())
		add(t, m, at, pic)
	}
	see(0)
	for i, s := range steps {
		x += s.head
		hand += int(2 * s.hand)
		if hand > 130 {
			hand = 30
		}
		see(i + 1)
	}
	a := m.Activity()
	if len(a.Times) != len(steps) || len(a.Channels) != 6 || len(a.Nuisance) != 2 || a.Times[0] != int64(time.Second)/30 {
		t.Fatalf("%d times from %d, %d channels, %d nuisances", len(a.Times), a.Times[0], len(a.Channels), len(a.Nuisance))
	}
	mean := func(v []float64, from, to int) float64 {
		var sum float64
		for _, x := range v[from:to] {
			sum += x
		}
		return sum / float64(to-from)
	}
	total := func(m *motion.Meter, from, to int) (sum float64) {
		channels := m.Activity().Channels
		for _, c := range channels {
			sum += mean(c, from, to) / float64(len(channels))
		}
		return sum
	}
	still, head, hands, both := total(m, 1, 10), total(m, 11, 20), total(m, 21, 30), total(m, 31, 40)
	raw, rawBoth := total(fixed, 11, 20)-total(fixed, 1, 10), total(fixed, 31, 40)-total(fixed, 11, 20)
	if hands < still+0.3 || both < head+0.2 {
		t.Errorf("motion of nothing %.2f, head %.2f, hand %.2f, both %.2f", still, head, hands, both)
	}
	if head-still > 0.75*raw || both-head < 1.5*rawBoth {
		t.Errorf("a head that moves adds %.2f, %.2f if it isn't taken out; a hand adds %.2f to it, %.2f if not", head-still, raw, both-head, rawBoth)
	}
	if still, head := mean(a.Nuisance[0], 1, 10), mean(a.Nuisance[0], 11, 20); head-still < 1 {
		t.Errorf("the head's motion is %.2f where it is still and %.2f where it moves", still, head)
	}
}

func TestPicturesThatSayNothing(t *testing.T) {
	w := newWorld(t, 2)
	m := motion.NewMeter(motion.Fixed)
	defer m.Close()
	pic := w.look(t, 100, nil)
	defer pic.Close()
	if err := m.Add(0, pic); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(66e6, pic); err != nil || m.Repeated != 1 || len(m.Activity().Times) != 0 {
		t.Errorf("a picture twice: %v, %d repeated, %d times", err, m.Repeated, len(m.Activity().Times))
	}
	if err := m.Add(-5, pic); err == nil {
		t.Error("a picture before the last was taken")
	}
	empty := gocv.NewMat()
	defer empty.Close()
	if err := m.Add(1e9, empty); err == nil {
		t.Error("an empty picture was taken")
	}
	other := w.look(t, 100, nil)
	defer other.Close()
	if err := m.Add(5e6, other); err != nil || len(m.Activity().Times) != 0 {
		t.Errorf("5 ms later: %v, %d times", err, len(m.Activity().Times))
	}
	if err := m.Add(66e6, other); err != nil || len(m.Activity().Times) != 1 || len(m.Activity().Channels) != 24 {
		t.Errorf("a second picture: %v, %d times", err, len(m.Activity().Times))
	}
	// Another size, and upright: it begins anew.
	tall := gocv.NewMat()
	defer tall.Close()
	if err := gocv.Resize(other, &tall, image.Pt(91, 203), 0, 0, gocv.InterpolationArea); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(132e6, tall); err != nil || len(m.Activity().Times) != 1 {
		t.Errorf("another size: %v, %d times", err, len(m.Activity().Times))
	}
}

// video writes pictures of the wall to a file.
func video(t *testing.T, path, codec string, w *world, frames int) {
	t.Helper()
	out, err := gocv.VideoWriterFile(path, codec, 15, 160, 120, false)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for i := range frames {
		hand := image.Pt(80+int(40*math.Sin(float64(i)/3)), 60)
		pic := w.look(t, 100, &hand)
		err := out.Write(pic)
		pic.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordedVideosAreRead(t *testing.T) {
	w, dir := newWorld(t, 3), t.TempDir()
	for _, f := range []struct{ name, codec string }{{"a.avi", "MJPG"}, {"b.mp4", "mp4v"}} {
		path := filepath.Join(dir, f.name)
		video(t, path, f.codec, w, 31)
		last := 0
		v, err := motion.ReadVideo(t.Context(), motion.VideoConfig{Source: path, Progress: func(done, _ int) { last = done }})
		if err != nil || v.Frames != 31 || math.Abs(v.FPS-15) > 0.2 || math.Abs(v.Seconds()-2) > 0.01 || v.StampsFile != "" || len(v.Activity.Times) < 28 || last != 31 {
			t.Errorf("%s: %+v, %v, progress %d", f.name, v, err, last)
		}
	}
	path := filepath.Join(dir, "a.avi")
	if v, err := motion.ReadVideo(t.Context(), motion.VideoConfig{Source: path, Window: time.Second}); err != nil || v.Frames != 16 {
		t.Errorf("a window of a second: %+v, %v", v, err)
	}
	if motion.HasStamps(path) {
		t.Error("it has no stamps file")
	}
	rows := "frame,raw_ns\n"
	for i := range 31 {
		at := 1_700_000_000_000_000_000 + int64(i)*50e6
		if i == 7 {
			at -= 50e6 // a doubled frame
		}
		rows += strings.Join([]string{itoa(i), itoa(int(at))}, ",") + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "a.stamps.csv"), []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := motion.ReadVideo(t.Context(), motion.VideoConfig{Source: path, Stamps: true}); err != nil || v.Frames != 30 || v.Repeated < 1 || math.Abs(v.FPS-20) > 0.01 || v.StampsFile == "" || v.First != 1_700_000_000_000_000_000 {
		t.Errorf("with stamps: %+v, %v", v, err)
	}
	if v, err := motion.ReadVideo(t.Context(), motion.VideoConfig{Source: path}); err != nil || math.Abs(v.FPS-15) > 0.2 || v.StampsFile != "" {
		t.Errorf("stamps left alone: %+v, %v", v, err)
	}
}

func itoa(i int) string {
	var b []byte
	for ; i > 9; i /= 10 {
		b = append([]byte{byte('0' + i%10)}, b...)
	}
	return string(append([]byte{byte('0' + i)}, b...))
}

func TestVideosThatCannotBeMeasured(t *testing.T) {
	w, dir := newWorld(t, 4), t.TempDir()
	one := filepath.Join(dir, "one.avi")
	video(t, one, "MJPG", w, 1)
	ok := filepath.Join(dir, "ok.avi")
	video(t, ok, "MJPG", w, 5)
	if err := os.WriteFile(filepath.Join(dir, "ok.stamps.csv"), []byte("frame,raw_ns\n0,5\n1,6\n2,4\n3,7\n4,8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("this is no video"), 0o644); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	if err := os.Mkdir(none, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  motion.VideoConfig
		is   error
		says string
	}{
		{motion.VideoConfig{Source: one}, motion.ErrOneFrame, "one frame only"},
		{motion.VideoConfig{Source: filepath.Join(dir, "missing.mp4")}, fs.ErrNotExist, "missing.mp4"},
		{motion.VideoConfig{Source: text}, capture.ErrNotVideo, "text.mp4"},
		{motion.VideoConfig{Source: none, FPS: 10}, capture.ErrNoFrames, "no pictures"},
		{motion.VideoConfig{Source: ok, Stamps: true}, capture.ErrStamps, "goes back"},
		{motion.VideoConfig{Source: "rtsp://camera/stream"}, nil, "it is live"},
	} {
		v, err := motion.ReadVideo(t.Context(), c.cfg)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v; want an error that says %q", c.cfg.Source, v, err, c.says)
		}
	}
}
