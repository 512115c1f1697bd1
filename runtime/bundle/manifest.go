// Package bundle holds what a device runs: a directory with a manifest, a feature extractor, a segmenter and golden
// outputs, which are one release and never mixed.
//
//	manifest.json    this package's Manifest: input contract, labels, frame rate, files with SHA-256, report
//	extractor.onnx   picture -> features
//	segmenter.onnx   features -> class scores, one frame a run, with ring-buffer state
//	golden.json      outputs on a fixed input, to probe a device with
//
// A directory is written under a temporary name and renamed, so one that has its final name is whole.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Schema is the version of the manifest that this code reads and writes.
const Schema = 1

// ManifestFile and the other file names of a bundle's directory.
const (
	ManifestFile  = "manifest.json"
	ExtractorFile = "extractor.onnx"
	SegmenterFile = "segmenter.onnx"
	GoldenFile    = "golden.json"
)

// ErrInvalid is wrapped by every error about what a bundle contains.
var ErrInvalid = errors.New("invalid bundle")

// Manifest describes a bundle. Extractor, segmenter and label list belong together.
type Manifest struct {
	Schema     int       `json:"schema"`
	Release    string    `json:"release"`          // name of the release, a token [a-z0-9-]{1,32}
	Parent     string    `json:"parent,omitempty"` // release it was distilled from
	Created    time.Time `json:"created"`
	RateHz     float64   `json:"rate_hz"`              // samples a second of features and labels
	Labels     []string  `json:"labels"`               // class names in the order of the scores
	Background []string  `json:"background,omitempty"` // labels that stand for "no action"
	Extractor  Extractor `json:"extractor"`
	Segmenter  Segmenter `json:"segmenter"`
	Golden     File      `json:"golden"`
	// Report is the trainer's evaluation of this release. Devices show it and do not read it.
	Report json.RawMessage `json:"report,omitempty"`
}

// File names a file of the bundle and the lower-case hex SHA-256 of its content.
type File struct {
	Name   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Extractor says how a picture becomes a feature vector.
type Extractor struct {
	File
	Input  Image  `json:"input"`
	Output string `json:"output"` // name of the output, [1, Dim] or [Dim] float32
	Dim    int    `json:"dim"`
}

// Image is the input contract of an extractor: how an 8-bit picture of any size becomes its input tensor,
// value = (pixel*Scale - Mean[c]) / Std[c].
type Image struct {
	Name     string    `json:"name"`
	Width    int       `json:"width"`
	Height   int       `json:"height"`
	Layout   string    `json:"layout"`   // "NCHW" or "NHWC"
	Channels string    `json:"channels"` // "RGB", "BGR" or "GRAY"
	Fit      string    `json:"fit"`      // "stretch", "crop" (centre) or "letterbox" (black bars)
	Scale    float64   `json:"scale"`
	Mean     []float64 `json:"mean"`
	Std      []float64 `json:"std"`
}

// Depth returns the number of channels.
func (im Image) Depth() int {
	if im.Channels == "GRAY" {
		return 1
	}
	return 3
}

// Segmenter says how features become class scores.
type Segmenter struct {
	File
	Mode  string `json:"mode"`  // Causal or Window
	Input string `json:"input"` // name of the input, [1, 1, Dim] float32, or [1, T, Dim] with any T in windows
	// Heads are the outputs, [1, 1, classes] float32 logits, by rising lag. In windows it is one, [1, T, classes], of lag 0.
	Heads  []Head   `json:"heads"`
	States []State  `json:"states"`           // none in windows
	Window *Windows `json:"window,omitempty"` // in mode Window
	Decode Decoding `json:"decode"`
}

// Head is an output of the segmenter. At frame t it scores frame t-Lag: the first head is the provisional one, the last
// the committed one, which has seen what came after.
type Head struct {
	Output string `json:"output"`
	Lag    int    `json:"lag"` // frames
}

// State is the history of one causal convolution. Before a run, Input [1, Taps, Channels] receives the rows that are
// Taps*Dilation, …, 2*Dilation, Dilation frames old (zeros before the first frame); after it, Output [1, 1, Channels]
// is the new row.
type State struct {
	Input    string `json:"input"`
	Output   string `json:"output"`
	Dilation int    `json:"dilation"` // frames
	Taps     int    `json:"taps"`
	Channels int    `json:"channels"`
}

// Dir is a bundle on disk whose files have been checked against their digests.
type Dir struct {
	Path string
	Manifest
}

// Read opens the bundle in a directory: it parses the manifest strictly, and checks every file's digest. All errors
// wrap ErrInvalid or an error of the file system, and name the file and field.
func Read(dir string) (*Dir, error) {
	f, err := os.Open(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	defer f.Close() //nolint:errcheck // only read
	m, err := Decode(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	for _, file := range m.files() {
		got, err := digestFile(filepath.Join(dir, file.Name))
		if err != nil {
			return nil, fmt.Errorf("bundle %s: %w", dir, err)
		}
		if got != file.SHA256 {
			return nil, fmt.Errorf("bundle %s: %w: %s has SHA-256 %s, the manifest says %s; fetch the release again",
				dir, ErrInvalid, file.Name, got, file.SHA256)
		}
	}
	return &Dir{Path: dir, Manifest: *m}, nil
}

// maxManifest bounds what Decode reads; a manifest is some kilobytes.
const maxManifest = 4 << 20

// Decode parses and validates a manifest. Unknown fields are errors, since a field that is not understood may change
// what the models mean.
func Decode(r io.Reader) (*Manifest, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrInvalid, ManifestFile, maxManifest)
	}
	// The version comes first: a newer manifest would only seem to have unknown fields.
	var v struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, ManifestFile, err)
	}
	if v.Schema != Schema {
		return nil, fmt.Errorf("%w: %s: schema is %d, this program reads %d", ErrInvalid, ManifestFile, v.Schema, Schema)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, ManifestFile, err)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return &m, nil
}

var releaseName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate checks every field, so that what reads a manifest later need not. The error wraps ErrInvalid and names the
// field, what it holds and what was expected.
func (m *Manifest) Validate() error {
	if m.Schema != Schema {
		return bad("schema", m.Schema, fmt.Sprint(Schema))
	}
	if !releaseName.MatchString(m.Release) {
		return bad("release", fmt.Sprintf("%q", m.Release), "a token of 1 to 32 of [a-z0-9-]")
	}
	if m.Parent != "" && !releaseName.MatchString(m.Parent) {
		return bad("parent", fmt.Sprintf("%q", m.Parent), "the name of a release or nothing")
	}
	if !(m.RateHz > 0 && m.RateHz <= 1000) {
		return bad("rate_hz", m.RateHz, "more than 0 and at most 1000")
	}
	if len(m.Labels) < 2 || len(m.Labels) > 10000 {
		return bad("labels", fmt.Sprintf("a list of %d", len(m.Labels)), "2 to 10000 class names")
	}
	seen := map[string]bool{}
	for i, l := range m.Labels {
		if l == "" || seen[l] {
			return bad(fmt.Sprintf("labels[%d]", i), fmt.Sprintf("%q", l), "a name that is not empty and not there twice")
		}
		seen[l] = true
	}
	for i, l := range m.Background {
		if !seen[l] {
			return bad(fmt.Sprintf("background[%d]", i), fmt.Sprintf("%q", l), "one of labels")
		}
	}
	for _, f := range m.files() {
		if f.Name == "" || f.Name != filepath.Base(f.Name) || f.Name == "." || f.Name == ".." || f.Name == ManifestFile {
			return bad("file", fmt.Sprintf("%q", f.Name), "a plain file name beside the manifest")
		}
		if len(f.SHA256) != 64 || !isHex(f.SHA256) {
			return bad("sha256 of "+f.Name, fmt.Sprintf("%q", f.SHA256), "64 lower-case hex digits")
		}
	}
	if err := m.Extractor.Validate(); err != nil {
		return err
	}
	return m.Segmenter.validate(len(m.Labels))
}

// bad is the error of a field.
func bad(field string, got any, want string) error {
	return fmt.Errorf("%w: %s: %s is %v, expected %s", ErrInvalid, ManifestFile, field, got, want)
}

// Validate checks the contract, not the file, as Manifest.Validate does: an extractor is used before there is a bundle.
func (e *Extractor) Validate() error {
	im := e.Input
	switch {
	case im.Name == "":
		return bad("extractor.input.name", `""`, "the name of the model's input")
	case e.Output == "":
		return bad("extractor.output", `""`, "the name of the model's output")
	case e.Dim < 1 || e.Dim > 1<<16:
		return bad("extractor.dim", e.Dim, "1 to 65536")
	case im.Width < 1 || im.Width > 8192:
		return bad("extractor.input.width", im.Width, "1 to 8192")
	case im.Height < 1 || im.Height > 8192:
		return bad("extractor.input.height", im.Height, "1 to 8192")
	case im.Layout != "NCHW" && im.Layout != "NHWC":
		return bad("extractor.input.layout", fmt.Sprintf("%q", im.Layout), "NCHW or NHWC")
	case !slices.Contains([]string{"RGB", "BGR", "GRAY"}, im.Channels):
		return bad("extractor.input.channels", fmt.Sprintf("%q", im.Channels), "RGB, BGR or GRAY")
	case !slices.Contains([]string{"stretch", "crop", "letterbox"}, im.Fit):
		return bad("extractor.input.fit", fmt.Sprintf("%q", im.Fit), "stretch, crop or letterbox")
	case im.Scale == 0 || !finite(im.Scale):
		return bad("extractor.input.scale", im.Scale, "a number other than 0")
	case len(im.Mean) != im.Depth():
		return bad("extractor.input.mean", im.Mean, fmt.Sprintf("%d numbers", im.Depth()))
	case len(im.Std) != im.Depth():
		return bad("extractor.input.std", im.Std, fmt.Sprintf("%d numbers", im.Depth()))
	}
	for i := range im.Mean {
		if !finite(im.Mean[i]) {
			return bad(fmt.Sprintf("extractor.input.mean[%d]", i), im.Mean[i], "a finite number")
		}
		if !(im.Std[i] > 0) || !finite(im.Std[i]) {
			return bad(fmt.Sprintf("extractor.input.std[%d]", i), im.Std[i], "a number above 0")
		}
	}
	return nil
}

func (s *Segmenter) validate(classes int) error {
	switch {
	case s.Mode != Causal && s.Mode != Window:
		return bad("segmenter.mode", fmt.Sprintf("%q", s.Mode), Causal+" or "+Window)
	case s.Mode == Window && s.Window == nil:
		return bad("segmenter.window", "missing", "the size of windows, in mode "+Window)
	case s.Mode == Causal && s.Window != nil:
		return bad("segmenter.window", "there", "nothing in mode "+Causal)
	case s.Mode == Window && (len(s.Heads) != 1 || s.Heads[0].Lag != 0 || len(s.States) > 0):
		return bad("segmenter.heads", fmt.Sprintf("a list of %d with %d states", len(s.Heads), len(s.States)), "one of lag 0 without states, in mode "+Window)
	case s.Input == "":
		return bad("segmenter.input", `""`, "the name of the model's input")
	case len(s.Heads) == 0 || len(s.Heads) > 16:
		return bad("segmenter.heads", fmt.Sprintf("a list of %d", len(s.Heads)), "1 to 16 outputs")
	case len(s.States) > 256:
		return bad("segmenter.states", fmt.Sprintf("a list of %d", len(s.States)), "at most 256")
	}
	if s.Window != nil {
		if err := s.Window.validate(); err != nil {
			return err
		}
	}
	for i, h := range s.Heads {
		if h.Output == "" {
			return bad(fmt.Sprintf("segmenter.heads[%d].output", i), `""`, "the name of an output")
		}
		if h.Lag < 0 || h.Lag > 10000 || (i > 0 && h.Lag <= s.Heads[i-1].Lag) {
			return bad(fmt.Sprintf("segmenter.heads[%d].lag", i), h.Lag, "0 to 10000 and rising")
		}
	}
	for i, st := range s.States {
		at := fmt.Sprintf("segmenter.states[%d]", i)
		switch {
		case st.Input == "" || st.Output == "":
			return bad(at, st, "the names of an input and an output")
		case st.Dilation < 1 || st.Taps < 1 || st.Channels < 1 ||
			st.Dilation > 1<<20 || st.Taps > 1<<10 || st.Channels > 1<<16 || st.Dilation*st.Taps*st.Channels > 1<<28:
			return bad(at, st, "dilation, taps and channels above 0 and a ring of at most 1 GiB")
		}
	}
	return s.Decode.Check(classes, s.JudgeLag())
}

func (m *Manifest) files() []File {
	return []File{m.Extractor.File, m.Segmenter.File, m.Golden}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func isHex(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
