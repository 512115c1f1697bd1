package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"tandem/runtime/model/modeltest"
)

// writeVideo writes a video of n grey frames at 10 fps.
func writeVideo(t *testing.T, path string, n int) string {
	t.Helper()
	w, err := gocv.VideoWriterFileWithAPI(path, gocv.VideoCaptureFFmpeg, "mp4v", 10, 64, 48, true)
	if err != nil || !w.IsOpened() {
		t.Fatalf("write %s: %v", path, err)
	}
	for i := range n {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(float64(20*i), 90, 50, 0), 48, 64, gocv.MatTypeCV8UC3)
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// agentFile writes a configuration of an exo camera with a bundle of its own; takes are lines of camera.takes.
func agentFile(t *testing.T, hub string, more string, takes ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	text := fmt.Sprintf("site: plant\ncell: cell-1\ndevice: exo1\nrole: exo\nstore: %s\nnats: {urls: ['%s']}\nbundle: {dir: %s}\ncamera:\n  pace: fast\n  takes:\n",
		t.TempDir(), hub, modeltest.New(t, modeltest.Options{Release: "r1"}).Path)
	for _, take := range takes {
		text += "    - " + take + "\n"
	}
	if err := os.WriteFile(path, []byte(text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runAgent runs the command and returns its exit status and what it printed.
func runAgent(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"agent"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

const nowhere = "nats://127.0.0.1:1"

func TestAgentRefusesWrongUse(t *testing.T) {
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 5)
	good := agentFile(t, nowhere, "", fmt.Sprintf("{name: t1, source: %s}", video))
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no config":    {nil, "--config is missing; deploy/agent.example.yaml is a start"},
		"no such file": {[]string{"--config", "no.yaml"}, "no.yaml: no such file or directory"},
		"bad field":    {[]string{"--config", agentFile(t, nowhere, "colour: red\n", "{name: t1, source: a}")}, `line 12: unknown field "colour"`},
		"no video":     {[]string{"--config", agentFile(t, nowhere, "", "{name: t1, source: no.mp4}")}, "camera.takes[0].source: source no.mp4: file does not exist"},
		"log level":    {[]string{"--config", good, "--log-level", "loud"}, "--log-level loud: expected debug, info, warn or error"},
		"log format":   {[]string{"--config", good, "--log-format", "xml"}, "--log-format xml: expected text or json"},
		"argument":     {[]string{"--config", good, "now"}, `unexpected argument "now"`},
	} {
		code, stdout, stderr := runAgent(t.Context(), c.args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != exitUsage || !strings.Contains(lines[0], c.want) || len(lines) != 2 || stdout != "" {
			t.Errorf("%s: exit %d\n%s%s\nwant exit %d and %q", name, code, stdout, stderr, exitUsage, c.want)
		}
	}
}

func TestAgentCheckSaysWhatItWouldDo(t *testing.T) {
	dir := t.TempDir()
	video := writeVideo(t, filepath.Join(dir, "a.mp4"), 5)
	take := fmt.Sprintf("{name: t1, source: %s}", video)
	path := agentFile(t, "nats://me:secret@127.0.0.1:1", "", take)
	code, stdout, stderr := runAgent(t.Context(), "--config", path, "--check")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	for _, want := range []string{
		path + " is valid: fixed camera (exo) exo1 of cell cell-1 at plant\n", "hub     nats://127.0.0.1:1 (not tried)\n",
		"release r1: 10 Hz, ", "4 labels, runs on cpu; then those that the trainer assigns\n",
		"take    t1: " + video + ", 64x48, 10 fps, 5 frames, stamps: driver\n", "next: tandem agent --config " + path + "\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "secret") {
		t.Errorf("a password is shown:\n%s", stdout)
	}

	broken := filepath.Join(dir, "broken.mp4")
	if err := os.WriteFile(broken, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	path = agentFile(t, nowhere, "", take, fmt.Sprintf("{name: t2, source: %s}", broken))
	code, stdout, stderr = runAgent(t.Context(), "--config", path, "--check", "--json")
	var plan struct {
		Takes []struct {
			Error string
			Info  *struct{ Frames int }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
		t.Fatal(err)
	}
	if code != exitUsage || !strings.Contains(stderr, "1 of 2 recordings can't be played") || len(plan.Takes) != 2 ||
		plan.Takes[0].Info == nil || plan.Takes[0].Info.Frames != 5 || !strings.Contains(plan.Takes[1].Error, "broken.mp4") {
		t.Errorf("exit %d, %s%s", code, stderr, stdout)
	}
	if err := os.RemoveAll(filepath.Join(dir, "broken.mp4")); err != nil {
		t.Fatal(err)
	}

	path = agentFile(t, nowhere, "", take)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte("bundle: {dir: "), []byte("bundle: {dir: /no"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr = runAgent(t.Context(), "--config", path, "--check"); code != exitUsage || !strings.Contains(stderr, "bundle.dir: bundle /no") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestAgentRunsToTheEndOfItsRecordings(t *testing.T) {
	hub, stop := startHub(t, "--store", filepath.Join(t.TempDir(), "hub"), "--listen", "127.0.0.1:0", "--max-store", "1GiB")
	defer stop()
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 8)
	take := func(name string) string { return fmt.Sprintf("{name: %s, source: %s}", name, video) }
	code, stdout, stderr := runAgent(t.Context(), "--config", agentFile(t, hub, "", take("t1"), take("t2")), "--log-format", "json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitOK || len(lines) != 2 || lines[0] != "exo1: takes 2, failed 0; 16 samples of 16 frames, 2 batches of the teacher's stream; 0 losses are counted in the status" ||
		lines[1] != "next: nats -s "+hub+" stream subjects TEACHER" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if !strings.Contains(stderr, `"msg":"take ends"`) {
		t.Errorf("no log in JSON:\n%s", stderr)
	}

	broken := filepath.Join(t.TempDir(), "broken.mp4")
	if err := os.WriteFile(broken, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := agentFile(t, hub, "", fmt.Sprintf("{name: t3, source: %s}", broken), take("t4"))
	code, stdout, stderr = runAgent(t.Context(), "--config", path, "--json", "--log-level", "error")
	var r agentReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if code != exitFailed || r.Release != "r1" || len(r.Takes) != 2 || r.Takes[0].Error == "" || r.Takes[1].Error != "" || r.Counters["samples"] != 8 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	errs := strings.Split(strings.TrimSpace(stderr), "\n")
	if last := errs[len(errs)-1]; !strings.HasPrefix(last, "tandem: take t3: ") || !strings.Contains(last, "broken.mp4") {
		t.Errorf("the last line is %q", last)
	}
}

func TestAgentWithoutAHub(t *testing.T) {
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 5)
	code, stdout, stderr := runAgent(t.Context(), "--config", agentFile(t, nowhere, "", fmt.Sprintf("{name: t1, source: %s}", video)), "--log-level", "error")
	if code != exitFailed || stdout != "" || !strings.HasPrefix(stderr, "tandem: connect to NATS at "+nowhere) || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestAgentIsInterrupted(t *testing.T) {
	hub, stop := startHub(t, "--store", filepath.Join(t.TempDir(), "hub"), "--listen", "127.0.0.1:0", "--max-store", "1GiB")
	defer stop()
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 200)
	path := agentFile(t, hub, "", fmt.Sprintf("{name: t1, source: %s}", video))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte("pace: fast"), []byte("pace: stamps"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	code, stdout, stderr := runAgent(ctx, "--config", path)
	if code != exitOK || !strings.Contains(stdout, "exo1: takes 1, failed 0; ") || !strings.Contains(stdout, "next: nats -s ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}
