package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/agent"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/sync/clock"
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
		Long: `Run the agent of one device until it is interrupted, or until its recordings have ended.

In the role exo, a fixed camera publishes the teacher's features and scores. In the role ego, a rig recognizes segments,
pairs its samples with those of the cell's fixed cameras and uploads the pairs. Both run the release that the trainer
assigns and change to the next one between two frames. deploy/agent.example.yaml is a configuration to start from;
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
	sources, err := cfg.Sources(time.Now())
	if err != nil {
		return usageError{err}
	}
	if f.check {
		return f.runCheck(ctx, stdout, cfg, sources)
	}
	report := agentReport{Device: cfg.Device, Role: cfg.Role, Takes: []agentTake{}, cfg: &cfg}
	show := func(done int, take string) {
		if len(cfg.Camera.Takes) > 0 {
			bars.report("takes", done, len(sources), take)
		}
	}
	show(0, "")
	a, err := agent.New(cfg, agent.Options{Log: log, TakeDone: func(s agent.Source, err error) {
		t := agentTake{Take: s.Take}
		if err != nil && !interrupted(ctx, err) {
			t.Error = err.Error()
		}
		report.Takes = append(report.Takes, t)
		show(len(report.Takes), s.Take)
	}})
	if err != nil {
		return usageError{err}
	}
	var events *recorder
	if f.events != "" {
		if events, err = recordEvents(ctx, cfg, f.events, log); err != nil {
			return err
		}
	}
	list := make(chan agent.Source, len(sources))
	for _, s := range sources {
		list <- s
	}
	close(list)
	err = a.Run(ctx, list)
	if events != nil {
		err = errors.Join(err, events.finish(ctx))
	}
	report.Release, report.Counters = a.Release(), a.Counters()
	if len(report.Takes) == 0 && err != nil {
		return err // nothing has been done that could be reported
	}
	if e := report.print(stdout, f.json); err == nil {
		err = e
	}
	return err
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

// agentReport is what an agent has done.
type agentReport struct {
	Device   string            `json:"device"`
	Role     string            `json:"role"`
	Release  string            `json:"release"` // that ran last
	Takes    []agentTake       `json:"takes"`
	Counters map[string]uint64 `json:"counters"`

	cfg *agent.Config
}

type agentTake struct {
	Take  string `json:"take"`
	Error string `json:"error,omitempty"`
}

func (r *agentReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	c := r.Counters
	what := fmt.Sprintf("%d batches of the teacher's stream", c["teacher_batches"])
	stream := bus.StreamTeacher
	if r.Role == agent.RoleEgo {
		stream = bus.StreamPairs
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
	_, err := fmt.Fprintf(w, "next: nats -s %s stream subjects %s\n", hubAddress(r.cfg.NATS.URLs[0]), stream)
	return err
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

// agentPlan is what an agent would do.
type agentPlan struct {
	Config  string      `json:"config"`
	Site    string      `json:"site"`
	Cell    string      `json:"cell"`
	Device  string      `json:"device"`
	Role    string      `json:"role"`
	Hub     []string    `json:"hub"`
	Store   string      `json:"store"`
	Bundle  *planBundle `json:"bundle,omitempty"`
	Follows bool        `json:"follows"` // assigned releases
	Clock   string      `json:"clock"`   // where site time comes from
	Exo     []string    `json:"exo,omitempty"`
	Takes   []planTake  `json:"takes"`

	maxDt, wait time.Duration
}

type planBundle struct {
	Release  string  `json:"release"`
	RateHz   float64 `json:"rate_hz"`
	Features int     `json:"features"`
	Labels   int     `json:"labels"`
	Provider string  `json:"provider"`
	// Selection is what each of its models runs on, how fast, and why it isn't what was asked for first.
	Selection *model.Selection `json:"selection"`
}

type planTake struct {
	Take   string        `json:"take"`
	Source string        `json:"source"`
	Live   bool          `json:"live"`
	Info   *capture.Info `json:"info,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// runCheck looks at everything that can be looked at without a hub and without taking a camera.
func (f *agentFlags) runCheck(ctx context.Context, stdout io.Writer, cfg agent.Config, sources []agent.Source) error {
	p := agentPlan{
		Config: f.config, Site: cfg.Site, Cell: cfg.Cell, Device: cfg.Device, Role: cfg.Role, Takes: []planTake{},
		Store: filepath.Join(cfg.Store, cfg.Device), Follows: cfg.Bundle.Follow == nil || *cfg.Bundle.Follow,
		Exo: cfg.Pair.Exo, maxDt: cfg.Pair.MaxDt, wait: cfg.Pair.Wait, Clock: plannedClock(&cfg, sources),
	}
	for _, u := range cfg.NATS.URLs {
		p.Hub = append(p.Hub, hubAddress(u))
	}
	if cfg.Bundle.Dir != "" {
		var err error
		if p.Bundle, err = openPlanned(cfg); err != nil {
			return usagef("%s: bundle.dir: %w", f.config, err)
		}
	}
	broken := 0
	for _, s := range sources {
		t := planTake{Take: s.Take, Source: s.Capture.Source}
		kind, err := capture.KindOf(t.Source)
		if t.Live = err == nil && kind.Live(); !t.Live {
			s.Capture.Log = slog.New(slog.DiscardHandler) // what it would warn of is in the report
			info, err := capture.Probe(ctx, s.Capture)
			if err != nil {
				broken++
				t.Error = err.Error()
			} else {
				t.Info = &info
			}
		}
		p.Takes = append(p.Takes, t)
	}
	if err := p.print(stdout, f.json); err != nil {
		return err
	}
	if broken > 0 {
		return usagef("%s: %d of %d recordings can't be played", f.config, broken, len(sources))
	}
	return nil
}

// plannedClock says where the site's time will come from.
func plannedClock(cfg *agent.Config, sources []agent.Source) string {
	live := false
	for _, s := range sources {
		kind, err := capture.KindOf(s.Capture.Source)
		live = live || err == nil && kind.Live()
	}
	k, asked := cfg.SiteClock()
	switch {
	case !live:
		return "the recordings' own time"
	case !asked:
		return fmt.Sprintf("this machine's own, taken for the site's ± %v (camera.clock_bound)", cfg.Camera.ClockBound)
	}
	var from []string
	for _, kind := range clock.Kinds() {
		switch {
		case kind == clock.SourceNTP && (len(k.Sources) == 0 || slices.Contains(k.Sources, kind)):
			from = append(from, "ntp "+strings.Join(k.NTP.Servers, ", "))
		case slices.Contains(k.Sources, kind):
			from = append(from, kind)
		}
	}
	return strings.Join(from, "; ") + " (not tried)"
}

// openPlanned opens and probes the configured bundle.
func openPlanned(cfg agent.Config) (*planBundle, error) {
	b, err := bundle.Read(cfg.Bundle.Dir)
	if err != nil {
		return nil, err
	}
	r := cfg.Runtime
	m, err := model.OpenProbed(b, ort.Options{Threads: r.Threads, Providers: r.Providers, ProviderOptions: r.ProviderOptions, Require: r.Require})
	if err != nil {
		return nil, err
	}
	return &planBundle{
		Release: b.Release, RateHz: b.RateHz, Features: b.Extractor.Dim, Labels: len(b.Labels), Provider: m.Segmenter.Provider(),
		Selection: m.Selection,
	}, m.Close()
}

func (p *agentPlan) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, p)
	}
	role := "fixed camera (exo)"
	if p.Role == agent.RoleEgo {
		role = "rig (ego)"
	}
	fmt.Fprintf(w, "%s is valid: %s %s of cell %s at %s\n", p.Config, role, p.Device, p.Cell, p.Site)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "  %-7s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("hub", "%s (not tried)", strings.Join(p.Hub, ", "))
	line("store", "%s", p.Store)
	release := "none to begin with"
	if b := p.Bundle; b != nil {
		release = fmt.Sprintf("release %s: %g Hz, %d features, %d labels, runs on %s", b.Release, b.RateHz, b.Features, b.Labels, b.Provider)
	}
	if p.Follows {
		release += "; then those that the trainer assigns"
	}
	line("bundle", "%s", release)
	if b := p.Bundle; b != nil {
		s := b.Selection
		line("runs", "extractor on %s in %v, segmenter on %s in %v", s.Extractor.Provider, s.Extractor.PerRun.Round(time.Microsecond),
			s.Segmenter.Provider, s.Segmenter.PerRun.Round(time.Microsecond))
		for _, f := range s.Fallbacks() {
			line("runs", "%s", f)
		}
	}
	line("clock", "%s", p.Clock)
	if len(p.Exo) > 0 {
		line("pairs", "with %s, at most %v apart, a silent camera is waited for %v", strings.Join(p.Exo, ", "), p.maxDt, p.wait)
	}
	for _, t := range p.Takes {
		switch {
		case t.Error != "":
			line("take", "%s: %s", t.Take, t.Error)
		case t.Live:
			line("take", "%s: live from %s (not tried)", t.Take, redacted(t.Source))
		default:
			i := t.Info
			line("take", "%s: %s, %dx%d, %.4g fps, %s, stamps: %s", t.Take, t.Source, i.Width, i.Height, i.FPS, frames(i.Frames), i.Stamps)
		}
	}
	_, err := fmt.Fprintf(w, "next: tandem agent --config %s\n", p.Config)
	return err
}

func frames(n int64) string {
	if n < 0 {
		return "of unknown length"
	}
	return fmt.Sprintf("%d frames", n)
}

// redacted is a source without its password.
func redacted(source string) string {
	if u, err := url.Parse(source); err == nil {
		return u.Redacted()
	}
	return source
}
