package compare

import (
	"fmt"
	"math"

	"tandem/tas"
	"tandem/trainer/dataset"
)

// Spread is a mean with the standard deviation over seeds, each seed's figure being the mean of its folds.
type Spread struct {
	Mean float64  `json:"mean"`
	SD   *float64 `json:"sd"` // nil for one seed
}

// Metrics are the five figures of a judgement in per cent, or five shares of such.
type Metrics[T any] struct {
	MoF    T `json:"mof"`
	Edit   T `json:"edit"`
	F1At10 T `json:"f1_10"`
	F1At25 T `json:"f1_25"`
	F1At50 T `json:"f1_50"`
}

// Row is what was measured of a method under one condition. Scores and shares are per cent.
type Row struct {
	Method string  `json:"method"`
	Jitter float64 `json:"jitter"`
	Pairs  float64 `json:"pairs"`
	Metrics[Spread]
	// Closed is the share of the gap between exo-only and ego-oracle that is closed on F1@50, Gap that on each figure; nil
	// where one of the two wasn't measured or can't be applied, or there is no gap.
	Closed *float64           `json:"gap_closed"`
	Gap    *Metrics[*float64] `json:"gap"`
	// Kept is the score as a share of the same method's without clock error and with all pairs; nil where that is not known.
	Kept *Metrics[*float64] `json:"kept"`
	// Exo is how the student judges the exo side of the test takes; nil where it can't read that, for the teacher, and where
	// some results are older than this figure.
	Exo *Metrics[Spread] `json:"exo"`
	// OffsetError is the mean distance of estimated offsets from the injected ones in frames.
	OffsetError *float64 `json:"offset_error,omitempty"`
	// Hold is the label hold of the scores in frames, the mean over folds.
	Hold          float64 `json:"hold,omitempty"`
	NotApplicable string  `json:"not_applicable,omitempty"`
}

// Table is the outcome of a comparison.
type Table struct {
	Data      string   `json:"data"`
	Recipe    string   `json:"recipe"`
	Folds     []string `json:"folds"`
	Seeds     int      `json:"seeds"`
	FirstSeed uint64   `json:"first_seed"`
	Rows      []Row    `json:"rows"`
}

func (r *run) table(folds []dataset.Fold) (Table, error) {
	t := Table{Data: r.data.set.Name, Recipe: r.plan.recipe(), Seeds: r.plan.Seeds, FirstSeed: r.plan.seeds()[0]}
	for _, f := range folds {
		t.Folds = append(t.Folds, f.Name)
	}
	// known returns the row of a cell that was measured now or before.
	known := func(c cell) *Row {
		row, err := r.row(c, t.Folds)
		if err != nil || row.NotApplicable != "" {
			return nil
		}
		return &row
	}
	lo, hi := known(whole("exo-only")), known(whole("ego-oracle"))
	for _, c := range r.cells {
		row, err := r.row(c, t.Folds)
		if err != nil {
			return t, err
		}
		if row.NotApplicable == "" && c.method != Teacher {
			if lo != nil && hi != nil {
				row.Gap = gap(row.Metrics, lo.Metrics, hi.Metrics)
				row.Closed = row.Gap.F1At50
			}
			if base := known(whole(c.method)); base != nil {
				row.Kept = gap(row.Metrics, Metrics[Spread]{}, base.Metrics)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// gap returns where between lo and hi the means lie, in per cent; nil where there is nothing between.
func gap(x, lo, hi Metrics[Spread]) *Metrics[*float64] {
	share := func(x, lo, hi Spread) *float64 {
		if hi.Mean == lo.Mean {
			return nil
		}
		v := 100 * (x.Mean - lo.Mean) / (hi.Mean - lo.Mean)
		return &v
	}
	return &Metrics[*float64]{share(x.MoF, lo.MoF, hi.MoF), share(x.Edit, lo.Edit, hi.Edit), share(x.F1At10, lo.F1At10, hi.F1At10),
		share(x.F1At25, lo.F1At25, hi.F1At25), share(x.F1At50, lo.F1At50, hi.F1At50)}
}

// row gathers a cell's results. It is an error that one is not there.
func (r *run) row(c cell, folds []string) (Row, error) {
	row := Row{Method: c.method, Jitter: c.jitter, Pairs: c.pairs}
	ego, exo := make([][]tas.Scores, r.plan.Seeds), make([][]tas.Scores, r.plan.Seeds)
	var offsets, holds []float64
	all := true // results have scores on the exo side
	for i, seed := range r.plan.seeds() {
		for _, f := range folds {
			x, ok := r.store.get(r.key(c, f, seed))
			if !ok {
				return row, fmt.Errorf("the result of %s, fold %s, seed %d is not there", c.method, f, seed)
			}
			if x.NotApplicable != "" {
				row.NotApplicable = x.NotApplicable
				return row, nil
			}
			if x.OffsetError != nil {
				offsets = append(offsets, *x.OffsetError)
			}
			holds = append(holds, float64(x.Hold))
			ego[i] = append(ego[i], x.Scores)
			if all = all && x.Exo != nil; all {
				exo[i] = append(exo[i], *x.Exo)
			}
		}
	}
	row.Metrics = spreads(ego)
	if all {
		m := spreads(exo)
		row.Exo = &m
	}
	if len(offsets) > 0 {
		m := mean(offsets)
		row.OffsetError = &m
	}
	row.Hold = mean(holds)
	return row, nil
}

// spreads are those over seeds of the means over folds.
func spreads(seeds [][]tas.Scores) Metrics[Spread] {
	over := func(of func(tas.Scores) float64) Spread {
		list := make([]float64, len(seeds))
		for i, folds := range seeds {
			for _, s := range folds {
				list[i] += of(s) / float64(len(folds))
			}
		}
		s := Spread{Mean: mean(list)}
		if len(list) > 1 {
			var square float64
			for _, v := range list {
				square += (v - s.Mean) * (v - s.Mean)
			}
			sd := math.Sqrt(square / float64(len(list)-1))
			s.SD = &sd
		}
		return s
	}
	return Metrics[Spread]{
		over(func(s tas.Scores) float64 { return s.MoF }), over(func(s tas.Scores) float64 { return s.Edit }),
		over(func(s tas.Scores) float64 { return s.F1At10 }), over(func(s tas.Scores) float64 { return s.F1At25 }),
		over(func(s tas.Scores) float64 { return s.F1At50 }),
	}
}

func mean(list []float64) float64 {
	var sum float64
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}
