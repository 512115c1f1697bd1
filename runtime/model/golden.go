package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// Golden is what a bundle computes on a fixed input, by the trainer's CPU in float32.
type Golden struct {
	Features []float32   `json:"features"` // of the golden picture
	Probs    [][]float32 `json:"probs"`    // per head, after goldenFrames frames of scaled golden features, or a whole window
}

// goldenFrames is enough for the ring buffers to matter.
const goldenFrames = 24

// Tolerances of a probe. They let fp16 providers pass and catch wrong operators, layouts and channel orders.
const (
	featureTolerance = 0.03 // relative L2
	probTolerance    = 0.05 // absolute
)

// maxGolden bounds what is read; golden.json is some kilobytes, or a megabyte with very many classes.
const maxGolden = 16 << 20

// readGolden reads a bundle's golden outputs. Errors wrap bundle.ErrInvalid, or ErrProbe where they can't be this bundle's.
func readGolden(b *bundle.Dir) (g Golden, err error) {
	path := filepath.Join(b.Path, b.Golden.Name)
	st, err := os.Stat(path)
	if err != nil {
		return g, fmt.Errorf("probe %s: %w", b.Release, err)
	}
	if st.Size() > maxGolden {
		return g, fmt.Errorf("probe %s: %w: %s has %d bytes, at most %d are read", b.Release, bundle.ErrInvalid, b.Golden.Name, st.Size(), maxGolden)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return g, fmt.Errorf("probe %s: %w", b.Release, err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("probe %s: %w: %s: %w", b.Release, bundle.ErrInvalid, path, err)
	}
	if len(g.Features) != b.Extractor.Dim || len(g.Probs) != len(b.Segmenter.Heads) {
		return g, fmt.Errorf("%w: %s of %s holds %d features and %d heads, the manifest says %d and %d; the bundle was put together by hand: write it anew",
			ErrProbe, b.Golden.Name, b.Release, len(g.Features), len(g.Probs), b.Extractor.Dim, len(b.Segmenter.Heads))
	}
	return g, nil
}

func compareFeatures(want, got []float32) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d features, golden.json has %d", len(got), len(want))
	}
	if err := finite(got); err != nil {
		return err
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(w) - float64(got[i])
		diff += d * d
		norm += float64(w) * float64(w)
	}
	if rel := math.Sqrt(diff / max(norm, 1e-12)); !(rel <= featureTolerance) {
		return fmt.Errorf("features differ by %.3g of their size, at most %g is allowed", rel, featureTolerance)
	}
	return nil
}

// finite says which feature is no number.
func finite(features []float32) error {
	for i, v := range features {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("feature %d is %v, expected a finite number", i, v)
		}
	}
	return nil
}

func compareProbs(want, got [][]float32) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d heads, golden.json has %d", len(got), len(want))
	}
	for h := range want {
		if len(want[h]) != len(got[h]) {
			return fmt.Errorf("head %d has %d classes, golden.json has %d", h, len(got[h]), len(want[h]))
		}
		for k, w := range want[h] {
			if d := math.Abs(float64(w - got[h][k])); !(d <= probTolerance) {
				return fmt.Errorf("head %d, class %d has probability %.3f, golden is %.3f", h, k, got[h][k], w)
			}
		}
	}
	return nil
}

// goldenProbs runs a segmenter on goldenFrames frames of features that rise and fall, and returns each head's probabilities at
// the last. Its history is forgotten before and after.
func goldenProbs(s *segment.Segmenter, heads int, features []float32) ([][]float32, error) {
	s.Finish(segment.EndOfTake)
	row := make([]float32, len(features))
	for i := range max(goldenFrames, s.Window()) {
		scale := float32(1 + 0.3*math.Sin(float64(i)))
		for j, f := range features {
			row[j] = f * scale
		}
		if _, err := s.Push(i, i+1, row); err != nil {
			return nil, err
		}
	}
	var probs [][]float32
	for h := range heads {
		probs = append(probs, append([]float32(nil), s.Scores(h)...))
	}
	s.Finish(segment.EndOfTake)
	return probs, nil
}

// pictures are the inputs of a probe: the golden one, and another one against outputs that are only repeated.
type pictures struct{ golden, second gocv.Mat }

// goldenPicture has edges, gradients and colours that a wrong channel order or layout would change. It is computed, so
// that it need not be stored.
func goldenPicture() (gocv.Mat, error) {
	return picture(func(x, y, w, h int) (b, g, r byte) {
		return byte(x * 255 / (w - 1)), byte(y * 255 / (h - 1)), byte((x/16 + y/12) % 2 * 200)
	})
}

func picture(pixel func(x, y, w, h int) (b, g, r byte)) (gocv.Mat, error) {
	const w, h = 160, 120
	px := make([]byte, w*h*3)
	for y := range h {
		for x := range w {
			p := px[(y*w+x)*3:]
			p[0], p[1], p[2] = pixel(x, y, w, h)
		}
	}
	return gocv.NewMatFromBytes(h, w, gocv.MatTypeCV8UC3, px)
}

func newPictures() (*pictures, error) {
	golden, err := goldenPicture()
	if err != nil {
		return nil, err
	}
	second, err := picture(func(x, y, w, _ int) (b, g, r byte) {
		return byte((x/8 + y/20) % 2 * 220), byte(255 - x*255/(w-1)), byte(y)
	})
	if err != nil {
		return nil, errors.Join(err, golden.Close())
	}
	return &pictures{golden: golden, second: second}, nil
}

func (p *pictures) close() {
	if p == nil {
		return
	}
	_ = p.golden.Close() // memory only
	_ = p.second.Close()
}

// probeError is a result that is not the golden one.
func (t *trial) probeError(name, provider string, err error) error {
	return fmt.Errorf("%w: %s of %s on %s: %w", ErrProbe, name, t.b.Release, provider, err)
}

// checkSegmenter compares a segmenter's outputs on features with the golden ones.
func (t *trial) checkSegmenter(s *segment.Segmenter, provider string, features []float32) error {
	probs, err := goldenProbs(s, len(t.b.Segmenter.Heads), features)
	if err == nil {
		err = compareProbs(t.golden.Probs, probs)
	} else if !errors.Is(err, segment.ErrNotFinite) {
		return err
	}
	if err != nil {
		return t.probeError(partSegmenter, provider, err)
	}
	return nil
}

// checkExtractor compares an extractor's outputs with the golden ones, and what the chosen segmenter makes of them. A provider
// other than the CPU is shown a second picture between two golden ones, and compared with this machine's CPU there: a captured graph that is
// played again without its new input gives the golden features for ever.
func (t *trial) checkExtractor(e *feature.Extractor, s *segment.Segmenter, provider string) (err error) {
	if t.pictures == nil {
		if t.pictures, err = newPictures(); err != nil {
			return err
		}
	}
	features := make([]float32, e.Dim())
	show := func(p gocv.Mat, want []float32) error {
		if err := e.Extract(p, features); err != nil {
			return err
		}
		if err := compareFeatures(want, features); err != nil {
			return t.probeError(partExtractor, provider, err)
		}
		return nil
	}
	if err := show(t.pictures.golden, t.golden.Features); err != nil {
		return err
	}
	if provider != ort.CPU {
		want, err := t.secondFeatures()
		if err != nil {
			return err
		}
		if err := show(t.pictures.second, want); err != nil {
			return fmt.Errorf("a second picture, beside the CPU: %w", err)
		}
		if err := show(t.pictures.golden, t.golden.Features); err != nil {
			return err
		}
	}
	probs, err := goldenProbs(s, len(t.b.Segmenter.Heads), features)
	if err != nil {
		return err
	}
	if err := compareProbs(t.golden.Probs, probs); err != nil {
		return t.probeError(partExtractor, provider, fmt.Errorf("the segmenter, fed by it: %w", err))
	}
	return nil
}

// secondFeatures are the CPU's of the second picture.
func (t *trial) secondFeatures() ([]float32, error) {
	if t.reference != nil {
		return t.reference, nil
	}
	e, err := feature.Open(t.b, ort.Options{Threads: t.sel.Options.Threads})
	if err != nil {
		return nil, err
	}
	features := make([]float32, e.Dim())
	if err := errors.Join(e.Extract(t.pictures.second, features), e.Close()); err != nil {
		return nil, err
	}
	t.reference = features
	return features, nil
}

// extracts returns one run of an extractor.
func (t *trial) extracts(e *feature.Extractor) (once func() error, samples int, err error) {
	features := make([]float32, e.Dim())
	return func() error { return e.Extract(t.pictures.golden, features) }, 1, nil
}

// pushes returns one run of a segmenter: a sample, or in windows as many as bring about one run over a full window.
func (t *trial) pushes(s *segment.Segmenter) (once func() error, samples int, err error) {
	samples = 1
	if w := t.b.Segmenter.Window; w != nil {
		samples = w.Hop
		rows := make([]float32, 0, w.Frames*len(t.golden.Features))
		for range w.Frames {
			rows = append(rows, t.golden.Features...)
		}
		if err := s.Warm(rows); err != nil {
			return nil, 0, err
		}
	}
	at := int64(0)
	return func() error {
		for range samples {
			at++
			if _, err := s.Push(at, at, t.golden.Features); err != nil {
				return err
			}
		}
		return nil
	}, samples, nil
}

// oneLine makes an error's text fit a status message.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
