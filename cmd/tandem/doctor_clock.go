package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/sync/clock"
)

// lookClocks asks each source of time that this machine may have, and the hub where the configuration needs its time.
func (d *doctor) lookClocks() []look {
	var cfg clock.Config
	asked := false
	if d.cfg != nil {
		for _, c := range d.cfg.Devices() { // those that ask ask the same
			if k, needed := c.SiteClock(); needed {
				cfg, asked = k, true
			}
		}
	}
	used := func(kind string) bool {
		return asked && (slices.Contains(cfg.Sources, kind) || len(cfg.Sources) == 0 && kind == clock.SourceNTP)
	}
	ask := func(kind, what, mend string) look {
		c := cfg
		c.Sources = []string{kind}
		return look{area: "clock", required: used(kind), run: func(ctx context.Context) []finding {
			return []finding{askClock(ctx, c, kind, what, mend, used(kind))}
		}}
	}
	list := []look{
		ask(clock.SourceAdjtimex, "kernel", "run a time daemon: sudo apt-get install chrony"),
		ask(clock.SourceChrony, "chrony", "sudo apt-get install chrony && sudo systemctl enable --now chrony; 'chronyc tracking' shows what it does"),
		{area: "clock", run: d.listPTP},
	}
	if used(clock.SourcePHC) {
		list = append(list, ask(clock.SourcePHC, "phc "+cfg.PHC.Device,
			"let ptp4l keep it (sudo apt-get install linuxptp), and let this user read it: sudo usermod -aG clock $(id -un), or a udev rule"))
	}
	if used(clock.SourceNTP) {
		for _, server := range cfg.NTP.Servers {
			c := cfg
			c.Sources, c.NTP.Servers = []string{clock.SourceNTP}, []string{server}
			mend := "on the hub: tandem hub --store DIR --listen :4222 --ntp :123, and open UDP port 123; or name another server as clock.ntp.servers"
			list = append(list, look{area: "clock", required: true, run: func(ctx context.Context) []finding {
				return []finding{askClock(ctx, c, clock.SourceNTP, "ntp "+server, mend, true)}
			}})
		}
	}
	if d.cfg != nil && !asked {
		list = append(list, look{area: "clock", run: func(context.Context) []finding {
			return []finding{{Area: "clock", What: "site time", State: stateOK, Found: "nobody is asked: recordings bring their own, or camera.clock_bound says that this machine's is the site's"}}
		}})
	}
	return list
}

// askClock runs one source until it has answered.
func askClock(ctx context.Context, cfg clock.Config, kind, what, mend string, required bool) finding {
	f := finding{Area: "clock", What: what, State: stateMissing, Required: required, Mend: mend}
	c, err := clock.New(cfg, silent())
	if err != nil {
		f.Found = err.Error()
		return f
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(running) }()
	patience := 1
	if kind == clock.SourceNTP {
		patience = 2 // a network loses packets
	}
	s := firstAnswer(ctx, c, patience)
	stop()
	if err := <-done; err != nil {
		f.Found = err.Error()
	}
	switch {
	case !s.Heard.IsZero():
		f.State, f.Mend = stateOK, ""
		f.Found = fmt.Sprintf("answers; this machine's time is off by %v, to within %v", (-s.Offset).Round(time.Microsecond), s.Bound.Round(time.Microsecond))
		if kind != clock.SourceNTP {
			f.Found = fmt.Sprintf("synchronized, to within %v", s.Bound.Round(time.Microsecond))
		}
		const much = 100 * time.Millisecond // pairs need grade bronze
		if s.Bound > much {
			f.State, f.Mend = stateWarn, "pairs need a bound under "+much.String()+": shorten the way to the server, or "+mend
		}
	case s.Problem != "":
		f.Found = s.Problem
	default:
		f.Found = "no answer"
	}
	return f
}

// firstAnswer waits until a clock's only source has answered, or has said so many times what is wrong, or ctx ends.
func firstAnswer(ctx context.Context, c *clock.Clock, problems int) (s clock.SourceStatus) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if all := c.Status().Sources; len(all) > 0 {
			s = all[0]
		}
		if !s.Heard.IsZero() || s.Problems >= problems {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s
		}
	}
}

func (d *doctor) listPTP(context.Context) []finding {
	f := finding{Area: "clock", What: "ptp", State: stateOK, Found: "no PTP hardware clock; NTP does without"}
	devices, err := filepath.Glob(filepath.Join(d.root, "dev", "ptp[0-9]*"))
	if err != nil || len(devices) == 0 {
		return []finding{f}
	}
	var names []string
	for _, path := range devices {
		name := "/dev/" + filepath.Base(path)
		if text, err := os.ReadFile(filepath.Join(d.root, "sys", "class", "ptp", filepath.Base(path), "clock_name")); err == nil {
			name += " (" + strings.TrimSpace(string(text)) + ")"
		}
		names = append(names, name)
	}
	f.Found = strings.Join(names, ", ")
	return []finding{f}
}
