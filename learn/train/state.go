package train

import (
	"encoding/json"
	"errors"
	"fmt"

	"tandem/learn/nn"
)

// ErrState is wrapped by errors about a file that training is kept in.
var ErrState = errors.New("training state")

// Keys of a state's metadata and prefix of its tensors that are no parameters.
const (
	trainerMeta   = "tandem.trainer"
	optimizerPart = "optimizer:"
)

// trainerState is what of a Trainer is not a vector.
type trainerState struct {
	Steps     int    `json:"steps"`
	Optimizer int    `json:"optimizer"` // steps of the optimizer
	Seed      uint64 `json:"seed"`
}

// Save writes parameters, optimizer and step count to a checkpoint file, with metadata of the caller's. A trainer of the
// same network and configuration that loads it goes on exactly as this one would.
func (t *Trainer) Save(path string, meta map[string]string) error {
	c, err := t.checkpoint(meta)
	if err != nil {
		return err
	}
	return c.Save(path)
}

func (t *Trainer) checkpoint(meta map[string]string) (nn.Checkpoint, error) {
	text, err := json.Marshal(trainerState{t.steps, t.opt.Steps(), t.cfg.Seed})
	if err != nil {
		return nn.Checkpoint{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	all := map[string]string{trainerMeta: string(text)}
	for k, v := range meta {
		all[k] = v
	}
	c := t.params.Checkpoint(all)
	for _, v := range t.opt.State() {
		c.Tensors = append(c.Tensors, tensor(optimizerPart+v.Name, v.Data))
	}
	return c, nil
}

func tensor(name string, data []float32) nn.CheckpointTensor {
	return nn.CheckpointTensor{Name: name, Shape: []int{len(data)}, Data: data}
}

// Load takes up what Save has written and returns the caller's metadata. A file of another network, optimizer or seed
// is refused, and then nothing has changed.
func (t *Trainer) Load(path string) (map[string]string, error) {
	c, err := nn.ReadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	if err := t.restore(c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	delete(c.Meta, trainerMeta)
	return c.Meta, nil
}

// restore sets the trainer from a checkpoint, which may hold more.
func (t *Trainer) restore(c nn.Checkpoint) error {
	var s trainerState
	text, ok := c.Meta[trainerMeta]
	if !ok {
		return fmt.Errorf("%w: it holds parameters only, no optimizer", ErrState)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrState, trainerMeta, err)
	}
	if s.Steps < 0 || s.Optimizer < 0 || s.Seed != t.cfg.Seed {
		return fmt.Errorf("%w: %d steps with seed %d, the trainer's seed is %d", ErrState, s.Steps, s.Seed, t.cfg.Seed)
	}
	own := map[string]bool{}
	for _, q := range t.params.List() {
		own[q.Name] = true
	}
	weights := nn.Checkpoint{}
	rest := map[string][]float32{}
	for _, x := range c.Tensors {
		if own[x.Name] {
			weights.Tensors = append(weights.Tensors, x)
		} else {
			rest[x.Name] = x.Data
		}
	}
	for _, v := range t.opt.State() {
		if data := rest[optimizerPart+v.Name]; len(data) != len(v.Data) {
			return fmt.Errorf("%w: %d values of the optimizer's %q, expected %d", ErrState, len(data), v.Name, len(v.Data))
		}
	}
	if err := t.params.Restore(weights); err != nil {
		return err
	}
	for _, v := range t.opt.State() {
		copy(v.Data, rest[optimizerPart+v.Name])
	}
	t.opt.SetStep(s.Optimizer)
	t.steps = s.Steps
	return nil
}
