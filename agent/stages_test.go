package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/segment"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// transcript is an output that keeps the bytes of everything, in order. What it is told of before is done first.
type transcript struct {
	t      *testing.T
	bytes  bytes.Buffer
	before func(what string) error
}

func (r *transcript) begin(src *Source, live bool) { fmt.Fprintln(&r.bytes, "begin", src.Take, live) }

func (r *transcript) batch(_ context.Context, src *Source, b *wire.SampleBatch) error {
	if r.before != nil {
		if err := r.before("batch"); err != nil {
			return err
		}
	}
	data, err := wire.Encode(b)
	if err != nil {
		r.t.Error(err)
	}
	fmt.Fprintf(&r.bytes, "batch %s %x\n", src.Take, data)
	return nil
}

func (r *transcript) events(_ context.Context, src *Source, b *bundle.Dir, list []segment.Event, bounds []int64) error {
	if r.before != nil {
		if err := r.before("events"); err != nil {
			return err
		}
	}
	for i := range list {
		fmt.Fprintf(&r.bytes, "event %s %s %+v %d\n", src.Take, b.Release, list[i], bounds[i])
	}
	return nil
}

// line is a pipeline of one release and an output.
func line(t *testing.T, role string, o modeltest.Options, out output) *pipeline {
	t.Helper()
	p := newPipeline(&Config{Device: "cam", Role: role}, newCounters(), quiet, nil)
	p.out = out
	fit(t, p, openModel(t, o))
	t.Cleanup(func() { must(t, p.close()) })
	return p
}

// fit makes a model run between two takes.
func fit(t *testing.T, p *pipeline, m *model.Model) {
	t.Helper()
	o, err := p.offerOf(m, "")
	must(t, err)
	p.adopt()
	must(t, <-o.done)
}

// TestStagesGiveWhatOneGoroutineGives: recordings with gaps, surplus frames, times that go back and broken pictures, in two takes,
// come out the same to the byte as from the stages called one after another.
func TestStagesGiveWhatOneGoroutineGives(t *testing.T) {
	t.Parallel()
	stamps := []func(int) int64{even(0), func(i int) int64 { // 28 Hz with jitter; then a short gap, a long one
		at := clipStart + int64(i)*36e6 + int64(i*i*7919%11)*1e6
		if i > 60 {
			at += 3e8
		}
		if i > 90 {
			at += 2e9
		}
		return at
	}}
	for _, role := range []string{RoleExo, RoleEgo} {
		one, many := &transcript{t: t}, &transcript{t: t}
		h := hands{pipeline: line(t, role, older, one)}
		p := line(t, role, older, many)
		for i, at := range stamps {
			src := &Source{Take: fmt.Sprintf("t%d", i), Capture: capture.Config{
				Source: clip{width: 64, height: 48, frames: 130, seed: i, stamps: at}.write(t, "a.mp4"), Log: quiet,
			}}
			must(t, p.take(t.Context(), t.Context(), src))
			cam, err := capture.Open(t.Context(), src.Capture)
			must(t, err)
			h.begin(src, false)
			for {
				f, err := cam.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				must(t, err)
				at, _ := h.time.place(f)
				must(t, h.frame(t.Context(), src, f, at))
				cam.Release(f)
			}
			must(t, h.end(t.Context(), src))
			must(t, cam.Close())
		}
		must(t, h.tray.drop())
		if !bytes.Equal(one.bytes.Bytes(), many.bytes.Bytes()) {
			t.Errorf("%s: the stages give\n%.3000s\none goroutine\n%.3000s", role, many.bytes.String(), one.bytes.String())
		}
		if got, want := fmt.Sprint(p.count.snapshot()), h.count; p.count.get("samples") != want.get("samples") || p.count.get("frames") != want.get("frames") ||
			p.count.get("frames_surplus") != want.get("frames_surplus") || p.count.get("dropped_no_frame_for_tick") == 0 ||
			p.count.get("dropped_no_frame_for_tick") != want.get("dropped_no_frame_for_tick") {
			t.Errorf("%s: counters %s, of one goroutine %v", role, got, want.snapshot())
		}
		if n := one.bytes.Len(); n < 10000 {
			t.Errorf("%d bytes are too few to compare", n)
		}
	}
}

// TestReleaseTakesOverWhileNothingIsTaken: the rings are full since nobody takes what is made, and yet a release takes over, and
// another one, before the frame that comes next.
func TestReleaseTakesOverWhileNothingIsTaken(t *testing.T) {
	t.Parallel()
	stuck, taken := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	out := &transcript{t: t, before: func(string) error {
		if !first.Swap(true) {
			close(stuck)
			<-taken
		}
		return nil
	}}
	p := line(t, RoleExo, older, out)
	const n = 200
	src := &Source{Take: "t1", Capture: capture.Config{Source: clip{width: 64, height: 48, frames: n, stamps: even(0)}.write(t, "a.mp4"), Log: quiet}}
	ended := make(chan error, 1)
	go func() { ended <- p.take(t.Context(), t.Context(), src) }()
	<-stuck
	eventually(t, "full rings", func() bool { return len(p.rings.free) == 0 })
	for _, o := range []modeltest.Options{newer, older} {
		must(t, p.swap(limit(t), openModel(t, o), ""))
		if got := p.running.Load().bundle.Release; got != o.Release {
			t.Errorf("%s runs", got)
		}
	}
	if p.count.get("samples") > 2*inFlight {
		t.Errorf("%d samples were made of which none was taken", p.count.get("samples"))
	}
	close(taken)
	must(t, <-ended)
	if p.count.get("samples") != n || p.count.get("releases_adopted") != 3 {
		t.Errorf("counters %v", p.count.snapshot())
	}
}

// TestStopWhileNothingIsTaken: a take is stopped though the rings are full; what has been made comes out, its end included.
func TestStopWhileNothingIsTaken(t *testing.T) {
	t.Parallel()
	taken, stop := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	out := &transcript{t: t, before: func(string) error {
		if !first.Swap(true) {
			<-taken
		}
		return nil
	}}
	p := line(t, RoleExo, older, out)
	path := clip{width: 64, height: 48, frames: 30, stamps: even(0)}.write(t, "a.mp4")
	ended := make(chan error, 1)
	go func() {
		ended <- p.take(t.Context(), t.Context(), &Source{Take: "t1", Stop: stop, Capture: capture.Config{Source: path, Loop: true, Log: quiet}})
	}()
	eventually(t, "full rings", func() bool { return len(p.rings.free) == 0 })
	close(stop)
	eventually(t, "the end on its way", func() bool { return len(p.rings.spare) == lane-1 }) // the beginning's is back
	close(taken)
	must(t, <-ended)
	if n := p.count.get("frames"); n > 2*inFlight || n != p.count.get("samples")+p.count.get("frames_surplus") {
		t.Errorf("counters %v", p.count.snapshot())
	}
}

func TestOutputThatFailsEndsTheTake(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	n := 0
	out := &transcript{t: t, before: func(what string) error {
		if n++; what == "batch" && n > 3 {
			return broken
		}
		return nil
	}}
	p := line(t, RoleExo, older, out)
	path := clip{width: 64, height: 48, frames: 30, stamps: even(0)}.write(t, "a.mp4")
	for _, take := range []string{"t1", "t2"} {
		n = 0
		err := p.take(t.Context(), t.Context(), &Source{Take: take, Capture: capture.Config{Source: path, Loop: true, Log: quiet}})
		if !errors.Is(err, broken) || err.Error() != "take "+take+": broken" {
			t.Errorf("take %s: %v", take, err)
		}
	}
}

// TestWarmPipelineDoesNotAllocate runs the whole pipeline on a recording: decoding, models, and encoding for the hub. What a batch
// takes, once a second, and what a segment takes is all there is.
func TestWarmPipelineDoesNotAllocate(t *testing.T) {
	const perBatch = 16 // a message of a second of samples, encoded
	still := clip{width: 64, height: 48, frames: 400, stamps: even(0), still: true}.write(t, "a.avi")
	for _, role := range []string{RoleExo, RoleEgo} {
		var before, after runtime.MemStats
		var events, batches int
		ctx, cancel := context.WithCancel(t.Context())
		b, err := NewBench(BenchConfig{
			Bundle: modeltest.New(t, older).Path, Role: role, Cameras: []BenchCamera{{Sources: []capture.Config{{Source: still, Loop: true}}}},
			Observe: func(_ int, x *FrameTimes) {
				switch {
				case x.Seq == 500:
					runtime.ReadMemStats(&before)
				case x.Seq > 500 && x.Seq <= 1500:
					events += x.Events
					batches += x.Batches
				}
				if x.Seq == 1500 {
					runtime.ReadMemStats(&after)
					cancel()
				}
			},
		})
		must(t, err)
		if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		must(t, b.Close())
		allocs := float64(after.Mallocs - before.Mallocs)
		t.Logf("%s: %.0f allocations for 1000 samples, %d batches and %d events: %.1f a batch", role, allocs, batches, events, allocs/float64(batches))
		if batches == 0 || allocs > float64(perBatch*batches+20*events+100) {
			t.Errorf("%s: %.0f allocations for 1000 samples in %d batches and %d events", role, allocs, batches, events)
		}
	}
}

// TestReleaseWithAnotherRateLosesFewTicksOfARecording: pictures that nobody wanted at the old rate are missed at the new one, as many
// as wait in the camera's ring, and are counted.
func TestReleaseWithAnotherRateLosesFewTicksOfARecording(t *testing.T) {
	t.Parallel()
	quick := newer
	quick.RateHz = 40
	stuck, taken := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	out := &transcript{t: t, before: func(string) error {
		if !first.Swap(true) {
			close(stuck)
			<-taken
		}
		return nil
	}}
	p := line(t, RoleExo, older, out)
	const n = 600 // at 40 Hz
	stamps := func(i int) int64 { return clipStart + int64(i)*25e6 }
	src := &Source{Take: "t1", Capture: capture.Config{Source: clip{width: 64, height: 48, frames: n, stamps: stamps}.write(t, "a.mp4"), Log: quiet}}
	ended := make(chan error, 1)
	go func() { ended <- p.take(t.Context(), t.Context(), src) }()
	<-stuck
	eventually(t, "full rings", func() bool { return len(p.rings.free) == 0 })
	swapped := p.count.get("frames")
	must(t, p.swap(limit(t), openModel(t, quick), ""))
	close(taken)
	must(t, <-ended)
	c := p.count.snapshot()
	lost, rest := c["dropped_no_frame_for_tick"], n-swapped
	if lost == 0 || lost > capture.DefaultRing+capture.DefaultHold || c["samples"]+lost+8 < rest || c["frames"] != n || c["frames"] != c["samples"]+c["frames_surplus"] {
		t.Errorf("another rate after %d frames: counters %v", swapped, c)
	}
}
