package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"tandem/runtime/bundle"
	"tandem/trainer"
	"tandem/trainer/compare"
	"tandem/trainer/dataset"
)

// studentBundle is the directory of the bundle in a training's directory.
const studentBundle = "bundle"

// bundleOptions say what a rig's bundle is made of, beside the student.
type bundleOptions struct {
	extractor, release string
	window             []int // frames, hop and right context; none for the default
	prior              float64
	commitLag          float64 // seconds; 0 for what the rest adds up to

	from *bundle.Dir // the bundle whose extractor it is; nil for the built-in one
	ex   trainer.Extractor
}

// builtinExtractor names the extractor that train import uses without --extractor.
const builtinExtractor = "builtin"

// open reads the extractor, before anything is trained.
func (o *bundleOptions) open() (err error) {
	switch o.extractor {
	case "":
		return nil
	case builtinExtractor:
		o.ex, err = trainer.DefaultExtractor()
		return err
	}
	if o.from, err = bundle.Read(o.extractor); err != nil {
		return err
	}
	o.ex.Contract = o.from.Extractor
	o.ex.ONNX, err = os.ReadFile(filepath.Join(o.from.Path, o.from.Extractor.Name))
	return err
}

// validate says what is wrong with the flags, and names the release.
func (o *bundleOptions) validate(s compare.Single) error {
	switch {
	case o.extractor == "" && (o.release != "" || len(o.window) > 0 || o.prior != 0 || o.commitLag != 0):
		return usagef("--release, --window, --prior and --commit-lag are of a bundle, for which --extractor is missing")
	case o.extractor == "":
		return nil
	case len(o.window) > 0 && (s.Options.Network.Kind == "causal" || len(o.window) != 3):
		return usagef("--window %v: expected FRAMES,HOP,RIGHT for a network that is not causal", o.window)
	case !(o.prior >= 0 && o.prior <= 1000):
		return usagef("--prior is %g, expected 0 (none) to 1000", o.prior)
	case !(o.commitLag >= 0 && o.commitLag <= 600):
		return usagef("--commit-lag is %g, expected seconds, 0 (none) to 600", o.commitLag)
	case o.release == "":
		o.release = fmt.Sprintf("%s-%d", s.Method, s.Options.Seed)
	}
	if !token.MatchString(o.release) {
		return usagef("--release %q: expected 1 to 32 of [a-z0-9-]", o.release)
	}
	return nil
}

var token = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// check says why a data set's features can't be those of the extractor, or the commit lag be kept, before anything is trained.
func (o *bundleOptions) check(set *dataset.Dataset, s compare.Single) error {
	if o.extractor == "" {
		return nil
	}
	ego, _ := set.EgoView()
	switch {
	case ego.Dim != o.ex.Contract.Dim:
		return fmt.Errorf("--extractor %s makes %d features, the ego view of %s has %d, so they were made by another one", o.extractor,
			o.ex.Contract.Dim, set.Name, ego.Dim)
	case !(set.RateHz > 0):
		return fmt.Errorf("the rate of %s isn't known, which a bundle needs; import it with --source-rate", set.Name)
	case o.from != nil && o.from.RateHz != set.RateHz:
		return fmt.Errorf("%s has %g samples a second, the bundle %s is for %g", set.Name, set.RateHz, o.extractor, o.from.RateHz)
	}
	late := 0
	if lags := s.Options.Network.Lags; len(lags) > 0 {
		late = lags[len(lags)-1]
	}
	if w := o.windows(); w != nil {
		late = w.Right + w.Hop - 1
	} else if s.Options.Network.Kind != "causal" {
		w := trainer.DefaultWindow(set.RateHz, 0)
		late = w.Right + w.Hop - 1
	}
	if o.prior > 0 {
		late += o.priorLag(set.RateHz)
	}
	if commit := o.commitFrames(set.RateHz); commit > 0 && commit < late {
		return fmt.Errorf("--commit-lag %g is %d samples of %s, but the network and the prior are %d late by themselves; "+
			"raise it, or lower --lags or --window's RIGHT", o.commitLag, commit, set.Name, late)
	}
	return nil
}

// windows are the windows that were asked for, nil without.
func (o *bundleOptions) windows() *bundle.Windows {
	w := o.window
	if len(w) != 3 {
		return nil
	}
	return &bundle.Windows{Frames: w[0], Hop: w[1], Right: w[2], Left: max(0, w[0]-w[1]-w[2])}
}

// priorLag is by how many samples a prior is late: half a second.
func (o *bundleOptions) priorLag(rate float64) int { return max(1, int(math.Round(rate/2))) }

func (o *bundleOptions) commitFrames(rate float64) int { return int(math.Round(o.commitLag * rate)) }

// write writes the bundle of extractor and student.
func (o *bundleOptions) write(dir string, t *compare.Trained) error {
	report, err := json.Marshal(t.Report)
	if err != nil {
		return err
	}
	m := bundle.Manifest{Release: o.release, Created: time.Now().UTC().Truncate(time.Second), Report: report}
	if o.from != nil {
		m.Parent = o.from.Release
	}
	n := &trainer.Network{Model: t.Model, RateHz: t.Report.RateHz,
		Decode: bundle.Decoding{MinFrames: max(1, t.Report.Hold), MinFramesByClass: t.MinFramesByClass}}
	if o.prior > 0 {
		n.Decode.Prior = &bundle.Prior{Lag: o.priorLag(n.RateHz), Weight: o.prior, LogTransitions: t.LogTransitions}
	}
	n.Decode.CommitLag = o.commitFrames(n.RateHz)
	n.Window = o.windows()
	ex := o.ex
	if own := t.Model.Extractor(); own != nil { // the student's, regressed to the teacher's
		ex = trainer.Extractor{ONNX: own.ONNX, Contract: own.Contract}
	}
	if _, err := n.Write(dir, ex, m); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}
