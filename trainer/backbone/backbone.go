// Package backbone holds image extractors with what it takes to use them and to train them on: the network, its
// parameters, the input contract and how it was trained. One is built in (Default).
//
// On disk it is a directory:
//
//	extractor.json   this package's Backbone: contract, network, training
//	extractor.onnx   picture -> features
//	extractor.ckpt   the network's parameters; missing in an extractor that comes from elsewhere
package backbone

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/bundle"
)

// Names of the files.
const (
	File           = "extractor.json"
	ModelFile      = "extractor.onnx"
	CheckpointFile = "extractor.ckpt"
)

// Schema is the version of extractor.json that this code reads and writes.
const Schema = 1

// ErrInvalid is wrapped by every error about what such a directory contains.
var ErrInvalid = errors.New("invalid extractor")

// Backbone is an image extractor.
type Backbone struct {
	Schema int `json:"schema"`
	// Contract says how a picture becomes features, and which file does. A digest may be left out of a file that is written
	// by hand.
	Contract bundle.Extractor `json:"extractor"`
	// Network is what Params are of; nil for an extractor that can only be run.
	Network  *net.DepthwiseCNN `json:"network,omitempty"`
	Training *Training         `json:"training,omitempty"`

	Params *nn.Params `json:"-"` // without the head that they were trained with
	ONNX   []byte     `json:"-"`
}

// Training says where an extractor's weights come from.
type Training struct {
	Seed    uint64   `json:"seed"`
	Classes []string `json:"classes"`
	RateHz  float64  `json:"rate_hz"` // of the pictures
	Epochs  int      `json:"epochs"`
	Best    int      `json:"best_epoch"` // the one that was kept
	Split   Split    `json:"pictures"`
	// Choice is the mean recall over classes on the takes that the epoch was chosen by, Test on the others, in per cent: of the
	// pictures as they are, and with their colours taken away.
	Choice Recall `json:"choice"`
	Test   Recall `json:"test"`
	// TestTakes are the takes of Test.
	TestTakes []string `json:"test_takes"`
}

// Split counts pictures.
type Split struct {
	Train  int `json:"train"`
	Choose int `json:"choose"`
	Test   int `json:"test"`
}

// Recall is the mean over classes of the share of pictures that are recognised, in per cent.
type Recall struct {
	Colour float64 `json:"colour"`
	Grey   float64 `json:"grey"`
}

// Normalisation of the pictures: about what natural ones have, per channel of [0, 1].
const (
	mean      = 0.45
	deviation = 0.25
)

// New makes an extractor of a network and parameters that may include the head of its training.
func New(c net.DepthwiseCNN, trained *nn.Params, how *Training) (*Backbone, error) {
	p, err := c.NewParams(0, 0)
	if err != nil {
		return nil, err
	}
	for _, q := range p.List() {
		v, err := trained.Get(q.Name)
		if err == nil {
			err = p.Set(q.Name, v)
		}
		if err != nil {
			return nil, err
		}
	}
	b := &Backbone{Schema: Schema, Contract: Contract(c), Network: &c, Training: how, Params: p}
	b.ONNX, err = c.Infer(p)
	return b, err
}

// Contract is the input contract of the networks that are trained here.
func Contract(c net.DepthwiseCNN) bundle.Extractor {
	return bundle.Extractor{
		Input: bundle.Image{
			Name: net.Image, Width: c.Width, Height: c.Height, Layout: "NCHW", Channels: "RGB", Fit: "stretch", Scale: 1.0 / 255,
			Mean: []float64{mean, mean, mean}, Std: []float64{deviation, deviation, deviation},
		},
		Output: net.Features, Dim: c.Out,
	}
}

// Is tells whether a directory holds an extractor, and not a bundle.
func Is(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, File))
	return err == nil
}

// Read reads the extractor in a directory.
func Read(dir string) (*Backbone, error) {
	b, err := read(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("extractor %s: %w", dir, err)
	}
	return b, nil
}

func read(files fs.FS) (*Backbone, error) {
	text, err := fs.ReadFile(files, File)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	b := &Backbone{}
	if err := dec.Decode(b); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, File, err)
	}
	if b.Schema != Schema {
		return nil, fmt.Errorf("%w: %s: schema is %d, this program reads %d", ErrInvalid, File, b.Schema, Schema)
	}
	if err := b.Contract.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, File, err)
	}
	if b.Network != nil {
		return b, b.restore(files)
	}
	if b.ONNX, err = fs.ReadFile(files, ModelFile); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.ONNX)
	if got, want := hex.EncodeToString(sum[:]), b.Contract.SHA256; want != "" && got != want {
		return nil, fmt.Errorf("%w: %s has SHA-256 %s, %s says %s", ErrInvalid, ModelFile, got, File, want)
	}
	return b, nil
}

// restore reads the parameters and makes the model of them.
func (b *Backbone) restore(files fs.FS) error {
	c, at := *b.Network, b.Contract.Input
	if want := Contract(c); b.Contract.Dim != want.Dim || at.Width != c.Width || at.Height != c.Height || at.Layout != want.Input.Layout ||
		at.Depth() != want.Input.Depth() || at.Name != want.Input.Name || b.Contract.Output != want.Output {
		return fmt.Errorf("%w: %s: the contract is not that of the network %+v", ErrInvalid, File, c)
	}
	data, err := fs.ReadFile(files, CheckpointFile)
	if err != nil {
		return err
	}
	saved, err := nn.DecodeCheckpoint(data)
	if err != nil {
		return fmt.Errorf("%s: %w", CheckpointFile, err)
	}
	// Memory is taken for what the file holds, not for what it claims.
	if n := parameters(c); n > len(data)/4 {
		return fmt.Errorf("%w: %s: the network has %d parameters at least, %s has %d bytes", ErrInvalid, File, n, CheckpointFile, len(data))
	}
	if b.Params, err = c.NewParams(0, 0); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, File, err)
	}
	if err := b.Params.Restore(saved); err != nil {
		return fmt.Errorf("%s: %w", CheckpointFile, err)
	}
	b.ONNX, err = c.Infer(b.Params)
	return err
}

// parameters is a lower bound of the number of a network's parameters, however absurd its sizes.
func parameters(c net.DepthwiseCNN) int {
	const most = 1 << 20 // channels and blocks: two of them multiplied, a thousand times, are no overflow
	n, in := min(max(c.Stem, 0), most), min(max(c.Stem, 0), most)
	for i, k := range c.Blocks {
		if i == 1000 {
			break
		}
		out := min(max(k.Channels, 0), most)
		n, in = n+in*out, out
	}
	return n
}

// Write makes the directory dir, which must not exist. It appears whole or not at all.
func (b *Backbone) Write(dir string) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("write extractor: %s exists already", dir)
	}
	sum, filled := sha256.Sum256(b.ONNX), *b
	filled.Contract.File = bundle.File{Name: ModelFile, SHA256: hex.EncodeToString(sum[:])}
	text, err := json.MarshalIndent(&filled, "", "  ")
	if err != nil {
		return fmt.Errorf("write extractor: %w", err)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("write extractor: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, ".extractor-*")
	if err != nil {
		return fmt.Errorf("write extractor: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // nothing is left there once it has been renamed
	parts := map[string][]byte{File: append(text, '\n'), ModelFile: b.ONNX}
	if b.Params != nil {
		if parts[CheckpointFile], err = b.Params.Checkpoint(nil).Encode(); err != nil {
			return fmt.Errorf("write extractor: %w", err)
		}
	}
	for name, data := range parts {
		if err := writeFile(filepath.Join(tmp, name), data); err != nil {
			return fmt.Errorf("write extractor: %w", err)
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // other users may read models
		return fmt.Errorf("write extractor: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("write extractor: %w", err)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
