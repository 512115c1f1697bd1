// Package demo closes Tandem's loop on one machine: it starts a hub, a trainer, two exo cameras and a rig as they would
// run on a site, on takes of the simulated cell or on the user's own videos, lets the student be distilled and swapped in
// while the rig streams, and reports what that was worth.
package demo

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"tandem/trainer"
)

// Config says what the demo runs on.
type Config struct {
	Out    string // directory for everything that it makes; what an earlier run left there is removed
	Listen string // HOST:PORT of the hub; port 0 takes a free one
	Seeds  []uint64

	// Takes of the simulated cell, and their length.
	Labelled, Paired, Test int
	Length                 time.Duration
	FPS                    float64

	// Exo and Ego are the user's own recordings; with them nothing is scored unless Labels names a file with one label a
	// line for each frame of the ego recording. TeacherTakes are labelled exo takes of the user's to train the teacher on;
	// empty trains it on the simulated cell.
	Exo          []string
	Ego          string
	Labels       string
	TeacherTakes string

	Recipe   trainer.RecipeConfig
	Log      *slog.Logger
	Progress trainer.Progress
	Text     io.Writer // what people read
}

// Default returns the configuration of `tandem demo` without flags.
func Default() Config {
	return Config{
		Out: "build/demo", Listen: "127.0.0.1:0", Seeds: []uint64{1},
		Labelled: 8, Paired: 8, Test: 4, Length: 48 * time.Second, FPS: 15,
	}
}

// Validate returns an error that names the first flag that cannot be.
func (c *Config) Validate() error {
	switch {
	case c.Out == "":
		return errors.New("--out is empty, expected a directory")
	case len(c.Seeds) == 0:
		return errors.New("--seeds is empty, expected at least one seed")
	case c.Labelled < 2:
		return fmt.Errorf("--labelled-takes is %d, expected at least 2: one to train on, one to choose by", c.Labelled)
	case c.Paired < 1:
		return fmt.Errorf("--paired-takes is %d, expected at least 1", c.Paired)
	case c.Test < 1:
		return fmt.Errorf("--test-takes is %d, expected at least 1", c.Test)
	case c.Length < 10*time.Second:
		return fmt.Errorf("--minutes is %g, expected at least 10 seconds", c.Length.Minutes())
	case (c.Ego == "") != (len(c.Exo) == 0):
		return errors.New("--exo and --ego go together: recordings of the same time by fixed cameras and the rig")
	case c.Ego == "" && (c.Labels != "" || c.TeacherTakes != ""):
		return errors.New("--labels and --teacher-takes are for your own recordings: give --exo and --ego too")
	}
	return nil
}

func (c *Config) own() bool { return c.Ego != "" }
