package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"tandem/runtime/ort"
	"tandem/trainer/compare"
	"tandem/trainer/compare/figure"
	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// trainCompareOptions are the flags of train compare.
type trainCompareOptions struct {
	data, format, out string
	plan              compare.Plan
	networks          networkOptions
	plot              string
	folds             []string
	makeFolds         int
	onnxruntime       string
	json              bool
}

func newTrainCompare() *cobra.Command {
	var o trainCompareOptions
	var methods strings.Builder
	for _, name := range method.Names() {
		if m, err := method.Get(name); err == nil {
			fmt.Fprintf(&methods, "  %-11s %s (%s)\n", m.Name, m.Summary, m.Source)
		}
	}
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure methods of adaptation on a data set with ego labels",
		Long: `Train each method on each fold with several seeds, score the students on the ego takes of the fold's test part, and print
mean and spread over seeds of frame accuracy (MoF), Edit and F1@{10,25,50}.

Methods, beside "teacher", which is the teacher on the exo takes of the test part:

` + methods.String() + `
The gap closed is that between exo-only and ego-oracle. What is kept is the share of the method's own score without clock
error and with all pairs. The exo score is that of the student on the exo side of the test takes.

With --jitter J, each take's clock is wrong by a whole number of frames drawn evenly from -J to J. With several values of
both, --jitter and --pairs make two curves: clock errors with all pairs, shares of the pairs without clock error; --cross
measures each with each.

A causal student learns from a teacher of its own kind unless --teacher-network says otherwise, and is scored as it judges
unless --hold says how long a label must last to count; "auto" is a third of the median length in the teacher's labels.

Results go to --out, a line for each method, fold, seed and condition, and what is there already is not measured again;
results of other settings may stand in the same file.`,
		Example: `  tandem train compare --data shared/two-stream-50salads --methods teacher,ego-oracle,tas,tandem --seeds 3 --jitter 0,12
  tandem train compare --data takes --jitter 0,3,6,12 --pairs 1,0.5,0.25,0.1 --out results.jsonl --plot figure.png
  tandem train compare --data takes --methods exo-only,tandem --pairs 1,0.1 --out results.jsonl --json
  tandem train compare --data takes --network causal --lags 0,2 --teacher-network tcn --hold auto --first-seed 11`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "directory of the data set (required)")
	f.StringVar(&o.format, "format", dataset.Auto, "layout of the data set: "+strings.Join(dataset.FormatNames(), ", "))
	f.StringSliceVar(&o.plan.Methods, "methods", []string{compare.Teacher, "exo-only", "ego-oracle", "tas", "tandem"}, "methods to compare")
	f.IntVar(&o.plan.Seeds, "seeds", 3, "seeds for each method and fold")
	f.Uint64Var(&o.plan.FirstSeed, "first-seed", 1, "the first of the seeds: fresh ones to report on, after others to tune with")
	f.Float64SliceVar(&o.plan.Jitter, "jitter", []float64{0}, "clock errors in frames")
	f.Float64SliceVar(&o.plan.Pairs, "pairs", []float64{1}, "shares of the pairs to learn from")
	f.BoolVar(&o.plan.Cross, "cross", false, "measure each clock error with each share of the pairs")
	f.StringSliceVar(&o.folds, "folds", []string{"all"}, "names of the folds, or all")
	f.IntVar(&o.makeFolds, "make-folds", 0, "make so many folds of a data set that comes with none")
	f.Float64Var(&o.plan.Choose, "choose", 0, "share of the pairs to hold out and choose the epoch by; 0 keeps the last epoch")
	o.networks.flags(cmd)
	optionFlags(cmd, &o.plan.Options)
	f.IntVar(&o.plan.Workers, "workers", 1, "folds and seeds that are at work at once")
	f.StringVar(&o.out, "out", "", "file of results, gone on from if it is there")
	f.StringVar(&o.plot, "plot", "", "draw the table and its curves to this .png or .svg file")
	f.StringVar(&o.onnxruntime, "onnxruntime", "", "ONNX Runtime's library (default: found)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (o trainCompareOptions) run(cmd *cobra.Command) (err error) {
	if o.data == "" {
		return usagef("--data is missing: name the data set's directory")
	}
	if len(o.folds) != 1 || o.folds[0] != "all" {
		o.plan.Folds = o.folds
	}
	if o.plan.Workers < 1 {
		return usagef("--workers is %d, expected at least 1", o.plan.Workers)
	}
	if o.plan.FirstSeed == 0 {
		return usagef("--first-seed is 0, expected at least 1")
	}
	o.plan.Options.Network, o.plan.TeacherNetwork = o.networks.networks()
	if o.plan.Hold, err = o.networks.holdFrames(); err != nil {
		return err
	}
	if err := o.plan.Check(); err != nil {
		return usagef("%w", err)
	}
	if o.plot != "" {
		if err := figure.Check(o.plot); err != nil {
			return usagef("--plot %w", err)
		}
	}
	o.plan.Options.Session.Threads = 1
	ctx := cmd.Context()
	if err := ort.Init(o.onnxruntime); err != nil {
		return err
	}
	set, err := dataset.Open(ctx, o.data, o.format, dataset.Options{Folds: o.makeFolds})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	store, err := compare.OpenStore(o.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	progress := newComparisonProgress(cmd.ErrOrStderr(), time.Now)
	table, err := compare.Run(ctx, set, o.plan, store, progress.report)
	progress.wait()
	if err != nil && o.out != "" {
		err = keepStopped(err, o.out+".last-good.checkpoint")
	}
	if err != nil {
		return err
	}
	if o.plot != "" {
		if err := figure.Write(table, o.plot); err != nil {
			return err
		}
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), table)
	}
	if err := table.Print(cmd.OutOrStdout()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "next: %s\n", o.next())
	return err
}

// next is the command that trains one method with the same settings. It isn't the one with the best score: that would be
// a choice by test labels.
func (o *trainCompareOptions) next() string {
	name := "tandem"
	if !slices.Contains(o.plan.Methods, name) {
		for _, m := range o.plan.Methods {
			if m != compare.Teacher && m != "exo-only" && m != "ego-oracle" {
				name = m
			}
		}
	}
	words := append([]string{"tandem train run --data", shellWord(o.data), "--method", name}, o.networks.words()...)
	return strings.Join(append(words, "--out student"), " ")
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+:,=@%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
