package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// statusHub is a hub on which devices report.
type statusHub struct {
	t      *testing.T
	server *bus.Server
	conn   *bus.Conn
}

func newStatusHub(t *testing.T, streams bool) *statusHub {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server, err := bus.StartServer(t.Context(), bus.ServerConfig{StoreDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(t.Context(), bus.Config{URLs: []string{server.URL()}, Name: "test", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if streams {
		if err := bus.EnsureStreams(t.Context(), conn.JetStream(), bus.StreamsConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	return &statusHub{t, server, conn}
}

// report stores a device's status.
func (h *statusHub) report(s *wire.Status) {
	h.t.Helper()
	s.SiteNs, s.EveryNs = time.Now().UnixNano(), int64(5*time.Second)
	if s.State == 0 {
		s.State = wire.DeviceState_DEVICE_STATE_RUNNING
	}
	data, err := wire.Encode(s)
	if err != nil {
		h.t.Fatal(err)
	}
	h.raw(bus.Subject{Site: "plant", Cell: "cell-1", Device: s.Device, Kind: bus.Status}.String(), data)
}

func (h *statusHub) raw(subject string, data []byte) {
	h.t.Helper()
	if _, err := h.conn.JetStream().Publish(h.t.Context(), subject, data); err != nil {
		h.t.Fatal(err)
	}
}

// status runs the command.
func (h *statusHub) status(args ...string) (code int, out, errs string) {
	h.t.Helper()
	var o, e bytes.Buffer
	code = run(h.t.Context(), append([]string{"sync", "status", "--nats", h.server.URL()}, args...), &o, &e)
	return code, o.String(), e.String()
}

func clockOf(state wire.ClockState) *wire.ClockStatus {
	return &wire.ClockStatus{
		State: state, Source: "ntp hub:123", OffsetNs: -3_250_000_000, BoundNs: 412_000,
		Sources: []*wire.TimeSource{{
			Name: "ntp hub:123", State: wire.ClockState_CLOCK_STATE_LOCKED, OffsetNs: -3_250_000_000, BoundNs: 412_000, SkewPpm: -12.34,
			SkewErrorPpm: 0.5, RoundTripNs: 500_000, HeardNs: 2e8, Steps: 1,
		}},
	}
}

// line returns the line of the output that begins with a device.
func line(t *testing.T, out, device string) string {
	t.Helper()
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, device) {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	t.Fatalf("no line of %s:\n%s", device, out)
	return ""
}

func TestSyncStatusOfASiteThatIsWell(t *testing.T) {
	h := newStatusHub(t, true)
	exo := &wire.Status{Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_LOCKED)}
	unlocked := &wire.Status{Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_CONVERGING)}
	h.report(unlocked) // the newest counts
	h.report(exo)
	h.report(&wire.Status{
		Device: "rig-1", Role: "ego", Clock: &wire.ClockStatus{State: wire.ClockState_CLOCK_STATE_RECORDED, BoundNs: 1e6},
		Pairs: []*wire.PairCounts{{Exo: "exo1", Gold: 7, Silver: 8, Bronze: 9, Rejected: map[string]uint64{"no_exo": 2, "bound": 3}}},
	})
	h.report(&wire.Status{Device: "old", Role: "exo", State: wire.DeviceState_DEVICE_STATE_STOPPING, Clock: &wire.ClockStatus{State: 1, BoundNs: wire.UnknownBound}})
	h.report(&wire.Status{Device: "trainer", Role: "trainer"})
	code, out, errs := h.status()
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d, %s\n%s", code, errs, out)
	}
	for device, want := range map[string]string{
		"plant/cell-1/exo1":      "plant/cell-1/exo1 exo locked -3.25 s ± 412 µs -12.34 ± 0.50 ppm 1 ",
		"plant/cell-1/rig-1 ego": "plant/cell-1/rig-1 ego recorded - ± 1 ms - 0 ",
		"plant/cell-1/old":       "plant/cell-1/old exo stopped - - - 0 ",
		"plant/cell-1/rig-1 exo": "plant/cell-1/rig-1 exo1 7 8 9 5 (bound 3, no_exo 2)",
	} {
		found := false
		for l := range strings.Lines(out) {
			found = found || strings.HasPrefix(strings.Join(strings.Fields(l), " "), want)
		}
		if !found {
			t.Errorf("no line %q of %s:\n%s", want, device, out)
		}
	}
	if strings.Contains(out, "trainer") || !strings.Contains(out, "next: tandem sync check") {
		t.Errorf("%s", out)
	}
	if !strings.HasSuffix(line(t, out, "plant/cell-1/exo1"), "ntp hub:123") {
		t.Errorf("%s", out)
	}

	code, out, _ = h.status("--json")
	var r statusReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || !r.OK || len(r.Devices) != 3 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	var one statusDevice
	for _, d := range r.Devices {
		if d.Device == "exo1" {
			one = d
		}
	}
	if one.Offset == nil || *one.Offset != -3.25 || *one.Bound != 412e-6 || *one.Skew != -12.34 || one.Sources[0].RoundTrip != 5e-4 || *one.Sources[0].Heard != 0.2 {
		t.Errorf("%+v", one)
	}
}

func TestSyncStatusSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		status *wire.Status
		want   []string
	}{
		"unsynchronized": {
			&wire.Status{Device: "exo1", Role: "exo", Clock: &wire.ClockStatus{
				State: wire.ClockState_CLOCK_STATE_UNSYNCHRONIZED, BoundNs: wire.UnknownBound, Problem: "hub:123: nothing answers NTP there",
			}},
			[]string{"unsynchronized  -", "plant/cell-1/exo1: hub:123: nothing answers NTP there"},
		},
		"holdover":   {&wire.Status{Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_HOLDOVER)}, []string{"holdover"}},
		"converging": {&wire.Status{Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_CONVERGING)}, []string{"converging"}},
		"assumed": {
			&wire.Status{Device: "exo1", Role: "exo", Clock: &wire.ClockStatus{State: wire.ClockState_CLOCK_STATE_ASSUMED, BoundNs: 2e6}},
			[]string{"assumed", "± 2 ms"},
		},
		"an older agent": {&wire.Status{Device: "exo1", Role: "exo"}, []string{"unknown"}},
		"two of one name": {
			&wire.Status{
				Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_LOCKED),
				Error: "another agent runs under the name exo1 in cell cell-1, on other since …: give one of them another name",
			},
			[]string{"plant/cell-1/exo1: another agent runs under the name exo1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStatusHub(t, true)
			h.report(c.status)
			h.report(&wire.Status{Device: "exo2", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_LOCKED)})
			code, out, errs := h.status()
			if code != exitUnsure || errs != "" {
				t.Errorf("exit %d, %s", code, errs)
			}
			for _, want := range append(c.want, "1 of 2 devices are not synchronized: exo1\n", "next: tandem sync status --watch\n") {
				if !strings.Contains(out, want) {
					t.Errorf("no %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestSyncStatusOfDevicesThatAreSilent(t *testing.T) {
	s := &wire.Status{Role: "exo", State: wire.DeviceState_DEVICE_STATE_RUNNING, EveryNs: 5e9, Clock: clockOf(wire.ClockState_CLOCK_STATE_LOCKED)}
	for age, want := range map[time.Duration]string{0: "locked", 15 * time.Second: "locked", 17 * time.Second: stateSilent, 50 * time.Hour: stateSilent} {
		d := newStatusDevice(bus.Subject{Site: "plant", Cell: "cell-1", Device: "exo1"}, s, age)
		if d.State != want || d.good() != (want == "locked") {
			t.Errorf("after %v: %+v", age, d)
		}
		var out bytes.Buffer
		r := &statusReport{Devices: []statusDevice{d}}
		r.judge()
		if err := r.print(&out, false); err != nil {
			t.Fatal(err)
		}
		if age > time.Hour && (!strings.Contains(out.String(), "50h0m0s") || !strings.Contains(out.String(), "exo1: nothing was heard for 50h0m0s")) {
			t.Errorf("%s", out.String())
		}
	}
}

func TestSyncStatusWithoutASite(t *testing.T) {
	h := newStatusHub(t, true)
	if code, out, _ := h.status(); code != exitUnsure || !strings.Contains(out, "no device has reported\nnext: tandem agent") {
		t.Errorf("exit %d, %s", code, out)
	}
	h.raw("tandem.v1.plant.cell-1.exo1.status", []byte("what is this"))
	if code, out, _ := h.status(); code != exitUnsure || !strings.Contains(out, "unreadable") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, _ := h.status("--site", "other"); code != exitUnsure || !strings.Contains(out, "no device of site other has reported") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, _, errs := h.status("--site", "Other"); code != exitUsage || !strings.Contains(errs, "--site") {
		t.Errorf("exit %d, %s", code, errs)
	}
	bare := newStatusHub(t, false)
	if code, _, errs := bare.status(); code != exitFailed || !strings.Contains(errs, "has no stream STATUS") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit %d, %s", code, errs)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"sync", "status", "--nats", "nats://127.0.0.1:1"}, &out, &errs)
	if code != exitFailed || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), "connect to NATS at nats://127.0.0.1:1") {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

// Two looks, then an interrupt.
func TestSyncStatusWatches(t *testing.T) {
	h := newStatusHub(t, true)
	h.report(&wire.Status{Device: "exo1", Role: "exo", Clock: clockOf(wire.ClockState_CLOCK_STATE_LOCKED)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"sync", "status", "--nats", h.server.URL(), "--watch", "--json"}, in, io.Discard)
		_ = in.Close()
	}()
	looks := json.NewDecoder(out)
	for range 2 {
		var r statusReport
		if err := looks.Decode(&r); err != nil || !r.OK {
			t.Fatalf("%v, %+v", err, r)
		}
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if got := <-code; got != exitOK {
		t.Errorf("exit %d", got)
	}
}
