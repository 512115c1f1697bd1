package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tandem/sync/pair/pairsim"
)

// Takes of each scene in the full measurement, and their length.
const (
	syncPairTakes  = 4
	syncPairLength = 10 * time.Minute
)

// syncPairs is the part of bench sync that joins.
type syncPairs struct{ *pairsim.Report }

func measureSyncPairs(ctx context.Context, o syncScale, progress func(done, all int)) (syncResult, error) {
	report, err := pairsim.Measure(ctx, pairsim.Config{
		Takes: max(1, int(o.scale*syncPairTakes)), Length: max(3*time.Minute, min(time.Duration(o.scale*syncPairTakes*float64(syncPairLength)), syncPairLength)),
		Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	return syncPairs{report}, nil
}

func (p syncPairs) writeTable(out io.Writer) error {
	fmt.Fprintf(out, "\npairs: %d, joined at %.3g a second and core\n", p.Pairs, p.PairsPerSecond)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "site\tclock\tpairs\tmade of those possible\ttrue Δt beyond bound\tgold\tsilver\tbronze\t|Δt|, median\terror, max\tof its bound, max\t\n")
	for _, s := range p.Scenes {
		part := func(n uint64) float64 { return 100 * float64(n) / float64(max(s.Made, 1)) }
		fmt.Fprintf(w, "%s\t±%.1f ms\t%d\t%.2f %%\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t%.1f ms\t%.1f ms\t%.0f %%\t\n", s.Scene, 1e3*s.Clock, s.Made, 100*s.Share,
			s.Exceeded, part(s.Counts.Gold), part(s.Counts.Silver), part(s.Counts.Bronze), 1e3*s.MedianDt, 1e3*s.Worst, 100*s.WorstUse)
	}
	return w.Flush()
}
