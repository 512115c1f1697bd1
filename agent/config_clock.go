package agent

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"tandem/settings"
	"tandem/sync/clock"
)

// recordedBound is how far a recording's stamps are taken to be off unless the configuration says otherwise.
const recordedBound = time.Millisecond

func (c *CameraConfig) clockBound() time.Duration {
	if c.ClockBound == 0 {
		return recordedBound
	}
	return c.ClockBound
}

// SiteClock returns where the device learns the site's time from. asked is false where nobody is asked: recordings bring
// their own time, and camera.clock_bound says of a live camera that the device's own clock is the site's. Without servers
// named, the machine that nats.urls names first is asked.
func (c *Config) SiteClock() (_ clock.Config, asked bool) {
	k := c.Clock
	if !c.clockNamed() && (c.Camera.ClockBound != 0 || !c.live()) {
		return k, false
	}
	ntp := len(k.Sources) == 0 || slices.Contains(k.Sources, clock.SourceNTP)
	if ntp && len(k.NTP.Servers) == 0 {
		if host := hubHost(c.NATS.URLs); host != "" {
			k.NTP.Servers = []string{host}
		}
	}
	return k, true
}

// clockNamed reports whether anything stands under clock:.
func (c *Config) clockNamed() bool { return !reflect.ValueOf(c.Clock).IsZero() }

// hubHost is the name of the machine that the first URL leads to.
func hubHost(urls []string) string {
	if len(urls) == 0 {
		return ""
	}
	text := urls[0]
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// fieldError is what is wrong with a field whose line is to be named.
type fieldError struct {
	field string
	error
}

func (e *fieldError) Unwrap() error { return e.error }

func (c *Config) validateClock() error {
	if c.Camera.LatencyError < 0 {
		return bad("camera.latency_error", c.Camera.LatencyError, "0 or more")
	}
	if c.clockNamed() && c.Camera.ClockBound != 0 && c.live() {
		return bad("camera.clock_bound", "set beside clock", "one of the two: a clock that is asked tells its own bound")
	}
	k, asked := c.SiteClock()
	if !asked {
		return nil
	}
	err := k.Check()
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	field, _, _ := strings.Cut(text, ":")
	return &fieldError{field: "clock." + field, error: errors.New("clock." + text)}
}

// placed adds the line to an error of a field that the file holds.
func placed(data []byte, err error) error {
	var f *fieldError
	if !errors.As(err, &f) {
		return err
	}
	// What is missing has no line; the section that it is missing in has.
	for field := f.field; field != ""; field = field[:max(strings.LastIndexByte(field, '.'), 0)] {
		if line := settings.Line(data, field); line > 0 {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	return err
}
