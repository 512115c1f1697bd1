package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"tandem/agent"
	"tandem/stream/bus"
	"tandem/stream/capture"
)

// agentFlags are the flags of tandem agent.
type agentFlags struct {
	config    string
	events    string
	check     bool
	json      bool
	logLevel  string
	logFormat string
}

func newAgent() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent --config FILE",
		Short: "Run a device: a fixed camera that teaches, or a rig that learns",
		Long: `Run the agent of one device, or of the several cameras of one machine, until it is interrupted or its recordings have ended.

In the role exo, a fixed camera publishes the teacher's features and scores. In the role ego, a rig recognizes segments,
pairs its samples with those of the cell's fixed cameras and uploads the pairs. Both run the release that the trainer
assigns and change to the next one between two frames. deploy/agent.example.yaml is a configuration to start from,
deploy/agent-cameras.example.yaml one of several cameras;
docs/agent.md explains its fields and what is counted.`,
		Example: `  tandem agent --config agent.yaml --check
  tandem agent --config agent.yaml
  tandem agent --config agent.yaml --events events.jsonl
  tandem agent --config agent.yaml --log-format json --log-level warn`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration file (YAML, required)")
	fl.BoolVar(&f.check, "check", false, "check the configuration, its bundle and its recordings, say what would be done, and end")
	fl.BoolVar(&f.json, "json", false, "report as JSON")
	fl.StringVar(&f.events, "events", "", "append the segments that the hub gets of this device to a file, for tandem eval --online")
	fl.StringVar(&f.logLevel, "log-level", "info", "least level that is logged: debug, info, warn or error")
	fl.StringVar(&f.logFormat, "log-format", "text", "text or json")
	return cmd
}

func (f *agentFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.config == "" {
		return usagef("--config is missing; deploy/agent.example.yaml is a start")
	}
	bars := newStageBars(stderr)
	defer bars.wait()
	log, err := newLogger(bars.lines(stderr), f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	cfg, err := agent.LoadConfig(f.config)
	if err != nil {
		return usageError{err}
	}
	sources, err := plannedSources(&cfg, time.Now())
	if err != nil {
		return usageError{err}
	}
	if f.check {
		return f.runCheck(ctx, stdout, cfg, sources)
	}
	if onlyThroughput(sources) {
		if err := agent.AsBatch(true); err != nil {
			log.Warn("the recordings are played as ordinary work, which is slower", "error", err)
		}
	}
	reports := newAgentReports(&cfg, sources, bars)
	group, err := agent.NewGroup(cfg, log, func(device string) agent.Options {
		return agent.Options{Log: log, TakeDone: func(s agent.Source, err error) { reports.took(ctx, device, s, err) }}
	})
	if err != nil {
		return usageError{err}
	}
	var events *recorder
	if f.events != "" {
		if events, err = recordEvents(ctx, cfg, f.events, log); err != nil {
			return err
		}
	}
	lists := make([]<-chan agent.Source, len(sources))
	for i, of := range sources {
		list := make(chan agent.Source, len(of))
		for _, s := range of {
			list <- s
		}
		close(list)
		lists[i] = list
	}
	err = group.Run(ctx, lists)
	if events != nil {
		err = errors.Join(err, events.finish(ctx))
	}
	if reports.done == 0 && err != nil {
		return err // nothing has been done that could be reported
	}
	for i, a := range group.Agents() {
		reports.list[i].Release, reports.list[i].Counters = a.Release(), a.Counters()
	}
	if e := reports.print(stdout, f.json); err == nil {
		err = e
	}
	return err
}

// plannedSources are what each device has to play. Errors about one of several name it.
func plannedSources(cfg *agent.Config, now time.Time) ([][]agent.Source, error) {
	devices := cfg.Devices()
	list := make([][]agent.Source, len(devices))
	for i := range devices {
		var err error
		if list[i], err = devices[i].Sources(now); err != nil {
			if len(devices) > 1 {
				err = fmt.Errorf("device %s: %w", devices[i].Device, err)
			}
			return nil, err
		}
	}
	return list, nil
}

// onlyThroughput reports whether all there is to play are recordings, as fast as can be.
func onlyThroughput(sources [][]agent.Source) bool {
	for _, of := range sources {
		for _, s := range of {
			kind, err := capture.KindOf(s.Capture.Source)
			if err != nil || kind.Live() || s.Capture.Pace != capture.AsFast {
				return false
			}
		}
	}
	return true
}

// interrupted reports whether an error is only that ctx has ended.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// newLogger makes the logger that the flags ask for.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %s: expected debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usagef("--log-format %s: expected text or json", format)
}

// agentReports are what the devices of an agent have done.
type agentReports struct {
	bars *stageBars // of recordings; nil without any
	all  int        // takes

	mu   sync.Mutex
	list []agentReport
	done int // takes
}

func newAgentReports(cfg *agent.Config, sources [][]agent.Source, bars *stageBars) *agentReports {
	r := &agentReports{}
	for i, d := range cfg.Devices() {
		r.list = append(r.list, agentReport{Device: d.Device, Role: d.Role, Takes: []agentTake{}, hub: hubAddress(d.NATS.URLs[0])})
		r.all += len(sources[i])
		if len(d.Camera.Takes) > 0 {
			r.bars = bars
		}
	}
	r.show("")
	return r
}

func (r *agentReports) show(take string) {
	if r.bars != nil {
		r.bars.report("takes", r.done, r.all, take)
	}
}

// took is told of a take that has ended.
func (r *agentReports) took(ctx context.Context, device string, s agent.Source, err error) {
	t := agentTake{Take: s.Take}
	if err != nil && !interrupted(ctx, err) {
		t.Error = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.list {
		if x := &r.list[i]; x.Device == device {
			x.Takes = append(x.Takes, t)
		}
	}
	r.done++
	r.show(s.Take)
}

func (r *agentReports) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printDevices(w, r.list)
	}
	for i := range r.list {
		r.list[i].tell(w)
	}
	last := &r.list[len(r.list)-1]
	stream := bus.StreamTeacher
	if last.Role == agent.RoleEgo {
		stream = bus.StreamPairs
	}
	_, err := fmt.Fprintf(w, "next: nats -s %s stream subjects %s\n", last.hub, stream)
	return err
}

// printDevices prints what there is of one device, or the list of several.
func printDevices[T any](w io.Writer, list []T) error {
	if len(list) == 1 {
		return printJSON(w, list[0])
	}
	return printJSON(w, struct {
		Devices []T `json:"devices"`
	}{list})
}

// agentReport is what a device has done.
type agentReport struct {
	Device   string            `json:"device"`
	Role     string            `json:"role"`
	Release  string            `json:"release"` // that ran last
	Takes    []agentTake       `json:"takes"`
	Counters map[string]uint64 `json:"counters"`

	hub string
}

type agentTake struct {
	Take  string `json:"take"`
	Error string `json:"error,omitempty"`
}

func (r *agentReport) tell(w io.Writer) {
	c := r.Counters
	what := fmt.Sprintf("%d batches of the teacher's stream", c["teacher_batches"])
	if r.Role == agent.RoleEgo {
		what = fmt.Sprintf("%d segments and %d batches of pairs (%d gold, %d silver, %d bronze)", c["segments_committed"],
			c["pair_batches"], c["pairs_gold"], c["pairs_silver"], c["pairs_bronze"])
	}
	var lost uint64
	for name, n := range c {
		if strings.HasPrefix(name, "dropped_") {
			lost += n
		}
	}
	failed := 0
	for _, t := range r.Takes {
		if t.Error != "" {
			failed++
		}
	}
	fmt.Fprintf(w, "%s: takes %d, failed %d; %d samples of %d frames, %s; %d losses are counted in the status\n",
		r.Device, len(r.Takes), failed, c["samples"], c["frames"], what, lost)
}

// hubAddress is a server's URL without user and password.
func hubAddress(text string) string {
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "HUB"
	}
	u.User = nil
	return u.String()
}
