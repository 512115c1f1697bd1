package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"tandem/sync/dejitter/dejittersim"
)

// syncStampFrames are the frames of each camera in the full measurement.
const syncStampFrames = 100_000

// syncStamps is the part of bench sync that dejitters.
type syncStamps struct{ *dejittersim.Report }

func measureSyncStamps(ctx context.Context, o syncScale, progress func(done, all int)) (syncResult, error) {
	report, err := dejittersim.Measure(ctx, dejittersim.Config{Frames: max(50_000, int(o.scale*syncStampFrames)), Progress: progress})
	if err != nil {
		return nil, err
	}
	return syncStamps{report}, nil
}

func (s syncStamps) writeTable(out io.Writer) error {
	fmt.Fprintf(out, "\nstamps: %d frames of each camera\n", s.Frames)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "arrivals\tconstant\terror, median\terror, p99\twithout doubt, p99\tstandard error\tdoubtful\tbeyond bound\trate off by\t\n")
	for _, c := range s.Cameras {
		fmt.Fprintf(w, "%s\t%.3f ms\t%.3f ms\t%.3f ms\t%.3f ms\t%.3f ms\t%.1f %%\t%d\t%.1e\t\n", c.Camera, 1e3*c.Constant, 1e3*c.ErrorMedian, 1e3*c.ErrorP99,
			1e3*c.SureP99, 1e3*c.StandardError, 100*float64(c.Doubtful)/float64(max(c.Frames, 1)), c.BeyondBound, c.RateError)
	}
	return w.Flush()
}
