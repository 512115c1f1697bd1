package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/agent"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
	"tandem/stream/capture"
	"tandem/sync/clock"
)

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
func (f *agentFlags) runCheck(ctx context.Context, stdout io.Writer, cfg agent.Config, sources [][]agent.Source) error {
	var opened *planBundle
	if cfg.Bundle.Dir != "" {
		var err error
		if opened, err = openPlanned(cfg); err != nil {
			return usagef("%s: bundle.dir: %w", f.config, err)
		}
	}
	var plans []agentPlan
	broken, all := 0, 0
	for i, d := range cfg.Devices() {
		p, bad := f.plan(ctx, &d, sources[i])
		p.Bundle = opened
		plans = append(plans, p)
		broken += bad
		all += len(sources[i])
	}
	if f.json {
		if err := printDevices(stdout, plans); err != nil {
			return err
		}
	} else {
		for i := range plans {
			plans[i].tell(stdout)
		}
		if _, err := fmt.Fprintf(stdout, "next: tandem agent --config %s\n", f.config); err != nil {
			return err
		}
	}
	if broken > 0 {
		return usagef("%s: %d of %d recordings can't be played", f.config, broken, all)
	}
	return nil
}

// plan tells what a device would do, and how many of its recordings can't be played.
func (f *agentFlags) plan(ctx context.Context, cfg *agent.Config, sources []agent.Source) (p agentPlan, broken int) {
	p = agentPlan{
		Config: f.config, Site: cfg.Site, Cell: cfg.Cell, Device: cfg.Device, Role: cfg.Role, Takes: []planTake{},
		Store: filepath.Join(cfg.Store, cfg.Device), Follows: cfg.Bundle.Follow == nil || *cfg.Bundle.Follow,
		Exo: cfg.Pair.Exo, maxDt: cfg.Pair.MaxDt, wait: cfg.Pair.Wait, Clock: plannedClock(cfg, sources),
	}
	for _, u := range cfg.NATS.URLs {
		p.Hub = append(p.Hub, hubAddress(u))
	}
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
	return p, broken
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

func (p *agentPlan) tell(w io.Writer) {
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
