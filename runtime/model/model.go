// Package model opens a whole bundle, extractor and segmenter together, and probes it with the bundle's golden outputs,
// so that a device finds out before it switches whether its hardware computes what the trainer computed.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// ErrProbe is wrapped when a bundle's outputs on this device are not its golden ones.
var ErrProbe = errors.New("golden probe failed")

// Model is an open bundle.
type Model struct {
	Bundle    *bundle.Dir
	Extractor *feature.Extractor
	Segmenter *segment.Segmenter
	// Selection is what a Selector chose to run the models on; nil for a model that was only opened.
	Selection *Selection

	closed func() error // tells the Shelf, if it is from one; nil once it has been told
}

// Open opens the extractor and the segmenter of a bundle, which must be what its manifest says. The caller closes the model.
func Open(b *bundle.Dir, opts ort.Options) (*Model, error) {
	if err := checkContract(b); err != nil {
		return nil, err
	}
	e, err := feature.Open(b, opts)
	if err != nil {
		return nil, err
	}
	s, err := segment.Open(b, opts)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &Model{Bundle: b, Extractor: e, Segmenter: s}, nil
}

// OpenProbed opens a bundle and probes it: the way by which an untried release comes onto a device. It is a Selector that remembers
// nothing and is silent.
func OpenProbed(b *bundle.Dir, opts ort.Options) (*Model, error) {
	return (&Selector{Options: opts}).Open(b)
}

// Close frees the models. Closing again does nothing.
func (m *Model) Close() error {
	err := errors.Join(m.Extractor.Close(), m.Segmenter.Close())
	if told := m.closed; told != nil {
		m.closed = nil
		err = errors.Join(err, told())
	}
	return err
}

// Record computes the golden outputs of the open models, as the file golden.json holds them.
func (m *Model) Record() ([]byte, error) {
	g, err := m.run()
	if err != nil {
		return nil, fmt.Errorf("record golden outputs: %w", err)
	}
	return json.Marshal(g)
}

// Probe computes the golden outputs again and compares them with the bundle's. The segmenter's history is forgotten.
func (m *Model) Probe() error {
	want, err := readGolden(m.Bundle)
	if err != nil {
		return err
	}
	got, err := m.run()
	if err == nil {
		if err = compareFeatures(want.Features, got.Features); err == nil {
			err = compareProbs(want.Probs, got.Probs)
		}
	} else if !errors.Is(err, errNotFinite) && !errors.Is(err, segment.ErrNotFinite) {
		return fmt.Errorf("probe %s: %w", m.Bundle.Release, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s on %s/%s: %w", ErrProbe, m.Bundle.Release, m.Extractor.Provider(), m.Segmenter.Provider(), err)
	}
	return nil
}

// errNotFinite is wrapped when features hold NaN or infinity.
var errNotFinite = errors.New("features are not finite")

func (m *Model) run() (Golden, error) {
	picture, err := goldenPicture()
	if err != nil {
		return Golden{}, err
	}
	defer picture.Close() //nolint:errcheck // memory only
	g := Golden{Features: make([]float32, m.Extractor.Dim())}
	if err := m.Extractor.Extract(picture, g.Features); err != nil {
		return Golden{}, err
	}
	if err := finite(g.Features); err != nil {
		return Golden{}, fmt.Errorf("%w: %w", errNotFinite, err)
	}
	g.Probs, err = goldenProbs(m.Segmenter, len(m.Bundle.Segmenter.Heads), g.Features)
	return g, err
}

// Write makes a bundle in dir from its manifest and models, with the golden outputs that this machine's CPU computes. The
// models are opened on the way, so that a bundle whose manifest does not fit them is never written.
func Write(dir string, m bundle.Manifest, extractor, segmenter []byte) (*bundle.Dir, error) {
	parts := bundle.Parts{Extractor: extractor, Segmenter: segmenter, Golden: []byte("{}\n")}
	tmp, err := os.MkdirTemp("", "tandem-bundle-*")
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a leftover in the temporary directory harms nobody
	draft, err := bundle.Write(filepath.Join(tmp, "draft"), m, parts)
	if err != nil {
		return nil, err
	}
	open, err := Open(draft, ort.Options{})
	if err != nil {
		return nil, err
	}
	parts.Golden, err = open.Record()
	if err = errors.Join(err, open.Close()); err != nil {
		return nil, err
	}
	return bundle.Write(dir, m, parts)
}
