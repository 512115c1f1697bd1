package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/sync/clock"
)

// runDoctor runs the command with --json.
func runDoctor(t *testing.T, args ...string) (code int, r doctorReport, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"doctor", "--json"}, args...), &out, &errs)
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	checkFindings(t, r.Findings)
	return code, r, errs.String()
}

// checkFindings: whatever is not as it should be is said on one line, with what mends it.
func checkFindings(t *testing.T, list []finding) {
	t.Helper()
	for _, f := range list {
		if f.Area == "" || f.What == "" || f.Found == "" || strings.Contains(f.Found+f.Mend, "\n") ||
			!slices.Contains([]string{stateOK, stateWarn, stateMissing}, f.State) || f.State != stateOK && f.Mend == "" {
			t.Errorf("%+v", f)
		}
	}
}

func find(t *testing.T, list []finding, area, what string) finding {
	t.Helper()
	for _, f := range list {
		if f.Area == area && f.What == what {
			return f
		}
	}
	t.Fatalf("nothing about %s %s in %+v", area, what, list)
	return finding{}
}

// ntpServer answers NTP until the test ends.
func ntpServer(t *testing.T) string {
	t.Helper()
	r, err := clock.Listen(t.Context(), "127.0.0.1:0", nil, silent())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		_ = r.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r.Addr()
}

// natsServer runs a server of the hub's until the test ends.
func natsServer(t *testing.T, streams bool) string {
	t.Helper()
	s, err := bus.StartServer(t.Context(), bus.ServerConfig{StoreDir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 30, Logger: silent()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if streams {
		conn, err := bus.Connect(t.Context(), bus.Config{InProcess: s, Logger: silent()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := bus.EnsureStreams(t.Context(), conn.JetStream(), bus.StreamsConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	return s.URL()
}

func video(t *testing.T) string {
	t.Helper()
	return writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 5)
}

func take(source string) string { return fmt.Sprintf("{name: t1, source: '%s'}", source) }

func TestDoctorOfAMachineThatHasAllThatIsRequired(t *testing.T) {
	path := agentFile(t, natsServer(t, true), fmt.Sprintf("clock: {ntp: {servers: ['%s']}}\n", ntpServer(t)), take(video(t)))
	code, r, stderr := runDoctor(t, "--config", path)
	if code != exitOK || !r.OK || stderr != "" {
		t.Fatalf("exit %d, %s; %+v", code, stderr, r)
	}
	for _, want := range []struct{ area, what, found string }{
		{"config", "agent", "exo exo1 of cell cell-1 at plant"},
		{"disk", "store", "free (it will be made)"},
		{"opencv", "FFMPEG", "video files"},
		{"onnxruntime", "library", "ONNX Runtime " + ort.Version()},
		{"onnxruntime", "cpu", "runs a model"},
		{"onnxruntime", "bundle", "release r1 computes its golden outputs: extractor on cpu in "},
		{"hub", "NATS", "nats-server 2."},
		{"hub", "JetStream", "streams"},
		{"hub", "streams", "TEACHER, PAIRS, SEGMENTS, STATUS, OBJ_BUNDLES, KV_ASSIGNMENTS"},
	} {
		if f := find(t, r.Findings, want.area, want.what); f.State != stateOK || !strings.Contains(f.Found, want.found) {
			t.Errorf("%+v, want ok and %q", f, want.found)
		}
	}
	camera, ntp := false, false
	for _, f := range r.Findings {
		camera = camera || f.Area == "camera" && f.Required && strings.Contains(f.Found, "64x48, 10 fps") && f.State == stateOK
		ntp = ntp || f.Area == "clock" && strings.HasPrefix(f.What, "ntp 127.0.0.1:") && f.State == stateOK && strings.Contains(f.Found, "to within")
	}
	if !camera || !ntp {
		t.Errorf("camera %v, NTP %v: %+v", camera, ntp, r.Findings)
	}
}

func TestDoctorSaysWhatIsMissing(t *testing.T) {
	t.Run("hub", func(t *testing.T) {
		code, r, stderr := runDoctor(t, "--config", agentFile(t, nowhere, "", take(video(t))))
		f := find(t, r.Findings, "hub", "NATS")
		if code != exitFailed || r.OK || f.State != stateMissing || !f.Required || !strings.Contains(f.Mend, "tandem hub --store") ||
			!strings.Contains(f.Mend, "nc -vz 127.0.0.1 1") || !strings.Contains(stderr, "something that is required is missing: hub: NATS\n") {
			t.Errorf("exit %d, %s; %+v", code, stderr, f)
		}
	})
	t.Run("streams", func(t *testing.T) {
		code, r, _ := runDoctor(t, "--config", agentFile(t, natsServer(t, false), "", take(video(t))))
		f := find(t, r.Findings, "hub", "streams")
		if code != exitOK || f.State != stateWarn || !strings.Contains(f.Found, "not there: TEACHER, PAIRS") || !strings.Contains(f.Mend, "tandem hub init --url nats://") {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	t.Run("configuration", func(t *testing.T) {
		path := agentFile(t, nowhere, "colour: red\n", take("a"))
		code, r, _ := runDoctor(t, "--config", path)
		f := find(t, r.Findings, "config", "agent")
		if code != exitFailed || f.State != stateMissing || !strings.Contains(f.Found, `line 12: unknown field "colour"`) {
			t.Errorf("exit %d, %+v", code, f)
		}
		find(t, r.Findings, "onnxruntime", "cpu") // the machine is looked at all the same
		code, r, _ = runDoctor(t, "--config", path+".not")
		if f := find(t, r.Findings, "config", "agent"); code != exitFailed || !strings.Contains(f.Mend, "agent.example.yaml") {
			t.Errorf("no file: exit %d, %+v", code, f)
		}
	})
	t.Run("recording and time", func(t *testing.T) {
		quiet, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer quiet.Close() //nolint:errcheck // of a test
		server := quiet.LocalAddr().String()
		path := agentFile(t, natsServer(t, true), fmt.Sprintf("clock: {ntp: {servers: ['%s'], timeout: 50ms}}\n", server), take("no.mp4"))
		code, r, stderr := runDoctor(t, "--config", path, "--timeout", "2s")
		if f := find(t, r.Findings, "clock", "ntp "+server); f.State != stateMissing || !f.Required || !strings.Contains(f.Mend, "--ntp :123") {
			t.Errorf("%+v", f)
		}
		if f := find(t, r.Findings, "camera", "no.mp4"); f.State != stateMissing || !strings.Contains(f.Found, "file does not exist") {
			t.Errorf("%+v", f)
		}
		if code != exitFailed || !strings.Contains(stderr, "camera: no.mp4, clock: ntp "+server) {
			t.Errorf("exit %d, %s", code, stderr)
		}
	})
	t.Run("provider", func(t *testing.T) {
		if ort.Available(ort.XNNPACK, nil) == nil {
			t.Skip("this ONNX Runtime has XNNPACK")
		}
		hub := natsServer(t, true)
		code, r, _ := runDoctor(t, "--config", agentFile(t, hub, "runtime: {providers: [xnnpack, cpu]}\n", take(video(t))))
		f, b := find(t, r.Findings, "onnxruntime", "xnnpack"), find(t, r.Findings, "onnxruntime", "bundle")
		if code != exitOK || f.State != stateWarn || !strings.Contains(f.Found, "goes on to the next of xnnpack, cpu") ||
			b.State != stateWarn || !strings.Contains(b.Found, "extractor not on xnnpack but on cpu") {
			t.Errorf("exit %d, %+v, %+v", code, f, b)
		}
		code, r, _ = runDoctor(t, "--config", agentFile(t, hub, "runtime: {providers: [xnnpack, cpu], require: true}\n", take(video(t))))
		f, b = find(t, r.Findings, "onnxruntime", "xnnpack"), find(t, r.Findings, "onnxruntime", "bundle")
		if code != exitFailed || f.State != stateMissing || !f.Required || b.State != stateMissing {
			t.Errorf("required: exit %d, %+v, %+v", code, f, b)
		}
	})
}

// TestDoctorChangesNothing: no directory is made, no stream, no cache.
func TestDoctorChangesNothing(t *testing.T) {
	store := filepath.Join(t.TempDir(), "deep", "store")
	hub := natsServer(t, false)
	path := agentFile(t, hub, "", take(video(t)))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "store: ") {
			lines[i] = "store: " + store
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runDoctor(t, "--config", path); code != exitOK {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Dir(store)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store's parent: %v", err)
	}
	if got := hubStreams(t, bus.Config{URLs: []string{hub}}); len(got) != 0 {
		t.Errorf("streams %v were made", got)
	}
}

// TestDoctorNeverHangs: a camera that accepts and never answers, and a look that doesn't heed its context.
func TestDoctorNeverHangs(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // of a test
	path := agentFile(t, natsServer(t, true), "", take(video(t)))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "camera:")
	head += fmt.Sprintf("camera: {source: 'rtsp://me:secret@%s/x', clock_bound: 5ms}\n", l.Addr())
	if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	code, r, stderr := runDoctor(t, "--config", path, "--timeout", "700ms")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	found := false
	for _, f := range r.Findings {
		if strings.Contains(f.Found+f.Mend+f.What, "secret") {
			t.Errorf("a password is shown: %+v", f)
		}
		found = found || f.Area == "camera" && f.Required && f.State == stateMissing
	}
	if code != exitFailed || !found {
		t.Errorf("exit %d, %s, %+v", code, stderr, r.Findings)
	}

	d := doctor{timeout: 50 * time.Millisecond}
	stuck := make(chan struct{})
	defer close(stuck)
	list := d.examine(t.Context(), []look{
		{area: "stuck", required: true, run: func(context.Context) []finding { <-stuck; return nil }},
		{area: "quick", run: func(context.Context) []finding {
			return []finding{{Area: "quick", What: "x", State: stateOK, Found: "y"}}
		}},
	})
	if len(list) != 2 || list[0].State != stateMissing || !list[0].Required || list[0].Found != "none within 50ms" || list[1].Area != "quick" {
		t.Errorf("%+v", list)
	}
}
