package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// brightFails is a bundle that passes every probe, and whose extractor has a fault with bright pictures.
func brightFails(t *testing.T, o modeltest.Options, f modeltest.Fault) *bundle.Dir {
	t.Helper()
	d := modeltest.New(t, o)
	data, err := os.ReadFile(filepath.Join(d.Path, bundle.ExtractorFile))
	must(t, err)
	return modeltest.Replace(t, d, bundle.ExtractorFile, modeltest.SpoilBright(t, data, d.Extractor.Input.Name, d.Extractor.Output, f))
}

// TestReleaseThatFailsInTheMiddleGivesWayToTheOneBefore: a release that was probed and has run begins to throw, or to give NaN, with
// every picture. The one before takes over again in the middle of the take, and it is said why.
func TestReleaseThatFailsInTheMiddleGivesWayToTheOneBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault modeltest.Fault
		says  string
	}{
		"throws": {modeltest.Throwing, "release r2 is not used: its extractor fails, "},
		"NaN":    {modeltest.NaN, "release r2 is not used: its segmenter fails, "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.assign("exo1", s.release(modeltest.New(t, older)))
			d := s.run(statusConfig(s, "exo1"))
			d.wait(d.adopted, "r1")
			light := make(chan struct{})
			d.play(Source{Take: "light", Stop: light, Capture: capture.Config{
				Source: clip{width: 64, height: 48, frames: 30, stamps: even(0)}.write(t, "a.mp4"), Pace: capture.ByStamps, Loop: true,
			}})
			eventually(t, "samples of the first release", func() bool { return d.agent.Counters()["samples"] > 3 })
			s.assign("exo1", s.release(brightFails(t, newer, c.fault)))
			d.wait(d.adopted, "r2")
			at := d.agent.Counters()["samples"]
			eventually(t, "samples of the second", func() bool { return d.agent.Counters()["samples"] > at+3 })
			close(light)
			d.wait(d.done, "light")

			stop := make(chan struct{})
			d.play(Source{Take: "bright", Stop: stop, Capture: capture.Config{
				Source: clip{width: 64, height: 48, frames: 200, stamps: even(0), bright: func(i int) bool { return i >= 20 }}.write(t, "b.mp4"), Loop: true,
			}})
			d.wait(d.adopted, "r1")
			m := s.lastStatus("exo1", "the reason", func(m *wire.Status) bool { return m.Counters["releases_reverted"] == 1 })
			if m.State != wire.DeviceState_DEVICE_STATE_DEGRADED || !strings.HasPrefix(m.Error, c.says) || !strings.HasSuffix(m.Error, "; r1 runs again") ||
				m.ReleaseRunning != "r1" || m.ReleaseAssigned != "r2" {
				t.Errorf("status %v", m)
			}
			at = d.agent.Counters()["samples"]
			eventually(t, "samples of the first one again", func() bool { return d.agent.Counters()["samples"] > at+50 })
			close(stop)
			must(t, d.finish())
			n := d.agent.Counters()
			lost := n["dropped_extractor"] + n["dropped_segmenter"]
			if lost < 20 || n["frames"] != n["samples"]+n["frames_surplus"]+lost || n["updates_failed"] != 1 || n["releases_adopted"] != 3 {
				t.Errorf("counters %v", n)
			}
		})
	}
}

// TestOnlyReleaseThatFails: there is none to go back to. It goes on, says what happens, and works again when it can.
func TestOnlyReleaseThatFails(t *testing.T) {
	t.Parallel()
	const n = 90
	for _, fault := range []modeltest.Fault{modeltest.Throwing, modeltest.NaN} {
		out := &eventRecorder{recorder{t: t}}
		p := newPipeline(&Config{Device: "cam", Role: RoleExo}, newCounters(), quiet, nil)
		p.out = out
		m, err := open(brightFails(t, older, fault), &model.Selector{})
		must(t, err)
		fit(t, p, m)
		dark := func(i int) bool { return i < 30 || i >= 60 }
		src := &Source{Take: "t1", Capture: capture.Config{Log: quiet, Source: clip{
			width: 64, height: 48, frames: n, stamps: even(0), bright: func(i int) bool { return !dark(i) },
		}.write(t, "a.avi")}}
		must(t, p.take(t.Context(), t.Context(), src))
		c := p.count.snapshot()
		if c["samples"] != 60 || c["dropped_extractor"]+c["dropped_segmenter"] != 30 || p.health.trouble() != "" {
			t.Errorf("fault %d: counters %v, trouble %q", fault, c, p.health.trouble())
		}
		if len(p.health.sick) != 1 {
			t.Errorf("fault %d: nobody was told", fault)
		}
		list := out.committed()
		for _, e := range list {
			if e.FirstSeq < 30 && e.LastSeq >= 30 {
				t.Errorf("segment %+v reaches over three seconds in which nothing was seen", e.Event)
			}
		}
		if len(list) < 2 || list[0].FirstSeq != 0 || list[len(list)-1].LastSeq != n-1 {
			t.Errorf("committed segments %+v", list)
		}
		must(t, p.close())
	}
}

// TestCameraThatChangesItsSize: pictures of another size are samples like the others.
func TestCameraThatChangesItsSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 30 {
		w, h := 64, 48
		if i >= 12 {
			w, h = 96, 80
		}
		if i >= 20 {
			w, h = 32, 30
		}
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(float64(8*i), 90, 50, 0), h, w, gocv.MatTypeCV8UC3)
		if !gocv.IMWrite(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), m) {
			t.Fatal("not written")
		}
		must(t, m.Close())
	}
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	d := s.run(s.config("exo1"))
	d.play(Source{Take: "t1", Capture: capture.Config{Source: dir, FPS: 10, Start: clipStart}})
	must(t, d.finish())
	n := d.agent.Counters()
	if n["samples"] != 30 || n["size_changes"] != 2 || n["dropped_extractor"] != 0 || n["dropped_segmenter"] != 0 {
		t.Errorf("counters %v", n)
	}
	checkTeacher(t, stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch), "t1", 30, false)
	checkCommitted(t, stored(s, bus.Segments, "exo1", wire.DecodeSegmentEvent), "t1", 30)
}
