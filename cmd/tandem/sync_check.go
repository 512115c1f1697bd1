package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// syncCheckOptions are the flags of sync check.
type syncCheckOptions struct {
	band      time.Duration
	window    time.Duration
	tolerance time.Duration
	stamps    string
	fps       float64
	plot      string
	json      bool
}

func newSyncCheck() *cobra.Command {
	var o syncCheckOptions
	cmd := &cobra.Command{
		Use:   "check EGO EXO...",
		Short: "Tell from what they show how far recorded videos are apart in time",
		Long: `Tell from what they show how far the recorded videos of one take are apart in time. It needs no model, no configuration and
no network.

EGO is the head-mounted camera's video, EXO those of fixed cameras: video files, directories of pictures, or patterns such as
exo1/%06d.png; NAME=PATH gives a camera another name than its file's. Frame rates and sizes may differ. A positive offset means
that the fixed camera shows things later, on its own time stamps, than the head-mounted one.

Verdicts, and the exit status (the worst one's):

  ok         0  within the tolerance
  shifted    3  surely further apart than the tolerance
  unsure     4  the videos have something in common, but too little to name an offset
  unrelated  5  nothing in common was found within the band: other takes, or further apart`,
		Example: `  tandem sync check ego.mp4 exo1.mp4 exo2.mp4
  tandem sync check --band 10s --plot sync.png ego.mp4 left=a/cam.avi right=b/cam.avi
  tandem sync check --fps 25 --json ego.mp4 exo1/%06d.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSyncCheck(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o, args)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.band, "band", 5*time.Second, "largest offset that is looked for")
	f.DurationVar(&o.window, "window", 0, "compare no more than this of the videos, from their start (default all)")
	f.DurationVar(&o.tolerance, "tolerance", 0, "offset that is still ok (default one frame of the slower camera)")
	f.StringVar(&o.stamps, "stamps", "auto", "times of the frames: file (NAME.stamps.csv beside each video), container, or auto: files if all videos have one")
	f.Float64Var(&o.fps, "fps", 0, "frames per second of pictures and of videos that don't say")
	f.StringVar(&o.plot, "plot", "", "draw the curves and the correlation into this PNG file")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runSyncCheck(_ context.Context, _, _ io.Writer, o syncCheckOptions, args []string) error {
	switch {
	case len(args) < 2:
		return usagef("%d videos: want the head-mounted camera's and at least one fixed camera's", len(args))
	case o.band <= 0:
		return usagef("--band %v: want more than 0", o.band)
	}
	return errors.New("sync check is being built; this revision only knows its flags")
}
