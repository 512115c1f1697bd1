package edgebench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"tandem/stream/bus"
)

// Agent is what an ego agent takes that runs in a process of its own, beside a hub and the agent of a fixed camera, on the
// recordings of a take: segments, pairs and all.
type Agent struct {
	Memory
	Samples     uint64  `json:"samples"`
	PairBatches uint64  `json:"pair_batches"`
	Seconds     float64 `json:"seconds"`
}

// agent measures the memory of an ego agent.
func (in *inputs) agent(ctx context.Context, r *Report) (err error) {
	if in.c.Tandem == "" {
		return nil
	}
	in.c.progress("agent", 0, 1)
	hub, err := bus.StartServer(ctx, bus.ServerConfig{Name: "bench", StoreDir: filepath.Join(in.dir, "hub"), Listen: "127.0.0.1:0", Logger: in.c.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hub.Close()) }()
	exo := in.video.exo
	if exo == "" {
		exo = in.video.path // it pairs with itself: as much work as another view
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fixed, err := in.start(ctx, hub.URL(), "exo", exo)
	if err != nil {
		return err
	}
	rig, err := in.start(ctx, hub.URL(), "ego", in.video.path)
	if err != nil {
		cancel()
		return errors.Join(err, fixed.wait())
	}
	began := time.Now()
	a := &Agent{}
	if a.Memory, err = rig.watch(); err != nil {
		cancel()
	}
	if err = errors.Join(err, fixed.wait()); err != nil {
		return err
	}
	a.Seconds = time.Since(began).Seconds()
	var said struct{ Counters map[string]uint64 }
	if err := json.Unmarshal(rig.out.Bytes(), &said); err != nil {
		return fmt.Errorf("what the agent reports: %w", err)
	}
	a.Samples, a.PairBatches = said.Counters["samples"], said.Counters["pair_batches"]
	r.Agent = a
	in.c.progress("agent", 1, 1)
	return nil
}

// process is an agent at work.
type process struct {
	role string
	cmd  *exec.Cmd
	out  bytes.Buffer
	errs bytes.Buffer
}

// start starts the agent of a device that plays one recording as fast as it can.
func (in *inputs) start(ctx context.Context, hub, role, video string) (*process, error) {
	cfg := map[string]any{
		"site": "bench", "cell": "bench", "device": role, "role": role, "store": filepath.Join(in.dir, "store"),
		"nats":    map[string]any{"urls": []string{hub}},
		"camera":  map[string]any{"pace": "fast", "takes": []map[string]any{{"name": "take", "source": video}}},
		"bundle":  map[string]any{"dir": in.rel.dir.Path, "follow": false},
		"runtime": map[string]any{"threads": max(in.c.Threads, 1)},
	}
	if len(in.c.Providers) > 0 {
		cfg["runtime"] = map[string]any{"threads": max(in.c.Threads, 1), "providers": in.c.Providers}
	}
	if role == "ego" {
		cfg["pair"] = map[string]any{"exo": []string{"exo"}, "wait": "1m"}
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(in.dir, role+".yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	p := &process{role: role, cmd: exec.CommandContext(ctx, in.c.Tandem, "agent", "--config", path, "--json", "--log-level", "error")}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = 20 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start an agent: %w", err)
	}
	return p, nil
}

// memoryEvery is how often a process is looked at. The peak is the system's, so that only what it rose to in the last such
// while can be missed.
const memoryEvery = 20 * time.Millisecond

// watch looks at the process until it has ended.
func (p *process) watch() (Memory, error) {
	done := make(chan error, 1)
	go func() { done <- p.wait() }()
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	pid := strconv.Itoa(p.cmd.Process.Pid)
	var last Memory
	for {
		if m := memoryOf(pid); m.Peak > 0 {
			last = m
		}
		select {
		case err := <-done:
			return last, err
		case <-tick.C:
		}
	}
}

func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s agent: %w: %s", p.role, err, bytes.TrimSpace(p.errs.Bytes()))
	}
	return nil
}
