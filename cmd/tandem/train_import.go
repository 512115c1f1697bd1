package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/trainer"
	"tandem/trainer/dataset"
)

// defaultExtractRate is the rate of features that are extracted without a bundle, in samples a second.
const defaultExtractRate = 15

// trainImportOptions are the flags of train import.
type trainImportOptions struct {
	from, format, out string
	check, json       bool
	set               dataset.Options
	pool, clock       string
	extractor         string
	frames            bool
	threads           int
	onnxruntime       string
}

func newTrainImport() *cobra.Command {
	var o trainImportOptions
	var formats strings.Builder
	for _, f := range dataset.Formats() {
		fmt.Fprintf(&formats, "  %-11s %s\n", f.Name, f.Files)
	}
	cmd := &cobra.Command{
		Use:   "import --from PATH {--out DIR | --check}",
		Short: "Check a data set, and convert it to Tandem's own layout",
		Long: `Read a data set whole, take by take, check it, and write it in Tandem's own layout: features as NumPy arrays for each
view, labels, splits and a manifest with digests. The layouts it knows, and what it knows them by:

` + formats.String() + `
A file that is missing, damaged or of another length, a number that isn't finite, a label that is no class: the import
stops with the file and the frame or line, and leaves nothing behind. --check writes nothing and lists all problems.
docs/datasets.md describes the layouts.`,
		Example: `  tandem train import --from two-stream-50salads --check
  tandem train import --from Assembly101 --exo v4 --ego e4 --rate 1.5 --out data/assembly101
  tandem train import --from takes --extractor store/bundles/line-0001 --out data/cell
  tandem train import --from takes --frames --out data/cell
  tandem train import --from gtea --stride 2 --background background --out data/gtea`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "directory of the data set (required)")
	f.StringVar(&o.format, "format", dataset.Auto, "its layout: "+strings.Join(dataset.FormatNames(), ", "))
	f.StringVarP(&o.out, "out", "o", "", "directory to write to, made if missing")
	f.BoolVar(&o.check, "check", false, "only check and summarize")
	f.StringVar(&o.set.Name, "name", "", "name of the data set (default: that of its directory)")
	f.StringSliceVar(&o.set.Exo, "exo", nil, "exo views (default: all; of Assembly101 v4)")
	f.StringVar(&o.set.Ego, "ego", "", "ego view (default: the one there is; of Assembly101 e4)")
	f.Float64Var(&o.set.RateHz, "rate", 0, "samples a second that are wanted (default: as stored; of videos that of the bundle, or 15)")
	f.IntVar(&o.set.Stride, "stride", 0, "keep one of so many samples, for files that don't say their rate (MS-TCN's sample rate)")
	f.StringVar(&o.pool, "pool", "", "how several samples become one: first, max or mean (default: first; of Assembly101 max)")
	f.Float64Var(&o.set.SourceHz, "source-rate", 0, "samples a second of files that don't say their rate")
	f.BoolVar(&o.set.TimeMajor, "time-major", false, "arrays are [T, D] and not [D, T]")
	f.StringSliceVar(&o.set.Background, "background", nil, "labels that mean that nothing is done (default: background, if there is such a label)")
	f.IntVar(&o.set.Folds, "folds", 0, "make so many folds of a data set that comes with none")
	f.StringArrayVar(&o.set.Scenarios, "scenario", nil, "of Ego-Exo4D: only this scenario; may be repeated")
	f.StringVar(&o.extractor, "extractor", "", "what makes features of videos: a directory that 'tandem train extractor' wrote, a bundle, or filterbank (default: the built-in extractor)")
	f.BoolVar(&o.frames, "frames", false, "of videos: keep the ego view's pictures with its features, for the method feature-extractor")
	f.StringVar(&o.clock, "clock", "", "of simulated takes: match frames by the devices' stamps or by the truth (default: stamps)")
	f.IntVar(&o.threads, "threads", 1, "threads of the extractor")
	f.StringVar(&o.onnxruntime, "onnxruntime", "", "ONNX Runtime's library (default: found)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// validate says what is wrong with the flags.
func (o *trainImportOptions) validate() error {
	switch {
	case o.from == "":
		return usagef("--from is missing: name the data set's directory")
	case o.out == "" && !o.check:
		return usagef("--out is missing: name a directory to write to, or use --check")
	case o.out != "" && o.check:
		return usagef("--check writes nothing; leave --out %s out", o.out)
	case o.format != dataset.Auto && !slices.Contains(dataset.FormatNames(), o.format):
		return usagef("--format %s: expected %s or %s", o.format, strings.Join(dataset.FormatNames(), ", "), dataset.Auto)
	case o.threads < 1:
		return usagef("--threads %d: expected 1 or more", o.threads)
	}
	o.set.Pool, o.set.Clock = dataset.Pool(o.pool), dataset.Clock(o.clock)
	if err := o.set.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

func (o *trainImportOptions) run(cmd *cobra.Command) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	ctx := cmd.Context()
	format, err := dataset.Detect(o.from, o.format)
	if err != nil {
		return err
	}
	if format.Videos {
		if err := o.openExtractor(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.set.Extractor.Close()) }()
	} else if o.extractor != "" || o.clock != "" || o.frames {
		return usagef("--extractor, --frames and --clock are for videos; %s is a %s data set, which holds features", o.from, format.Name)
	}
	o.set.CacheBytes = -1 // everything is read once
	set, err := dataset.Open(ctx, o.from, format.Name, o.set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	bars := newStageBars(cmd.ErrOrStderr())
	summary, err := o.work(ctx, set, bars)
	bars.wait()
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(cmd.OutOrStdout(), summary)
	} else {
		err = writeSummary(cmd.OutOrStdout(), summary, o.out)
	}
	if n := len(summary.Problems) + summary.More; err == nil && n > 0 {
		err = fmt.Errorf("%s has %d problems, the first: %s", o.from, n, summary.Problems[0])
	}
	return err
}

// work checks the data set, or imports it and says what was written.
func (o *trainImportOptions) work(ctx context.Context, set *dataset.Dataset, bars *stageBars) (_ dataset.Summary, err error) {
	if o.check {
		return set.Check(ctx, func(done, total int, note string) { bars.report("check", done, total, note) })
	}
	_, err = set.Import(ctx, o.out, func(done, total int, note string) { bars.report("import", done, total, note) })
	if err != nil {
		return dataset.Summary{}, err
	}
	written, err := dataset.Open(ctx, o.out, "tandem", dataset.Options{})
	if err != nil {
		return dataset.Summary{}, fmt.Errorf("read what was written: %w", err)
	}
	defer func() { err = errors.Join(err, written.Close()) }()
	return written.Summary(), nil
}

// openExtractor opens the extractor that was named, or the built-in one, and takes a bundle's rate where none was asked for.
func (o *trainImportOptions) openExtractor() error {
	if err := ort.Init(o.onnxruntime); err != nil {
		return err
	}
	ex, rate, err := trainer.OpenExtractor(o.extractor)
	if err != nil {
		return err
	}
	if rate == 0 {
		rate = defaultExtractRate
	}
	if o.set.RateHz == 0 {
		o.set.RateHz = rate
	}
	if o.frames {
		if o.set.Frames, err = trainer.OpenBackbone(o.extractor); err != nil {
			return err
		}
	}
	o.set.Extractor, err = feature.New(ex.ONNX, ex.Contract, ort.Options{Threads: o.threads})
	return err
}

// writeSummary prints what a data set holds.
func writeSummary(w io.Writer, s dataset.Summary, out string) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s "+format+"\n", append([]any{name}, args...)...)
	}
	row("data set", "%s (%s)", s.Name, s.Format)
	if s.RateHz > 0 {
		row("rate", "%.6g Hz, %.2f hours", s.RateHz, float64(s.Samples)/s.RateHz/3600)
	} else {
		row("rate", "not known")
	}
	row("takes", "%d: %d with exo labels, %d with ego labels", s.Takes, s.Labelled, s.EgoLabels)
	row("samples", "%d, a take has %d to %d; %.1f MB of features", s.Samples, s.Shortest, s.Longest, float64(s.Bytes)/1e6)
	row("classes", "%d, background: %s", len(s.Classes), orNone(s.Background))
	width := 0
	for _, v := range s.Views {
		width = max(width, len(v.Name))
	}
	for i, v := range s.Views {
		row(onlyFirst(i, "views"), "%-*s  %s  %5d features  %5d takes", width, v.Name, v.Role, v.Dim, v.Takes)
	}
	for i, f := range s.Folds {
		row(onlyFirst(i, "folds"), "%-3s  %d to train on, %d to test on, %d pairs", f.Name, f.Train, f.Test, f.Pairs)
	}
	for i, n := range s.Notes {
		row(onlyFirst(i, "notes"), "%s", n)
	}
	for i, p := range s.Problems {
		row(onlyFirst(i, "problems"), "%s", p)
	}
	if s.More > 0 {
		row("", "and %d more", s.More)
	}
	if out != "" {
		row("written", "%s", out)
	} else if len(s.Problems) == 0 {
		row("problems", "none")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// onlyFirst is the name of the first of several rows.
func onlyFirst(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
