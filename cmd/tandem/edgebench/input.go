package edgebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/sim"
	"tandem/stream/capture"
	"tandem/tas"
	"tandem/trainer"
)

// Video is what is measured on.
type Video struct {
	File      string  `json:"file"` // base name
	Simulated bool    `json:"simulated"`
	Codec     string  `json:"codec,omitempty"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FPS       float64 `json:"fps"`
	Frames    int64   `json:"frames"`

	path string
	exo  string // recording of the same take by a fixed camera, "" for none
}

// Release describes the bundle that is measured.
type Release struct {
	Release string  `json:"release"`
	Builtin bool    `json:"builtin"` // the built-in extractor and a causal student of the default recipe
	RateHz  float64 `json:"rate_hz"`
	Input   string  `json:"input"` // of the extractor
	Dim     int     `json:"features"`
	Labels  int     `json:"labels"`
	States  int     `json:"states"` // of the segmenter: layers with memory
	Bytes   int64   `json:"model_bytes"`

	dir *bundle.Dir
}

// ego is the simulated camera that rigs wear.
const ego = "ego"

// renderTake renders what a rig and a fixed camera see of a simulated take.
func renderTake(ctx context.Context, c *Config, dir string) (Video, error) {
	cams := sim.DefaultCameras("exo1", ego)
	for i := range cams {
		cams[i].Width, cams[i].Height = c.Width, c.Height
	}
	cfg := sim.Config{Seed: 5, Length: c.Length, FPS: c.FPS, Cameras: cams}
	b := sim.Batch{Config: cfg, Takes: []sim.TakeSpec{{Name: "bench"}}}
	all, err := b.Pictures()
	if err != nil {
		return Video{}, err
	}
	done := 0
	b.Progress = func(n int) {
		done += n
		c.progress("render", done, all)
	}
	if _, err := b.Render(ctx, dir); err != nil {
		return Video{}, err
	}
	v, err := lookAt(filepath.Join(dir, "bench", ego+".mp4"))
	v.Simulated, v.exo = true, filepath.Join(dir, "bench", "exo1.mp4")
	return v, err
}

// lookAt reads what a video says of itself.
func lookAt(path string) (Video, error) {
	v := Video{File: filepath.Base(path), path: path}
	kind, err := capture.KindOf(path)
	if err != nil {
		return v, err
	}
	if kind != capture.KindFile {
		return v, fmt.Errorf("%s is no video file; record one, for example with ffmpeg -i SOURCE -t 60 -c copy FILE.mp4", path)
	}
	info, err := capture.Probe(context.Background(), capture.Config{Source: path})
	if err != nil {
		return v, err
	}
	v.Codec, v.Width, v.Height, v.FPS, v.Frames = info.Codec, info.Width, info.Height, info.FPS, info.Frames
	if !(v.FPS > 0) {
		return v, fmt.Errorf("%s has no frame rate; a recording with one is needed", path)
	}
	return v, nil
}

// readRelease opens the directory of a bundle.
func readRelease(dir string) (Release, error) {
	d, err := bundle.Read(dir)
	if err != nil {
		return Release{}, err
	}
	return describe(d)
}

func describe(d *bundle.Dir) (Release, error) {
	im := d.Extractor.Input
	r := Release{
		Release: d.Release, RateHz: d.RateHz, Input: fmt.Sprintf("%dx%dx%d", im.Depth(), im.Height, im.Width), Dim: d.Extractor.Dim,
		Labels: len(d.Labels), States: len(d.Segmenter.States), dir: d,
	}
	for _, name := range []string{d.Extractor.Name, d.Segmenter.Name} {
		s, err := os.Stat(filepath.Join(d.Path, name))
		if err != nil {
			return r, err
		}
		r.Bytes += s.Size()
	}
	if d.Segmenter.Window != nil {
		return r, fmt.Errorf("bundle %s runs in windows: there is no work a frame to time; give one whose segmenter is causal", d.Release)
	}
	return r, nil
}

// at writes the same bundle for another rate: its models do the same work, more or less often.
func (r Release) at(rate float64, dir string) (*bundle.Dir, error) {
	m := r.dir.Manifest
	m.RateHz = rate
	return r.write(m, dir)
}

// renamed writes the same bundle as another release.
func (r Release) renamed(dir string) (*bundle.Dir, error) {
	m := r.dir.Manifest
	m.Release, m.Parent = "bench-other", m.Release
	return r.write(m, dir)
}

func (r Release) write(m bundle.Manifest, dir string) (*bundle.Dir, error) {
	var files [3][]byte
	for i, name := range []string{r.dir.Extractor.Name, r.dir.Segmenter.Name, bundle.GoldenFile} {
		var err error
		if files[i], err = os.ReadFile(filepath.Join(r.dir.Path, name)); err != nil {
			return nil, err
		}
	}
	return bundle.Write(dir, m, bundle.Parts{Extractor: files[0], Segmenter: files[1], Golden: files[2]})
}

// studentTakes are the takes that the default student learns from: enough for labels that come and go as a rig's do, which is all
// that matters to its speed.
const studentTakes = 3

// makeRelease makes the default bundle: the built-in extractor, and a causal network of the default recipe that has learned a
// simulated cell in some seconds.
func makeRelease(ctx context.Context, c *Config, dir string) (Release, error) {
	takes := filepath.Join(dir, "labelled")
	r := trainer.DefaultRecipe()
	r.Epochs, r.MinSteps = 1, c.Steps
	b := sim.Batch{Config: sim.Config{Seed: 6, Length: c.Student, FPS: r.RateHz, Cameras: sim.DefaultCameras(ego)}}
	for i := range studentTakes {
		b.Takes = append(b.Takes, sim.TakeSpec{Index: i, Name: fmt.Sprintf("take-%d", i+1)})
	}
	if _, err := b.Render(ctx, takes); err != nil {
		return Release{}, err
	}
	ex, err := trainer.DefaultExtractor()
	if err != nil {
		return Release{}, err
	}
	list, err := trainer.FindRecordings(takes, ego)
	if err != nil {
		return Release{}, err
	}
	labels, err := tas.NewLabels(sim.Labels()...)
	if err != nil {
		return Release{}, err
	}
	progress := func(stage string, done, total int, _ string) { c.progress(stage, done, total) }
	labelled, err := trainer.LoadRecordings(ctx, list, ex, r, labels, progress)
	if err != nil {
		return Release{}, err
	}
	n, err := trainer.TrainLabelled(ctx, "student", labelled[1:], labelled[:1], labels, sim.Labels()[:1], r, progress)
	if err != nil {
		return Release{}, err
	}
	d, err := n.Write(filepath.Join(dir, "bundle"), ex, bundle.Manifest{Release: "bench-1", Created: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return Release{}, err
	}
	out, err := describe(d)
	out.Builtin = true
	return out, errors.Join(err, os.RemoveAll(takes))
}

// picturesOf decodes pictures to preprocess: some seconds of the video.
func picturesOf(v Video) (pictures, gocv.Mat, error) {
	list, err := readPictures(v.path, 64)
	if err != nil {
		return nil, gocv.Mat{}, err
	}
	return list, list[0], nil
}
