package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"tandem/sync/clock"
)

func TestBadClockConfigurations(t *testing.T) {
	live := "camera: {source: 'v4l2:0'}"
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":  {with(exoConfig, "clock:\n  servers: [a]"), `line 9: unknown field "servers"`},
		"unknown inside": {with(exoConfig, "clock: {ntp: {server: a}}"), `line 8: unknown field "server"`},
		"source":         {with(exoConfig, live, "clock:\n  sources: [gps]"), `line 9: clock.sources: "gps", expected some of phc, chrony, adjtimex, ntp`},
		"twice":          {with(exoConfig, live, "clock: {sources: [ntp, ntp]}"), "line 8: clock.sources: ntp is listed twice"},
		"poll":           {with(exoConfig, live, "clock:\n  ntp:\n    servers: [a]\n    poll: 3s"), "line 11: clock.ntp.poll: 3s, expected 100ms to 2s"},
		"no unit":        {with(exoConfig, live, "clock:\n  ntp: {poll: 3}"), "line 9: clock.ntp.poll is 3, expected a time with its unit such as 250ms"},
		"server":         {with(exoConfig, live, "clock:\n  ntp:\n    servers: ['a b']"), `line 10: clock.ntp.servers: "a b", expected HOST or HOST:PORT`},
		"server twice":   {with(exoConfig, live, "clock: {ntp: {servers: [a, 'a:123']}}"), "line 8: clock.ntp.servers: a:123 is listed twice"},
		"phc":            {with(exoConfig, live, "clock:\n  sources: [phc]"), "line 9: clock.phc.device: missing, expected the clock that a PTP daemon keeps, such as /dev/ptp0 or a network interface"},
		"burst":          {with(exoConfig, live, "clock: {ntp: {burst: 99}}"), "line 8: clock.ntp.burst: 99, expected 1 to 16"},
		"chrony":         {with(exoConfig, live, "clock: {sources: [chrony], chrony: {address: here}}"), "line 8: clock.chrony.address: address here: missing port in address, expected HOST:PORT"},
		"limits":         {with(exoConfig, live, "clock:\n  limits:\n    max_skew: -1"), "line 10: clock.limits.max_skew: -1, expected more than 0 and at most 100000"},
		"zero":           {with(exoConfig, live, "clock: {limits: {max_bound: 0s}}"), "line 8: clock.limits.max_bound is 0s, expected more than 0"},
		"type":           {with(exoConfig, live, "clock: {ntp: {burst: many}}"), "line 8: found text, expected a whole number"},
		"both": {with(exoConfig, "camera: {source: 'v4l2:0', clock_bound: 1ms}", "clock: {ntp: {servers: [a]}}"),
			"camera.clock_bound is set beside clock, expected one of the two: a clock that is asked tells its own bound"},
		"latency error": {with(exoConfig, "camera: {source: a, latency_error: -1ms}"), "camera.latency_error is -1ms, expected 0 or more"},
		"lateness":      {with(egoConfig, "pair: {exo: [exo1], lateness: 2m}"), "pair.lateness is 2m0s, expected 0 to 1m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must(t, os.WriteFile("bad.yaml", []byte(c.text), 0o600))
			_, err := LoadConfig("bad.yaml")
			if want := "configuration bad.yaml: " + c.want; err == nil || err.Error() != want || !errors.Is(err, ErrConfig) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestWhoIsAskedForTheTime(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("video.mp4", nil, 0o600))
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"recordings":                {nil, "nobody"},
		"recordings with a clock":   {[]string{"clock: {ntp: {servers: [a]}}"}, "[] [a]"},
		"a camera":                  {[]string{"camera: {source: 'v4l2:0'}"}, "[] [127.0.0.1]"},
		"a camera, IPv6":            {[]string{"camera: {source: 'v4l2:0'}", "nats: {urls: ['tls://rig:pw@[fe80::1]:4222', 'nats://b']}"}, "[] [fe80::1]"},
		"a camera, without scheme":  {[]string{"camera: {source: 'v4l2:0'}", "nats: {urls: ['hub.example:4222']}"}, "[] [hub.example]"},
		"a camera on its own clock": {[]string{"camera: {source: 'v4l2:0', clock_bound: 2ms}"}, "nobody"},
		"servers":                   {[]string{"camera: {source: 'v4l2:0'}", "clock: {ntp: {servers: [a, 'b:1']}}"}, "[] [a b:1]"},
		"limits only":               {[]string{"camera: {source: 'v4l2:0'}", "clock: {limits: {window: 9}}"}, "[] [127.0.0.1]"},
		"chrony only":               {[]string{"camera: {source: 'v4l2:0'}", "clock: {sources: [chrony]}"}, "[chrony] []"},
		"chrony and the hub":        {[]string{"camera: {source: 'v4l2:0'}", "clock: {sources: [chrony, ntp]}"}, "[chrony ntp] [127.0.0.1]"},
		"an empty section":          {[]string{"camera: {source: 'v4l2:0'}", "clock:"}, "[] [127.0.0.1]"},
	} {
		cfg, err := ParseConfig([]byte(with(exoConfig, c.lines...)))
		must(t, err)
		k, asked := cfg.SiteClock()
		got := fmt.Sprint(k.Sources, k.NTP.Servers)
		if !asked {
			got = "nobody"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if base, err := newTimebase(&cfg, quiet); err != nil || (base != nil) != asked {
			t.Errorf("%s: timebase %v, %v", name, base, err)
		}
	}
}

// The device's own clock goes on as it stood, and the site's time of an instant is that of the clock which is asked.
func TestHostTimeAsksTheClock(t *testing.T) {
	hub, err := clock.Listen(t.Context(), "127.0.0.1:0", func() time.Time { return time.Now().Add(-7 * time.Second) }, quiet)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- hub.Serve(t.Context()) }()
	t.Cleanup(func() { must(t, errors.Join(hub.Close(), <-served)) })
	cfg := Config{Clock: clock.Config{NTP: clock.NTPConfig{Servers: []string{hub.Addr()}}}}
	base, err := newTimebase(&cfg, quiet)
	must(t, err)
	if r := base.site(base.Now()); r.Known {
		t.Errorf("known before anybody was asked: %+v", r)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(limit(t))
	go func() { done <- base.run(ctx) }()
	eventually(t, "the hub's time", func() bool { return base.site(base.Now()).Known })
	before := time.Now()
	r := base.site(base.Now())
	after := time.Now()
	if truth := -7 * time.Second; r.Latest < before.Add(truth).UnixNano() || r.Earliest > after.Add(truth).UnixNano() || r.Bound() > time.Second {
		t.Errorf("%+v, and it is %d", r, before.Add(truth).UnixNano())
	}
	if st := clockStatus(base.status(), time.Now()); st.Source != "ntp "+hub.Addr() || st.OffsetNs > -6e9 || st.OffsetNs < -8e9 || len(st.Sources) != 1 || st.Sources[0].HeardNs < 0 {
		t.Errorf("%v", st)
	}
	cancel()
	must(t, <-done)
}
