package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
	"tandem/sync/clock"
)

// wrongClock is a device on a simulated site: a clock of its own that is wrong, a camera whose frames arrive late and with noise,
// and a network over which the hub answers NTP. Times are true ones, in ns since the site began.
type wrongClock struct {
	offset  int64   // of its time of day
	skew    float64 // of its clock
	shift   float64 // of its camera's captures
	latency float64
	frames  int

	mu      sync.Mutex
	rng     *rand.Rand
	calls   int
	capture map[int64]float64 // true captures by raw stamp
	filter  *clock.Filter
	pacer   clock.Pacer
	polled  float64 // when the hub was asked the last time
}

const (
	siteBegan = clipStart
	answers   = 2e9 // from here on the hub answers
	rateFPS   = 15
)

// local is what the device's clock shows at a true time.
func (w *wrongClock) local(t float64) int64 { return int64(t*(1+w.skew)) + 86_400e9 }

func (w *wrongClock) wall(t float64) int64 { return w.local(t) - 86_400e9 + siteBegan + w.offset }

// Now is called by the agent once before the camera is opened, then by the capture for each frame.
func (w *wrongClock) Now() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.calls - 1
	if w.calls++; k < 0 {
		return w.wall(0)
	}
	t := 1e8 + w.shift + float64(k)*1e9/rateFPS
	raw := w.wall(t + w.latency + w.rng.NormFloat64()*2e6)
	w.capture[raw] = t
	return raw
}

func (w *wrongClock) WaitUntil(ctx context.Context, _ int64) error { return ctx.Err() }

// site asks the hub every half second of the device's time, and reads the clock that this makes.
func (w *wrongClock) site(wall int64) clock.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	local := wall - siteBegan - w.offset + 86_400e9
	for next := w.polled + 5e8; w.local(next+1e7) <= local; next += 5e8 {
		if w.polled = next; next < answers {
			continue
		}
		there, back := 2e5+w.rng.ExpFloat64()*1e5, 3e5+w.rng.ExpFloat64()*1e5
		s := clock.Sample{
			T1: w.local(next), T2: siteBegan + int64(next+there), T3: siteBegan + int64(next+there+2e4), T4: w.local(next + there + 2e4 + back),
		}
		if _, err := w.filter.Add(s); err != nil {
			return clock.Reading{}
		}
	}
	r := w.pacer.Read(local, w.filter.At(local))
	r.Source = "ntp hub"
	return r
}

func (w *wrongClock) status() clock.Status { return clock.Status{} }

func (w *wrongClock) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// serve is the camera: so many frames, as fast as they are taken, then nothing more.
func (w *wrongClock) serve(t *testing.T) string {
	t.Helper()
	var used atomic.Bool
	camera := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		if used.Swap(true) {
			out.WriteHeader(http.StatusGone)
			return
		}
		out.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		for n := range w.frames {
			img := image.NewGray(image.Rect(0, 0, 64, 48))
			for i := range img.Pix {
				img.Pix[i] = byte(i/64/12*60 + n)
			}
			var b bytes.Buffer
			if err := jpeg.Encode(&b, img, nil); err != nil {
				t.Error(err)
			}
			if _, err := fmt.Fprintf(out, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", b.Len(), b.Bytes()); err != nil {
				return
			}
		}
	}))
	t.Cleanup(camera.Close)
	return camera.URL
}

// An exo camera 5 s ahead and a rig 3 s behind learn the hub's time while they run. What is paired is as far apart as it says,
// and what was taken before they knew is not paired.
func TestClocksThatAreWrongBySeconds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	devices := map[string]*wrongClock{
		"exo1":  {offset: 5e9, skew: 40e-6, latency: 25.6e6, frames: 480},
		"rig-1": {offset: -3e9, skew: -30e-6, latency: 39.2e6, frames: 450, shift: 13e6},
	}
	for i, name := range []string{"exo1", "rig-1"} {
		w := devices[name]
		w.rng = rand.New(rand.NewPCG(uint64(i), 11))
		w.capture, w.filter = map[int64]float64{}, clock.NewFilter(clock.Limits{})
		c := s.config(name)
		if name == "rig-1" {
			c = s.config(name, "exo1")
			c.Pair.Wait = time.Second
		}
		c.Camera = CameraConfig{
			Source: w.serve(t), Latency: []time.Duration{25, 40}[i] * time.Millisecond, LatencyError: time.Millisecond, ClockBound: time.Hour,
		}
		list, err := c.Sources(time.Now())
		must(t, err)
		src := list[0]
		src.Take = "t1"
		src.Capture.Overflow, src.Capture.Reconnect.Attempts = capture.Block, -1
		d := s.run(c, func(a *Agent) {
			a.pipeline.time.base = w
			a.patience.clock = time.Nanosecond
		})
		d.play(src)
		d.wait(d.done, "t1")
		if err := d.finish(); !errors.Is(err, capture.ErrLost) {
			t.Fatalf("%s ended with %v, its camera ended", name, err)
		}
	}
	checkTrueTimes(t, s, devices)
}

// checkTrueTimes compares the pairs with the truth.
func checkTrueTimes(t *testing.T, s *site, devices map[string]*wrongClock) {
	t.Helper()
	made, ego, early, ends := 0, 0, 0, int64(0)
	grades := map[wire.Grade]int{}
	takes := map[string]bool{}
	for _, p := range stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch) {
		raw, site := wire.AppendValues(nil, p.Ego.RawNs), wire.AppendValues(nil, p.Ego.SiteNs)
		for i, at := range p.Ego.Bounds(nil) {
			ego++
			truth, known := devices["rig-1"].capture[raw[i]]
			if !known {
				t.Fatalf("a rig's sample has the raw stamp %d, which no frame had", raw[i])
			}
			if site[i] <= ends {
				t.Fatalf("site time %d after %d", site[i], ends)
			}
			ends = site[i]
			paired := false
			for _, x := range p.Exo {
				if x.Index[i] < 0 {
					continue
				}
				other := devices["exo1"].capture[wire.AppendValues(nil, x.RawNs)[x.Index[i]]]
				if off := int64(truth-other) - x.DtNs[i]; max(off, -off) > x.BoundNs[i] {
					t.Errorf("a pair is %d ns apart, it says %d ± %d", int64(truth-other), x.DtNs[i], x.BoundNs[i])
				}
				paired = true
				grades[x.Grade[i]]++
				takes[x.Take] = true
			}
			if paired {
				made++
			}
			if truth < answers {
				if early++; paired || at < wire.UnknownBound {
					t.Errorf("the sample of %.1f s has a bound of %d ns, paired %v: nobody knew the time", truth/1e9, at, paired)
				}
			}
		}
		if n := p.Rejected["exo1/unsynchronized"]; p.Last && n < uint64(early) {
			t.Errorf("%d of %d samples are counted as unsynchronized", n, early)
		}
	}
	if early < 10 || made < (ego-early)*8/10 || grades[wire.Grade_GRADE_GOLD]+grades[wire.Grade_GRADE_SILVER] == 0 {
		t.Errorf("%d pairs of %d samples, %d of them before the time was known; grades %v", made, ego, early, grades)
	}
	if len(takes) != 1 || takes["t1"] {
		t.Errorf("paired with the takes %v: the camera was ahead, so its time had to go back in a new one", takes)
	}
	t.Logf("%d pairs of %d samples, grades %v", made, ego, grades)
}

// A live camera whose agent asks a hub that is 7 s behind this machine: its samples are on the hub's time, and STATUS says so.
func TestLiveCameraLearnsTheHubsTime(t *testing.T) {
	t.Parallel()
	const behind = 7 * time.Second
	hub, err := clock.Listen(t.Context(), "127.0.0.1:0", func() time.Time { return time.Now().Add(-behind) }, quiet)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- hub.Serve(t.Context()) }()
	t.Cleanup(func() { must(t, errors.Join(hub.Close(), <-served)) })
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	c := statusConfig(s, "exo1")
	c.Camera = CameraConfig{Source: newCamera(t).URL}
	c.Clock.NTP.Servers = []string{hub.Addr()}
	list, err := c.Sources(time.Now())
	must(t, err)
	d := s.run(c, func(a *Agent) { a.patience.clock = time.Minute })
	d.play(list[0])
	m := s.lastStatus("exo1", "site time", func(m *wire.Status) bool { return m.Clock.GetSource() != "" && m.Counters["samples"] > 15 })
	if off := m.SiteNs - time.Now().Add(-behind).UnixNano(); max(off, -off) > int64(2*time.Second) || m.Clock.BoundNs >= wire.UnknownBound {
		t.Errorf("the status is %v off, its clock %v", time.Duration(off), m.Clock)
	}
	d.stop()
	<-d.ended
	must(t, d.err)
	var off []int64
	for _, b := range stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch) {
		raw, site := wire.AppendValues(nil, b.RawNs), wire.AppendValues(nil, b.SiteNs)
		for i := range raw {
			off = append(off, raw[i]-site[i])
		}
		if b.Len() > 0 && (b.ClockSource != wire.ClockSource_CLOCK_SOURCE_NTP || b.BoundNs >= wire.UnknownBound) {
			t.Errorf("a batch on %v ± %d", b.ClockSource, b.BoundNs)
		}
	}
	slices.Sort(off)
	if mid := time.Duration(off[len(off)/2]) - behind; mid.Abs() > time.Second {
		t.Errorf("site time is %v behind the stamps, the hub %v", mid+behind, behind)
	}
	for _, e := range stored(s, bus.Segments, "exo1", wire.DecodeSegmentEvent) {
		if e.BoundNs <= 0 || e.BoundNs >= wire.UnknownBound {
			t.Errorf("a segment's bound is %d ns", e.BoundNs)
		}
	}
}
