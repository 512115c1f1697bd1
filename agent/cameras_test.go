package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/runtime/segment"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

const (
	manyFPS   = 30
	manyShots = 75
)

// atThirty is a model for cameras of 30 fps, each frame of which is a sample.
var atThirty = modeltest.Options{Release: "r1", Seed: 23, MinFrames: 4, RateHz: manyFPS}

// fourClips renders a recording of 30 fps for each of four cameras.
func fourClips(t *testing.T) []string {
	t.Helper()
	list := make([]string, 4)
	for i := range list {
		stamps := func(n int) int64 { return clipStart + int64(n)*int64(time.Second)/manyFPS + int64(i)*7e6 }
		list[i] = clip{width: 96, height: 72, frames: manyShots, seed: i, stamps: stamps}.write(t, fmt.Sprintf("cam%d.avi", i))
	}
	return list
}

// heldUp is an output that takes nothing before the camera has given all its frames.
type heldUp struct {
	*eventRecorder
	all func() bool
}

func (h *heldUp) batch(ctx context.Context, src *Source, b *wire.SampleBatch) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !h.all() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return h.eventRecorder.batch(ctx, src, b)
}

// TestFourCameras plays four cameras of 30 fps in one process: at their pace, and then as fast as they can be decoded, with outputs that
// are held up meanwhile, so that more comes than can be taken. Whatever is skipped is counted, and the segments are those of the
// frames that were left.
func TestFourCameras(t *testing.T) {
	t.Parallel()
	clips := fourClips(t)
	dir := modeltest.New(t, atThirty)
	for _, pace := range []capture.Pace{capture.ByStamps, capture.AsFast} {
		var cameras []BenchCamera
		for _, path := range clips {
			cameras = append(cameras, BenchCamera{Sources: []capture.Config{{Source: path, Pace: pace, Overflow: capture.DropOldest}}})
		}
		b, err := NewBench(BenchConfig{Bundle: dir.Path, Role: RoleExo, Cameras: cameras})
		must(t, err)
		outs := make([]*eventRecorder, len(clips))
		for i := range outs {
			outs[i] = &eventRecorder{recorder{t: t}}
			b.cameras[i].out = outs[i]
			if pace == capture.AsFast {
				b.cameras[i].out = &heldUp{outs[i], func() bool { return b.Counters(i)["frames_read"] == manyShots }}
			}
		}
		must(t, b.Run(t.Context()))
		skipped := uint64(0)
		for i, out := range outs {
			n := b.Counters(i)
			kept := map[int64]bool{}
			for _, x := range out.batches {
				for _, raw := range wire.AppendValues(nil, x.RawNs) {
					kept[raw] = true
				}
			}
			if uint64(len(kept)) != n["samples"] || n["samples"]+n["dropped_capture_overflow"] != manyShots ||
				n["frames"] != n["samples"] || n["frames_read"] != manyShots || n["dropped_no_frame_for_tick"] > n["dropped_capture_overflow"] {
				t.Errorf("camera %d: %d samples came out; counters %v", i, len(kept), n)
			}
			skipped += n["dropped_capture_overflow"]
			checkOffline(t, i, clips[i], kept, out.committed())
		}
		must(t, b.Close())
		t.Logf("pace %d: %d of %d frames were skipped", pace, skipped, len(clips)*manyShots)
		if pace == capture.AsFast && skipped == 0 {
			t.Error("there was no overload: the test shows nothing")
		}
	}
}

// checkOffline compares a camera's committed segments with those that the stages, called one after another, make of the frames that
// were kept.
func checkOffline(t *testing.T, camera int, path string, kept map[int64]bool, got []recorded) {
	t.Helper()
	out := &eventRecorder{recorder{t: t}}
	h := hands{pipeline: line(t, RoleExo, atThirty, out)}
	src := &Source{Take: "t1", Capture: capture.Config{Source: path, Log: quiet}}
	cam, err := capture.Open(t.Context(), src.Capture)
	must(t, err)
	h.begin(src, false)
	for {
		f, err := cam.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if kept[f.Raw] {
			at, _ := h.time.place(f)
			must(t, h.frame(t.Context(), src, f, at))
		}
		cam.Release(f)
	}
	must(t, h.end(t.Context(), src))
	must(t, cam.Close())
	must(t, h.tray.drop())
	want := out.committed()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("camera %d: %d committed segments, want %d", camera, len(got), len(want))
		return
	}
	for i := range want {
		g, w := got[i].Event, want[i].Event
		if math.Abs(float64(g.Confidence-w.Confidence)) > 1e-3 { // of several pictures in one run, the last bits differ
			t.Errorf("camera %d: segment %d has confidence %v, want %v", camera, i, g.Confidence, w.Confidence)
		}
		g.Confidence = w.Confidence
		if g != w {
			t.Errorf("camera %d: segment %d is\n%+v, want\n%+v", camera, i, g, w)
		}
	}
}

// TestCameraThatIsHeldUpHoldsUpNoOther: nobody takes what one camera makes; the others come to their ends.
func TestCameraThatIsHeldUpHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	clips := fourClips(t)
	var cameras []BenchCamera
	for _, path := range clips {
		cameras = append(cameras, BenchCamera{Sources: []capture.Config{{Source: path}}})
	}
	b, err := NewBench(BenchConfig{Bundle: modeltest.New(t, atThirty).Path, Cameras: cameras})
	must(t, err)
	taken := make(chan struct{})
	b.cameras[0].out = &transcript{t: t, before: func(string) error {
		<-taken
		return nil
	}}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(t.Context()) }()
	for i := 1; i < len(clips); i++ {
		eventually(t, "the others' ends", func() bool { return b.Counters(i)["samples"] == manyShots })
	}
	if n := b.Counters(0)["samples"]; n > 2*inFlight {
		t.Errorf("the one that is held up has made %d samples", n)
	}
	close(taken)
	must(t, <-ended)
	if n := b.Counters(0)["samples"]; n != manyShots {
		t.Errorf("the one that was held up has made %d samples", n)
	}
	must(t, b.Close())
}

// TestGroupOnASite runs three fixed cameras and a rig in one process on a real hub: each is a device of its own there, with its own
// streams, status and releases.
func TestGroupOnASite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, atThirty)))
	one := s.config("exo1")
	c := Config{Site: one.Site, Cell: one.Cell, Role: RoleExo, Store: one.Store, NATS: one.NATS, StatusEvery: 100 * time.Millisecond}
	names := []string{"exo1", "exo2", "exo3", "rig-1"}
	for _, name := range names {
		d := DeviceConfig{Device: name, Camera: CameraConfig{Source: "recordings"}}
		if name == "rig-1" {
			d.Role, d.Pair = RoleEgo, PairConfig{Exo: names[:3], Wait: time.Minute}
		}
		c.Cameras = append(c.Cameras, d)
	}
	var mu sync.Mutex
	adopted, takes := map[string][]string{}, map[string]error{}
	second := make(chan struct{}, len(names))
	g, err := NewGroup(c, quiet, func(device string) Options {
		return Options{
			Adopted: func(release string) {
				mu.Lock()
				defer mu.Unlock()
				adopted[device] = append(adopted[device], release)
				if release == "r2" {
					second <- struct{}{}
				}
			},
			TakeDone: func(src Source, err error) {
				mu.Lock()
				defer mu.Unlock()
				takes[device+"/"+src.Take] = err
			},
		}
	})
	must(t, err)
	lists := make([]chan Source, len(names))
	sources := make([]<-chan Source, len(names))
	for i := range lists {
		lists[i] = make(chan Source, 2)
		sources[i] = lists[i]
	}
	for i, path := range fourClips(t) {
		lists[i] <- Source{Take: "t1", Capture: capture.Config{Source: path, Pace: capture.ByStamps, Overflow: capture.DropOldest}}
		if i != 1 {
			close(lists[i])
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(limit(t), sources) }()
	eventually(t, "samples", func() bool { return g.Agents()[0].Counters()["samples"] > 10 })
	other := atThirty
	other.Release, other.Seed = "r2", 21
	s.assign("exo2", s.release(modeltest.New(t, other))) // one device has a release of its own
	<-second
	lists[1] <- Source{Take: "broken", Capture: capture.Config{Source: "nowhere.mp4"}} // and a take that can't be read
	close(lists[1])
	err = <-ended
	if err == nil || err.Error()[:13] != "device exo2: " {
		t.Errorf("got %v, want the error of one device", err)
	}
	total := 0
	for i, a := range g.Agents() {
		n := a.Counters()
		if a.Device() != names[i] || n["samples"]+n["dropped_capture_overflow"] != manyShots || n["frames"] != n["samples"]+n["frames_surplus"] {
			t.Errorf("%s: counters %v", a.Device(), n)
		}
		checkWhole(t, stored(s, bus.Segments, names[i], wire.DecodeSegmentEvent), names[i], n)
		all := stored(s, bus.Status, names[i], wire.DecodeStatus)
		if last := all[len(all)-1]; last.Counters["samples"] != n["samples"] || last.Role != c.Cameras[i].Role && i == 3 {
			t.Errorf("%s: the last status %v", names[i], last)
		}
		if want := map[bool]string{true: "r2", false: "r1"}[i == 1]; a.Release() != want {
			t.Errorf("%s runs %s", names[i], a.Release())
		}
		total += int(n["samples"])
	}
	samples := int(g.Agents()[3].Counters()["samples"])
	got := checkPairs(t, stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch), "t1", samples)
	if got["exo1"] < samples*9/10 || got["exo2"] == 0 {
		t.Errorf("partners %v of %d samples", got, samples)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(takes) != 5 || takes["exo2/broken"] == nil || takes["exo1/t1"] != nil {
		t.Errorf("takes %v", takes)
	}
	if err := g.Run(context.Background(), sources); err == nil {
		t.Error("a second Run")
	}
}

// checkWhole fails unless a camera's committed segments follow one another, apart only where more was skipped than is bridged, and
// hold all samples.
func checkWhole(t *testing.T, events []*wire.SegmentEvent, device string, n map[string]uint64) {
	t.Helper()
	next, covered, bridged := uint64(0), uint64(0), uint64(0)
	for _, e := range events {
		if e.Kind != wire.SegmentKind_SEGMENT_KIND_COMMITTED {
			continue
		}
		if e.FirstSeq < next || e.FirstSeq > next && e.FirstSeq-next <= uint64(segment.MaxBridge*manyFPS) {
			t.Errorf("%s: a committed segment begins with sample %d, the one before ends with %d", device, e.FirstSeq, int64(next)-1)
		}
		next = e.LastSeq + 1
		covered += e.LastSeq - e.FirstSeq + 1
		bridged += e.Bridged
	}
	if covered-bridged != n["samples"] || next != n["samples"]+n["dropped_no_frame_for_tick"] {
		t.Errorf("%s: committed segments hold %d samples of %d, up to number %d, counters %v", device, covered-bridged, n["samples"], next, n)
	}
}
