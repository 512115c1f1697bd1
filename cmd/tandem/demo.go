package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tandem/cmd/tandem/demo"
)

func newDemo() *cobra.Command {
	c := demo.Default()
	var minutes float64
	var seeds []uint
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole loop on one machine and show what it was worth",
		Long: `Run a hub, a trainer, two fixed cameras and a head-mounted rig on this machine: the teacher learns from labelled
exo takes, its copy fails on the rig, unlabelled pairs are recorded, a student is distilled and swapped in while the rig
streams, and its segments are scored against the truth of the simulated cell.

With --exo and --ego the same loop runs on your own recordings of one take. They begin together, or have files of stamps
beside them. Without --teacher-takes the teacher is the simulated cell's, which shows the loop but knows other actions.`,
		Example: `  tandem demo --out demo
  tandem demo --out demo --seeds 1,2,3
  tandem demo --out demo --exo left.mp4 --exo right.mp4 --ego head.mp4 --teacher-takes takes/labelled`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Seeds = nil
			for _, s := range seeds {
				c.Seeds = append(c.Seeds, uint64(s))
			}
			c.Length = time.Duration(minutes * float64(time.Minute))
			if err := c.Validate(); err != nil {
				return usageError{err}
			}
			progress := newStageBars(cmd.ErrOrStderr())
			c.Progress = progress.report
			if !asJSON {
				c.Text = progress.lines(cmd.OutOrStdout())
			}
			c.Log = slog.New(slog.DiscardHandler)
			if verbose {
				c.Log = slog.New(slog.NewTextHandler(progress.lines(cmd.ErrOrStderr()), nil))
			}
			r, err := demo.Run(cmd.Context(), c)
			progress.wait()
			if err != nil {
				return err
			}
			return printDemo(cmd.OutOrStdout(), r, c.Out, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&c.Out, "out", "o", c.Out, "directory for takes, streams, releases and results; an earlier demo's is made anew")
	fl.StringVar(&c.Listen, "listen", c.Listen, "address of the hub (port 0: any free one)")
	fl.UintSliceVar(&seeds, "seeds", []uint{1}, "run the loop once for each seed and report means and spread")
	fl.IntVar(&c.Labelled, "labelled-takes", c.Labelled, "labelled exo takes of the simulated cell, for the teacher")
	fl.IntVar(&c.Paired, "paired-takes", c.Paired, "unlabelled takes by all cameras, for the student")
	fl.IntVar(&c.Test, "test-takes", c.Test, "takes that are only scored")
	fl.Float64Var(&minutes, "minutes", c.Length.Minutes(), "length of a take")
	fl.Float64Var(&c.FPS, "fps", c.FPS, "frames a second of the simulated cameras")
	fl.IntVar(&c.Recipe.Epochs, "epochs", 0, "passes of each training over its takes (default of the recipe)")
	fl.StringArrayVar(&c.Exo, "exo", nil, "your recording by a fixed camera; repeat it for several")
	fl.StringVar(&c.Ego, "ego", "", "your recording by the head-mounted camera, of the same time")
	fl.StringVar(&c.Labels, "labels", "", "one label a line for each frame of --ego, to score with")
	fl.StringVar(&c.TeacherTakes, "teacher-takes", "", "labelled exo takes (DIR/TAKE/labels.txt and exo*.mp4) to train the teacher on")
	fl.BoolVar(&asJSON, "json", false, "print the report as JSON")
	fl.BoolVarP(&verbose, "verbose", "v", false, "log what every part does")
	return cmd
}

func printDemo(w io.Writer, r *demo.Report, out string, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	if err := r.Print(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `
Look at      %s (ground truth, before, after) and %s
Read the bus tandem hub --store %s --listen 127.0.0.1:4222   then: nats stream ls; nats stream get SEGMENTS 1
Try next     tandem demo --exo FILE --ego FILE --teacher-takes DIR (your own) · tandem sim --help · docs/site.md (a line)
`, r.Strips, filepath.Join(out, "report.json"), r.Hub)
	return err
}
