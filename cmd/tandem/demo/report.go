package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"tandem/tas"
)

// Report is build/demo/report.json. With several seeds its figures are means over Runs.
type Report struct {
	Result
	Seeds  []uint64    `json:"seeds"`
	Runs   []SeedRun   `json:"runs,omitempty"`
	Spread *ScoreRange `json:"spread,omitempty"` // of gap_closed_f1_50 over the seeds
	Hub    string      `json:"hub_store"`
	Strips string      `json:"strips"`
}

// SeedRun is the result of one seed.
type SeedRun struct {
	Seed uint64 `json:"seed"`
	Result
}

// ScoreRange is the spread of a figure over seeds.
type ScoreRange struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	SD  float64 `json:"sd"`
}

// Result is what one pass through the loop gave. The scores are null where there are no labels to score with.
type Result struct {
	ScoredOn     string      `json:"scored_on,omitempty"`
	TeacherOnExo *tas.Scores `json:"teacher_on_exo"` // exo cameras' committed segments of the test takes, teacher's release
	ExoOnly      *tas.Scores `json:"exo_only"`       // the rig's, before adaptation
	Adapted      *tas.Scores `json:"adapted"`        // the rig's, after the swap
	Oracle       *tas.Scores `json:"oracle"`         // a network trained on ego labels, for comparison only

	// Online are the scores of the rig's streams of the test takes after the swap: both streams, delays, starts, revisions.
	Online *tas.OnlineScores `json:"online,omitempty"`
	Events string            `json:"events,omitempty"` // file of all that the rig published, for tandem eval --online

	GapClosedF1At50 *float64 `json:"gap_closed_f1_50"` // (adapted - exo_only) / (oracle - exo_only)

	// Agreement with the teacher on held-out pairs, which is all that can be measured on a line.
	AgreementBefore tas.Scores `json:"agreement_before"`
	AgreementAfter  tas.Scores `json:"agreement_after"`

	Pairs            uint64            `json:"pairs"`            // ego samples with at least one exo partner
	PairsLost        int64             `json:"pairs_lost"`       // ego samples that did not reach the archive
	PairsDuplicated  int64             `json:"pairs_duplicated"` // that are in the archive twice
	PairsRejected    map[string]uint64 `json:"pairs_rejected"`   // samples without a partner on a camera, by reason
	FramesLostInSwap int64             `json:"frames_lost_in_swap"`
	ReleaseBefore    string            `json:"release_before"`
	ReleaseAfter     string            `json:"release_after"`
	Seconds          float64           `json:"seconds"`
}

// summarize makes the report of several runs.
func summarize(runs []SeedRun) Report {
	r := Report{Result: runs[0].Result}
	for _, x := range runs {
		r.Seeds = append(r.Seeds, x.Seed)
	}
	if len(runs) == 1 {
		return r
	}
	r.Runs = runs
	mean := func(get func(*Result) *tas.Scores) *tas.Scores {
		var m tas.Scores
		for i := range runs {
			s := get(&runs[i].Result)
			if s == nil {
				return nil
			}
			n := float64(len(runs))
			m.MoF += s.MoF / n
			m.Edit += s.Edit / n
			m.F1At10 += s.F1At10 / n
			m.F1At25 += s.F1At25 / n
			m.F1At50 += s.F1At50 / n
		}
		return &m
	}
	r.TeacherOnExo = mean(func(x *Result) *tas.Scores { return x.TeacherOnExo })
	r.ExoOnly = mean(func(x *Result) *tas.Scores { return x.ExoOnly })
	r.Adapted = mean(func(x *Result) *tas.Scores { return x.Adapted })
	r.Oracle = mean(func(x *Result) *tas.Scores { return x.Oracle })
	r.Online = meanOnline(runs)
	r.AgreementBefore = *mean(func(x *Result) *tas.Scores { return &x.AgreementBefore })
	r.AgreementAfter = *mean(func(x *Result) *tas.Scores { return &x.AgreementAfter })
	r.Pairs, r.PairsLost, r.PairsDuplicated, r.FramesLostInSwap, r.Seconds = 0, 0, 0, 0, 0
	r.PairsRejected = map[string]uint64{}
	var gaps []float64
	for _, x := range runs {
		r.Pairs += x.Pairs
		r.PairsLost += x.PairsLost
		r.PairsDuplicated += x.PairsDuplicated
		r.FramesLostInSwap += x.FramesLostInSwap
		r.Seconds += x.Seconds
		for reason, n := range x.PairsRejected {
			r.PairsRejected[reason] += n
		}
		if x.GapClosedF1At50 != nil {
			gaps = append(gaps, *x.GapClosedF1At50)
		}
	}
	r.GapClosedF1At50 = nil
	if len(gaps) == len(runs) {
		var sum, square float64
		s := ScoreRange{Min: math.Inf(1), Max: math.Inf(-1)}
		for _, g := range gaps {
			sum += g
			square += g * g
			s.Min, s.Max = min(s.Min, g), max(s.Max, g)
		}
		n := float64(len(gaps))
		m := sum / n
		s.SD = math.Sqrt(max(0, (square-n*m*m)/(n-1)))
		r.GapClosedF1At50, r.Spread = &m, &s
	}
	return r
}

// gapClosed returns which part of the way from before to the oracle was gone; nil when there is no way to go.
func gapClosed(before, after, oracle *tas.Scores) *float64 {
	if before == nil || after == nil || oracle == nil || oracle.F1At50 <= before.F1At50 {
		return nil
	}
	g := (after.F1At50 - before.F1At50) / (oracle.F1At50 - before.F1At50)
	return &g
}

// write stores the report.
func (r *Report) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644)
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	if r.Adapted != nil {
		fmt.Fprintf(&b, "\nScores on %s, per cent%s\n", r.ScoredOn, seedsNote(r.Seeds))
		fmt.Fprintln(t, "\tMoF\tEdit\tF1@10\tF1@25\tF1@50\t")
		for _, row := range []struct {
			name string
			s    *tas.Scores
		}{
			{"teacher on exo", r.TeacherOnExo}, {"exo-only on ego (before)", r.ExoOnly},
			{"adapted on ego (after)", r.Adapted}, {"ego-labelled oracle", r.Oracle},
		} {
			if row.s != nil {
				fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", row.name, row.s.MoF, row.s.Edit, row.s.F1At10, row.s.F1At25, row.s.F1At50)
			}
		}
	} else {
		fmt.Fprintf(&b, "\nAgreement with the teacher on held-out pairs, per cent (there are no labels to score with)\n")
		fmt.Fprintln(t, "\tMoF\tEdit\tF1@10\tF1@25\tF1@50\t")
		for _, row := range []struct {
			name string
			s    tas.Scores
		}{{"before", r.AgreementBefore}, {"after", r.AgreementAfter}} {
			fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", row.name, row.s.MoF, row.s.Edit, row.s.F1At10, row.s.F1At25, row.s.F1At50)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.GapClosedF1At50 != nil {
		fmt.Fprintf(&b, "Gap closed on F1@50, without one ego label: %.2f", *r.GapClosedF1At50)
		if r.Spread != nil {
			fmt.Fprintf(&b, " (%.2f to %.2f over %d seeds)", r.Spread.Min, r.Spread.Max, len(r.Seeds))
		}
		fmt.Fprintln(&b)
	}
	if o := r.Online; o != nil && o.Provisional != nil {
		fmt.Fprintf(&b, "Online: provisional F1@50 %.1f, committed %.1f; %d of %d starts found, confirmed %.1f s late (median; p95 %.1f s), %.0f %% within 1 s; "+
			"%.1f revisions a minute\n", o.Provisional.F1At50, o.Committed.F1At50, o.Starts.Found, o.Starts.True, o.Starts.Delay.Median, o.Starts.Delay.P95,
			o.Starts.Within1, o.RevisionsPerMinute)
	}
	fmt.Fprintf(&b, "Pairs %d, lost %d, duplicated %d. ", r.Pairs, r.PairsLost, r.PairsDuplicated)
	if r.ReleaseAfter == "" {
		fmt.Fprintf(&b, "No student passed the gate: release %s still runs. %.0f s.\n", r.ReleaseBefore, r.Seconds)
	} else {
		fmt.Fprintf(&b, "Frames lost in the swap from %s to %s: %d. %.0f s.\n", r.ReleaseBefore, r.ReleaseAfter, r.FramesLostInSwap, r.Seconds)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func seedsNote(seeds []uint64) string {
	if len(seeds) == 1 {
		return fmt.Sprintf(" (seed %d)", seeds[0])
	}
	return fmt.Sprintf(" (means over seeds %v)", seeds)
}
