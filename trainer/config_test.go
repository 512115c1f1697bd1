package trainer

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const goodConfig = `site: plant-1
cell: cell-1
name: line-1
store: data
nats:
  urls: [nats://hub:4222]
labelled:
  dir: labelled
recipe:
  lag: 2s
  epochs: 7
`

func TestConfigDefaultsAndOverrides(t *testing.T) {
	c, err := ParseConfig([]byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Recipe.Recipe()
	if c.Distil.Takes != minTakes || c.Labelled.Cameras[0] != "exo*" || c.Labelled.Background[0] != "background" {
		t.Errorf("defaults: %+v", c)
	}
	if c.Line != "line-1" || len(c.Cells) != 1 || c.Cells[0] != "cell-1" || c.Distil.Method != "tandem" || c.Gate.Seeds != 3 ||
		c.Gate.Confidence != 0.95 || c.Jobs.AckWait != 30*time.Second || c.Jobs.Attempts != 3 || c.Jobs.Patience != time.Hour {
		t.Errorf("defaults: %+v", c)
	}
	if r.Lag != 2*time.Second || r.Epochs != 7 || r.MinSteps != 0 || r.Hold != DefaultRecipe().Hold {
		t.Errorf("recipe: %+v", r)
	}
}

func TestTheExampleConfigurationIsValid(t *testing.T) {
	if _, err := LoadConfig("../deploy/trainer.example.yaml"); err != nil {
		t.Error(err)
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"site: plant-1", "site: Plant 1", "site"},
		{"name: line-1", "name: " + strings.Repeat("x", 30), "name is"},
		{"store: data", "stoer: data", `line 4: unknown field "stoer"`},
		{"store: data\n", "", `store is "", expected a directory`},
		{"[nats://hub:4222]", "[]", "nats.urls is empty"},
		{"[nats://hub:4222]", "[ftp://hub]", "nats.urls[0]"},
		{"  dir: labelled", "  cameras: [exo1]", `labelled.dir is ""`},
		{"  dir: labelled", "  dir: x\n  cameras: ['[']", "labelled.cameras[0]"},
		{"  lag: 2s", "  lag: 2", "line 10: recipe.lag is 2, expected a time with its unit"},
		{"  lag: 2s", "  lag: 2h", "recipe: lag is 2h"},
		{"  epochs: 7", "  epochs: -7", "recipe: epochs is -7"},
		{"  epochs: 7", "  learning_rate: -1", "recipe: learning rate is -1"},
		{"labelled:", "distil: {takes: -1}\nlabelled:", "distil.takes is -1"},
		{"labelled:", "distil: {method: ego-oracle}\nlabelled:", "distil.method: the method ego-oracle makes no students"},
		{"labelled:", "distil: {method: magic}\nlabelled:", `distil.method: there is no method "magic"`},
		{"labelled:", "gate: {seeds: -1}\nlabelled:", "gate.seeds is -1"},
		{"labelled:", "gate: {margin: -2}\nlabelled:", "gate.margin is -2"},
		{"labelled:", "gate: {confidence: 1}\nlabelled:", "gate.confidence is 1"},
		{"labelled:", "jobs: {ack_wait: 30}\nlabelled:", "jobs.ack_wait is 30, expected a time with its unit"},
		{"labelled:", "jobs: {ack_wait: 1ms}\nlabelled:", "jobs.ack_wait is 1ms"},
		{"labelled:", "jobs: {attempts: -1}\nlabelled:", "jobs.attempts is -1"},
		{"cell: cell-1", "cell: cell-1\ncells: [a]", "cells is set beside cell"},
		{"cell: cell-1\n", "", "cell: "},
		{"cell: cell-1", "cell: Cell 1", "cell: "},
		{"cell: cell-1", "cells: [a, B]", "cells[1]: "},
		{"cell: cell-1", "cells: [a, a]", `cells[1] is "a"`},
		{"cell: cell-1", "cells: [a, teacher]", `cells[1] is "teacher"`},
		{"cell: cell-1", "cells: ['*', a]", "cells[0]: "},
		{"cell: cell-1", "cells: {a: b}", "line 2"},
		{"name: line-1", "name: a\nline: Line", "line: "},
		{"name: line-1", "name: a\nline: " + strings.Repeat("x", 30), "line is"},
	} {
		text := strings.Replace(goodConfig, c.from, c.to, 1)
		if text == goodConfig {
			t.Fatalf("%q is not in the configuration", c.from)
		}
		_, err := ParseConfig([]byte(text))
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.to, err, c.want)
		}
	}
	if _, err := LoadConfig("none.yaml"); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

// TestSharedConfigurations: trainers that share a line have a name of their own, and only one needs the labelled takes.
func TestSharedConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		"cells: [a, b]": "a b",
		"cells: '*'":    "*",
		"cells: ['*']":  "*",
		"cells: a":      "a",
		"cell: a":       "a",
	} {
		y := strings.NewReplacer("cell: cell-1", text, "name: line-1", "name: "+strings.Repeat("t", 32)+"\nline: line-1", "  dir: labelled", "  cameras: [exo1]").Replace(goodConfig)
		c, err := ParseConfig([]byte(y))
		if err != nil || strings.Join(c.Cells, " ") != want || c.Line != "line-1" || c.everyCell() != (want == "*") {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}
