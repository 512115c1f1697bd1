package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tandem/learn/net"
	"tandem/tas"
)

// State is what the trainer remembers between runs, in state.json of its store.
type State struct {
	Teacher   *StoredNetwork `json:"teacher,omitempty"`
	Release   string         `json:"release,omitempty"`    // the newest release of the line
	Takes     int            `json:"takes"`                // complete paired takes at the last distillation
	Candidate string         `json:"candidate,omitempty"`  // outcome of the last distillation, for people
	LastError string         `json:"last_error,omitempty"` // of the last distillation
}

// StoredNetwork describes a network whose parameters lie in a checkpoint file.
type StoredNetwork struct {
	TCN        net.TCN  `json:"tcn"`
	Labels     []string `json:"labels"`
	Background []string `json:"background"`
	RateHz     float64  `json:"rate_hz"`
	MinFrames  int      `json:"min_frames"`
	Checkpoint string   `json:"checkpoint"` // file name beside state.json
	Release    string   `json:"release"`
}

const stateFile = "state.json"

// loadState reads the state; none is a fresh one.
func loadState(dir string) (State, error) {
	var s State
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: %w; move it away to begin anew", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// save writes the state; the file is the old or the new one, never a part.
func (s *State) save(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".state-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, stateFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// store keeps a network's parameters under dir.
func (n *Network) store(dir, release string) (*StoredNetwork, error) {
	s := &StoredNetwork{
		TCN: n.TCN, Labels: n.Labels.Names(), Background: n.Background, RateHz: n.RateHz, MinFrames: n.MinFrames,
		Checkpoint: release + ".checkpoint", Release: release,
	}
	return s, n.Params.Save(filepath.Join(dir, s.Checkpoint), map[string]string{"release": release})
}

// load reads a stored network.
func (s *StoredNetwork) load(dir string) (*Network, error) {
	labels, err := tas.NewLabels(s.Labels...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	n := &Network{TCN: s.TCN, Labels: labels, Background: s.Background, RateHz: s.RateHz, MinFrames: s.MinFrames}
	if n.Params, err = s.TCN.NewParams(0); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if _, err := n.Params.Load(filepath.Join(dir, s.Checkpoint)); err != nil {
		return nil, err
	}
	return n, nil
}
