// Package quantize makes int8 bundles: it observes a bundle's models on unlabelled features and pictures, quantizes them, and says
// how far the new bundle agrees with the old one on others, and how fast both are.
package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"tandem/learn/quant"
	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/model"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
	"tandem/trainer/dataset"
	"tandem/trainer/replay"
)

// ErrUnfit is wrapped where a bundle can't be quantized.
var ErrUnfit = errors.New("this bundle can't be quantized")

// Take is one take's unlabelled features, [T, dim].
type Take struct {
	Name string
	Data []float32
}

// Options say what is quantized, and on what.
type Options struct {
	Release string
	// Calibrate are the takes whose features the segmenter is observed on, Held those on which it is compared; with none of them
	// it stays float32.
	Calibrate, Held []Take
	// Pictures and HeldPictures are videos for the extractor; with none it stays float32.
	Pictures, HeldPictures []string
	// Share of runs that ranges keep within; see quant.Observer. 0 means 1.
	Share     float64
	EightBits bool
	Threads   int
	// Labelled and Replay, if they are set, score both bundles on test takes of a data set, whose labels are read for that alone.
	Labelled *dataset.Dataset
	Replay   replay.Options
}

// Agreement is how far a quantized model is from the float32 one, on what it was not observed on.
type Agreement struct {
	Samples int     `json:"samples"`
	Same    float64 `json:"same_label_percent,omitempty"` // of the segmenter's last head
	First   float64 `json:"same_label_percent_first_head,omitempty"`
	MeanAbs float64 `json:"mean_probability_difference,omitempty"`
	// Relative is the mean relative L2 difference of the extractor's features.
	Relative float64 `json:"relative_feature_difference,omitempty"`
}

// Part is what became of one model.
type Part struct {
	Nodes     int       `json:"nodes"` // quantized; 0: it is float32
	Bytes     int       `json:"bytes"`
	FromBytes int       `json:"float32_bytes"`
	Calls     int       `json:"observed_runs"`
	Agreement Agreement `json:"agreement"`
	// Median times of a run, the two models taking turns on the same inputs, or as the probe measured them where nothing was held out.
	Ns     int64 `json:"ns_per_run"`
	FromNs int64 `json:"float32_ns_per_run"`
}

// Report is what the new bundle says of itself, under "quantization".
type Report struct {
	From       string  `json:"from"`
	Scheme     string  `json:"scheme"`
	WeightBits int     `json:"weight_bits"`
	Share      float64 `json:"share"`
	Library    string  `json:"onnxruntime"`
	Extractor  Part    `json:"extractor"`
	Segmenter  Part    `json:"segmenter"`
	Scores     *Scores `json:"scores,omitempty"`
}

// Scores are those of the committed streams of both segmenters, on the same float32 features.
type Scores struct {
	Warning string         `json:"warning"`
	Takes   []string       `json:"takes"`
	View    string         `json:"view"`
	Float32 replay.Figures `json:"float32"`
	Int8    replay.Figures `json:"int8"`
}

// Run writes the quantized bundle of b into dir, which must not exist.
func Run(ctx context.Context, b *bundle.Dir, dir string, o Options) (*Report, error) {
	if o.Share == 0 {
		o.Share = 1
	}
	r := &Report{From: b.Release, Scheme: "QDQ, static; weights int8 symmetric per channel, activations uint8", WeightBits: 7, Share: o.Share}
	if o.EightBits {
		r.WeightBits = 8
	}
	q := &job{b: b, o: o}
	extractor, segmenter, err := q.models()
	if err != nil {
		return nil, err
	}
	r.Extractor.FromBytes, r.Segmenter.FromBytes = len(extractor), len(segmenter)
	newExtractor, newSegmenter := extractor, segmenter
	if len(o.Pictures) > 0 {
		if newExtractor, err = q.extractor(ctx, extractor, &r.Extractor); err != nil {
			return nil, fmt.Errorf("%w: its extractor: %w", ErrUnfit, err)
		}
	}
	if len(o.Calibrate) > 0 {
		if b.Segmenter.Mode != "causal" {
			return nil, fmt.Errorf("%w: its segmenter's mode is %q, expected causal; leave --data out to quantize the extractor alone", ErrUnfit, b.Segmenter.Mode)
		}
		if newSegmenter, err = q.segmenter(ctx, segmenter, &r.Segmenter); err != nil {
			return nil, fmt.Errorf("%w: its segmenter: %w", ErrUnfit, err)
		}
	}
	r.Extractor.Bytes, r.Segmenter.Bytes = len(newExtractor), len(newSegmenter)
	return r, q.write(ctx, dir, newExtractor, newSegmenter, r)
}

type job struct {
	b *bundle.Dir
	o Options
}

func (q *job) models() (extractor, segmenter []byte, err error) {
	if extractor, err = os.ReadFile(filepath.Join(q.b.Path, q.b.Extractor.Name)); err != nil {
		return nil, nil, err
	}
	segmenter, err = os.ReadFile(filepath.Join(q.b.Path, q.b.Segmenter.Name))
	return extractor, segmenter, err
}

func (q *job) session() ort.Options { return ort.Options{Threads: q.o.Threads} }

// extractor observes and quantizes the extractor.
func (q *job) extractor(ctx context.Context, onnx []byte, p *Part) ([]byte, error) {
	instrumented, names, err := quant.Instrument(onnx, true)
	if err != nil {
		return nil, err
	}
	contract := q.b.Extractor
	contract.Output, contract.Dim = quant.Ranges, 2*len(names)
	e, err := feature.New(instrumented, contract, q.session())
	if err != nil {
		return nil, err
	}
	defer e.Close() //nolint:errcheck // only read
	seen := quant.NewObserver(names)
	ranges := make([]float32, 2*len(names))
	err = eachPicture(ctx, q.o.Pictures, func(pic picture) error {
		p.Calls++
		if err := e.Extract(pic, ranges); err != nil {
			return err
		}
		return seen.Add(ranges)
	})
	if err != nil {
		return nil, err
	}
	out, nodes, err := quant.Quantize(onnx, seen.Ranges(q.o.Share), quant.Options{EightBits: q.o.EightBits})
	p.Nodes = nodes
	return out, err
}

// segmenter observes and quantizes the segmenter.
func (q *job) segmenter(ctx context.Context, onnx []byte, p *Part) ([]byte, error) {
	instrumented, names, err := quant.Instrument(onnx, false)
	if err != nil {
		return nil, err
	}
	s, err := openStream(instrumented, q.b, 2*len(names), q.session())
	if err != nil {
		return nil, err
	}
	defer s.close() //nolint:errcheck // only read
	seen := quant.NewObserver(names)
	dim := q.b.Extractor.Dim
	for _, t := range q.o.Calibrate {
		s.reset()
		for f := 0; f+dim <= len(t.Data) && ctx.Err() == nil; f += dim {
			p.Calls++
			if err := s.push(t.Data[f : f+dim]); err != nil {
				return nil, fmt.Errorf("take %s: %w", t.Name, err)
			}
			if err := seen.Add(s.extra); err != nil {
				return nil, fmt.Errorf("take %s: %w", t.Name, err)
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, nodes, err := quant.Quantize(onnx, seen.Ranges(q.o.Share), quant.Options{EightBits: q.o.EightBits})
	p.Nodes = nodes
	return out, err
}

// write compares the new models with the old ones and writes the bundle with its report.
func (q *job) write(ctx context.Context, dir string, extractor, segmenter []byte, r *Report) error {
	tmp, err := os.MkdirTemp("", "tandem-quantize-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a leftover in the temporary directory harms nobody
	m := q.b.Manifest
	m.Release, m.Parent, m.Created = q.o.Release, q.b.Release, time.Now().UTC().Truncate(time.Second)
	draft, err := model.Write(filepath.Join(tmp, "draft"), m, extractor, segmenter)
	if err != nil {
		return fmt.Errorf("%w: what became of it does not run: %w", ErrUnfit, err)
	}
	was, err := model.OpenProbed(q.b, q.session())
	if err != nil {
		return err
	}
	defer was.Close() //nolint:errcheck // only read
	is, err := model.OpenProbed(draft, q.session())
	if err != nil {
		return err
	}
	defer is.Close() //nolint:errcheck // only read
	r.Library = ort.Version()
	r.Extractor.FromNs, r.Extractor.Ns = int64(was.Selection.Extractor.PerRun), int64(is.Selection.Extractor.PerRun)
	r.Segmenter.FromNs, r.Segmenter.Ns = int64(was.Selection.Segmenter.PerRun), int64(is.Selection.Segmenter.PerRun)
	var turns turns
	if r.Extractor.Agreement, err = comparePictures(ctx, was.Extractor, is.Extractor, q.o.HeldPictures, &turns); err != nil {
		return err
	}
	turns.into(&r.Extractor)
	if r.Segmenter.Agreement, err = compareTakes(ctx, was.Segmenter, is.Segmenter, len(q.b.Segmenter.Heads), q.b.Extractor.Dim, q.o.Held, &turns); err != nil {
		return err
	}
	turns.into(&r.Segmenter)
	if q.o.Labelled != nil {
		if r.Scores, err = q.scores(ctx, draft); err != nil {
			return err
		}
	}
	if m.Report, err = reportOf(q.b.Report, r); err != nil {
		return err
	}
	_, err = model.Write(dir, m, extractor, segmenter)
	return err
}

// scores replays the test takes through both bundles.
func (q *job) scores(ctx context.Context, draft *bundle.Dir) (*Scores, error) {
	r, err := replay.Run(ctx, q.o.Labelled, []replay.Student{{Path: q.b.Path, Bundle: q.b}, {Path: draft.Path, Bundle: draft}}, q.o.Replay)
	if err != nil {
		return nil, fmt.Errorf("scores: %w", err)
	}
	// The last row is what a device commits, with all that the bundle's decoder does.
	last := func(i int) replay.Figures {
		rows := r.Students[i].Rows
		return rows[len(rows)-1].Figures
	}
	return &Scores{Warning: r.Warning, Takes: r.Takes, View: r.View, Float32: last(0), Int8: last(1)}, nil
}

// reportOf puts the quantization beside what the bundle said of itself before.
func reportOf(before json.RawMessage, r *Report) (json.RawMessage, error) {
	all := map[string]any{}
	if len(before) > 0 && json.Unmarshal(before, &all) != nil {
		all = map[string]any{"before": before}
	}
	all["quantization"] = r
	return json.Marshal(all)
}

func comparePictures(ctx context.Context, was, is *feature.Extractor, videos []string, turns *turns) (a Agreement, err error) {
	x, y := make([]float32, was.Dim()), make([]float32, is.Dim())
	err = eachPicture(ctx, videos, func(pic picture) error {
		if err := turns.run(func() error { return was.Extract(pic, x) }, func() error { return is.Extract(pic, y) }); err != nil {
			return err
		}
		var diff, norm float64
		for i := range x {
			d := float64(x[i]) - float64(y[i])
			diff += d * d
			norm += float64(x[i]) * float64(x[i])
		}
		a.Samples++
		a.Relative += math.Sqrt(diff / max(norm, 1e-12))
		return nil
	})
	if a.Samples > 0 {
		a.Relative /= float64(a.Samples)
	}
	return a, err
}

func compareTakes(ctx context.Context, was, is *segment.Segmenter, heads, dim int, takes []Take, turns *turns) (a Agreement, err error) {
	sum := 0.0
	for _, t := range takes {
		for f := 0; f+dim <= len(t.Data); f += dim {
			at := int64(f/dim) + 1
			if err := ctx.Err(); err != nil {
				return a, err
			}
			push := func(s *segment.Segmenter) func() error {
				return func() error {
					_, err := s.Push(at, at, t.Data[f:f+dim])
					return err
				}
			}
			if err := turns.run(push(was), push(is)); err != nil {
				return a, fmt.Errorf("take %s: %w", t.Name, err)
			}
			a.Samples++
			if best(was.Scores(0)) == best(is.Scores(0)) {
				a.First++
			}
			last, other := was.Scores(heads-1), is.Scores(heads-1)
			if best(last) == best(other) {
				a.Same++
			}
			for k := range last {
				sum += math.Abs(float64(last[k]-other[k])) / float64(len(last))
			}
		}
		was.Finish(segment.EndOfTake)
		is.Finish(segment.EndOfTake)
	}
	if n := float64(a.Samples); n > 0 {
		a.Same, a.First, a.MeanAbs = 100*a.Same/n, 100*a.First/n, sum/n
	}
	return a, nil
}

func best(p []float32) int {
	k := 0
	for i, v := range p {
		if v > p[k] {
			k = i
		}
	}
	return k
}
