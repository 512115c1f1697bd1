package edgebench

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tandem/agent"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantiles(t *testing.T) {
	var list []time.Duration
	for i := range 101 {
		list = append(list, time.Duration(100-i)*time.Millisecond)
	}
	if got := timesOf(list); got != (Times{50, 99, 100}) {
		t.Errorf("got %+v", got)
	}
	if got := timesOf(nil); got != (Times{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for want, list := range map[float64][]float64{0: nil, 3: {9, 1, 3}, 2.5: {4, 1}} {
		if got := median(list); got != want {
			t.Errorf("median of %v is %g, want %g", list, got, want)
		}
	}
}

func TestProcessStatus(t *testing.T) {
	got := parseStatus([]byte("Name:\ttandem\nVmPeak:\t  900 kB\nVmHWM:\t  200 kB\nVmRSS:\t  100 kB\nVmSwap:\tmuch kB\nThreads:\t3\n"))
	if got != (Memory{RSS: 100 << 10, Peak: 200 << 10}) {
		t.Errorf("got %+v", got)
	}
	if m := resident(); m.Peak > 0 && m.RSS > m.Peak {
		t.Errorf("this process: %+v", m)
	}
}

// TestTheCameraWaitsForDecoding: a frame that took 7 ms to decode comes 7 ms after it was captured.
func TestTheCameraWaitsForDecoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCamera()
		began := c.Now()
		start := time.Now()
		for i, decoding := range []time.Duration{0, 7 * time.Millisecond, 3 * time.Millisecond, 50 * time.Millisecond} {
			<-time.After(decoding)
			due := began + int64(i+1)*int64(33*time.Millisecond)
			if err := c.WaitUntil(t.Context(), due); err != nil {
				t.Fatal(err)
			}
			captured := start.Add(time.Duration(i+1) * 33 * time.Millisecond)
			if i > 0 && i < 3 && time.Since(captured) != decoding {
				t.Errorf("frame %d came %v after its capture, want %v", i, time.Since(captured), decoding)
			}
			if at, ok := c.capturedBefore(time.Now()); !ok || !at.Equal(captured) {
				t.Errorf("frame %d was captured at %v, %v; want %v", i, at, ok, captured)
			}
		}
		if _, ok := c.capturedBefore(start); ok {
			t.Error("a frame was captured before there was one")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.WaitUntil(ctx, c.Now()+int64(time.Hour)); err == nil {
			t.Error("it waits though nobody does")
		}
	})
}

func TestAllocationsAreThoseFarFromMessages(t *testing.T) {
	list := make([]counted, 100)
	list[40] = counted{mallocs: 30, messages: 2}
	list[41].mallocs = 7 // for the next message
	list[90].mallocs = 1 // of the frame's own
	var a Allocations
	a.sum(list)
	if a.Samples != 100 || a.Quiet != 100-2*inFlight-1 || a.Most != 1 || a.Messages != 2 || a.Mean != 0.38 {
		t.Errorf("got %+v", a)
	}
	if want := 1 / float64(a.Quiet); a.PerFrame != want || a.PerMessage != (38-100*want)/2 {
		t.Errorf("got %+v, want %g a frame", a, want)
	}
}

func TestObserverKeepsTheNewest(t *testing.T) {
	o := newObserver(3)
	if o.enough() {
		t.Error("nothing is enough")
	}
	all := len(o.samples) + 10
	for i := range all {
		o.observe(&agent.FrameTimes{Seq: int64(i), HandedOn: time.Duration(i)}, 0)
	}
	n, took := o.count()
	if n != all-3 || took != time.Duration(all-3) || len(o.kept()) != len(o.samples) || !o.enough() {
		t.Errorf("%d samples in %v, %d kept", n, took, len(o.kept()))
	}
	if !slices.ContainsFunc(o.kept(), func(x agent.FrameTimes) bool { return x.Seq == int64(all-1) }) {
		t.Error("the newest is lost")
	}
	o.reset()
	if n, _ := o.count(); n != 0 || len(o.kept()) != 0 {
		t.Errorf("%d samples after a reset", n)
	}
}

func TestWhatIsLeftOver(t *testing.T) {
	before := State{Goroutines: 3, Files: 2, Mats: -1, files: map[string]string{"0": "/dev/null", "1": "pipe"}}
	if left := before.left(&before); len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
	after := State{Goroutines: 5, Files: 3, Mats: -1, ORT: ort.Handles{Models: 1, Tensors: 2}, files: map[string]string{"0": "/dev/null", "1": "pipe", "7": "ego.mp4"}}
	got := strings.Join(before.left(&after), "; ")
	if want := `2 goroutines; 1 models of ONNX Runtime; 2 tensors; 1 files, among them ["ego.mp4"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s := Soak{Growth: 0.03, Left: []string{"2 goroutines"}, Losses: map[string]uint64{"dropped_extractor": 4}}
	if m := s.Missed(); len(m) != 3 {
		t.Errorf("missed: %q", m)
	}
}

func TestSoakLeavesNothing(t *testing.T) {
	c := SoakDefault()
	c.Bundle = modeltest.New(t, modeltest.Options{RateHz: 15}).Path
	c.Width, c.Height, c.Length = 64, 48, 3*time.Second
	c.Frames, c.Cameras, c.Swaps = 800, 2, 2
	s, err := RunSoak(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Left) > 0 || len(s.Losses) > 0 {
		t.Errorf("left over: %q, lost: %v", s.Left, s.Losses)
	}
	if s.Frames < 800 || s.Samples < s.Frames/3 || s.Samples > s.Frames || s.Takes < 4 || s.Swaps < 1 || s.Swaps > s.Takes/2 {
		t.Errorf("%d frames, %d samples, %d takes, %d changes of release", s.Frames, s.Samples, s.Takes, s.Swaps)
	}
	if s.Start.ORT.Models == 0 || s.Start.ORT != s.End.ORT || s.Before.ORT != s.After.ORT || s.Start.Goroutines != s.End.Goroutines {
		t.Errorf("states %+v", s)
	}
	if len(s.Curve) < 3 || !slices.IsSortedFunc(s.Curve, func(a, b Point) int { return int(a.Frames) - int(b.Frames) }) {
		t.Errorf("curve %+v", s.Curve)
	}
	var out strings.Builder
	if err := s.Print(&out); err != nil || !strings.Contains(out.String(), "bindings") || !strings.Contains(out.String(), "left over: []") {
		t.Errorf("%v: %s", err, out.String())
	}
}
