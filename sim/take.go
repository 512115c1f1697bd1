package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Names of the files of a take besides those of its cameras.
const (
	TruthFile  = "truth.json"
	LabelsFile = "labels.txt"
)

// schema is the version of truth.json.
const schema = 1

// Take is the truth about a take, as truth.json holds it.
type Take struct {
	Schema   int          `json:"schema"`
	Name     string       `json:"name"`
	Seed     uint64       `json:"seed"`
	Index    int          `json:"index"`
	StartNS  int64        `json:"start_ns"` // site time of frame 0 of the timeline
	FPS      float64      `json:"fps"`      // of the timeline
	Frames   int          `json:"frames"`   // of the timeline
	Labels   []string     `json:"labels"`   // classes of the cell, background first
	Worker   Worker       `json:"worker"`
	Segments []Segment    `json:"segments"` // in order, covering all frames
	Cameras  []TakeCamera `json:"cameras"`
}

// Segment is a label on the half-open interval [Start, End) of frames of the timeline.
type Segment struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Label string `json:"label"`
}

// TakeCamera is the truth about one camera's recording. Row i of CaptureNS and JitterNS belongs to frame i of the video. Its stamp is
// CaptureNS + LatencyNS + OffsetNS + round(SkewPPM·(CaptureNS − StartNS)/1e6) + JitterNS.
type TakeCamera struct {
	ID     string  `json:"id"`
	Kind   string  `json:"kind"` // "exo" or "ego"
	Video  string  `json:"video"`
	Stamps string  `json:"stamps"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Mono   bool    `json:"mono"`
	FPS    float64 `json:"fps"`

	PhaseNS    int64   `json:"phase_ns"` // of capture 0 after the take's start
	LatencyNS  int64   `json:"latency_ns"`
	OffsetNS   int64   `json:"offset_ns"`
	SkewPPM    float64 `json:"skew_ppm"`
	JitterSDNS int64   `json:"jitter_sd_ns"`
	DropRate   float64 `json:"drop_rate"`
	DoubleRate float64 `json:"double_rate"`

	// Dropped and Doubled count captures from 0, including lost ones.
	Dropped []int `json:"dropped"`
	Doubled []int `json:"doubled"`

	CaptureNS []int64 `json:"capture_ns"` // true instant of capture; the same twice for a doubled frame
	JitterNS  []int64 `json:"jitter_ns"`  // noise of the stamp; with the delay of redelivery for the second of a doubled frame
}

// Camera returns the camera with the given id.
func (t *Take) Camera(id string) (*TakeCamera, bool) {
	for i := range t.Cameras {
		if t.Cameras[i].ID == id {
			return &t.Cameras[i], true
		}
	}
	return nil, false
}

// FrameLabels returns the label of each frame of the timeline.
func (t *Take) FrameLabels() []string {
	out := make([]string, 0, t.Frames)
	for _, s := range t.Segments {
		for range s.End - s.Start {
			out = append(out, s.Label)
		}
	}
	return out
}

// LabelAt returns the label at an instant of site time, background outside the take.
func (t *Take) LabelAt(ns int64) string {
	frame := float64(ns-t.StartNS) / 1e9 * t.FPS
	for _, s := range t.Segments {
		if frame >= float64(s.Start) && frame < float64(s.End) {
			return s.Label
		}
	}
	return Background
}

// RawNS returns the stamp of each frame of the camera's video, as its device put it on.
func (t *Take) RawNS(c *TakeCamera) []int64 {
	raw := make([]int64, len(c.CaptureNS))
	for i, at := range c.CaptureNS {
		raw[i] = at + c.LatencyNS + c.OffsetNS + skewed(at-t.StartNS, c.SkewPPM) + c.JitterNS[i]
	}
	return raw
}

// ReadTake reads the truth of the take in dir. Unknown fields, contradictions and trailing text are errors.
func ReadTake(dir string) (*Take, error) {
	path := filepath.Join(dir, TruthFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read take: %w", err)
	}
	t, err := parseTake(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func parseTake(text []byte) (*Take, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var t Take
	if err := dec.Decode(&t); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("ends in the middle; want the truth of a take as JSON")
		}
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has text after the take")
	}
	if err := t.validate(); err != nil {
		return nil, err
	}
	return &t, nil
}

func (t *Take) validate() error {
	switch {
	case t.Schema != schema:
		return fmt.Errorf("schema %d; this program reads %d", t.Schema, schema)
	case t.Name == "":
		return errors.New("name is empty")
	case t.StartNS < 0:
		return fmt.Errorf("start_ns %d is before 1970", t.StartNS)
	case !(t.FPS > 0 && t.FPS <= maxFPS):
		return fmt.Errorf("fps %g: want more than 0, at most %d", t.FPS, maxFPS)
	case t.Frames <= 0:
		return fmt.Errorf("frames %d: want at least 1", t.Frames)
	case len(t.Labels) == 0 || t.Labels[0] != Background:
		return fmt.Errorf("labels: want %q first", Background)
	}
	at := 0
	for i, s := range t.Segments {
		if s.Start != at || s.End <= s.Start {
			return fmt.Errorf("segment %d is [%d, %d): want it to begin in %d and not to be empty", i, s.Start, s.End, at)
		}
		if !slices.Contains(t.Labels, s.Label) {
			return fmt.Errorf("segment %d has label %q, which isn't one of labels", i, s.Label)
		}
		at = s.End
	}
	if at != t.Frames {
		return fmt.Errorf("segments end in %d; want %d, all frames", at, t.Frames)
	}
	for i := range t.Cameras {
		if err := t.Cameras[i].check(); err != nil {
			return fmt.Errorf("camera %d (%q): %w", i, t.Cameras[i].ID, err)
		}
	}
	return nil
}

func (c *TakeCamera) check() error {
	switch {
	case c.ID == "" || filepath.Base(c.Video) != c.Video || filepath.Base(c.Stamps) != c.Stamps:
		return errors.New("want an id, and plain file names for video and stamps")
	case c.Kind != "exo" && c.Kind != "ego":
		return fmt.Errorf("kind %q: want exo or ego", c.Kind)
	case c.Width <= 0 || c.Height <= 0:
		return fmt.Errorf("size %dx%d: want more than 0", c.Width, c.Height)
	case !(c.FPS > 0 && c.FPS <= maxFPS):
		return fmt.Errorf("fps %g: want more than 0, at most %d", c.FPS, maxFPS)
	case len(c.CaptureNS) == 0 || len(c.JitterNS) != len(c.CaptureNS):
		return fmt.Errorf("capture_ns has %d and jitter_ns %d values: want the same number, at least 1", len(c.CaptureNS), len(c.JitterNS))
	case !slices.IsSorted(c.CaptureNS):
		return errors.New("capture_ns doesn't ascend")
	case !slices.IsSorted(c.Dropped) || !slices.IsSorted(c.Doubled):
		return errors.New("dropped or doubled doesn't ascend")
	}
	return nil
}
