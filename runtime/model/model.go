// Package model opens a whole bundle, extractor and segmenter together, and probes it with the bundle's golden outputs,
// so that a device finds out before it switches whether its hardware computes what the trainer computed.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

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
}

// Open opens the extractor and the segmenter of a bundle. The caller closes the model.
func Open(b *bundle.Dir, opts ort.Options) (*Model, error) {
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

// OpenProbed opens a bundle and probes it: the way by which an untried release comes onto a device.
func OpenProbed(b *bundle.Dir, opts ort.Options) (*Model, error) {
	m, err := Open(b, opts)
	if err != nil {
		return nil, err
	}
	if err := m.Probe(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Close frees the models.
func (m *Model) Close() error { return errors.Join(m.Extractor.Close(), m.Segmenter.Close()) }

// Golden is what a bundle computes on a fixed input, by the trainer's CPU in float32.
type Golden struct {
	Features []float32   `json:"features"` // of the golden picture
	Probs    [][]float32 `json:"probs"`    // per head, after goldenFrames frames of scaled golden features
}

// goldenFrames is enough for the ring buffers to matter.
const goldenFrames = 24

// Tolerances of a probe. They let fp16 providers pass and catch wrong operators, layouts and channel orders.
const (
	featureTolerance = 0.03 // relative L2
	probTolerance    = 0.05 // absolute
)

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
	path := filepath.Join(m.Bundle.Path, m.Bundle.Golden.Name)
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("probe %s: %w", m.Bundle.Release, err)
	}
	var want Golden
	if err := json.Unmarshal(data, &want); err != nil {
		return fmt.Errorf("probe %s: %s: %w", m.Bundle.Release, path, err)
	}
	got, err := m.run()
	if err != nil {
		return fmt.Errorf("probe %s: %w", m.Bundle.Release, err)
	}
	if err := compare(want, got); err != nil {
		return fmt.Errorf("%w: %s on %s/%s: %w", ErrProbe, m.Bundle.Release, m.Extractor.Provider(), m.Segmenter.Provider(), err)
	}
	return nil
}

func compare(want, got Golden) error {
	if len(want.Features) != len(got.Features) || len(want.Probs) != len(got.Probs) {
		return fmt.Errorf("%d features and %d heads, golden.json has %d and %d",
			len(got.Features), len(got.Probs), len(want.Features), len(want.Probs))
	}
	var diff, norm float64
	for i, w := range want.Features {
		d := float64(w - got.Features[i])
		diff += d * d
		norm += float64(w) * float64(w)
	}
	if rel := math.Sqrt(diff / max(norm, 1e-12)); !(rel <= featureTolerance) {
		return fmt.Errorf("features differ by %.3g of their size, at most %g is allowed", rel, featureTolerance)
	}
	for h := range want.Probs {
		if len(want.Probs[h]) != len(got.Probs[h]) {
			return fmt.Errorf("head %d has %d classes, golden.json has %d", h, len(got.Probs[h]), len(want.Probs[h]))
		}
		for k, w := range want.Probs[h] {
			if d := math.Abs(float64(w - got.Probs[h][k])); !(d <= probTolerance) {
				return fmt.Errorf("head %d, class %d has probability %.3f, golden is %.3f", h, k, got.Probs[h][k], w)
			}
		}
	}
	return nil
}

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
	row := make([]float32, len(g.Features))
	for i := range int64(goldenFrames) {
		scale := float32(1 + 0.3*math.Sin(float64(i)))
		for j, f := range g.Features {
			row[j] = f * scale
		}
		if _, err := m.Segmenter.Push(i, i+1, row); err != nil {
			return Golden{}, err
		}
	}
	for h := range m.Bundle.Segmenter.Heads {
		g.Probs = append(g.Probs, append([]float32(nil), m.Segmenter.Scores(h)...))
	}
	m.Segmenter.Finish(segment.EndOfTake)
	return g, nil
}

// goldenPicture has edges, gradients and colours that a wrong channel order or layout would change. It is computed, so
// that it need not be stored.
func goldenPicture() (gocv.Mat, error) {
	const w, h = 160, 120
	px := make([]byte, w*h*3)
	for y := range h {
		for x := range w {
			p := px[(y*w+x)*3:]
			p[0] = byte(x * 255 / (w - 1))
			p[1] = byte(y * 255 / (h - 1))
			p[2] = byte((x/16 + y/12) % 2 * 200)
		}
	}
	return gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, px)
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
