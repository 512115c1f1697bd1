package trainer

import (
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"tandem/settings"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// Config is the trainer's configuration file. docs/trainer.md describes every field.
type Config struct {
	Site string `yaml:"site"`
	// Cell is whose pairs the trainer stores and trains on; Cells are several, or `*` for each of the site. One of the two.
	Cell  string `yaml:"cell"`
	Cells Cells  `yaml:"cells"`
	// Name identifies the trainer on the bus: no two processes have one.
	Name string `yaml:"name"`
	// Line is what the trainers that share their work have in common; it begins the names of releases. Default Name.
	Line string `yaml:"line"`
	// Store is the directory for the archive of pairs, the networks and the releases.
	Store string     `yaml:"store"`
	NATS  bus.Client `yaml:"nats"`
	// Extractor is the feature extractor of a new line: FilterBank, or a directory that OpenExtractor can open; default the
	// built-in one.
	Extractor string         `yaml:"extractor"`
	Labelled  LabelledConfig `yaml:"labelled"`
	Distil    DistilConfig   `yaml:"distil"`
	Gate      GateConfig     `yaml:"gate"`
	Jobs      JobsConfig     `yaml:"jobs"`
	Recipe    RecipeConfig   `yaml:"recipe"`
}

// LabelledConfig says where the teacher learns from.
type LabelledConfig struct {
	Dir        string   `yaml:"dir"`        // of labelled takes
	Cameras    []string `yaml:"cameras"`    // patterns of the exo videos' names; default exo*
	Background []string `yaml:"background"` // labels that stand for no action; default background
}

// DistilConfig says when students are made.
type DistilConfig struct {
	// Takes is how many complete paired takes there must be, more than at the last time, before a student is distilled.
	Takes int `yaml:"takes"`
	// Method is how, by a name of package method: tandem (the default), tas, feature or both.
	Method string `yaml:"method"`
}

// RecipeConfig overrides fields of DefaultRecipe; a zero keeps the default.
type RecipeConfig struct {
	RateHz      float64       `yaml:"rate_hz"`
	Channels    int           `yaml:"channels"`
	Layers      int           `yaml:"layers"`
	Dropout     float64       `yaml:"dropout"`
	Lag         time.Duration `yaml:"lag"`
	Hold        time.Duration `yaml:"hold"`
	Epochs      int           `yaml:"epochs"`
	MinSteps    int           `yaml:"min_steps"` // default 300, or none where epochs is set
	Batch       int           `yaml:"batch"`
	Rate        float64       `yaml:"learning_rate"`
	Temperature float64       `yaml:"temperature"`
	Seed        uint64        `yaml:"seed"`
	Threads     int           `yaml:"threads"`
}

// Recipe returns the default recipe with what the configuration overrides.
func (c RecipeConfig) Recipe() Recipe {
	r := DefaultRecipe()
	set(&r.RateHz, c.RateHz)
	set(&r.Channels, c.Channels)
	set(&r.Layers, c.Layers)
	set(&r.Dropout, c.Dropout)
	set(&r.Lag, c.Lag)
	set(&r.Hold, c.Hold)
	if c.Epochs != 0 {
		r.Epochs, r.MinSteps = c.Epochs, 0
	}
	set(&r.MinSteps, c.MinSteps)
	set(&r.Batch, c.Batch)
	set(&r.Rate, c.Rate)
	set(&r.Temperature, c.Temperature)
	set(&r.Seed, c.Seed)
	set(&r.Threads, c.Threads)
	return r
}

func set[T comparable](dst *T, v T) {
	var zero T
	if v != zero {
		*dst = v
	}
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

// ParseConfig parses a configuration, fills in defaults and validates it.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if err := settings.Decode(data, &c, durations); err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, c.validate()
}

// durations are the fields that hold one.
var durations = []settings.Duration{
	{Field: "recipe.lag"}, {Field: "recipe.hold"}, {Field: "jobs.ack_wait"}, {Field: "jobs.patience"},
}

// validate fills in defaults and returns an error that names the first field that cannot be.
func (c *Config) validate() error {
	if len(c.Labelled.Cameras) == 0 {
		c.Labelled.Cameras = []string{"exo*"}
	}
	if c.Labelled.Background == nil {
		c.Labelled.Background = []string{"background"}
	}
	if c.Distil.Takes == 0 {
		c.Distil.Takes = minTakes
	}
	setDefault(&c.Gate.Seeds, 3)
	setDefault(&c.Gate.Confidence, 0.95)
	setDefault(&c.Jobs.AckWait, 30*time.Second)
	setDefault(&c.Jobs.Attempts, 3)
	setDefault(&c.Jobs.Patience, time.Hour)
	setDefault(&c.Distil.Method, DefaultRecipe().Method)
	bad := func(field string, got any, want string) error {
		return fmt.Errorf("%w: %s is %v, expected %s", ErrConfig, field, got, want)
	}
	shared := c.Line != "" // so that another trainer may make the teacher
	if !shared {
		c.Line = c.Name
	}
	if err := c.validateNames(); err != nil {
		return err
	}
	for i, p := range c.Labelled.Cameras {
		if _, err := path.Match(p, "exo"); err != nil {
			return bad(fmt.Sprintf("labelled.cameras[%d]", i), fmt.Sprintf("%q", p), "a pattern such as exo*")
		}
	}
	switch {
	case len(c.Line) > maxName && !shared:
		return bad("name", fmt.Sprintf("%q", c.Name), fmt.Sprintf("at most %d characters: releases are called NAME-0001", maxName))
	case len(c.Line) > maxName:
		return bad("line", fmt.Sprintf("%q", c.Line), fmt.Sprintf("at most %d characters: releases are called LINE-0001", maxName))
	case c.Store == "":
		return bad("store", `""`, "a directory")
	case c.Distil.Takes < 1:
		return bad("distil.takes", c.Distil.Takes, "at least 1")
	case c.Labelled.Dir == "" && !shared:
		return bad("labelled.dir", `""`, "the directory of the labelled exo takes")
	case c.Gate.Seeds < 1 || c.Gate.Seeds > 20:
		return bad("gate.seeds", c.Gate.Seeds, "1 to 20")
	case !(c.Gate.Margin >= 0 && c.Gate.Margin < 100):
		return bad("gate.margin", c.Gate.Margin, "points, at least 0")
	case !(c.Gate.Confidence > 0.5 && c.Gate.Confidence < 1):
		return bad("gate.confidence", c.Gate.Confidence, "more than 0.5 and less than 1")
	case c.Jobs.AckWait < 100*time.Millisecond:
		return bad("jobs.ack_wait", c.Jobs.AckWait, "at least 100ms, and the same of all trainers")
	case c.Jobs.Attempts < 1:
		return bad("jobs.attempts", c.Jobs.Attempts, "at least 1")
	case c.Jobs.Patience < 0:
		return bad("jobs.patience", c.Jobs.Patience, "a time such as 1h")
	}
	if err := c.NATS.Validate(); err != nil {
		return fmt.Errorf("%w: nats.%w", ErrConfig, err)
	}
	r := c.recipe()
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if _, err := r.student(); err != nil {
		return fmt.Errorf("%w: distil.method: %w", ErrConfig, err)
	}
	return nil
}

// recipe is the recipe with the method that students are made by.
func (c *Config) recipe() Recipe {
	r := c.Recipe.Recipe()
	set(&r.Method, c.Distil.Method)
	return r
}

// maxName leaves room for the number in a release's name, which is a token.
const maxName = wire.MaxToken - 5
