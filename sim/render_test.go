package sim

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"
)

// small is a configuration that renders in a fraction of a second.
func small() Config {
	cams := DefaultCameras()
	for i := range cams {
		cams[i].Width, cams[i].Height = 96, 64
	}
	return Config{Seed: 4, Length: 2 * time.Second, Cameras: cams}
}

// frames decodes a video into a hash of each picture.
func frames(t *testing.T, path string) []uint64 {
	t.Helper()
	v, err := gocv.VideoCaptureFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	m := gocv.NewMat()
	defer m.Close()
	var out []uint64
	for v.Read(&m) {
		h := fnv.New64a()
		b, err := m.DataPtrUint8()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Write(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Sum64())
	}
	return out
}

func TestRenderWritesATake(t *testing.T) {
	cfg := small()
	cfg.Cameras[0].Drop, cfg.Cameras[0].Double = 0.2, 0.2
	cfg.Cameras[1].FPS = 15
	dir := filepath.Join(t.TempDir(), "site", "take")
	pictures := 0
	want, err := Render(t.Context(), cfg, TakeSpec{Name: "first"}, dir, func(n int) { pictures += n })
	if err != nil {
		t.Fatal(err)
	}
	if n := sceneOf(t, cfg, 0).Shots(); pictures != n {
		t.Errorf("progress counts %d pictures, want %d", pictures, n)
	}
	got, err := ReadTake(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "first" || len(got.Cameras) != 3 {
		t.Errorf("take %q with %d cameras", got.Name, len(got.Cameras))
	}
	for i := range got.Cameras {
		c := &got.Cameras[i]
		n := len(frames(t, filepath.Join(dir, c.Video)))
		if n != len(c.CaptureNS) {
			t.Errorf("%s has %d frames, want %d", c.Video, n, len(c.CaptureNS))
		}
		text, err := os.ReadFile(filepath.Join(dir, c.Stamps))
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if rows[0] != "frame,raw_ns" || len(rows) != n+1 {
			t.Fatalf("%s has heading %q and %d rows, want %d", c.Stamps, rows[0], len(rows)-1, n)
		}
		for k, raw := range want.RawNS(&want.Cameras[i]) {
			if row := strconv.Itoa(k) + "," + strconv.FormatInt(raw, 10); rows[k+1] != row {
				t.Fatalf("%s: row %q, want %q", c.Stamps, rows[k+1], row)
			}
		}
	}
	if n := len(got.Cameras[1].CaptureNS); n != 30 {
		t.Errorf("2 s at 15 fps are %d frames", n)
	}
	labels, err := os.ReadFile(filepath.Join(dir, LabelsFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(labels) != strings.Join(got.FrameLabels(), "\n")+"\n" {
		t.Error("labels.txt isn't the truth's labels")
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%d entries beside the take", len(entries)-1)
	}
	if _, err := Render(t.Context(), cfg, TakeSpec{}, dir, nil); !errors.Is(err, ErrExists) {
		t.Errorf("rendering over it: error %v", err)
	}
}

func TestTheSameSeedGivesTheSameTake(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, dir := range []string{a, b} {
		if _, err := Render(t.Context(), small(), TakeSpec{Index: 3}, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{TruthFile, LabelsFile, "exo1.stamps.csv", "exo2.stamps.csv", "ego.stamps.csv"} {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs", name)
		}
	}
	for _, name := range []string{"exo1.mp4", "exo2.mp4", "ego.mp4"} {
		x, y := frames(t, filepath.Join(a, name)), frames(t, filepath.Join(b, name))
		if len(x) != len(y) {
			t.Fatalf("%s has %d and %d frames", name, len(x), len(y))
		}
		for i := range x {
			if x[i] != y[i] {
				t.Fatalf("%s: frame %d differs", name, i)
			}
		}
	}
}

// TestLeavingOutACameraKeepsTheOthers also compares the pictures, which have random numbers of their own.
func TestLeavingOutACameraKeepsTheOthers(t *testing.T) {
	dir := t.TempDir()
	all, alone := small(), small()
	alone.Cameras = alone.Cameras[2:]
	for name, cfg := range map[string]Config{"all": all, "alone": alone} {
		if _, err := Render(t.Context(), cfg, TakeSpec{}, filepath.Join(dir, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	x, y := frames(t, filepath.Join(dir, "all", "ego.mp4")), frames(t, filepath.Join(dir, "alone", "ego.mp4"))
	for i := range x {
		if x[i] != y[i] {
			t.Fatalf("frame %d differs", i)
		}
	}
}

func TestACancelledRenderingLeavesNothing(t *testing.T) {
	for _, at := range []int{1, 70, 179} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		done := 0
		_, err := Render(ctx, small(), TakeSpec{}, filepath.Join(dir, "take"), func(n int) {
			if done += n; done >= at {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after %d pictures: error %v", at, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("cancelled after %d pictures: %v is left, %v", at, left, err)
		}
	}
}

func TestRenderNamesAPlaceThatCantBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Render(t.Context(), small(), TakeSpec{}, filepath.Join(file, "take"), nil)
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want one with %s", err, file)
	}
}

func TestAVideoThatDidNotArriveIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "take")
	cfg := small()
	cfg.Cameras = cfg.Cameras[:1]
	take, err := Render(t.Context(), cfg, TakeSpec{}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	path, n := filepath.Join(dir, "exo1.mp4"), len(take.Cameras[0].CaptureNS)
	if err := checkVideo(path, n); err != nil {
		t.Error(err)
	}
	if err := checkVideo(path, n+1); err == nil || !strings.Contains(err.Error(), "60 of 61 frames") {
		t.Errorf("a frame is missing: error %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkVideo(path, n); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("half of it is missing: error %v", err)
	}
}

func TestBatchRendersAllOrStops(t *testing.T) {
	dir := t.TempDir()
	done := 0
	b := Batch{Config: small(), Takes: []TakeSpec{{}, {Index: 1}, {Name: "gate", Index: 2}}, Progress: func(n int) { done += n }}
	want, err := b.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	takes, err := b.Render(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if done != want {
		t.Errorf("progress counts %d pictures, want %d", done, want)
	}
	for i, name := range []string{"take-001", "take-002", "gate"} {
		k, err := ReadTake(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if k.Index != i || takes[i].Name != name {
			t.Errorf("take %d is %q with index %d", i, takes[i].Name, k.Index)
		}
	}
	again := Batch{Config: small(), Takes: []TakeSpec{{Index: 7}, {Index: 1}}}
	if _, err := again.Render(t.Context(), dir); !errors.Is(err, ErrExists) {
		t.Errorf("over an old take: error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "take-008")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("take-008 was rendered beside one that couldn't be: %v", err)
	}
	twice := Batch{Config: small(), Takes: []TakeSpec{{Name: "a"}, {Name: "a", Index: 1}}}
	if _, err := twice.Render(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "two takes are named a") {
		t.Errorf("two of a name: error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := Batch{Config: small(), Takes: []TakeSpec{{Index: 10}, {Index: 11}}}
	if _, err := stopped.Render(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%d entries are left, want 3 (%v)", len(entries), err)
	}
}

// BenchmarkPicture measures what a picture of each camera costs to draw and to develop, without encoding.
func BenchmarkPicture(b *testing.B) {
	s, err := NewScene(Config{}, TakeSpec{})
	if err != nil {
		b.Fatal(err)
	}
	s.animate()
	c := newCell(s.vocab, &s.worker)
	for i := range s.cfg.Cameras {
		cam := &s.cfg.Cameras[i]
		b.Run(cam.ID, func(b *testing.B) {
			sn, err := newSensor(s, cam)
			if err != nil {
				b.Fatal(err)
			}
			defer sn.Close()
			st := newStudio(s, c, cam, sn.pix)
			b.ReportAllocs()
			for k := range b.N {
				t := float64(k%1800) / 30
				dx, dy := st.shoot(t, sn.gain, egoExposure)
				if err := sn.develop(t, k, dx, dy); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
