package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// checkTeacher fails unless a take's teacher batches follow one another up to their end, with n samples and gaps only where
// allowed.
func checkTeacher(t *testing.T, batches []*wire.SampleBatch, take string, n int, gaps bool) {
	t.Helper()
	next, count, ended := uint64(0), 0, false
	for _, b := range batches {
		if b.Take != take {
			continue
		}
		if ended || b.FirstSeq < next || b.FirstSeq > next && !gaps {
			t.Errorf("take %s: a batch begins with sample %d after sample %d, ended %v", take, b.FirstSeq, int64(next)-1, ended)
		}
		next, count, ended = b.FirstSeq+uint64(b.Len()), count+b.Len(), b.Last
	}
	if count != n || !ended {
		t.Errorf("take %s: %d samples of %d in the stream, ended %v", take, count, n, ended)
	}
}

// checkPairs fails unless a take's pairs hold n samples, each once, and returns how many of them have a partner on each
// exo camera.
func checkPairs(t *testing.T, batches []*wire.PairBatch, take string, n int) map[string]int {
	t.Helper()
	seen, partners, ended := map[uint64]bool{}, map[string]int{}, false
	for _, p := range batches {
		if p.Ego.Take != take {
			continue
		}
		if ended {
			t.Errorf("take %s: a batch after its end", take)
		}
		ended = p.Last
		for i := range p.Ego.Len() {
			seq := p.Ego.FirstSeq + uint64(i)
			if seen[seq] {
				t.Errorf("take %s: sample %d is there twice", take, seq)
			}
			seen[seq] = true
			for _, x := range p.Exo {
				if x.Index[i] >= 0 {
					partners[x.Device]++
				}
			}
		}
	}
	if len(seen) != n || !ended {
		t.Errorf("take %s: %d samples of %d in the pairs, ended %v", take, len(seen), n, ended)
	}
	return partners
}

// uneven stamps a clip like a camera whose exposure varies: two quick frames, then a slow one.
func uneven(i int) int64 { return clipStart + 10e9 + int64(i/3)*int64(3e8) + []int64{0, 4e7, 9e7}[i%3] }

func TestLineOfTwoCamerasAndARig(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	exo1, exo2, rig := s.run(s.config("exo1")), s.run(s.config("exo2")), s.run(s.config("rig-1", "exo1", "exo2"))
	const n = 30
	small := clip{width: 64, height: 48, frames: n, stamps: even(0)}
	later := func(c clip) clip {
		c.stamps = uneven
		return c
	}
	odd := clip{width: 65, height: 49, frames: n, seed: 5, stamps: even(12e6)}
	// The second camera has played everything before the rig begins.
	exo2.play(fast("t1", small.write(t, "a.mp4")))
	exo2.play(fast("t2", later(small).write(t, "b.mp4")))
	must(t, exo2.finish())
	exo1.play(fast("t1", small.write(t, "a.mp4")))
	rig.play(fast("t1", odd.write(t, "c.avi")))
	exo1.play(fast("t2", later(small).write(t, "b.mp4")))
	rig.play(fast("t2", later(odd).write(t, "d.avi")))
	rig.play(Source{Take: "private", NoPairs: true, Capture: capture.Config{Source: odd.write(t, "e.avi")}})
	must(t, exo1.finish())
	must(t, rig.finish())

	segments := map[string][]*wire.SegmentEvent{}
	for _, d := range []string{"exo1", "exo2", "rig-1"} {
		segments[d] = stored(s, bus.Segments, d, wire.DecodeSegmentEvent)
	}
	for name, d := range map[string]*device{"exo1": exo1, "exo2": exo2, "rig-1": rig} {
		c := d.agent.Counters()
		if c["frames"] != c["samples"]+c["frames_surplus"] || c["frames"] != c["frames_read"] || c["frames_surplus"] == 0 {
			t.Errorf("%s: counters %v: frames must be samples and surplus, and the uneven take has surplus", name, c)
		}
		for k, v := range c {
			if strings.HasPrefix(k, "dropped_") && k != "dropped_no_frame_for_tick" {
				t.Errorf("%s: %s is %d", name, k, v)
			}
		}
		if labels := len(segments[name]); labels < 8 {
			t.Errorf("%s: %d segment events are too few to say anything", name, labels)
		}
		checkCommitted(t, segments[name], "t1", n)
	}
	checkCommitted(t, segments["rig-1"], "private", n)
	uneven := int(exo1.agent.Counters()["samples"]) - n
	for _, d := range []string{"exo1", "exo2"} {
		batches := stored(s, bus.Teacher, d, wire.DecodeSampleBatch)
		checkTeacher(t, batches, "t1", n, false)
		checkTeacher(t, batches, "t2", uneven, true)
		scores := 0
		for _, b := range batches {
			scores += len(b.ScoreSeq)
			if b.StampKind != wire.StampKind_STAMP_KIND_SIDECAR || b.ClockSource != wire.ClockSource_CLOCK_SOURCE_RECORDED {
				t.Errorf("stamps %v of %v", b.StampKind, b.ClockSource)
			}
		}
		if scores == 0 {
			t.Errorf("%s has no scores", d)
		}
	}
	pairs := stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch)
	for take, n := range map[string]int{"t1": n, "t2": uneven} {
		if got := checkPairs(t, pairs, take, n); got["exo1"] != n || got["exo2"] != n {
			t.Errorf("take %s: partners %v, want %d on each camera", take, got, n)
		}
	}
	for _, p := range pairs {
		if p.Ego.Take == "private" {
			t.Error("a private take is in the pairs")
		}
		for _, x := range p.Exo {
			for i, g := range x.Grade {
				if want := int64(12e6); p.Ego.Take == "t1" && (g != wire.Grade_GRADE_SILVER || x.DtNs[i] != want || x.BoundNs[i] != 2e6) {
					t.Errorf("pair of %s: %v, Δt %d ± %d", x.Device, g, x.DtNs[i], x.BoundNs[i])
				}
			}
		}
	}
}

func TestRigThatStartsAgainRepeatsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	small := clip{width: 64, height: 48, frames: 25, stamps: even(0)}.write(t, "a.mp4")
	exo := s.run(s.config("exo1"))
	exo.play(fast("t1", small))
	must(t, exo.finish())
	c := s.config("rig-1", "exo1")
	for range 2 {
		rig := s.run(c)
		rig.play(fast("t1", small))
		must(t, rig.finish())
		if n := rig.agent.Counters(); n["pairs_gold"] != 25 {
			t.Errorf("counters %v, want 25 pairs in each run", n)
		}
	}
	checkPairs(t, stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch), "t1", 25)
	checkCommitted(t, stored(s, bus.Segments, "rig-1", wire.DecodeSegmentEvent), "t1", 25)
}

func TestBrokenRecordingDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := statusConfig(s, "exo1")
	c.Bundle.Dir = modeltest.New(t, older).Path
	d := s.run(c)
	good := clip{width: 64, height: 48, frames: 12, stamps: even(0)}.write(t, "good.mp4")
	broken := filepath.Join(t.TempDir(), "broken.mp4")
	must(t, os.WriteFile(broken, []byte("not a video"), 0o600))
	cut := clip{width: 64, height: 48, frames: 12, stamps: even(0)}.write(t, "cut.mp4")
	must(t, os.WriteFile(capture.SidecarPath(cut), []byte("frame,raw_ns\n0,5\n1,4\n"), 0o600))
	d.play(fast("t1", good))
	d.play(fast("t2", broken))
	s.lastStatus("exo1", "the failed take", func(m *wire.Status) bool { return strings.Contains(m.Error, "take t2") })
	d.play(fast("t3", cut))
	d.play(fast("t1", good)) // a name twice
	d.play(fast("No Token", good))
	d.play(fast("t4", good))
	err := d.finish()
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %q, want one line", err)
	}
	for _, want := range []string{"take t2: ", "broken.mp4", "take t3: ", "cut.stamps.csv:3", `take "t1" was played before`, `"No Token" is not a token`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't say %q: %v", want, err)
		}
	}
	if !errors.Is(err, capture.ErrStamps) {
		t.Errorf("%v doesn't wrap %v", err, capture.ErrStamps)
	}
	for take, ok := range map[string]bool{"t2": false, "t3": false, "t4": true, "No Token": false} {
		if e, told := d.takes[take]; !told || (e == nil) != ok {
			t.Errorf("take %s: told %v, error %v", take, told, e)
		}
	}
	batches := stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch)
	checkTeacher(t, batches, "t1", 12, false)
	checkTeacher(t, batches, "t4", 12, false)
}

func TestInterruptedTakeIsEndedAndStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	path := clip{width: 64, height: 48, frames: 20, stamps: even(0)}.write(t, "a.mp4")
	endless := Source{Take: "t1", Capture: capture.Config{Source: path, Pace: capture.ByStamps, Loop: true}}
	exo, rig := s.run(s.config("exo1")), s.run(s.config("rig-1", "exo1", "silent"))
	exo.play(endless)
	rig.play(endless)
	for _, d := range []*device{exo, rig} {
		eventually(t, "samples", func() bool { return d.agent.Counters()["samples"] > 12 })
	}
	for _, d := range []*device{exo, rig} {
		began := time.Now()
		d.stop()
		<-d.ended
		if d.err != nil {
			t.Errorf("being asked to stop is no error, got %v", d.err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		if err := d.takes["t1"]; !errors.Is(err, context.Canceled) {
			t.Errorf("the take ended with %v", err)
		}
	}
	samples := func(d *device) int { return int(d.agent.Counters()["samples"]) }
	checkTeacher(t, stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch), "t1", samples(exo), false)
	for name, d := range map[string]*device{"exo1": exo, "rig-1": rig} {
		checkCommitted(t, stored(s, bus.Segments, name, wire.DecodeSegmentEvent), "t1", int64(samples(d)))
	}
	// The silent camera had not been given up yet: the stop does it.
	got := checkPairs(t, stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch), "t1", samples(rig))
	if got["exo1"] == 0 || got["silent"] != 0 {
		t.Errorf("partners %v", got)
	}
}

func TestStopWhileTheHubIsAwaySaysWhatIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	d := s.run(s.config("exo1"), func(a *Agent) { a.patience.stop = 200 * time.Millisecond })
	d.wait(d.adopted, "r1")
	begin := s.stop()
	d.play(fast("t1", clip{width: 64, height: 48, frames: 12, stamps: even(0)}.write(t, "a.mp4")))
	eventually(t, "the take's end", func() bool { return d.agent.Counters()["samples"] == 12 })
	d.stop()
	<-d.ended
	if d.err == nil || !strings.Contains(d.err.Error(), "messages not acknowledged") || strings.Contains(d.err.Error(), "\n") {
		t.Errorf("got %v", d.err)
	}
	begin()
}

func TestNothingIsLostWhileTheHubIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	const n = 50
	path := clip{width: 64, height: 48, frames: n, stamps: even(0)}.write(t, "a.mp4")
	src := Source{Take: "t1", Capture: capture.Config{Source: path, Pace: capture.ByStamps}}
	exo := s.run(s.config("exo1"))
	c := s.config("rig-1", "exo1")
	c.Pair.Wait = 2 * time.Second // less than the hub is away
	rig := s.run(c)
	rig.wait(rig.adopted, "r1")
	exo.wait(exo.adopted, "r1")
	exo.play(src)
	rig.play(src)
	samples := func() uint64 { return rig.agent.Counters()["samples"] }
	eventually(t, "the beginning", func() bool { return samples() > 12 })
	begin := s.stop()
	eventually(t, "the end", func() bool { return samples() == n })
	begin()
	must(t, exo.finish())
	must(t, rig.finish())
	eventually(t, "the test's own connection", func() bool { return s.conn.Stats().Connected })
	checkTeacher(t, stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch), "t1", n, false)
	if got := checkPairs(t, stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch), "t1", n); got["exo1"] != n {
		t.Errorf("%d of %d samples have a partner; counters %v", got["exo1"], n, rig.agent.Counters())
	}
	for _, d := range []string{"exo1", "rig-1"} {
		checkCommitted(t, stored(s, bus.Segments, d, wire.DecodeSegmentEvent), "t1", n)
	}
}

func TestAgentThatCannotStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	must(t, err)
	closed := "nats://" + l.Addr().String()
	must(t, l.Close())
	s := newSite(t)
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"no hub":    {func(c *Config) { c.NATS.URLs = []string{closed} }, []string{closed, "connection refused", "'tandem hub' starts one"}},
		"no bundle": {func(c *Config) { c.Bundle.Dir = "no/such/bundle" }, []string{"bundle no/such/bundle: ", "no such file or directory"}},
		"bad bundle": {func(c *Config) {
			d := modeltest.New(t, older)
			must(t, os.WriteFile(filepath.Join(d.Path, "extractor.onnx"), []byte("x"), 0o600))
			c.Bundle.Dir = d.Path
		}, []string{"invalid bundle", "extractor.onnx"}},
		"bad provider": {func(c *Config) {
			c.Bundle.Dir = modeltest.New(t, older).Path
			c.Runtime.Providers, c.Runtime.Require = []string{"coreml"}, true
		}, []string{"coreml"}},
	} {
		cfg := s.config("exo1")
		c.change(&cfg)
		a, err := New(cfg, Options{Log: quiet})
		must(t, err)
		err = a.Run(limit(t), make(chan Source))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q, want one line", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want it to say %q", name, err, want)
			}
		}
		if err := a.Run(limit(t), nil); err == nil || !strings.Contains(err.Error(), "Run was called before") {
			t.Errorf("%s: a second Run: %v", name, err)
		}
	}
	if _, err := New(Config{}, Options{}); !errors.Is(err, ErrConfig) {
		t.Errorf("New without a configuration: %v", err)
	}
}

func TestStatusTellsWhatGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := statusConfig(s, "exo1")
	d := s.run(c)
	is := func(want wire.DeviceState) func(*wire.Status) bool {
		return func(m *wire.Status) bool { return m.State == want }
	}
	m := s.lastStatus("exo1", "waiting", is(wire.DeviceState_DEVICE_STATE_WAITING))
	if m.ReleaseRunning != "" || m.Role != RoleExo {
		t.Errorf("before the first release: %v", m)
	}
	s.assign("exo1", s.release(modeltest.New(t, older)))
	d.wait(d.adopted, "r1")
	stop := make(chan struct{})
	path := clip{width: 64, height: 48, frames: 20, stamps: even(0)}.write(t, "a.mp4")
	d.play(Source{Take: "t1", Stop: stop, Capture: capture.Config{Source: path, Pace: capture.ByStamps, Loop: true}})
	m = s.lastStatus("exo1", "running", func(m *wire.Status) bool {
		return m.State == wire.DeviceState_DEVICE_STATE_RUNNING && m.Counters["frames_read"] > 3
	})
	if m.ReleaseRunning != "r1" || m.ReleaseAssigned != "r1" || m.Versions["provider"] != "cpu" || m.Versions["onnxruntime"] == "" ||
		m.Versions["provider_requested"] != "cpu" || m.Versions["provider_extractor"] != "cpu" || !(m.Gauges["probe_extractor_ms"] > 0) || m.Error != "" {
		t.Errorf("while a take plays: %v", m)
	}
	close(stop)
	d.wait(d.done, "t1")
	s.lastStatus("exo1", "waiting again", is(wire.DeviceState_DEVICE_STATE_WAITING))
	must(t, d.finish())
	all := stored(s, bus.Status, "exo1", wire.DecodeStatus)
	last := all[len(all)-1]
	if c := last.Counters; last.State != wire.DeviceState_DEVICE_STATE_STOPPING || c["frames_read"] < c["frames"] || c["published"] == 0 || c["samples"] == 0 {
		t.Errorf("the last status: %v", last)
	}
}

func TestStopBeforeATakeBegins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.run(s.config("exo1")) // there is no release: the take waits for one
	stop := make(chan struct{})
	close(stop)
	d.play(Source{Take: "t1", Stop: stop, Capture: capture.Config{Source: "nowhere.mp4"}})
	d.wait(d.done, "t1")
	must(t, d.finish())
	waits := s.run(s.config("exo1"))
	waits.play(fast("t1", "nowhere.mp4"))
	waits.stop()
	<-waits.ended
	must(t, waits.err)
}

func TestFullBacklog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	conn, err := bus.Connect(limit(t), bus.Config{URLs: []string{s.server.URL()}, Name: "full", Logger: quiet})
	must(t, err)
	defer conn.Close()
	pub, err := bus.NewPublisher(conn, bus.PublisherConfig{MaxBacklog: 3, Logger: quiet})
	must(t, err)
	defer func() {
		if err := pub.Close(); err == nil {
			t.Error("messages were stored at a hub that is away")
		}
	}()
	cfg := s.config("exo1")
	out := &publishing{cfg: &cfg, publisher: pub, count: newCounters(), log: quiet, warn: throttle{log: quiet}}
	begin := s.stop()
	src := &Source{Take: "t1"}
	batch := func(i int) *wire.SampleBatch { return batchOf("exo1", "t1", "r1", int64(i), false, int64(i)) }

	out.begin(src, true)
	for i := range 5 { // a live camera is not held up
		must(t, out.batch(limit(t), src, batch(i)))
	}
	if got, want := counted(out.count, "dropped"), "[dropped_backlog_full_teacher:2]"; got != want {
		t.Errorf("counters %s, want %s", got, want)
	}
	out.begin(src, false)
	ctx, cancel := context.WithTimeout(limit(t), 50*time.Millisecond)
	defer cancel()
	if err := out.batch(ctx, src, batch(5)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a recording: got %v, want it to wait for room", err)
	}
	begin()
}

func TestMessageThatBreaksTheRulesIsCounted(t *testing.T) {
	cfg := Config{Site: "plant", Cell: "cell-1", Device: "exo1"}
	out := &publishing{cfg: &cfg, count: newCounters(), log: quiet, warn: throttle{log: quiet}}
	b := batchOf("exo1", "t1", "r1", 0, false, 0)
	b.Features = b.Features[1:]
	must(t, out.batch(t.Context(), &Source{Take: "t1"}, b))
	if got, want := counted(out.count, "dropped"), "[dropped_invalid_teacher:1]"; got != want {
		t.Errorf("counters %s, want %s", got, want)
	}
}

func TestErrorsOfSeveralTakesAreOneLine(t *testing.T) {
	a, b := errors.New("a"), fmt.Errorf("b: %w", context.Canceled)
	err := join(nil, join(a, nil), join(b, errors.Join(a, b)))
	if err.Error() != "a; b: context canceled; a; b: context canceled" || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := without(err, context.Canceled); got != a { //nolint:errorlint // exactly this
		t.Errorf("%v", got)
	}
	if without(nil, a) != nil || without(a, a) != nil || join() != nil {
		t.Error("nothing is an error")
	}
}
