package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// Validate returns an error that wraps ErrConfig and names the first field that cannot be, with what it holds and what was
// expected. It looks at nothing but the configuration: whether the files and servers it names are there shows later.
func (c *Config) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// bad says what is wrong with a field.
func bad(field string, got any, want string) error {
	return fmt.Errorf("%s is %v, expected %s", field, got, want)
}

func (c *Config) validate() error {
	if err := wire.CheckToken("site", c.Site); err != nil {
		return err
	}
	if err := c.validateCameras(); err != nil {
		return err
	}
	if err := c.each((*Config).validateDevice); err != nil {
		return err
	}
	switch {
	case c.Store == "":
		return bad("store", `""`, "a directory")
	case c.StatusEvery < 100*time.Millisecond:
		return bad("status_every", c.StatusEvery, "at least 100ms")
	case c.Bundle.Dir == "" && !c.follow():
		return bad("bundle.follow", false, "a bundle.dir, or releases are followed: there is no model otherwise")
	}
	if err := c.validateNATS(); err != nil {
		return err
	}
	err := c.each(func(c *Config) error {
		for _, check := range []func() error{c.Camera.validate, c.validateClock, c.validatePair} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Runtime.validate()
}

func (c *Config) validateDevice() error {
	for _, t := range []struct{ field, v string }{{"cell", c.Cell}, {"device", c.Device}} {
		if err := wire.CheckToken(t.field, t.v); err != nil {
			return err
		}
	}
	switch {
	case c.Device == bus.DefaultDevice:
		return bad("device", fmt.Sprintf("%q", c.Device), "another name: this one stands for all devices without a release of their own")
	case c.Role != RoleExo && c.Role != RoleEgo:
		return bad("role", fmt.Sprintf("%q", c.Role), "exo or ego")
	}
	return nil
}

func (c *Config) validateNATS() error {
	if err := c.NATS.Validate(); err != nil {
		return fmt.Errorf("nats.%w", err)
	}
	return nil
}

func (c *CameraConfig) validate() error {
	const maxFPS = 1000
	switch {
	case c.Source == "" && len(c.Takes) == 0:
		return bad("camera.source", `""`, "a camera or recording (or camera.takes, a list of recordings)")
	case c.Source != "" && len(c.Takes) > 0:
		return bad("camera.takes", "set beside camera.source", "one of the two")
	case c.Pace != "fast" && c.Pace != "stamps":
		return bad("camera.pace", fmt.Sprintf("%q", c.Pace), "fast or stamps")
	case c.ClockBound < 0:
		return bad("camera.clock_bound", c.ClockBound, "more than 0")
	case !(c.FPS >= 0 && c.FPS <= maxFPS):
		return bad("camera.fps", c.FPS, fmt.Sprintf("more than 0 and at most %d", maxFPS))
	case c.Width < 0:
		return bad("camera.width", c.Width, "pixels, more than 0")
	case c.Height < 0:
		return bad("camera.height", c.Height, "pixels, more than 0")
	}
	names := map[string]int{}
	for i, t := range c.Takes {
		if err := wire.CheckToken(fmt.Sprintf("camera.takes[%d].name", i), t.Name); err != nil {
			return err
		}
		if first, twice := names[t.Name]; twice {
			return bad(fmt.Sprintf("camera.takes[%d].name", i), fmt.Sprintf("%q", t.Name),
				fmt.Sprintf("a name of its own: camera.takes[%d] has it", first))
		}
		names[t.Name] = i
		if t.Source == "" {
			return bad(fmt.Sprintf("camera.takes[%d].source", i), `""`, "a recording")
		}
		if _, err := t.start(); err != nil {
			return bad(fmt.Sprintf("camera.takes[%d].start", i), fmt.Sprintf("%q", t.Start), "a time such as 2026-03-02T07:00:00Z")
		}
	}
	return nil
}

func (c *Config) validatePair() error {
	p := c.Pair
	switch {
	case c.Role == RoleEgo && len(p.Exo) == 0:
		return bad("pair.exo", "empty", "the exo devices of the cell")
	case c.Role == RoleExo && len(p.Exo) > 0:
		return bad("pair.exo", p.Exo, "nothing: only rigs make pairs")
	case len(p.Exo) > wire.MaxExo:
		return bad("pair.exo", fmt.Sprintf("a list of %d", len(p.Exo)), fmt.Sprintf("at most %d devices", wire.MaxExo))
	case p.MaxDt < time.Millisecond || p.MaxDt > time.Second:
		return bad("pair.max_dt", p.MaxDt, "1ms to 1s")
	case p.Wait < time.Millisecond:
		return bad("pair.wait", p.Wait, "at least 1ms")
	case p.Lateness < 0 || p.Lateness > time.Minute:
		return bad("pair.lateness", p.Lateness, "0 to 1m")
	case !slices.Contains([]string{ContentOff, ContentReport, ContentCorrect, ContentReject}, p.Content):
		return bad("pair.content", fmt.Sprintf("%q", p.Content), "off, report, correct or reject")
	case p.Buffer < 2:
		return bad("pair.buffer", p.Buffer, "at least 2 samples")
	}
	for i, d := range p.Exo {
		field := fmt.Sprintf("pair.exo[%d]", i)
		if err := wire.CheckToken(field, d); err != nil {
			return err
		}
		if slices.Contains(p.Exo[:i], d) {
			return bad(field, d, "each device once")
		}
		if d == c.Device {
			return bad(field, d, "another device than this one")
		}
	}
	return nil
}

func (r *RuntimeConfig) validate() error {
	if r.Threads < 0 {
		return bad("runtime.threads", r.Threads, "0 (one) or more")
	}
	for i, p := range r.Providers {
		if !slices.Contains(ort.Providers(), p) {
			return bad(fmt.Sprintf("runtime.providers[%d]", i), fmt.Sprintf("%q", p), "one of "+strings.Join(ort.Providers(), ", "))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.ProviderOptions)) {
		if !slices.Contains(r.Providers, p) {
			return bad("runtime.provider_options", fmt.Sprintf("of %q", p), "those of runtime.providers only")
		}
		if err := ort.CheckOptions(p, r.ProviderOptions[p]); err != nil {
			return fmt.Errorf("runtime.provider_options: %w", err)
		}
	}
	return nil
}
