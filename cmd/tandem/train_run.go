package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tandem/runtime/ort"
	"tandem/trainer/compare"
	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// Files of a training's directory.
const (
	studentModel      = "model.onnx"
	studentCheckpoint = "model.checkpoint"
	studentReport     = "report.json"
	studentExtractor  = "extractor" // of feature-extractor
)

// trainRunOptions are the flags of train run.
type trainRunOptions struct {
	data, format, out string
	makeFolds         int
	single            compare.Single
	networks          networkOptions
	bundle            bundleOptions
	threads           int
	onnxruntime       string
	json              bool
}

const trainRunExample = `  tandem train run --data data/cell --method tandem --out student
  tandem train run --data data/salads --method tas --fold 1 --score --out salads-tas
  tandem train run --data data/cell --method tandem --network causal --lags 0,2 --hold auto --extractor builtin --out rig`

func newTrainRun() *cobra.Command {
	var o trainRunOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Train one method on a data set's pairs and write the student",
		Long: `Train a teacher on the labelled exo takes of a data set and, with one method, a student on its pairs. --out gets

  model.onnx        the student over whole sequences
  model.checkpoint  its parameters
  extractor/        the student's own extractor, of the method feature-extractor
  report.json       options, seed, digests, agreement with the teacher, offsets found, scores if they were asked for
  bundle/           what a rig runs: the student and the extractor of its features, with --extractor

and is there only when all of it is. With --fold, the takes of the fold's train part are used, otherwise all.

Two shares of the pairs are held out: --choose to choose the epoch by, --gate to report the agreement with the teacher on.
No ego label is read, unless the method is ego-oracle, or --score asks for scores on the test takes of the fold.

"tandem train --method NAME ..." is the same command.`,
		Example: trainRunExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.flags(cmd)
	return cmd
}

func (o *trainRunOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "directory of the data set (required)")
	f.StringVar(&o.format, "format", dataset.Auto, "layout of the data set: "+strings.Join(dataset.FormatNames(), ", "))
	f.StringVar(&o.single.Method, "method", "", "method: "+strings.Join(method.Names(), ", ")+" (required)")
	f.StringVar(&o.out, "out", "", "directory to write to, which must not exist (required)")
	f.StringVar(&o.single.Fold, "fold", "", "name of the fold whose takes are trained on (default: all takes)")
	f.IntVar(&o.makeFolds, "make-folds", 0, "make so many folds of a data set that comes with none")
	f.Float64Var(&o.single.Choose, "choose", 0.2, "share of the pairs to hold out and choose the epoch by; 0 keeps the last epoch")
	f.Float64Var(&o.single.Gate, "gate", 0.2, "share of the pairs to hold out and report the agreement with the teacher on")
	f.BoolVar(&o.single.Score, "score", false, "score the student on the test takes of the fold, for which their ego labels are read")
	f.Uint64Var(&o.single.Options.Seed, "seed", 1, "seed of all that is random, at least 1")
	o.networks.flags(cmd)
	optionFlags(cmd, &o.single.Options)
	f.StringVar(&o.bundle.extractor, "extractor", "", "make a bundle with the extractor of this bundle, or "+builtinExtractor+": the one that made the features")
	f.IntSliceVar(&o.bundle.window, "window", nil, "windows of a bundle's network that is not causal: FRAMES,HOP,RIGHT (default: hop 0.5 s, right 1.5 s)")
	f.Float64Var(&o.bundle.prior, "prior", 0, "weight of a transition prior in the bundle, from the exo labels; 0 means none")
	f.Float64Var(&o.bundle.commitLag, "commit-lag", 0, "seconds after which a rig commits everything, holds cut to it (default: what network, prior and holds add up to)")
	f.StringVar(&o.bundle.release, "release", "", "name of the bundle's release (default METHOD-SEED)")
	f.IntVar(&o.threads, "threads", 1, "threads of the training; another number gives slightly other weights")
	f.StringVar(&o.onnxruntime, "onnxruntime", "", "ONNX Runtime's library (default: found)")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
}

// validate says what is wrong with the flags.
func (o *trainRunOptions) validate() error {
	switch {
	case o.data == "":
		return usagef("--data is missing: name the data set's directory")
	case o.single.Method == "":
		return usagef("--method is missing, expected one of %s", strings.Join(method.Names(), ", "))
	case o.out == "":
		return usagef("--out is missing: name a directory to write to")
	case o.single.Options.Seed == 0:
		return usagef("--seed is 0, expected at least 1")
	case o.threads < 1:
		return usagef("--threads is %d, expected at least 1", o.threads)
	}
	var err error
	o.single.Options.Network, o.single.TeacherNetwork = o.networks.networks()
	if o.single.Hold, err = o.networks.holdFrames(); err != nil {
		return err
	}
	o.single.Options.Session.Threads = o.threads
	if err := o.bundle.validate(o.single); err != nil {
		return err
	}
	if err := o.single.Check(); err != nil {
		return usagef("%w", err)
	}
	if _, err := os.Lstat(o.out); err == nil {
		return usagef("--out %s is there already; name another directory, or take it away", o.out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *trainRunOptions) run(cmd *cobra.Command) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	if err := ort.Init(o.onnxruntime); err != nil {
		return err
	}
	if err := o.bundle.open(); err != nil {
		return err
	}
	ctx := cmd.Context()
	set, err := dataset.Open(ctx, o.data, o.format, dataset.Options{Folds: o.makeFolds})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	if err := o.bundle.check(set, o.single); err != nil {
		return err
	}
	trained, err := o.train(ctx, set, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := writeStudent(o.out, trained, o.bundle); err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), trained.Report)
	}
	return o.print(cmd.OutOrStdout(), trained.Report)
}

// train trains with progress bars. What a diverging training has learnt is kept beside --out.
func (o *trainRunOptions) train(ctx context.Context, set *dataset.Dataset, stderr io.Writer) (*compare.Trained, error) {
	bars := newStageBars(stderr)
	defer bars.wait()
	s := o.single
	s.Options.Progress = func(p method.Progress) {
		bars.report(p.Stage, p.Epoch, p.Epochs, fmt.Sprintf("loss %.4f", p.Loss))
	}
	trained, err := compare.Train(ctx, set, s)
	return trained, keepStopped(err, filepath.Clean(o.out)+".last-good.checkpoint")
}

// keepStopped writes the last good parameters of a training that diverged, and says so.
func keepStopped(err error, path string) error {
	var stopped *method.StoppedError
	if !errors.As(err, &stopped) {
		return err
	}
	if e := os.MkdirAll(filepath.Dir(path), 0o755); e != nil {
		return errors.Join(err, e)
	}
	if e := stopped.Params.Save(path, map[string]string{"stage": stopped.Stage, "stopped": stopped.Error()}); e != nil {
		return fmt.Errorf("%w; its last good parameters could not be kept: %w", err, e)
	}
	return fmt.Errorf("%w; the last good parameters of the stage %q are in %s", err, stopped.Stage, path)
}

// writeStudent writes the directory: whole, or not at all.
func writeStudent(out string, t *compare.Trained, b bundleOptions) (err error) {
	out = filepath.Clean(out)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".part-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	model, err := t.Model.Infer()
	if err != nil {
		return err
	}
	report, err := json.MarshalIndent(t.Report, "", "  ")
	if err != nil {
		return err
	}
	meta := map[string]string{"method": t.Report.Method, "recipe": t.Report.Recipe, "classes": strings.Join(t.Report.Classes, "\n")}
	if err := t.Model.Params.Save(filepath.Join(dir, studentCheckpoint), meta); err != nil {
		return err
	}
	for name, data := range map[string][]byte{studentModel: model, studentReport: append(report, '\n')} {
		if err := writeSynced(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	if b.extractor != "" {
		if err := b.write(filepath.Join(dir, studentBundle), t); err != nil {
			return err
		}
	}
	if b := t.Model.Extractor(); b != nil { // the student's own
		if err := b.Write(filepath.Join(dir, studentExtractor)); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	// A rename would put the directory into one that has appeared since, if that is empty.
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("%s has appeared meanwhile; nothing was written", out)
	}
	return os.Rename(dir, out)
}

// writeSynced writes a file and brings it to the disk.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// print writes the report as text.
func (o *trainRunOptions) print(w io.Writer, r compare.Report) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s "+format+"\n", append([]any{name}, args...)...)
	}
	fold := "all takes"
	if r.Fold != "" {
		fold = "fold " + r.Fold
	}
	row("student", "%s on %s, %s, seed %d: %s of %d pairs in %.0f s", r.Method, r.Data, fold, r.Seed, r.Network, len(r.Pairs), r.Seconds)
	if r.UsesEgoLabels {
		row("", "it learnt from ego labels: a measure for the others, not a student to be shipped")
	}
	if a := r.Agreement; a != nil {
		row("agreement", "with the teacher on %d held-out pairs: MoF %.1f, Edit %.1f, F1@50 %.1f", len(r.Gate), a.MoF, a.Edit, a.F1At50)
	}
	if len(r.Offsets) > 0 {
		var frames []float64
		sure, most := 0, 0.0
		for _, x := range r.Offsets {
			frames = append(frames, x.Frames)
			if most = max(most, math.Abs(x.Frames)); x.Sure {
				sure++
			}
		}
		slices.Sort(frames)
		row("offsets", "found of %d of %d pairs; the median is %.1f frames, the largest %.1f", sure, len(r.Offsets), frames[len(frames)/2], most)
	}
	if t := r.Test; t != nil {
		row("test", "MoF %.1f, Edit %.1f, F1@{10,25,50} %.1f %.1f %.1f on %d takes, whose ego labels were read", t.Ego.MoF, t.Ego.Edit,
			t.Ego.F1At10, t.Ego.F1At25, t.Ego.F1At50, len(t.Takes))
		if t.Exo != nil {
			row("", "on their exo side: MoF %.1f, Edit %.1f, F1@50 %.1f", t.Exo.MoF, t.Exo.Edit, t.Exo.F1At50)
		}
	}
	row("written", "%s: %s, %s, %s", o.out, studentModel, studentCheckpoint, studentReport)
	if o.bundle.extractor != "" {
		row("", "%s: release %s, for rigs", filepath.Join(o.out, studentBundle), o.bundle.release)
	}
	methods := []string{compare.Teacher, "exo-only", "ego-oracle"}
	if !slices.Contains(methods, r.Method) {
		methods = append(methods, r.Method)
	}
	words := append([]string{"tandem train compare --data", shellWord(o.data), "--methods", strings.Join(methods, ",")}, o.networks.words()...)
	row("next:", "%s", strings.Join(words, " "))
	_, err := io.WriteString(w, b.String())
	return err
}
