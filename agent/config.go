package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

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
	defer func() {
		// The YAML library panics on some texts that are hardly YAML, such as a tag without a name.
		if r := recover(); r != nil {
			err = fmt.Errorf("it can't be read as YAML (%s)", wire.OneLine(fmt.Sprint(r)))
		}
	}()
	if err := checkDurations(data); err != nil {
		return c, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField())
	err = dec.Decode(&c)
	if errors.Is(err, io.EOF) {
		return c, errors.New("it is empty, expected site, cell, device, role, store, nats and camera")
	}
	if err != nil {
		return c, explain(err)
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return c, errors.New("a second document begins at a line ---, expected one")
	}
	c.setDefaults()
	return c, c.validate()
}

// explain makes one line for people of what the YAML library says.
func explain(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return errors.New(wire.OneLine(err.Error()))
	}
	what := wire.OneLine(at.GetMessage())
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		what = fmt.Sprintf("found %s, expected %s", kindName(wrong.SrcType), kindName(wrong.DstType))
	}
	if token := at.GetToken(); token != nil && token.Position != nil {
		return fmt.Errorf("line %d: %s", token.Position.Line, what)
	}
	return errors.New(what)
}

// kindName is what people call a Go type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Interface, reflect.Pointer:
		return "a mapping"
	}
	return "a whole number"
}

// durations are the fields that hold one, and whether it may be nothing.
var durations = []struct {
	field   string
	nothing bool
}{
	{"camera.latency", true}, {"camera.clock_bound", false}, {"pair.max_dt", false}, {"pair.wait", false}, {"status_every", false},
}

// checkDurations refuses durations without a unit, and those that are written down as 0 and would be taken for the default.
// What is no YAML at all passes: the decoder says so.
func checkDurations(data []byte) error {
	for _, d := range durations {
		path, err := yaml.PathString("$." + d.field)
		if err != nil {
			return err
		}
		node, err := path.ReadNode(bytes.NewReader(data))
		if err != nil || node == nil || node.GetToken() == nil || node.Type() == ast.NullType {
			continue // not there
		}
		text, line := node.GetToken().Value, node.GetToken().Position.Line
		v, err := time.ParseDuration(text)
		switch {
		case node.Type() != ast.StringType || err != nil:
			return fmt.Errorf("line %d: %s is %s, expected a time with its unit such as 250ms", line, d.field, wire.OneLine(text))
		case v == 0 && !d.nothing:
			return fmt.Errorf("line %d: %s is %s, expected more than 0", line, d.field, text)
		}
	}
	return nil
}

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

// bus returns the connection's configuration.
func (c *Config) bus(log *slog.Logger) bus.Config {
	n := c.NATS
	return bus.Config{
		URLs: n.URLs, Name: c.Device, Credentials: n.Credentials, NKey: n.NKey,
		TLSCert: n.TLSCert, TLSKey: n.TLSKey, TLSCA: n.TLSCA, Domain: n.Domain, Logger: log,
	}
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
