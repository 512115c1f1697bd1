package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// syncParts are the measurements of bench sync, in their order, each in a file of its own: bench_sync_NAME.go.
var syncParts = []syncPart{
	{"clock", measureSyncClock},
	{"stamps", measureSyncStamps},
	{"pairs", measureSyncPairs},
	{"offset", measureSyncOffset},
}

// syncPart is one measurement. Its result is a field of the report by the part's name.
type syncPart struct {
	name    string
	measure func(ctx context.Context, o syncScale, progress func(done, all int)) (syncResult, error)
}

// syncScale says how much is measured.
type syncScale struct {
	scale   float64 // share of the full measurement, in (0, 1]
	threads int     // 0: all

	features string // data set of two feature streams, "" for none
}

// syncResult is what a part found, as JSON and as text.
type syncResult interface {
	Missed() []string // each target that is missed, with what was found and what was expected
	writeTable(io.Writer) error
}

type benchSyncOptions struct {
	syncScale
	only []string
	json bool
}

func newBenchSync() *cobra.Command {
	o := benchSyncOptions{syncScale: syncScale{scale: 1}}
	names := make([]string, len(syncParts))
	for i, p := range syncParts {
		names[i] = p.name
	}
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Measure how well clocks, stamps and pairs are synchronized",
		Long: `Measure how well clocks, stamps and pairs are synchronized, and how well offsets are told from content, where the truth is
known: on simulated clocks, networks and cameras. Time is simulated and seeds are fixed, so the figures are the same each time and on each machine; only how fast
pairs are joined depends on it.

The parts are ` + strings.Join(names, ", ") + `. Missed targets are errors.`,
		Example: `  tandem bench sync
  tandem bench sync --only clock --scale 0.02
  tandem bench sync --json > build/bench/sync.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBenchSync(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.only, "only", nil, "parts to measure (default all)")
	f.Float64Var(&o.scale, "scale", o.scale, "share of the full measurement, more than 0 and at most 1")
	f.IntVar(&o.threads, "threads", 0, "threads (default all)")
	f.StringVar(&o.features, "features", "", "data set of two feature streams (features_ego, features_exo), whose offsets are told, too")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runBenchSync(ctx context.Context, stdout, stderr io.Writer, o benchSyncOptions) error {
	if !(o.scale > 0 && o.scale <= 1) {
		return usagef("--scale %g: expected more than 0 and at most 1", o.scale)
	}
	if o.threads < 0 {
		return usagef("--threads %d: expected at least 1, or 0 for all", o.threads)
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(syncParts, func(p syncPart) bool { return p.name == name }) {
			return usagef("--only: no part is called %q", name)
		}
	}
	bars := newStageBars(stderr)
	defer bars.wait()
	report := map[string]any{
		"host":    benchHost{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuModel(), Cores: runtime.NumCPU()},
		"started": time.Now().UTC().Truncate(time.Second),
		"scale":   o.scale,
	}
	missed := []string{}
	for _, p := range syncParts {
		if len(o.only) > 0 && !slices.Contains(o.only, p.name) {
			continue
		}
		var progress func(done, all int)
		if isTerminal(stderr) {
			progress = func(done, all int) { bars.report(p.name, done, all, "") }
		}
		result, err := p.measure(ctx, o.syncScale, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		report[p.name] = result
		for _, m := range result.Missed() {
			missed = append(missed, p.name+": "+m)
		}
		if o.json {
			continue
		}
		if err := result.writeTable(stdout); err != nil {
			return err
		}
	}
	report["missed"] = missed
	if o.json {
		if err := printJSON(stdout, report); err != nil {
			return err
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d targets are missed: %s", len(missed), strings.Join(missed, "; "))
	}
	return nil
}
