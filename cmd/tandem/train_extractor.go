package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tandem/learn/train"
	"tandem/runtime/ort"
	"tandem/tas"
	"tandem/trainer"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// trainExtractorOptions are the flags of train extractor.
type trainExtractorOptions struct {
	labelled, choose, test string
	out                    string
	cameras, background    []string
	rate                   float64
	config                 vision.Config
	onnxruntime            string
	json                   bool
}

func newTrainExtractor() *cobra.Command {
	o := trainExtractorOptions{config: vision.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "extractor --labelled DIR --out DIR",
		Short: "Train an image extractor on labelled frames of fixed cameras",
		Long: `Train a small convolutional network to tell the actions of labelled exo takes apart, frame by frame, and keep what it
sees just before its decision as the features of an extractor. A take is a directory with labels.txt and videos.

The epoch is chosen on takes that are held out, and scores are reported on yet others: those of --choose and --test,
or every sixth take of --labelled each. Takes of the same people on both sides flatter.

What it writes can be used as 'tandem train import --extractor DIR' and as 'extractor: DIR' in a trainer's
configuration. An interrupted run goes on where it was when it is started again with the same flags.
docs/extractor.md tells how the built-in extractor was made.`,
		Example: `  tandem train extractor --labelled takes --out line-extractor
  tandem train extractor --labelled crews --choose crew-a --test crew-b --out line-extractor --epochs 30 --seed 2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f, c := cmd.Flags(), &o.config
	f.StringVar(&o.labelled, "labelled", "", "directory with labelled takes (required)")
	f.StringVar(&o.choose, "choose", "", "directory with labelled takes that choose the epoch (default: every sixth of --labelled)")
	f.StringVar(&o.test, "test", "", "directory with labelled takes that scores are reported on (default: every sixth of --labelled)")
	f.StringVarP(&o.out, "out", "o", "", "directory to write to, which must not exist (required)")
	f.StringSliceVar(&o.cameras, "cameras", []string{"exo*"}, "names of the videos, as patterns")
	f.StringSliceVar(&o.background, "background", []string{"background"}, "labels that mean that nothing is done")
	f.Float64Var(&o.rate, "rate", 2, "pictures a second that are learnt from")
	f.IntVar(&c.Network.Out, "features", c.Network.Out, "features a picture")
	f.IntVar(&c.Network.Grid, "grid", c.Network.Grid, "cells a side that features are averaged over; 0: the whole picture and a linear layer")
	f.IntVar(&c.Epochs, "epochs", c.Epochs, "passes over the pictures")
	f.IntVar(&c.Batch, "batch", c.Batch, "pictures a step")
	f.Float64Var(&c.Rate, "learning-rate", c.Rate, "highest learning rate")
	f.Float64Var(&c.Augment.Grey, "grey", c.Augment.Grey, "probability that a training picture loses its colours")
	f.Float64Var(&c.Augment.Turn, "turn", c.Augment.Turn, "largest angle in degrees by which training pictures are turned")
	f.Float64Var(&c.Augment.Zoom, "zoom", c.Augment.Zoom, "largest logarithm of the scale of training pictures")
	f.Float64Var(&c.Augment.Shift, "shift", c.Augment.Shift, "largest shift of training pictures, as a share of their sides")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "seed of everything random")
	f.IntVar(&c.Session.Threads, "threads", c.Session.Threads, "threads")
	f.StringVar(&o.onnxruntime, "onnxruntime", "", "ONNX Runtime's library (default: found)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// validate says what is wrong with the flags.
func (o *trainExtractorOptions) validate() error {
	switch {
	case o.labelled == "":
		return usagef("--labelled is missing: name a directory with labelled takes")
	case o.out == "":
		return usagef("--out is missing: name a directory to write to")
	case !(o.rate > 0 && o.rate <= 60):
		return usagef("--rate %g: expected more than 0 and at most 60", o.rate)
	case o.config.Epochs < 1 || o.config.Batch < 2:
		return usagef("--epochs %d --batch %d: expected at least 1 and 2", o.config.Epochs, o.config.Batch)
	case !(o.config.Rate > 0):
		return usagef("--learning-rate %g: expected more than 0", o.config.Rate)
	case o.config.Session.Threads < 1:
		return usagef("--threads %d: expected 1 or more", o.config.Session.Threads)
	}
	if err := o.config.Network.Check(); err != nil {
		return usageError{err}
	}
	if _, err := os.Stat(o.out); err == nil {
		return usagef("--out: %s exists already; name another directory", o.out)
	}
	return nil
}

// parts of the labelled takes.
type extractorParts struct {
	classes             tas.Labels
	train, choose, test []trainer.Recording
}

func (o *trainExtractorOptions) run(cmd *cobra.Command) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	if err := ort.Init(o.onnxruntime); err != nil {
		return err
	}
	ctx := cmd.Context()
	p, err := o.find()
	if err != nil {
		return err
	}
	bars := newStageBars(cmd.ErrOrStderr())
	fmt.Fprintf(bars.lines(cmd.ErrOrStderr()), "seed %d, %d classes; recordings: %d to train on, %d to choose by, %d to report on\n",
		o.config.Seed, p.classes.Len(), len(p.train), len(p.choose), len(p.test))
	b, err := o.train(ctx, p, bars, cmd.ErrOrStderr())
	bars.wait()
	if err != nil {
		return err
	}
	if err := b.Write(o.out); err != nil {
		return err
	}
	if err := os.Remove(o.state()); err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), b)
	}
	t := b.Training
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `pictures   %d to train on, %d to choose by, %d to report on; %d classes
network    %d features of %dx%d pixels, %d parameters
epoch      %d of %d, recall on the takes it was chosen by: %.1f %%, without colours %.1f %%
recall     on the others: %.1f %%, without colours %.1f %%
written    %s
`, t.Split.Train, t.Split.Choose, t.Split.Test, len(t.Classes), b.Network.Out, b.Network.Width, b.Network.Height, len(b.Params.Weights),
		t.Best, t.Epochs, t.Choice.Colour, t.Choice.Grey, t.Test.Colour, t.Test.Grey, o.out)
	return err
}

// state is the file that an interrupted run goes on from.
func (o *trainExtractorOptions) state() string { return filepath.Clean(o.out) + ".training" }

// find lists the recordings and divides them.
func (o *trainExtractorOptions) find() (extractorParts, error) {
	var p extractorParts
	all, err := trainer.FindRecordings(o.labelled, o.cameras...)
	if err != nil {
		return p, err
	}
	p.train = all
	for _, part := range []struct {
		dir  string
		at   int
		list *[]trainer.Recording
	}{{o.choose, 1, &p.choose}, {o.test, 4, &p.test}} {
		if part.dir != "" {
			if *part.list, err = trainer.FindRecordings(part.dir, o.cameras...); err != nil {
				return p, err
			}
			all = append(all, *part.list...)
			continue
		}
		p.train, *part.list = everySixth(p.train, all, part.at)
	}
	if len(p.train) == 0 || len(p.choose) == 0 || len(p.test) == 0 {
		return p, fmt.Errorf("%s: %d recordings to train on, %d to choose by, %d to report on, expected some of each; give more takes, or --choose and --test",
			o.labelled, len(p.train), len(p.choose), len(p.test))
	}
	p.classes, err = trainer.ClassesOf(all, o.background)
	return p, err
}

// everySixth takes the recordings of every sixth take of all, from number at on, out of the list.
func everySixth(list, all []trainer.Recording, at int) (rest, chosen []trainer.Recording) {
	number := map[string]int{}
	for _, r := range all {
		dir := filepath.Dir(r.Video)
		if _, ok := number[dir]; !ok {
			number[dir] = len(number)
		}
	}
	for _, r := range list {
		if number[filepath.Dir(r.Video)]%6 == at {
			chosen = append(chosen, r)
		} else {
			rest = append(rest, r)
		}
	}
	return rest, chosen
}

// train reads pictures, trains, and scores.
func (o *trainExtractorOptions) train(ctx context.Context, p extractorParts, bars *stageBars, out io.Writer) (_ *backbone.Backbone, err error) {
	contract := backbone.Contract(o.config.Network)
	total, done := len(p.train)+len(p.choose)+len(p.test), 0
	read := func(list []trainer.Recording) (*vision.Frames, error) {
		f, err := vision.ReadFrames(ctx, list, contract, o.rate, p.classes, func(n int, name string) {
			bars.report("pictures", done+n, total, name)
		})
		done += len(list)
		return f, err
	}
	var frames [3]*vision.Frames
	for i, list := range [][]trainer.Recording{p.train, p.choose, p.test} {
		if frames[i], err = read(list); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, frames[i].Close()) }()
	}
	c := o.config
	c.State = o.state()
	began := time.Now()
	r, err := vision.Train(ctx, frames[0], frames[1], p.classes.Len(), c, func(e train.Progress) {
		note := fmt.Sprintf("loss %.3f", e.Loss)
		if !math.IsNaN(e.Best) {
			note += fmt.Sprintf(", held out %.1f", e.Best)
		}
		if !isTerminal(out) { // nobody sees a bar, and it takes minutes
			fmt.Fprintf(out, "epoch %d of %d: %s, %.0f s\n", e.Epoch, e.Epochs, note, time.Since(began).Seconds())
		}
		bars.report("train", e.Epoch, e.Epochs, note)
	})
	if err != nil {
		return nil, err
	}
	how := &backbone.Training{
		Seed: c.Seed, Classes: p.classes.Names(), RateHz: o.rate, Epochs: c.Epochs, Best: r.Epoch, Choice: r.Choice,
		Split: backbone.Split{Train: frames[0].Len(), Choose: frames[1].Len(), Test: frames[2].Len()}, TestTakes: frames[2].Takes,
	}
	if how.Test, err = vision.Score(ctx, c.Network, r.Params, p.classes.Len(), frames[2], c.Session); err != nil {
		return nil, err
	}
	return backbone.New(c.Network, r.Params, how)
}
