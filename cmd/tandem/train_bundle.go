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
	case o.extractor == "" && (o.release != "" || len(o.window) > 0 || o.prior != 0):
		return usagef("--release, --window and --prior are of a bundle, for which --extractor is missing")
	case o.extractor == "":
		return nil
	case len(o.window) > 0 && (s.Options.Network.Kind == "causal" || len(o.window) != 3):
		return usagef("--window %v: expected FRAMES,HOP,RIGHT for a network that is not causal", o.window)
	case !(o.prior >= 0 && o.prior <= 1000):
		return usagef("--prior is %g, expected 0 (none) to 1000", o.prior)
	case o.release == "":
		o.release = fmt.Sprintf("%s-%d", s.Method, s.Options.Seed)
	}
	if !token.MatchString(o.release) {
		return usagef("--release %q: expected 1 to 32 of [a-z0-9-]", o.release)
	}
	return nil
}

var token = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// check says why a data set's features can't be those of the extractor.
func (o *bundleOptions) check(set *dataset.Dataset) error {
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
	return nil
}

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
		n.Decode.Prior = &bundle.Prior{Lag: max(1, int(math.Round(n.RateHz/2))), Weight: o.prior, LogTransitions: t.LogTransitions}
	}
	if w := o.window; len(w) == 3 {
		n.Window = &bundle.Windows{Frames: w[0], Hop: w[1], Right: w[2], Left: max(0, w[0]-w[1]-w[2])}
	}
	ex := o.ex
	if own := t.Model.Extractor(); own != nil { // the student's, regressed to the teacher's
		ex = trainer.Extractor{ONNX: own.ONNX, Contract: own.Contract}
	}
	if _, err := n.Write(dir, ex, m); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}
