package trainer

import (
	"fmt"
	"slices"
	"time"

	"tandem/stream/wire"
	"tandem/trainer/jobs"
)

// Cells is a list of cells in a configuration, or * for all.
type Cells []string

// UnmarshalYAML reads a list, or a single cell.
func (c *Cells) UnmarshalYAML(read func(any) error) error {
	var list []string
	err := read(&list)
	if err != nil {
		var one string
		if read(&one) != nil {
			return err
		}
		list = []string{one}
	}
	*c = list
	return nil
}

// everyCell is what stands for all cells of a site.
const everyCell = "*"

func (c *Config) everyCell() bool { return len(c.Cells) == 1 && c.Cells[0] == everyCell }

// GateConfig says when a student may replace the release that runs.
type GateConfig struct {
	// Seeds is how many students are trained, alike but for the seed, to see how far the outcome hangs on it.
	Seeds int `yaml:"seeds"`
	// Margin is by how many points a student must be better, beyond the error.
	Margin float64 `yaml:"margin"`
	// Confidence is how sure that must be.
	Confidence float64 `yaml:"confidence"`
}

// JobsConfig says how trainers share their work.
type JobsConfig struct {
	// AckWait is how long a trainer may be silent before its job goes to another.
	AckWait time.Duration `yaml:"ack_wait"`
	// Attempts is how often a job is begun before it is given up.
	Attempts int `yaml:"attempts"`
	// Patience is how long a job waits for a trainer that holds its takes before it is given up.
	Patience time.Duration `yaml:"patience"`
}

func setDefault[T comparable](dst *T, v T) {
	var zero T
	if *dst == zero {
		*dst = v
	}
}

// validateNames checks the tokens and brings `cell` and `cells` together.
func (c *Config) validateNames() error {
	for _, t := range []struct{ field, v string }{{"site", c.Site}, {"name", c.Name}, {"line", c.Line}} {
		if err := wire.CheckToken(t.field, t.v); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	switch {
	case c.Cell != "" && (len(c.Cells) != 0 && !slices.Equal(c.Cells, Cells{c.Cell})):
		return fmt.Errorf("%w: cells is set beside cell, expected one of the two", ErrConfig)
	case c.Cell != "" || len(c.Cells) == 0:
		c.Cells = Cells{c.Cell}
	case c.everyCell():
		return nil
	}
	seen := map[string]bool{}
	for i, name := range c.Cells {
		field := fmt.Sprintf("cells[%d]", i)
		if c.Cell != "" || len(c.Cells) == 1 && name == "" {
			field = "cell"
		}
		if err := wire.CheckToken(field, name); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if name == jobs.TeacherCell || seen[name] {
			return fmt.Errorf("%w: %s is %q, expected a name that is not there twice, and not %q", ErrConfig, field, name, jobs.TeacherCell)
		}
		seen[name] = true
	}
	return nil
}
