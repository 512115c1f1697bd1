package figure

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"tandem/trainer/compare"
)

// bars are horizontal bars of one figure, a row for each method, from the top down.
type bars struct {
	rows   []compare.Row
	figure func(compare.Row) compare.Spread
}

// chart returns the panel of the bars.
func (b bars) chart(title string) *plot.Plot {
	p := panel(title)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, -0.6, float64(len(b.rows))-0.4
	for _, r := range b.rows {
		if r.NotApplicable == "" {
			s := b.figure(r)
			p.X.Max = max(p.X.Max, (s.Mean+deviation(s))*1.38) // with room for the number
		}
	}
	p.X.Max = min(p.X.Max, 138)
	p.X.Tick.Marker = plot.TickerFunc(func(_, most float64) []plot.Tick {
		step := 25.0
		if most < 50 {
			step = 10
		}
		var list []plot.Tick
		for v := 0.0; v <= min(most, 100); v += step {
			list = append(list, plot.Tick{Value: v, Label: fmt.Sprint(v)})
		}
		return list
	})
	p.HideY()
	p.Add(b)
	return p
}

// at is the height of a row.
func (b bars) at(row int) float64 { return float64(len(b.rows) - 1 - row) }

// Plot draws the bars. References are lines through all of them.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		c.StrokeLine2(line(faint, 0.6), x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
	}
	numbers := make([]vg.Point, len(b.rows))
	half := 0.34 * (y(1) - y(0))
	for i, r := range b.rows {
		mid := y(b.at(i))
		if r.NotApplicable != "" {
			c.FillText(style(8, grey, draw.XLeft, draw.YCenter), vg.Point{X: x(0) + vg.Points(4), Y: mid}, "not applicable")
			continue
		}
		s := b.figure(r)
		end := x(max(s.Mean, 0))
		c.FillPolygon(lookOf(r.Method).color, []vg.Point{{X: x(0), Y: mid - half}, {X: end, Y: mid - half}, {X: end, Y: mid + half}, {X: x(0), Y: mid + half}})
		label := end
		if d := deviation(s); d > 0 {
			l := line(ink, 0.9)
			from, to := x(max(s.Mean-d, 0)), x(s.Mean+d)
			c.StrokeLine2(l, from, mid, to, mid)
			for _, cap := range []vg.Length{from, to} {
				c.StrokeLine2(l, cap, mid-half/2, cap, mid+half/2)
			}
			label = to
		}
		numbers[i] = vg.Point{X: label + vg.Points(3), Y: mid}
	}
	for _, r := range b.rows {
		if reference(r) {
			at := x(b.figure(r).Mean)
			c.StrokeLine2(referenceLine(r.Method), at, c.Min.Y, at, c.Max.Y)
		}
	}
	for i, r := range b.rows {
		if r.NotApplicable == "" {
			plate(c, style(8, ink, draw.XLeft, draw.YCenter), numbers[i], fmt.Sprintf("%.1f", b.figure(r).Mean))
		}
	}
}

// deviation is that of a spread, 0 where there is none.
func deviation(s compare.Spread) float64 {
	if s.SD == nil || math.IsNaN(*s.SD) {
		return 0
	}
	return *s.SD
}
