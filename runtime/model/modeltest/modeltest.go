// Package modeltest makes small real bundles for tests: a filter bank and a causal TCN of random weights, which run in
// microseconds and whose labels change.
package modeltest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strconv"
	"testing"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
)

// Labels are the class names of every bundle made here.
func Labels() []string { return []string{"background", "pick", "screw", "pack"} }

// Options vary a bundle. The zero value is a good one.
type Options struct {
	Release      string  // default "test-1"
	Seed         uint64  // of the weights; default 7
	RateHz       float64 // default 10
	MinFrames    int     // of the label hold; default 1
	Lag          int     // of the committed head; default 5
	Layers       int     // of the TCN; default 4
	Orientations int     // of the filter bank, which change its features; default 2
	// Change may spoil the manifest before the bundle is written.
	Change func(*bundle.Manifest)
}

func (o *Options) setDefaults() {
	def(&o.Release, "test-1")
	def(&o.Seed, 7)
	def(&o.RateHz, 10)
	def(&o.MinFrames, 1)
	def(&o.Lag, 5)
	def(&o.Layers, 4)
	def(&o.Orientations, 2)
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Built is a bundle on disk and the network that its segmenter was made of.
type Built struct {
	Dir    *bundle.Dir
	TCN    net.TCN
	Params *nn.Params
}

// Write makes a bundle in the directory dir, which must not exist, with golden outputs.
func Write(dir string, o Options) (*Built, error) {
	o.setDefaults()
	bank := net.FilterBank{Width: net.MinSide, Height: net.MinSide, Grid: 2, Orientations: o.Orientations}
	extractor, err := bank.Model()
	if err != nil {
		return nil, err
	}
	labels := Labels()
	tcn := net.TCN{In: bank.Size(), Channels: 8, Layers: o.Layers, Classes: len(labels), Lags: []int{0, o.Lag}}
	params, err := tcn.NewParams(o.Seed)
	if err != nil {
		return nil, err
	}
	// Random heads hardly differ between classes; scaled up, they give labels that change.
	for _, lag := range tcn.Lags {
		w, err := params.Get("head.lag" + strconv.Itoa(lag) + ".weight")
		if err != nil {
			return nil, err
		}
		for i := range w {
			w[i] *= 30
		}
	}
	segmenter, spec, err := tcn.Stream(params)
	if err != nil {
		return nil, err
	}
	m := bundle.Manifest{
		Release: o.Release, RateHz: o.RateHz, Labels: labels, Background: labels[:1],
		Extractor: bundle.Extractor{
			Input: bundle.Image{
				Name: net.Image, Width: bank.Width, Height: bank.Height, Layout: "NCHW", Channels: "RGB", Fit: "stretch",
				Scale: 1. / 255, Mean: []float64{.45, .45, .45}, Std: []float64{.25, .25, .25},
			},
			Output: net.Features, Dim: bank.Size(),
		},
		Segmenter: bundle.Segmenter{
			Mode: "causal", Input: net.Features, Decode: bundle.Decoding{MinFrames: o.MinFrames},
			Heads: []bundle.Head{{Output: net.LogitsName(0)}, {Output: net.LogitsName(o.Lag), Lag: o.Lag}},
		},
	}
	for _, s := range spec.States {
		m.Segmenter.States = append(m.Segmenter.States, bundle.State(s))
	}
	if o.Change != nil {
		o.Change(&m)
	}
	d, err := model.Write(dir, m, extractor, segmenter)
	if err != nil {
		return nil, err
	}
	return &Built{Dir: d, TCN: tcn, Params: params}, nil
}

// New makes a bundle in a directory of the test's.
func New(t testing.TB, o Options) *bundle.Dir {
	t.Helper()
	b, err := Write(filepath.Join(t.TempDir(), "bundle"), o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Dir
}

// Pack returns a bundle as it travels, and its digest.
func Pack(t testing.TB, d *bundle.Dir) (packed []byte, sha256Hex string) {
	t.Helper()
	var b bytes.Buffer
	if err := d.Pack(&b); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:])
}
