package capture

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"tandem/stream/frame"
)

const epoch = int64(1_750_000_000_000_000_000)

// seen is what a test keeps of a frame.
type seen struct {
	number               int
	index, raw, time     int64
	kind                 frame.RawKind
	width, height, chans int
}

func see(t testing.TB, f *frame.Frame) seen {
	t.Helper()
	return seen{numberIn(t, f.Mat), f.Index, f.Raw, f.Time, f.RawKind, f.Width, f.Height, f.Mat.Channels()}
}

func quiet(cfg Config) Config {
	cfg.Log = slog.New(slog.DiscardHandler)
	return cfg
}

func mustOpen(t testing.TB, cfg Config) *Capture {
	t.Helper()
	c, err := Open(t.Context(), quiet(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if out := c.pool.Outstanding(); out != 0 {
			t.Errorf("%d frames leaked", out)
		}
	})
	return c
}

// readAll reads to the end and returns what it saw and the error other than io.EOF that ended it.
func readAll(t testing.TB, c *Capture) (all []seen, err error) {
	t.Helper()
	for {
		f, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, see(t, f))
		c.Release(f)
	}
}

func mustReadAll(t testing.TB, cfg Config) ([]seen, *Capture) {
	t.Helper()
	c := mustOpen(t, cfg)
	all, err := readAll(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return all, c
}

func TestEveryFrameOfAFileComesOnceAndInOrder(t *testing.T) {
	for name, codec := range map[string]string{"a.mp4": "mp4v", "b.mp4": "avc1", "a.avi": "MJPG", "a.mkv": "mp4v"} {
		t.Run(name+" "+codec, func(t *testing.T) {
			path := writeVideo(t, filepath.Join(t.TempDir(), name), codec, 320, 180, 50)
			all, c := mustReadAll(t, Config{Source: path, Start: epoch, Ring: 3})
			if len(all) != 50 {
				t.Fatalf("%d frames, want 50", len(all))
			}
			for i, s := range all {
				// OpenCV loses the stamps of what H.264 decoders hold back until the end; those are made up for.
				lost := codec == "avc1" && s.kind == frame.Nominal && i > 10
				if s.number != i || s.index != int64(i) || s.kind != frame.Driver && !lost || s.width != 320 || s.height != 180 || s.chans != 3 {
					t.Fatalf("frame %d: %+v", i, s)
				}
				if want := epoch + int64(i)*1e9/30; math.Abs(float64(s.time-want)) > 1e6 {
					t.Fatalf("frame %d at %d, want %d", i, s.time, want)
				}
			}
			if st := c.Stats(); st != (Stats{Read: 50, Delivered: 50, Passes: 1}) {
				t.Fatalf("stats %+v", st)
			}
			if info := c.Info(); info.Live || info.Kind != KindFile || info.Backend != "FFMPEG" || info.FPS != 30 || info.Frames != 50 || info.Codec == "" || info.Truncated {
				t.Fatalf("info %+v", info)
			}
		})
	}
}

// The stamp read after a frame must be that frame's own: with a variable frame rate any other choice is off.
func TestVariableFrameRateStampsBelongToTheirFrames(t *testing.T) {
	ticks := []uint32{3000, 9000, 1500, 90_000, 3000, 4500, 27_000, 3000, 3000, 1}
	for _, first := range []bool{false, true} {
		path := movie{width: 320, height: 180, ticks: ticks, indexFirst: first}.write(t, filepath.Join(t.TempDir(), "vfr.mp4"))
		all, _ := mustReadAll(t, Config{Source: path, Start: epoch})
		if len(all) != len(ticks) {
			t.Fatalf("%d frames, want %d", len(all), len(ticks))
		}
		at := 0.0
		for i, s := range all {
			want := int64(math.Round(at))
			if s.number != i || s.kind != frame.Driver || abs(s.raw-want) > 1000 || s.time != epoch+s.raw {
				t.Fatalf("frame %d: %+v, want raw %d", i, s, want)
			}
			at += float64(ticks[i]) * 1e9 / ticksPerSecond
		}
	}
}

// H.264 as phones write it: variable rate, and a decoder that holds frames back. OpenCV's stamp of the first frame is
// wrong then, and the last frames have none.
func TestVariableFrameRateOfACodecThatHoldsFramesBack(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "vfr.mp4"), "avc1", 320, 180, 40)
	const clock, step = 15_360, 512 // of what gocv's writer makes of 30 frames a second
	at := make([]uint32, 40)
	for i := 1; i < len(at); i++ {
		at[i] = at[i-1] + step*uint32(1+i%3)
	}
	retime(t, path, step, at)
	all, _ := mustReadAll(t, Config{Source: path, Start: epoch})
	if len(all) != 40 {
		t.Fatalf("%d frames, want 40", len(all))
	}
	made := 0
	for i, s := range all {
		want := int64(at[i]) * 1e9 / clock
		switch off := abs(s.raw - want); {
		case s.kind != frame.Nominal && off > 1000:
			t.Errorf("frame %d: %+v, want raw %d", i, s, want)
		case s.kind == frame.Nominal:
			made++
			if off > int64(made)*70e6 { // each takes the last known distance, of 33, 67 and 100 ms
				t.Errorf("frame %d, made up: %+v, want raw near %d", i, s, want)
			}
		}
		if s.number != i || i > 0 && s.time <= all[i-1].time {
			t.Errorf("frame %d: %+v", i, s)
		}
	}
	if made > 20 {
		t.Errorf("%d frames without a stamp", made)
	}
}

func TestOddSizesAndRotation(t *testing.T) {
	dir := t.TempDir()
	odd := movie{width: 321, height: 179, ticks: evenTicks(5)}.write(t, filepath.Join(dir, "odd.mp4"))
	all, c := mustReadAll(t, Config{Source: odd})
	for i, s := range all {
		if s.width != 321 || s.height != 179 || s.number != i {
			t.Fatalf("frame %d: %+v", i, s)
		}
	}
	if info := c.Info(); info.Width != 321 || info.Height != 179 {
		t.Fatalf("info %+v", info)
	}

	turned := movie{width: 320, height: 180, ticks: evenTicks(5), quarterTurn: true}.write(t, filepath.Join(dir, "turned.mp4"))
	all, _ = mustReadAll(t, Config{Source: turned})
	if s := all[0]; s.width != 180 || s.height != 320 {
		t.Fatalf("a phone's upright video came as %dx%d", s.width, s.height)
	}

	// gocv's own writer drops the odd column and row; what is in the file is what must come out.
	written := writeVideo(t, filepath.Join(dir, "gocv.mp4"), "mp4v", 321, 179, 5)
	all, _ = mustReadAll(t, Config{Source: written})
	if s := all[4]; s.width != 320 || s.height != 178 || s.number != 4 {
		t.Fatalf("%+v", s)
	}
}

func TestSidecarGivesStamps(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "exo1.mp4"), "mp4v", 160, 120, 4)
	rows := []int64{epoch, epoch + 40e6, epoch + 40e6, epoch + 99e6}
	side := writeStamps(t, path, rows...)
	t.Run("as site time", func(t *testing.T) {
		all, c := mustReadAll(t, Config{Source: path, Latency: 5e6})
		for i, s := range all {
			if s.raw != rows[i] || s.kind != frame.Sidecar || s.time != rows[i]-5e6 {
				t.Fatalf("frame %d: %+v", i, s)
			}
		}
		if info := c.Info(); info.Stamps != frame.Sidecar || info.StampsFile != side {
			t.Fatalf("info %+v", info)
		}
	})
	t.Run("moved to Start", func(t *testing.T) {
		all, _ := mustReadAll(t, Config{Source: path, Start: 1000, Latency: 5e6})
		for i, s := range all {
			if s.raw != rows[i] || s.time != 1000+rows[i]-rows[0] {
				t.Fatalf("frame %d: %+v", i, s)
			}
		}
	})
	t.Run("named", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other.csv")
		writeFile(t, other, "frame,raw_ns\r\n0,7\r\n1,8\r\n2,9\r\n3,10")
		all, _ := mustReadAll(t, Config{Source: path, StampsFile: other})
		if all[3].time != 10 {
			t.Fatalf("%+v", all[3])
		}
	})
}

func TestSidecarMustFitItsVideo(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "exo1.mp4"), "mp4v", 160, 120, 4)
	for want, rows := range map[string][]int64{
		"exo1.stamps.csv:5: 3 rows for 4 frames": {1, 2, 3},
		"exo1.stamps.csv:6: 5 rows for 4 frames": {1, 2, 3, 4, 5},
	} {
		writeStamps(t, path, rows...)
		_, err := Open(t.Context(), quiet(Config{Source: path}))
		if !errors.Is(err, ErrStamps) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Open(t.Context(), Config{Source: path, StampsFile: path + ".none"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "stamps file") {
		t.Errorf("missing sidecar: %v", err)
	}

	// Matroska only estimates its length: a sidecar that doesn't fit shows at the end.
	mkv := writeVideo(t, filepath.Join(t.TempDir(), "exo1.mkv"), "mp4v", 160, 120, 4)
	for want, rows := range map[string][]int64{
		"exo1.stamps.csv:5: ends after 3 rows, but the recording has more frames": {1, 2, 3},
		"exo1.stamps.csv:6: 5 rows for 4 frames":                                  {1, 2, 3, 4, 5},
	} {
		writeStamps(t, mkv, rows...)
		all, err := readAll(t, mustOpen(t, Config{Source: mkv}))
		if !errors.Is(err, ErrStamps) || !strings.Contains(err.Error(), want) || len(all) != min(len(rows), 4) {
			t.Errorf("after %d frames: %v, want %q", len(all), err, want)
		}
	}
}

func TestLoopGoesOnInTime(t *testing.T) {
	path := movie{width: 160, height: 120, ticks: []uint32{9000, 18_000, 9000}}.write(t, filepath.Join(t.TempDir(), "a.mp4"))
	c := mustOpen(t, Config{Source: path, Start: epoch, Loop: true})
	want := []int64{0, 100e6, 300e6, 500e6, 600e6, 800e6, 1000e6} // one period, 200 ms, from pass to pass
	for i, at := range want {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s := see(t, f); s.number != i%3 || s.index != int64(i) || s.time != epoch+at || i == 3 && s.raw != 0 {
			t.Fatalf("frame %d: %+v, want time +%d", i, s, at)
		}
		c.Release(f)
	}
	if st := c.Stats(); st.Passes < 2 || st.Read < 7 {
		t.Fatalf("stats %+v", st)
	}
}

func TestHoldBoundsWhatAConsumerHas(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), "mp4v", 160, 120, 10)
	c := mustOpen(t, Config{Source: path, Hold: 2, Ring: 1})
	a, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context()); !errors.Is(err, ErrHeld) {
		t.Fatalf("third frame: %v, want ErrHeld", err)
	}
	if numberIn(t, a.Mat) != 0 || numberIn(t, b.Mat) != 1 {
		t.Fatal("held frames were overwritten")
	}
	c.Release(a)
	c.Release(a) // logged, not counted
	if st := c.Stats(); st.Held != 1 {
		t.Fatalf("held %d, want 1", st.Held)
	}
	f, err := c.Next(t.Context())
	if err != nil || numberIn(t, f.Mat) != 2 {
		t.Fatalf("after a release: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if numberIn(t, b.Mat) != 1 || numberIn(t, f.Mat) != 2 {
		t.Fatal("Close freed frames that are held")
	}
	c.Release(b)
	c.Release(f)
	c.Release(nil)
}

func TestNextIsEndedByItsContext(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), "mp4v", 160, 120, 3)
	c := mustOpen(t, Config{Source: path})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Next: %v", err)
	}
	if _, err := Open(ctx, Config{Source: path}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Open: %v", err)
	}
	if all, err := readAll(t, c); err != nil || len(all) != 3 {
		t.Fatalf("after a canceled Next: %d frames, %v", len(all), err)
	}
}

func TestProbe(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), "mp4v", 160, 120, 3)
	info, err := Probe(t.Context(), Config{Source: path})
	if err != nil || info.Width != 160 || info.Height != 120 || info.Frames != 3 || info.FPS != 30 || info.Codec != "mp4v" {
		t.Fatalf("%+v, %v", info, err)
	}
}

func abs(n int64) int64 { return max(n, -n) }
