package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/runtime/model/modeltest"
)

func TestAgentOfSeveralCameras(t *testing.T) {
	hub, stop := startHub(t, "--store", filepath.Join(t.TempDir(), "hub"), "--listen", "127.0.0.1:0", "--max-store", "1GiB")
	defer stop()
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 8)
	text := fmt.Sprintf("site: plant\ncell: cell-1\nrole: exo\nstore: %s\nnats: {urls: ['%s']}\nbundle: {dir: %s}\ncameras:\n",
		t.TempDir(), hub, modeltest.New(t, modeltest.Options{Release: "r1"}).Path)
	for i := range 3 {
		text += fmt.Sprintf("  - device: exo%d\n    camera: {pace: fast, takes: [{name: t1, source: %s}]}\n", i+1, video)
	}
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runAgent(t.Context(), "--config", path, "--check")
	if code != exitOK || strings.Count(stdout, " is valid: fixed camera (exo) exo") != 3 || strings.Count(stdout, "next: ") != 1 {
		t.Errorf("--check: exit %d\n%s%s", code, stdout, stderr)
	}
	events := filepath.Join(t.TempDir(), "events.jsonl")
	code, stdout, stderr = runAgent(t.Context(), "--config", path, "--json", "--events", events, "--log-level", "warn")
	var r struct {
		Devices []agentReport
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || len(r.Devices) != 3 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for i, d := range r.Devices {
		if d.Device != fmt.Sprintf("exo%d", i+1) || d.Release != "r1" || len(d.Takes) != 1 || d.Counters["samples"] != 8 {
			t.Errorf("%+v", d)
		}
	}
	got, err := os.ReadFile(events)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if !strings.Contains(string(got), fmt.Sprintf("exo%d", i+1)) {
			t.Errorf("no events of exo%d:\n%s", i+1, got)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, video, "no.mp4", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = runAgent(t.Context(), "--config", path)
	if code != exitUsage || !strings.Contains(stderr, "device exo1: configuration: camera.takes[0].source: source no.mp4: file does not exist") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}
