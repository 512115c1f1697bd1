package agent

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tandem/runtime/ort"
	"tandem/settings"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/sync/clock"
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
	Store  string       `yaml:"store"`
	NATS   bus.Client   `yaml:"nats"`
	Camera CameraConfig `yaml:"camera"`
	// Cameras are several cameras of one agent, instead of Device, Camera and Pair. See Devices.
	Cameras []DeviceConfig `yaml:"cameras"`
	Clock   clock.Config   `yaml:"clock"` // where site time comes from; see siteClock
	Bundle  BundleConfig   `yaml:"bundle"`
	Pair    PairConfig     `yaml:"pair"`
	Runtime RuntimeConfig  `yaml:"runtime"`
	// StatusEvery is the time between two status messages.
	StatusEvery time.Duration `yaml:"status_every"`
}

// DeviceConfig is one of several cameras. What it leaves out of cell and role is the agent's.
type DeviceConfig struct {
	Device string       `yaml:"device"`
	Cell   string       `yaml:"cell"`
	Role   string       `yaml:"role"`
	Camera CameraConfig `yaml:"camera"`
	Pair   PairConfig   `yaml:"pair"`
}

// CameraConfig is the camera, or the recordings that stand for it.
type CameraConfig struct {
	// Source is a live camera or one recording; Takes are recordings played one after another. Exactly one of the two.
	Source string       `yaml:"source"`
	Takes  []TakeConfig `yaml:"takes"`
	// Pace of recordings: "fast" or "stamps".
	Pace    string        `yaml:"pace"`
	Latency time.Duration `yaml:"latency"`
	// LatencyError is how far Latency may be off; it adds to each stamp's bound.
	LatencyError time.Duration `yaml:"latency_error"`
	// ClockBound is how far the stamps of recordings may be off site time; 0 is 1 ms. Of a live camera it says that the
	// device's own clock is the site's to within this much, and no source of time is asked then.
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
	// Lateness is how far out of order an exo camera's samples may come; Interpolate pairs with a mixture of the two exo
	// samples around the rig's.
	Lateness    time.Duration `yaml:"lateness"`
	Interpolate bool          `yaml:"interpolate"`
	// Content says what is done where what an exo camera shows contradicts its clock: off, report, correct or reject.
	Content string `yaml:"content"`
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
	c, err := parseConfig(data)
	if err != nil {
		return c, fmt.Errorf("%w %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

// ParseConfig parses a configuration, fills in defaults and validates it. Errors wrap ErrConfig, and name the line of what
// cannot be parsed or the field that cannot be.
func ParseConfig(data []byte) (Config, error) {
	c, err := parseConfig(data)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

func parseConfig(data []byte) (c Config, err error) {
	list := durations
	for i := 0; i < maxCameras && settings.Line(data, inCameras(i)) > 0; i++ {
		for _, d := range durations {
			if strings.HasPrefix(d.Field, "camera.") || strings.HasPrefix(d.Field, "pair.") {
				list = append(slices.Clip(list), settings.Duration{Field: inCameras(i) + "." + d.Field, Nothing: d.Nothing})
			}
		}
	}
	if err := settings.Decode(data, &c, list); err != nil {
		return c, err
	}
	c.setDefaults()
	return c, placed(data, c.validate())
}

// durations are the fields that hold one.
var durations = []settings.Duration{
	{Field: "camera.latency", Nothing: true}, {Field: "camera.latency_error", Nothing: true}, {Field: "camera.clock_bound"},
	{Field: "clock.phc.offset", Nothing: true}, {Field: "clock.phc.bound"}, {Field: "clock.ntp.poll"}, {Field: "clock.ntp.timeout"},
	{Field: "clock.limits.min_span"}, {Field: "clock.limits.holdover_after"}, {Field: "clock.limits.max_bound"},
	{Field: "pair.max_dt"}, {Field: "pair.wait"}, {Field: "pair.lateness", Nothing: true}, {Field: "status_every"},
}

func (c *Config) setDefaults() {
	def(&c.StatusEvery, 5*time.Second)
	if len(c.Cameras) == 0 {
		setDefaults(&c.Camera, &c.Pair)
	}
	for i := range c.Cameras {
		d := &c.Cameras[i]
		def(&d.Cell, c.Cell)
		def(&d.Role, c.Role)
		setDefaults(&d.Camera, &d.Pair)
	}
}

func setDefaults(c *CameraConfig, p *PairConfig) {
	def(&c.Pace, "stamps")
	def(&p.MaxDt, 100*time.Millisecond)
	def(&p.Wait, 10*time.Second)
	def(&p.Buffer, 4096)
	def(&p.Content, ContentReport)
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) follow() bool { return c.Bundle.Follow == nil || *c.Bundle.Follow }

// start returns the site time of the take's first frame, 0 for the recording's own.
func (t TakeConfig) start() (int64, error) {
	if t.Start == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339Nano, t.Start)
	if err != nil {
		return 0, err
	}
	if at.Unix() < 1 || at.Year() > 2100 {
		return 0, errors.New("it is not between 1970 and 2100")
	}
	return at.UnixNano(), nil
}

// subject returns the device's subject for a kind of messages.
func (c *Config) subject(k bus.Kind) bus.Subject {
	return bus.Subject{Site: c.Site, Cell: c.Cell, Device: c.Device, Kind: k}
}

// live reports whether the configured camera is one whose pictures are gone when nobody takes them.
func (c *Config) live() bool {
	kind, err := capture.KindOf(c.Camera.Source)
	return err == nil && kind.Live()
}

// Sources returns what the camera configuration has to play, in order. A live camera, or a recording without a name, is
// one take named after the time now. Errors wrap ErrConfig and name the field.
func (c *Config) Sources(now time.Time) ([]Source, error) {
	base := capture.Config{FPS: c.Camera.FPS, Width: c.Camera.Width, Height: c.Camera.Height, Latency: c.Camera.Latency}
	if c.Camera.Source != "" {
		kind, err := capture.KindOf(c.Camera.Source)
		if err != nil {
			return nil, fmt.Errorf("%w: camera.source: %w", ErrConfig, err)
		}
		base.Source = c.Camera.Source
		if !kind.Live() { // a live camera paces itself
			base.Pace = c.pace()
		}
		return []Source{{Take: now.UTC().Format("20060102-150405"), Capture: base}}, nil
	}
	base.Pace = c.pace()
	var list []Source
	for i, t := range c.Camera.Takes {
		kind, err := capture.KindOf(t.Source)
		if err == nil && kind.Live() {
			err = errors.New("a live camera has no end: put it into camera.source")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: camera.takes[%d].source: %w", ErrConfig, i, err)
		}
		s := Source{Take: t.Name, Capture: base}
		s.Capture.Source = t.Source
		if s.Capture.Start, err = t.start(); err != nil {
			return nil, fmt.Errorf("%w: camera.takes[%d].start: %w", ErrConfig, i, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func (c *Config) pace() capture.Pace {
	if c.Camera.Pace == "fast" {
		return capture.AsFast
	}
	return capture.ByStamps
}
