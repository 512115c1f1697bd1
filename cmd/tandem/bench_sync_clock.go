package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"tandem/sync/clock/clocksim"
)

// syncClockRuns are the runs of each link in the full measurement.
const syncClockRuns = 1000

// syncClock is the clock's part of bench sync.
type syncClock struct{ *clocksim.Report }

func measureSyncClock(ctx context.Context, o syncScale, progress func(done, all int)) (syncResult, error) {
	report, err := clocksim.Measure(ctx, clocksim.Config{
		Runs: max(clocksim.MinRuns, int(o.scale*syncClockRuns)), Threads: o.threads, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	return syncClock{report}, nil
}

func (c syncClock) writeTable(out io.Writer) error {
	fmt.Fprintf(out, "clock: %d runs of %.0f s on each link\n", c.Runs, c.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "link\ttruth inside\tworst run\tlocked after, max\tbound, median\tbound, p99\terror, median\terror, p99\t\n")
	for _, l := range c.Links {
		fmt.Fprintf(w, "%s\t%.4f %%\t%.3f %%\t%.1f s\t%.3f ms\t%.3f ms\t%.3f ms\t%.3f ms\t\n", l.Link, 100*l.Inside, 100*l.WorstRun,
			l.LockedMax, 1e3*l.BoundMedian, 1e3*l.BoundP99, 1e3*l.ErrorMedian, 1e3*l.ErrorP99)
	}
	fmt.Fprint(w, "\nlink\tincident\truns\ttruth inside\tleft the interval\tback in, median\tback in, max\t\n")
	for _, l := range c.Links {
		for _, i := range l.Incidents {
			fmt.Fprintf(w, "%s\t%s\t%d\t%.4f %%\t%d\t%.2f s\t%.2f s\t\n", l.Link, i.Incident, i.Runs, 100*i.Inside, i.Outside, i.NoticedMedian, i.NoticedMax)
		}
	}
	return w.Flush()
}
