package capture

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gocv.io/x/gocv"

	"tandem/stream/frame"
)

// session is what a fake camera does between being opened and ending: fail to open, or give frames.
type session struct {
	fail   error
	frames []shot
}

// shot is one frame of a fake camera: how long it makes the reader wait, its size and its driver's stamp.
type shot struct {
	wait          time.Duration
	width, height int
	ms            float64
}

func shots(n int, wait time.Duration) []shot {
	s := make([]shot, n)
	for i := range s {
		s[i] = shot{wait: wait, width: 64, height: 48}
	}
	return s
}

// fakeCamera plays sessions, one for each time it is opened, and fails to open when there are no more.
type fakeCamera struct {
	t        *testing.T
	stamps   frame.RawKind
	sessions []session
	opened   []time.Time
	open     atomic.Int64 // captures open now
}

func (c *fakeCamera) opener(context.Context, target, Config) (input, error) {
	n := len(c.opened)
	c.opened = append(c.opened, time.Now())
	if n >= len(c.sessions) {
		return nil, errors.New("no answer")
	}
	if err := c.sessions[n].fail; err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &video{vc: &fakeCapture{camera: c, frames: c.sessions[n].frames}, stamps: c.stamps}, nil
}

// fakeCapture stands for gocv.VideoCapture, with real Mats.
type fakeCapture struct {
	camera *fakeCamera
	frames []shot
	at     int
}

func (v *fakeCapture) Read(m *gocv.Mat) bool {
	if v.at == len(v.frames) {
		return false
	}
	s := v.frames[v.at]
	v.at++
	if s.wait > 0 {
		<-time.After(s.wait)
	}
	img, err := numbered(s.width, s.height, v.at-1)
	if err == nil {
		err = img.CopyTo(m)
	}
	if err != nil {
		v.camera.t.Error(err)
	}
	return img.Close() == nil
}

func (v *fakeCapture) Get(prop gocv.VideoCaptureProperties) float64 {
	if prop == gocv.VideoCapturePosMsec {
		return v.frames[v.at-1].ms
	}
	return 0
}

func (v *fakeCapture) Close() error {
	v.camera.open.Add(-1)
	return nil
}

func (c *fakeCamera) mustOpen(cfg Config) *Capture {
	c.t.Helper()
	if cfg.Source == "" {
		cfg.Source = "rtsp://operator:secret@camera.example/1"
	}
	capture, err := openWith(c.t.Context(), quiet(cfg), c.opener)
	if err != nil {
		c.t.Fatal(err)
	}
	return capture
}

func (c *fakeCamera) mustClose(capture *Capture) {
	c.t.Helper()
	if err := capture.Close(); err != nil {
		c.t.Error(err)
	}
	if n := c.open.Load(); n != 0 {
		c.t.Errorf("%d sessions left open", n)
	}
	if n := capture.pool.Outstanding(); n != 0 {
		c.t.Errorf("%d frames leaked", n)
	}
}

func TestALiveSourceComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := session{fail: errors.New("connection refused")}
		cam := &fakeCamera{t: t, sessions: []session{
			{frames: shots(3, 100*time.Millisecond)},
			down, down, down, down,
			{frames: shots(2, 100*time.Millisecond)},
			{frames: shots(1, 0)},
		}}
		c := cam.mustOpen(Config{Ring: 8, Reconnect: Reconnect{Min: time.Second, Max: 5 * time.Second, Attempts: 5}})
		var got []seen
		var err error
		for {
			var f *frame.Frame
			if f, err = c.Next(t.Context()); err != nil {
				break
			}
			got = append(got, see(t, f))
			if f.Raw != f.Arrival || f.Time != f.Raw || f.RawKind != frame.Arrival || f.Raw != time.Now().UnixNano() {
				t.Fatalf("stamps of a live frame: %+v", f)
			}
			c.Release(f)
		}
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "after 5 attempts: no answer") || strings.Contains(err.Error(), "secret") {
			t.Fatalf("at the end: %v", err)
		}
		if len(got) != 6 || got[5].index != 5 || got[3].number != 0 {
			t.Fatalf("frames %+v", got)
		}
		if st := c.Stats(); st.Read != 6 || st.Disconnects != 3 || st.Reconnects != 2 || st.ConnectFailures != 9 || st.DroppedOverflow != 0 {
			t.Fatalf("stats %+v", st)
		}
		// Waits: drawn from the upper half of 1, 2, 4, 5, 5 s after the first loss, and again from 1 s after a frame came.
		for i, most := range map[int]time.Duration{2: 2, 3: 4, 4: 5, 5: 5, 8: 2, 9: 4, 10: 5, 11: 5} {
			if wait := cam.opened[i].Sub(cam.opened[i-1]); wait < most*time.Second/2 || wait > most*time.Second {
				t.Errorf("wait %d: %v, want %v to %v", i, wait, most*time.Second/2, most*time.Second)
			}
		}
		for i, after := range map[int]time.Duration{1: 300 * time.Millisecond, 6: 200 * time.Millisecond, 7: 0} {
			if wait := cam.opened[i].Sub(cam.opened[i-1]) - after; wait < time.Second/2 || wait > time.Second {
				t.Errorf("first wait %d: %v, want 0.5s to 1s", i, wait)
			}
		}
		cam.mustClose(c)
	})
}

func TestALiveSourceThatMayNotReconnectIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := &fakeCamera{t: t, sessions: []session{{frames: shots(1, 0)}}}
		c := cam.mustOpen(Config{Reconnect: Reconnect{Attempts: -1}})
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Release(f)
		if _, err := c.Next(t.Context()); !errors.Is(err, ErrLost) {
			t.Fatalf("got %v, want ErrLost", err)
		}
		cam.mustClose(c)
	})
}

func TestOpenMayWaitForACamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := session{fail: errors.New("connection refused")}
		cam := &fakeCamera{t: t, sessions: []session{down, down, down, {frames: shots(1, 0)}}}
		c := cam.mustOpen(Config{Reconnect: Reconnect{AtOpen: true, Min: time.Minute, Max: time.Hour}})
		if len(cam.opened) != 4 || time.Since(cam.opened[0]) < 3*time.Minute {
			t.Fatalf("opened %d times in %v", len(cam.opened), time.Since(cam.opened[0]))
		}
		cam.mustClose(c)

		once := &fakeCamera{t: t, sessions: []session{down}}
		if _, err := openWith(t.Context(), quiet(Config{Source: "/dev/video0"}), once.opener); err == nil || err.Error() != "capture /dev/video0: connection refused" {
			t.Fatalf("without AtOpen: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		never := &fakeCamera{t: t}
		if _, err := openWith(ctx, quiet(Config{Source: "/dev/video0", Reconnect: Reconnect{AtOpen: true}}), never.opener); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("waiting for a camera that never comes: %v", err)
		}
	})
}

func TestALiveSourceKeepsTheNewestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := &fakeCamera{t: t, sessions: []session{{frames: append(shots(20, 33*time.Millisecond), shot{wait: time.Hour, width: 64, height: 48})}}}
		c := cam.mustOpen(Config{Ring: 2, Hold: 1})
		<-time.After(time.Second) // all but the last have come, nobody took one
		synctest.Wait()
		if st := c.Stats(); st.Read != 20 || st.DroppedOverflow != 18 {
			t.Fatalf("stats %+v", st)
		}
		for want := int64(18); want < 21; want++ {
			f, err := c.Next(t.Context())
			if err != nil || f.Index != want || numberIn(t, f.Mat) != int(want) {
				t.Fatalf("got %+v, %v; want frame %d", f, err, want)
			}
			c.Release(f)
		}
		cam.mustClose(c)
	})
}

func TestALiveSourceMayBeToldToLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := &fakeCamera{t: t, sessions: []session{{frames: shots(20, 33*time.Millisecond)}}}
		c := cam.mustOpen(Config{Ring: 2, Overflow: Block, Reconnect: Reconnect{Attempts: -1}})
		<-time.After(time.Minute)
		for want := range int64(20) {
			f, err := c.Next(t.Context())
			if err != nil || f.Index != want {
				t.Fatalf("got %+v, %v; want frame %d", f, err, want)
			}
			c.Release(f)
		}
		cam.mustClose(c)
	})
}

func TestASizeChangeIsSeenAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := &fakeCamera{t: t, sessions: []session{
			{frames: []shot{{0, 64, 48, 0}, {0, 64, 48, 0}, {0, 32, 24, 0}}},
			{frames: []shot{{0, 96, 54, 0}, {0, 96, 54, 0}}},
		}}
		c := cam.mustOpen(Config{Ring: 8, Reconnect: Reconnect{Attempts: 1}})
		var sizes []int
		for {
			f, err := c.Next(t.Context())
			if err != nil {
				break
			}
			if f.Mat.Cols() != f.Width || f.Mat.Rows() != f.Height {
				t.Fatalf("frame says %dx%d, picture has %dx%d", f.Width, f.Height, f.Mat.Cols(), f.Mat.Rows())
			}
			sizes = append(sizes, f.Width)
			c.Release(f)
		}
		if len(sizes) != 5 || sizes[1] != 64 || sizes[2] != 32 || sizes[3] != 96 {
			t.Fatalf("widths %v", sizes)
		}
		if st, info := c.Stats(), c.Info(); st.SizeChanges != 2 || info.Width != 96 || info.Height != 54 {
			t.Fatalf("%+v, %+v", st, info)
		}
		cam.mustClose(c)
	})
}

// doubling is a stamper that is easily recognized.
type doubling struct{ stamped, restarts int }

func (d *doubling) Stamp(arrival int64) (at, bound int64) {
	d.stamped++
	return arrival - 1000, int64(d.stamped)
}

func (d *doubling) Restart() { d.restarts++ }

func TestAStamperMakesTheTimesOfArrivals(t *testing.T) {
	for kind, stamped := range map[frame.RawKind]int{frame.Arrival: 5, frame.Driver: 0} {
		synctest.Test(t, func(t *testing.T) {
			cam := &fakeCamera{t: t, stamps: kind, sessions: []session{{frames: shots(3, 100*time.Millisecond)}, {frames: shots(2, 100*time.Millisecond)}}}
			d := &doubling{}
			c := cam.mustOpen(Config{Ring: 8, Latency: 10 * time.Millisecond, Stamper: d, Reconnect: Reconnect{Min: time.Second, Attempts: 1}})
			n := 0
			for {
				f, err := c.Next(t.Context())
				if err != nil {
					break
				}
				n++
				if kind == frame.Arrival && (f.Raw != f.Arrival || f.Time != f.Raw-1000-10e6 || f.Bound != int64(n)) || kind == frame.Driver && f.Bound != 0 {
					t.Errorf("frame %d: %+v", n, f)
				}
				c.Release(f)
			}
			if n != 5 || d.stamped != stamped || d.restarts != 1 {
				t.Errorf("%d frames, %+v", n, d)
			}
			cam.mustClose(c)
		})
	}
}

func TestDriverStampsGoOnSiteTimeAndNeverBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monotonic, _ := hostClocks() // of the real host; the bubble's clock is site time
		ms := float64(monotonic)/1e6 - 50
		cam := &fakeCamera{t: t, stamps: frame.Driver, sessions: []session{{frames: []shot{
			{0, 64, 48, ms}, {0, 64, 48, ms + 33}, {0, 64, 48, ms + 20}, {0, 64, 48, ms + 66}}}}}
		c := cam.mustOpen(Config{Source: "v4l2:7", Ring: 8, Latency: 10 * time.Millisecond, Reconnect: Reconnect{Attempts: -1}})
		var times []int64
		for {
			f, err := c.Next(t.Context())
			if err != nil {
				break
			}
			if f.RawKind != frame.Driver || abs(f.Raw-int64((ms+33*float64(len(times)))*1e6)) > 1000 {
				t.Fatalf("frame %d: %+v", f.Index, f)
			}
			times = append(times, f.Time)
			c.Release(f)
		}
		if len(times) != 3 || c.Stats().DroppedBack != 1 || c.Stats().Read != 4 {
			t.Fatalf("%d frames, %+v", len(times), c.Stats())
		}
		if age := time.Now().UnixNano() - times[0]; age < 60e6 || age > 5e9 {
			t.Errorf("a frame stamped 50 ms ago with 10 ms latency is %d ns old", age)
		}
		if times[2]-times[0] < 65.9e6 || times[2]-times[0] > 66.1e6 {
			t.Errorf("times %v", times)
		}
		cam.mustClose(c)
	})
}

func TestCloseEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := &fakeCamera{t: t, sessions: []session{{frames: shots(1, 0)}}}
		c := cam.mustOpen(Config{Reconnect: Reconnect{Min: 24 * time.Hour, Max: 24 * time.Hour}})
		synctest.Wait() // in the back-off now
		start := time.Now()
		cam.mustClose(c)
		cam.mustClose(c)
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestWhatOnlyRecordingsHaveIsRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"start is set":        {Start: 1},
		"stamps file is set":  {StampsFile: "a.csv"},
		"loop is set":         {Loop: true},
		"pace is by stamps":   {Pace: ByStamps},
		"ring of -1 frames":   {Ring: -1},
		"hold of -1 frames":   {Hold: -1},
		"fps NaN":             {FPS: nan()},
		"fps 1e+06":           {FPS: 1e6},
		"size -1x0":           {Width: -1},
		"read timeout 1ns":    {ReadTimeout: 1},
		"open timeout -1ns":   {OpenTimeout: -1},
		"reconnect waits":     {Reconnect: Reconnect{Min: 2, Max: 1}},
		"overflow rule 9":     {Overflow: 9},
		"pace 9: want AsFast": {Pace: 9},
	} {
		cfg.Source = "rtsp://operator:secret@camera.example/1"
		_, err := openWith(t.Context(), quiet(cfg), (&fakeCamera{t: t}).opener)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func TestLostAndFoundIsLoggedOnceEachWithoutPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		cam := &fakeCamera{t: t, sessions: []session{{frames: shots(3, 0)}, {frames: shots(3, time.Second)}}}
		c, err := openWith(t.Context(), Config{
			Source:    "rtsp://operator:secret@camera.example/1",
			Ring:      8,
			Log:       slog.New(slog.NewTextHandler(&log, nil)),
			Reconnect: Reconnect{Attempts: 1},
		}, cam.opener)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		cam.mustClose(c)
		if n := strings.Count(log.String(), "connected again"); n != 1 {
			t.Errorf("%d lines of coming back, want 1:\n%s", n, log.String())
		}
		if n := strings.Count(log.String(), "ended or went silent"); n != 2 {
			t.Errorf("%d lines of loss, want 2:\n%s", n, log.String())
		}
		if strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), "camera.example") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
