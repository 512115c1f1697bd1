package compare

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"tandem/tas"
	"tandem/trainer/dataset"
)

// Spread is a mean with the standard deviation over seeds, each seed's figure being the mean of its folds.
type Spread struct {
	Mean float64  `json:"mean"`
	SD   *float64 `json:"sd"` // nil for one seed
}

// Row is what was measured of a method under one condition. Scores are per cent.
type Row struct {
	Method string  `json:"method"`
	Jitter float64 `json:"jitter"`
	Pairs  float64 `json:"pairs"`
	MoF    Spread  `json:"mof"`
	Edit   Spread  `json:"edit"`
	F1At10 Spread  `json:"f1_10"`
	F1At25 Spread  `json:"f1_25"`
	F1At50 Spread  `json:"f1_50"`
	// Closed is the per cent of the gap between exo-only and ego-oracle that is closed on F1@50; nil where one of the two
	// wasn't measured or can't be applied, or there is no gap.
	Closed *float64 `json:"gap_closed"`
	// OffsetError is the mean distance of estimated offsets from the injected ones in frames.
	OffsetError   *float64 `json:"offset_error,omitempty"`
	NotApplicable string   `json:"not_applicable,omitempty"`
}

// Table is the outcome of a comparison.
type Table struct {
	Data   string   `json:"data"`
	Recipe string   `json:"recipe"`
	Folds  []string `json:"folds"`
	Seeds  int      `json:"seeds"`
	Rows   []Row    `json:"rows"`
}

func (r *run) table(folds []dataset.Fold) (Table, error) {
	t := Table{Data: r.data.set.Name, Recipe: r.plan.recipe(), Seeds: r.plan.Seeds}
	for _, f := range folds {
		t.Folds = append(t.Folds, f.Name)
	}
	for _, c := range r.cells {
		row, err := r.row(c, t.Folds)
		if err != nil {
			return t, err
		}
		t.Rows = append(t.Rows, row)
	}
	find := func(name string) *Row {
		i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Method == name && r.NotApplicable == "" })
		if i < 0 {
			return nil
		}
		return &t.Rows[i]
	}
	if lo, hi := find("exo-only"), find("ego-oracle"); lo != nil && hi != nil && hi.F1At50.Mean != lo.F1At50.Mean {
		for i := range t.Rows {
			if t.Rows[i].Method != Teacher && t.Rows[i].NotApplicable == "" {
				closed := 100 * (t.Rows[i].F1At50.Mean - lo.F1At50.Mean) / (hi.F1At50.Mean - lo.F1At50.Mean)
				t.Rows[i].Closed = &closed
			}
		}
	}
	return t, nil
}

func (r *run) row(c cell, folds []string) (Row, error) {
	row := Row{Method: c.method, Jitter: c.jitter, Pairs: c.pairs}
	seeds := make([]tas.Scores, r.plan.Seeds)
	var errorSum, errorCount float64
	for i := range seeds {
		for _, f := range folds {
			x, ok := r.store.get(r.key(c, f, uint64(i)+1))
			if !ok {
				return row, fmt.Errorf("the result of %s, fold %s, seed %d is not there", c.method, f, i+1)
			}
			if x.NotApplicable != "" {
				row.NotApplicable = x.NotApplicable
				return row, nil
			}
			if x.OffsetError != nil {
				errorSum, errorCount = errorSum+*x.OffsetError, errorCount+1
			}
			n := float64(len(folds))
			seeds[i].MoF += x.Scores.MoF / n
			seeds[i].Edit += x.Scores.Edit / n
			seeds[i].F1At10 += x.Scores.F1At10 / n
			seeds[i].F1At25 += x.Scores.F1At25 / n
			seeds[i].F1At50 += x.Scores.F1At50 / n
		}
	}
	spread := func(of func(tas.Scores) float64) Spread {
		list := make([]float64, len(seeds))
		for i, s := range seeds {
			list[i] = of(s)
		}
		if len(list) == 1 {
			return Spread{Mean: list[0]}
		}
		var sum, square float64
		for _, v := range list {
			sum += v
		}
		mean := sum / float64(len(list))
		for _, v := range list {
			square += (v - mean) * (v - mean)
		}
		sd := math.Sqrt(square / float64(len(list)-1))
		return Spread{mean, &sd}
	}
	row.MoF = spread(func(s tas.Scores) float64 { return s.MoF })
	row.Edit = spread(func(s tas.Scores) float64 { return s.Edit })
	row.F1At10 = spread(func(s tas.Scores) float64 { return s.F1At10 })
	row.F1At25 = spread(func(s tas.Scores) float64 { return s.F1At25 })
	row.F1At50 = spread(func(s tas.Scores) float64 { return s.F1At50 })
	if errorCount > 0 {
		mean := errorSum / errorCount
		row.OffsetError = &mean
	}
	return row, nil
}

// Print writes the table as text.
func (t Table) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "method\tjitter\tpairs\tMoF\tEdit\tF1@10\tF1@25\tF1@50\tgap closed\toffset error\t")
	for _, r := range t.Rows {
		if r.NotApplicable != "" {
			fmt.Fprintf(tw, "%s\t%g\t%g\tnot applicable\t\t\t\t\t\t\t\n", r.Method, r.Jitter, r.Pairs)
			continue
		}
		fmt.Fprintf(tw, "%s\t%g\t%g\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Method, r.Jitter, r.Pairs, r.MoF, r.Edit, r.F1At10, r.F1At25, r.F1At50,
			optional(r.Closed, "%.0f %%"), optional(r.OffsetError, "%.2f"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range t.Rows {
		if r.NotApplicable != "" {
			fmt.Fprintf(w, "%s: %s\n", r.Method, r.NotApplicable)
		}
	}
	_, err := fmt.Fprintf(w, "%s, %d folds, %d seeds: mean ± standard deviation over seeds, per cent\n", t.Data, len(t.Folds), t.Seeds)
	return err
}

func (s Spread) String() string {
	if s.SD == nil || math.IsNaN(*s.SD) {
		return fmt.Sprintf("%.1f", s.Mean)
	}
	return fmt.Sprintf("%.1f ± %.1f", s.Mean, *s.SD)
}

func optional(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}
