package replay

import (
	"context"
	"fmt"
	"math"
	"slices"

	"tandem/runtime/bundle"
	"tandem/tas"
)

// Streams of a Row.
const (
	Offline     = "offline"     // the network over whole takes
	Provisional = "provisional" // its first opinion
	Committed   = "committed"
)

// Row is what one way of decoding gave.
type Row struct {
	Stream string `json:"stream"`
	Variant
	// Late is how many seconds after it a sample is committed at the latest.
	Late float64 `json:"late_s"`
	Figures
	SD *Figures `json:"sd,omitempty"` // standard deviation over the students, if there are several
}

// Figures are the scores of a stream, per cent unless their name says otherwise. docs/metrics.md has the definitions.
type Figures struct {
	MoF    float64 `json:"mof"`
	Edit   float64 `json:"edit"`
	F1At10 float64 `json:"f1_10"`
	F1At25 float64 `json:"f1_25"`
	F1At50 float64 `json:"f1_50"`
	// SegmentsPerTrue is the number of segments by that of the truth.
	SegmentsPerTrue float64 `json:"segments_per_true"`
	// OfSame is F1@50 as a share of the offline row's with the same hold and prior, OfBest of the best offline row's.
	OfSame float64 `json:"f1_50_of_offline_same"`
	OfBest float64 `json:"f1_50_of_offline_best"`
	Online *Online `json:"online,omitempty"` // of committed rows
}

// Online are the figures of a stream that comes in time.
type Online struct {
	DelayMedian float64 `json:"delay_median_s"` // of the confirmed start, after the true one
	DelayP95    float64 `json:"delay_p95_s"`
	Within1     float64 `json:"within_1s"` // of all true starts
	Within2     float64 `json:"within_2s"`
	Within5     float64 `json:"within_5s"`
	// RevisionsPerMinute is how often the provisional stream said what this one took back.
	RevisionsPerMinute float64 `json:"revisions_per_minute"`
}

// all are the figures in a fixed order.
func (f *Figures) all() []*float64 {
	list := []*float64{&f.MoF, &f.Edit, &f.F1At10, &f.F1At25, &f.F1At50, &f.SegmentsPerTrue, &f.OfSame, &f.OfBest}
	if o := f.Online; o != nil {
		list = append(list, &o.DelayMedian, &o.DelayP95, &o.Within1, &o.Within2, &o.Within5, &o.RevisionsPerMinute)
	}
	return list
}

// figures are those of scores, without shares.
func figures(s tas.Scores, segments float64) Figures {
	return Figures{MoF: s.MoF, Edit: s.Edit, F1At10: s.F1At10, F1At25: s.F1At25, F1At50: s.F1At50, SegmentsPerTrue: segments}
}

// student replays one bundle.
func (w *world) student(ctx context.Context, s Student) (r Result, err error) {
	b := s.Bundle
	r = Result{Path: s.Path, Release: b.Release}
	full, err := w.bundleOf(b, Variant{Lag: true, Hold: true, Prior: b.Segmenter.Decode.Prior != nil})
	if err != nil {
		return r, err
	}
	r.Network = network(full)
	probs, difference, err := w.whole(ctx, s)
	if err != nil {
		return r, err
	}
	r.Difference = difference
	list := w.o.variants(b)
	for _, v := range list {
		if v.Lag { // offline there is no other
			continue
		}
		scores, segments, err := w.decode(b, probs, v)
		if err != nil {
			return r, err
		}
		r.Rows = append(r.Rows, Row{Stream: Offline, Variant: v, Figures: figures(scores, segments)})
	}
	offline := len(r.Rows)
	for _, v := range list {
		x, err := w.stream(ctx, b, v)
		if err != nil {
			return r, err
		}
		if p := x.online.Provisional; p != nil && v == (Variant{Lag: true, Hold: true}) {
			said := Row{Stream: Provisional, Figures: figures(p.Scores, p.SegmentsPerTrue)}
			if win := full.Segmenter.Window; win != nil {
				said.Late = float64(win.Hop-1) / b.RateHz
			}
			r.Rows = slices.Insert(r.Rows, offline, said)
		}
		row := Row{Stream: Committed, Variant: v, Late: x.late, Figures: figures(x.online.Committed.Scores, x.online.Committed.SegmentsPerTrue)}
		st := x.online.Starts
		row.Online = &Online{
			DelayMedian: st.Delay.Median, DelayP95: st.Delay.P95, Within1: st.Within1, Within2: st.Within2, Within5: st.Within5,
			RevisionsPerMinute: x.online.RevisionsPerMinute,
		}
		r.Rows = append(r.Rows, row)
	}
	shares(r.Rows, offline)
	return r, nil
}

// shares compares rows with the first ones, which are offline.
func shares(rows []Row, offline int) {
	best := 0.0
	for _, o := range rows[:offline] {
		best = max(best, o.F1At50)
	}
	share := func(x, of float64) float64 {
		if of == 0 {
			return 100
		}
		return 100 * x / of
	}
	for i := range rows {
		r := &rows[i]
		r.OfBest = share(r.F1At50, best)
		for _, o := range rows[:offline] {
			if o.Hold == r.Hold && o.Prior == r.Prior {
				r.OfSame = share(r.F1At50, o.F1At50)
			}
		}
	}
}

// network says how a bundle's network is run.
func network(b *bundle.Dir) string {
	if x := b.Segmenter.Window; x != nil {
		return fmt.Sprintf("windows of %d, hop %d, right %d", x.Frames, x.Hop, x.Right)
	}
	lags := ""
	for i, h := range b.Segmenter.Heads {
		if i > 0 {
			lags += ", "
		}
		lags += fmt.Sprint(h.Lag)
	}
	return "causal, lags " + lags
}

// mean averages the rows that all students have, and gives their spread.
func mean(list []Result) []Row {
	var out []Row
	for _, first := range list[0].Rows {
		var same []Row
		for _, r := range list {
			for _, x := range r.Rows {
				if x.Stream == first.Stream && x.Variant == first.Variant {
					same = append(same, x)
				}
			}
		}
		if len(same) < len(list) {
			continue
		}
		out = append(out, average(same))
	}
	return out
}

func average(rows []Row) Row {
	n := float64(len(rows))
	m := rows[0]
	sd := Figures{}
	if rows[0].Online != nil {
		m.Online, sd.Online = &Online{}, &Online{}
	}
	to, spread := m.all(), sd.all()
	for i := range to {
		var sum, square float64
		for j := range rows {
			v := *rows[j].all()[i]
			sum += v / n
		}
		for j := range rows {
			d := *rows[j].all()[i] - sum
			square += d * d
		}
		*to[i], *spread[i] = sum, math.Sqrt(square/max(1, n-1))
	}
	m.Late = 0
	for _, r := range rows {
		m.Late = max(m.Late, r.Late)
	}
	if len(rows) > 1 {
		m.SD = &sd
	}
	return m
}
