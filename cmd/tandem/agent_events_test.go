package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/runtime/model/modeltest"
	"tandem/tas"
)

// TestAgentLeavesEvents: what the hub has of a device's segments stands in the file, once, also when an earlier run has left events in
// both, and eval --online reads it.
func TestAgentLeavesEvents(t *testing.T) {
	hub, stop := startHub(t, "--store", filepath.Join(t.TempDir(), "hub"), "--listen", "127.0.0.1:0", "--max-store", "1GiB")
	defer stop()
	dir := t.TempDir()
	video, path := writeVideo(t, filepath.Join(dir, "a.mp4"), 8), filepath.Join(dir, "events.jsonl")
	record := func(takes ...string) []tas.Event {
		t.Helper()
		var list []string
		for _, name := range takes {
			list = append(list, fmt.Sprintf("{name: %s, source: %s}", name, video))
		}
		if code, _, stderr := runAgent(t.Context(), "--config", agentFile(t, hub, "", list...), "--events", path); code != exitOK {
			t.Fatalf("exit %d, %s", code, stderr)
		}
		events, err := tas.ReadEvents(path)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	covered := func(events []tas.Event) map[string]uint64 {
		n := map[string]uint64{}
		for _, e := range events {
			if e.Device != "exo1" || e.Release != "r1" || e.Decided == 0 {
				t.Errorf("event %+v", e)
			}
			if e.Kind == tas.EventCommitted {
				n[e.Take] += e.LastSeq - e.FirstSeq + 1
			}
		}
		return n
	}
	if n := covered(record("t1", "t2")); len(n) != 2 || n["t1"] != 8 || n["t2"] != 8 {
		t.Errorf("committed samples %v, want 8 of each of two takes", n)
	}
	if n := covered(record("t3")); len(n) != 3 || n["t1"] != 8 || n["t2"] != 8 || n["t3"] != 8 {
		t.Errorf("committed samples %v, want 8 of each of three takes", n)
	}
	putText(t, dir, "gt/t3.txt", strings.Repeat(modeltest.Labels()[1]+"\n", 8))
	stdout, _ := succeed(t, "eval", "--online", path, "--gt", filepath.Join(dir, "gt"), "--fps", "10")
	if !strings.Contains(stdout, "committed") || !strings.Contains(stdout, "confirmed") {
		t.Errorf("got %s", stdout)
	}
}

func TestAgentEventsThatCantBeWritten(t *testing.T) {
	video := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), 5)
	config := agentFile(t, nowhere, "", fmt.Sprintf("{name: t1, source: %s}", video))
	code, _, stderr := runAgent(t.Context(), "--config", config, "--events", filepath.Join(t.TempDir(), "no", "events.jsonl"))
	if code != exitFailed || !strings.Contains(stderr, "tandem: --events: open ") || !strings.Contains(stderr, "no such file or directory") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if code, _, stderr = runAgent(t.Context(), "--config", config, "--events", path, "--log-level", "error"); code != exitFailed ||
		!strings.Contains(stderr, "--events: connect to NATS at "+nowhere) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 0 {
		t.Errorf("%v, %v", info, err)
	}
}
