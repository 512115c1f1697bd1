package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// Roles of a device.
const (
	RoleExo = "exo" // a fixed camera: publishes the teacher's stream
	RoleEgo = "ego" // a rig: publishes segments and pairs
)

// Config is an agent's configuration file. docs/agent.md describes every field.
type Config struct {
	Site   string `yaml:"site"`
	Cell   string `yaml:"cell"`
	Device string `yaml:"device"`
	Role   string `yaml:"role"`
	// Store is the directory for what the device keeps: releases.
	Store   string        `yaml:"store"`
	NATS    NATSConfig    `yaml:"nats"`
	Camera  CameraConfig  `yaml:"camera"`
	Bundle  BundleConfig  `yaml:"bundle"`
	Pair    PairConfig    `yaml:"pair"`
	Runtime RuntimeConfig `yaml:"runtime"`
	// StatusEvery is the time between two status messages.
	StatusEvery time.Duration `yaml:"status_every"`
}

// NATSConfig says where the hub is.
type NATSConfig struct {
	URLs        []string `yaml:"urls"`
	Credentials string   `yaml:"credentials"`
	NKey        string   `yaml:"nkey"`
	TLSCert     string   `yaml:"tls_cert"`
	TLSKey      string   `yaml:"tls_key"`
	TLSCA       string   `yaml:"tls_ca"`
	Domain      string   `yaml:"domain"`
}

// CameraConfig is the camera, or the recordings that stand for it.
type CameraConfig struct {
	// Source is a live camera or one recording; Takes are recordings played one after another. Exactly one of the two.
	Source string       `yaml:"source"`
	Takes  []TakeConfig `yaml:"takes"`
	// Pace of recordings: "fast" or "stamps".
	Pace    string        `yaml:"pace"`
	Latency time.Duration `yaml:"latency"`
	// ClockBound is how far the camera's stamps may be off site time; it is the device's part of each pair's bound.
	ClockBound time.Duration `yaml:"clock_bound"`
	FPS        float64       `yaml:"fps"`
	Width      int           `yaml:"width"`
	Height     int           `yaml:"height"`
}

// TakeConfig is one recording.
type TakeConfig struct {
	Name   string `yaml:"name"`
	Source string `yaml:"source"`
	Start  string `yaml:"start"` // RFC 3339; empty for the recording's own stamps
}

// BundleConfig says where the first release comes from.
type BundleConfig struct {
	// Dir is a bundle to start with, before the hub assigns one.
	Dir string `yaml:"dir"`
	// Follow is whether assigned releases are fetched. Default true.
	Follow *bool `yaml:"follow"`
}

// PairConfig says what a rig is paired with.
type PairConfig struct {
	Exo    []string      `yaml:"exo"`
	MaxDt  time.Duration `yaml:"max_dt"`
	Wait   time.Duration `yaml:"wait"`
	Buffer int           `yaml:"buffer"`
}

// RuntimeConfig says what models run on.
type RuntimeConfig struct {
	Threads         int                          `yaml:"threads"`
	Providers       []string                     `yaml:"providers"`
	ProviderOptions map[string]map[string]string `yaml:"provider_options"`
	Require         bool                         `yaml:"require"`
}

func (r RuntimeConfig) options() ort.Options {
	return ort.Options{Threads: r.Threads, Providers: r.Providers, ProviderOptions: r.ProviderOptions, Require: r.Require}
}

// ErrConfig is wrapped by errors of a configuration.
var ErrConfig = errors.New("configuration")

// LoadConfig reads a configuration file strictly: an unknown field is an error, since it may be a mistyped one.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig parses a configuration, fills in defaults and validates it. Errors wrap ErrConfig, and name the line of what
// cannot be parsed or the field that cannot be.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(&c); err != nil {
		return c, fmt.Errorf("%w: %s", ErrConfig, oneLine(yaml.FormatError(err, false, false)))
	}
	c.setDefaults()
	return c, c.Validate()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (c *Config) setDefaults() {
	def(&c.Camera.Pace, "stamps")
	def(&c.Camera.ClockBound, time.Millisecond)
	def(&c.Pair.MaxDt, 100*time.Millisecond)
	def(&c.Pair.Wait, 10*time.Second)
	def(&c.Pair.Buffer, 4096)
	def(&c.StatusEvery, 5*time.Second)
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate returns an error that names the first field that cannot be, with what it holds and what was expected.
func (c *Config) Validate() error {
	bad := func(field string, got any, want string) error {
		return fmt.Errorf("%w: %s is %v, expected %s", ErrConfig, field, got, want)
	}
	for _, t := range []struct{ field, v string }{{"site", c.Site}, {"cell", c.Cell}, {"device", c.Device}} {
		if err := wire.CheckToken(t.field, t.v); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	switch {
	case c.Role != RoleExo && c.Role != RoleEgo:
		return bad("role", fmt.Sprintf("%q", c.Role), "exo or ego")
	case c.Store == "":
		return bad("store", `""`, "a directory")
	case len(c.NATS.URLs) == 0:
		return bad("nats.urls", "empty", "the hub's address, nats://HOST:4222")
	case c.Camera.Source == "" && len(c.Camera.Takes) == 0:
		return bad("camera.source", `""`, "a camera or recording (or camera.takes, a list of recordings)")
	case c.Camera.Source != "" && len(c.Camera.Takes) > 0:
		return bad("camera.takes", "set beside camera.source", "one of the two")
	case c.Camera.Pace != "fast" && c.Camera.Pace != "stamps":
		return bad("camera.pace", fmt.Sprintf("%q", c.Camera.Pace), "fast or stamps")
	case c.Camera.ClockBound < 0:
		return bad("camera.clock_bound", c.Camera.ClockBound, "0 or more")
	case c.Role == RoleEgo && len(c.Pair.Exo) == 0:
		return bad("pair.exo", "empty", "the exo devices of the cell")
	case c.Role == RoleExo && len(c.Pair.Exo) > 0:
		return bad("pair.exo", c.Pair.Exo, "nothing: only rigs make pairs")
	case c.Pair.MaxDt <= 0 || c.Pair.MaxDt > time.Second:
		return bad("pair.max_dt", c.Pair.MaxDt, "more than 0 and at most 1s")
	case c.Pair.Wait <= 0:
		return bad("pair.wait", c.Pair.Wait, "more than 0")
	case c.Pair.Buffer < 2:
		return bad("pair.buffer", c.Pair.Buffer, "at least 2 samples")
	case c.StatusEvery < 100*time.Millisecond:
		return bad("status_every", c.StatusEvery, "at least 100ms")
	case c.Bundle.Dir == "" && !c.follow():
		return bad("bundle.follow", false, "a bundle.dir, or releases are followed: there is no model otherwise")
	}
	for i, d := range c.Pair.Exo {
		field := fmt.Sprintf("pair.exo[%d]", i)
		if err := wire.CheckToken(field, d); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if slices.Contains(c.Pair.Exo[:i], d) {
			return bad(field, d, "each device once")
		}
	}
	for i, p := range c.Runtime.Providers {
		if !slices.Contains(ort.Providers(), p) {
			return bad(fmt.Sprintf("runtime.providers[%d]", i), fmt.Sprintf("%q", p), "one of "+strings.Join(ort.Providers(), ", "))
		}
	}
	for i, t := range c.Camera.Takes {
		if err := wire.CheckToken(fmt.Sprintf("camera.takes[%d].name", i), t.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if t.Source == "" {
			return bad(fmt.Sprintf("camera.takes[%d].source", i), `""`, "a recording")
		}
		if _, err := t.start(); err != nil {
			return bad(fmt.Sprintf("camera.takes[%d].start", i), fmt.Sprintf("%q", t.Start), "a time such as 2026-03-02T07:00:00Z")
		}
	}
	return nil
}

func (c *Config) follow() bool { return c.Bundle.Follow == nil || *c.Bundle.Follow }

func (t TakeConfig) start() (int64, error) {
	if t.Start == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339Nano, t.Start)
	return at.UnixNano(), err
}

// subject returns the device's subject for a kind of messages.
func (c *Config) subject(k bus.Kind) bus.Subject {
	return bus.Subject{Site: c.Site, Cell: c.Cell, Device: c.Device, Kind: k}
}

// bus returns the connection's configuration.
func (c *Config) bus() bus.Config {
	n := c.NATS
	return bus.Config{
		URLs: n.URLs, Name: c.Device, Credentials: n.Credentials, NKey: n.NKey,
		TLSCert: n.TLSCert, TLSKey: n.TLSKey, TLSCA: n.TLSCA, Domain: n.Domain,
	}
}

// Sources returns what the camera configuration has to play, in order. A live camera, or a recording without a name, is
// one take named after the time now.
func (c *Config) Sources(now time.Time) ([]Source, error) {
	base := capture.Config{FPS: c.Camera.FPS, Width: c.Camera.Width, Height: c.Camera.Height, Latency: c.Camera.Latency}
	if c.Camera.Pace == "stamps" {
		base.Pace = capture.ByStamps
	}
	takes := c.Camera.Takes
	if c.Camera.Source != "" {
		takes = []TakeConfig{{Name: now.UTC().Format("20060102-150405"), Source: c.Camera.Source}}
	}
	var list []Source
	for i, t := range takes {
		start, err := t.start()
		if err != nil {
			return nil, fmt.Errorf("%w: camera.takes[%d].start: %w", ErrConfig, i, err)
		}
		s := Source{Take: t.Name, Capture: base}
		s.Capture.Source, s.Capture.Start = t.Source, start
		kind, err := capture.KindOf(t.Source)
		if err != nil {
			return nil, fmt.Errorf("%w: camera: %w", ErrConfig, err)
		}
		if kind.Live() {
			s.Capture.Pace = capture.AsFast // a live camera paces itself
		}
		list = append(list, s)
	}
	return list, nil
}
