package capture

import (
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"
)

func TestReadingDoesNotAllocateOnceWarm(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "a.avi"), "MJPG", 160, 120, 400)
	c := mustOpen(t, Config{Source: path, Start: epoch})
	next := func() {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		c.Release(f)
	}
	ctx := t.Context()
	next()
	if n := testing.AllocsPerRun(300, func() {
		f, err := c.Next(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		c.Release(f)
	}); n != 0 {
		t.Errorf("%v allocations a frame, reader included", n)
	}
}

func BenchmarkDecodeBare(b *testing.B)    { benchmarkDecode(b, 640, 360, false) }
func BenchmarkDecodeCapture(b *testing.B) { benchmarkDecode(b, 640, 360, true) }

// benchmarkDecode compares gocv alone with a Capture around it; one operation is one frame.
func benchmarkDecode(b *testing.B, width, height int, capture bool) {
	path := writeVideo(b, filepath.Join(b.TempDir(), "a.mp4"), "mp4v", width, height, 300)
	b.ReportAllocs()
	if capture {
		c := mustOpen(b, Config{Source: path, Start: epoch, Loop: true})
		ctx := b.Context()
		for b.Loop() {
			f, err := c.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			c.Release(f)
		}
		return
	}
	m := gocv.NewMat()
	defer m.Close()
	vc, ok := open(gocv.VideoCaptureFileWithAPI(path, gocv.VideoCaptureFFmpeg))
	if !ok {
		b.Fatal("not opened")
	}
	for b.Loop() {
		if vc.Read(&m) {
			continue
		}
		if err := vc.Close(); err != nil {
			b.Fatal(err)
		}
		if vc, ok = open(gocv.VideoCaptureFileWithAPI(path, gocv.VideoCaptureFFmpeg)); !ok {
			b.Fatal("not opened again")
		}
	}
	if err := vc.Close(); err != nil {
		b.Fatal(err)
	}
}
