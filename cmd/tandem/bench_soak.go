package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tandem/cmd/tandem/edgebench"
)

// benchSoakOptions are the flags of bench soak.
type benchSoakOptions struct {
	edgebench.SoakConfig
	size string
	json bool
}

func newBenchSoak() *cobra.Command {
	o := benchSoakOptions{SoakConfig: edgebench.SoakDefault()}
	o.size = fmt.Sprintf("%dx%d", o.Width, o.Height)
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run the pipeline on very many frames and look at what it leaves behind",
		Long: `Run the whole pipeline of a device on very many frames, and compare memory, goroutines, open files, Mats and ONNX Runtime's handles at the
start, after the warm-up, with those at the end, and those before the pipeline was opened with those after it was closed.

A recording is played as fast as can be, take after take, each opened, decoded and segmented as an agent does; now and then another
release takes over in the middle of a take. Mats are counted by a binary that was built with the tag matprofile, as make bench-soak
builds it. Memory that grows by more than 2 % and whatever is left over are errors.`,
		Example: `  tandem bench soak
  tandem bench soak --frames 20000 --json
  tandem bench soak --video head.mp4 --bundle build/bench/rig/bundle --cameras 2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.Frames, "frames", o.Frames, "frames to decode")
	f.StringVar(&o.Video, "video", "", "recording to play (default a simulated take)")
	f.StringVar(&o.Bundle, "bundle", "", "directory of the bundle (default the built-in extractor with a causal student)")
	f.IntVar(&o.Cameras, "cameras", o.Cameras, "cameras in one process")
	f.StringVar(&o.size, "size", o.size, "of the simulated take's pictures")
	f.IntVar(&o.Swaps, "swaps", o.Swaps, "a release takes over in every so many takes, 0 for never")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// benchSoakReport is what `tandem bench soak --json` prints.
type benchSoakReport struct {
	Host    benchHost `json:"host"`
	Started time.Time `json:"started"`
	*edgebench.Soak
	Missed []string `json:"missed"`
}

func (o *benchSoakOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	switch {
	case o.Frames < 1:
		return usagef("--frames %d: expected at least 1", o.Frames)
	case o.Cameras < 1 || o.Cameras > 64:
		return usagef("--cameras %d: expected 1 to 64", o.Cameras)
	case o.Swaps < 0:
		return usagef("--swaps %d: expected 0 or more", o.Swaps)
	}
	var err error
	if o.Width, o.Height, err = parsePictureSize(o.size); err != nil {
		return err
	}
	report := benchSoakReport{Host: thisHost(), Started: time.Now().UTC().Truncate(time.Second)}
	bars := newStageBars(stderr)
	if isTerminal(stderr) {
		o.Progress = func(stage string, done, total int) { bars.report(stage, done, total, "") }
	}
	report.Soak, err = edgebench.RunSoak(ctx, o.SoakConfig)
	bars.wait()
	if err != nil {
		return err
	}
	report.Missed = report.Soak.Missed()
	if o.json {
		err = printJSON(stdout, report)
	} else {
		err = report.Print(stdout)
	}
	return orMissed(err, report.Missed)
}
