package clocksim

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says how much is simulated. A zero field means its default.
type Config struct {
	Runs    int           // of each link; default 1000
	Length  time.Duration // of a run; default 10 min
	Links   []Link        // default Links()
	Threads int           // default all
	// Progress is told how many runs are done of how many, from one goroutine at a time.
	Progress func(done, all int)
}

// Report is what all runs show. Times are in seconds.
type Report struct {
	Runs    int          `json:"runs"`
	Seconds float64      `json:"seconds_a_run"`
	Links   []LinkReport `json:"links"`
}

// LinkReport is what the runs of one link show.
type LinkReport struct {
	Link          string           `json:"link"`
	Instants      int              `json:"instants"`
	Inside        float64          `json:"inside"`        // share of the instants at which the truth was inside the interval
	WorstRun      float64          `json:"worst_run"`     // the same of the worst run
	Backwards     int              `json:"backwards"`     // readings earlier than the one before them
	Unlocked      int              `json:"unlocked"`      // runs that never locked
	LockedMedian  float64          `json:"locked_median"` // after
	LockedMax     float64          `json:"locked_max"`
	BoundMedian   float64          `json:"bound_median"` // once locked, over all instants of all runs
	BoundP99      float64          `json:"bound_p99"`
	ErrorMedian   float64          `json:"error_median"` // of the best estimate, once locked
	ErrorP99      float64          `json:"error_p99"`
	LockedShare   float64          `json:"locked_share"` // of the instants
	Incidents     []IncidentReport `json:"incidents"`
	TargetBound   float64          `json:"target_bound_median"`
	TargetLocking float64          `json:"target_locked_max"`
}

// IncidentReport is what the runs with one incident show.
type IncidentReport struct {
	Incident Incident `json:"incident"`
	Runs     int      `json:"runs"`
	Inside   float64  `json:"inside"`
	// Outside counts runs in which the truth left the interval; NoticedMedian and NoticedMax are for how long, at most of each.
	Outside       int     `json:"outside"`
	NoticedMedian float64 `json:"noticed_median"`
	NoticedMax    float64 `json:"noticed_max"`
}

// Targets of every link.
const (
	TargetInside  = 0.999
	TargetNoticed = 5 * time.Second
)

// MinRuns is how many runs have each incident at least once.
var MinRuns = len(incidents)

// Measure simulates all runs; the same Config gives the same report.
func Measure(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Runs == 0 {
		cfg.Runs = 1000
	}
	if cfg.Length == 0 {
		cfg.Length = 10 * time.Minute
	}
	if cfg.Links == nil {
		cfg.Links = Links()
	}
	if cfg.Threads == 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	if cfg.Runs < MinRuns || cfg.Length < 3*time.Minute {
		return nil, fmt.Errorf("%d runs of %v: expected at least %d, so that each incident is in one, of at least 3m", cfg.Runs, cfg.Length, MinRuns)
	}
	report := &Report{Runs: cfg.Runs, Seconds: cfg.Length.Seconds()}
	for i, link := range cfg.Links {
		runs := make([]Run, cfg.Runs)
		done := make(chan struct{})
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(cfg.Threads + 1)
		group.Go(func() error {
			for n := range cfg.Runs {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-done:
				}
				if cfg.Progress != nil {
					cfg.Progress(i*cfg.Runs+n+1, len(cfg.Links)*cfg.Runs)
				}
			}
			return nil
		})
		for n := range runs {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				runs[n] = Simulate(link, uint64(n), cfg.Length)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case done <- struct{}{}:
					return nil
				}
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		report.Links = append(report.Links, summarize(link, runs, cfg.Length))
	}
	return report, nil
}

func summarize(link Link, runs []Run, length time.Duration) LinkReport {
	r := LinkReport{Link: link.Name, WorstRun: 1, TargetBound: link.MaxBound.Seconds(), TargetLocking: link.MaxLocking.Seconds()}
	var inside int
	var locked, bounds, errors []time.Duration
	for _, run := range runs {
		r.Instants += run.Instants
		inside += run.Inside
		r.WorstRun = min(r.WorstRun, share(run.Inside, run.Instants))
		r.Backwards += run.Backwards
		if run.LockedAfter == 0 {
			r.Unlocked++
		}
		locked = append(locked, run.LockedAfter)
		bounds, errors = append(bounds, run.Bounds...), append(errors, run.Errors...)
	}
	r.Inside = share(inside, r.Instants)
	r.LockedShare = float64(len(bounds)) / (float64(len(runs)) * length.Seconds() * instants)
	r.LockedMedian, r.LockedMax = quantile(locked, 0.5), quantile(locked, 1)
	r.BoundMedian, r.BoundP99 = quantile(bounds, 0.5), quantile(bounds, 0.99)
	r.ErrorMedian, r.ErrorP99 = quantile(errors, 0.5), quantile(errors, 0.99)
	for _, kind := range incidents {
		x := IncidentReport{Incident: kind}
		var in, all int
		var noticed []time.Duration
		for _, run := range runs {
			if run.Incident != kind {
				continue
			}
			x.Runs++
			in, all = in+run.Inside, all+run.Instants
			if run.NoticedIn > 0 {
				noticed = append(noticed, run.NoticedIn)
			}
		}
		x.Inside, x.Outside = share(in, all), len(noticed)
		x.NoticedMedian, x.NoticedMax = quantile(noticed, 0.5), quantile(noticed, 1)
		r.Incidents = append(r.Incidents, x)
	}
	return r
}

func share(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// quantile sorts list; 0 if it is empty.
func quantile(list []time.Duration, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[int(q*float64(len(list)-1))].Seconds()
}

// Missed names each target that the report misses.
func (r *Report) Missed() []string {
	var missed []string
	for _, l := range r.Links {
		miss := func(bad bool, format string, args ...any) {
			if bad {
				missed = append(missed, l.Link+": "+fmt.Sprintf(format, args...))
			}
		}
		miss(l.Inside < TargetInside, "the truth is inside the interval at %.4f %% of the instants, expected %.1f %%", 100*l.Inside, 100*TargetInside)
		miss(l.BoundMedian > l.TargetBound, "the median bound is %.3f ms, expected at most %.3f ms", 1e3*l.BoundMedian, 1e3*l.TargetBound)
		miss(l.Unlocked > 0, "%d runs never locked", l.Unlocked)
		miss(l.LockedMax > l.TargetLocking, "a run locked after %.1f s, expected %.0f s at most", l.LockedMax, l.TargetLocking)
		miss(l.Backwards > 0, "time ran backwards %d times", l.Backwards)
		for _, i := range l.Incidents {
			miss(i.NoticedMax > TargetNoticed.Seconds(), "a %s was noticed after %.1f s, expected %v at most", i.Incident, i.NoticedMax, TargetNoticed)
		}
	}
	return missed
}
