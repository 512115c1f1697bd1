package figure

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"tandem/trainer/compare"
)

// sweep is a row of conditions of which one thing varies, with F1@50 of each method under them.
type sweep struct {
	title, axis string
	log         bool
	tick        func(x float64) string
	values      []float64 // ascending
	lines       []sweepLine
	references  []compare.Row // drawn as levels
}

type sweepLine struct {
	method string
	points []point // ascending in x
}

type point struct {
	x float64
	y compare.Spread
}

// reference tells whether a method is one that the others are measured against on the ego side.
func reference(r compare.Row) bool {
	return r.NotApplicable == "" && (r.Method == "exo-only" || r.Method == "ego-oracle")
}

// varied tells whether a method's row depends on the condition.
func varied(r compare.Row) bool {
	return r.NotApplicable == "" && r.Method != compare.Teacher && !reference(r)
}

// sweeps finds the curves that a table holds: clock errors with as many pairs as possible, and shares of the pairs with as
// little clock error as possible.
func sweeps(t compare.Table) []sweep {
	var list []sweep
	shares, jitters := conditions(t, pairsOf), conditions(t, jitterOf)
	for _, share := range slices.Backward(shares) {
		s := pick(t, jitterOf, func(r compare.Row) bool { return r.Pairs == share })
		if len(s.values) < 2 {
			continue
		}
		s.title, s.axis, s.tick = "F1@50 against clock error", "largest clock error of a take, frames", func(x float64) string {
			if x == 0 {
				return "0"
			}
			return fmt.Sprintf("±%g", x)
		}
		if share != 1 {
			s.title += fmt.Sprintf(" with %g %% of the pairs", 100*share)
		}
		list = append(list, s)
		break
	}
	for _, jitter := range jitters {
		s := pick(t, pairsOf, func(r compare.Row) bool { return r.Jitter == jitter })
		if len(s.values) < 2 {
			continue
		}
		s.title, s.axis, s.log, s.tick = "F1@50 against share of the pairs", "share of the pairs that is learnt from", true, func(x float64) string {
			return fmt.Sprintf("%g %%", 100*x)
		}
		if jitter != 0 {
			s.title += fmt.Sprintf(" with clocks within ±%g frames", jitter)
		}
		list = append(list, s)
		break
	}
	return list
}

func jitterOf(r compare.Row) float64 { return r.Jitter }
func pairsOf(r compare.Row) float64  { return r.Pairs }

// conditions lists the values of a condition, ascending.
func conditions(t compare.Table, of func(compare.Row) float64) []float64 {
	var list []float64
	for _, r := range t.Rows {
		if varied(r) && !slices.Contains(list, of(r)) {
			list = append(list, of(r))
		}
	}
	slices.Sort(list)
	return list
}

// pick makes the lines of a sweep of the rows that are kept.
func pick(t compare.Table, of func(compare.Row) float64, keep func(compare.Row) bool) sweep {
	var s sweep
	for _, r := range t.Rows {
		if reference(r) {
			s.references = append(s.references, r)
		}
		if !varied(r) || !keep(r) {
			continue
		}
		i := slices.IndexFunc(s.lines, func(l sweepLine) bool { return l.method == r.Method })
		if i < 0 {
			i = len(s.lines)
			s.lines = append(s.lines, sweepLine{method: r.Method})
		}
		s.lines[i].points = append(s.lines[i].points, point{of(r), r.F1At50})
		if !slices.Contains(s.values, of(r)) {
			s.values = append(s.values, of(r))
		}
	}
	for _, l := range s.lines {
		slices.SortFunc(l.points, func(a, b point) int {
			if a.x < b.x {
				return -1
			}
			return 1
		})
	}
	slices.Sort(s.values)
	return s
}

// span is the range of F1@50 that all sweeps are drawn in.
func span(list []sweep) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	see := func(mean, d float64) { lo, hi = min(lo, mean-d), max(hi, mean+d) }
	for _, s := range list {
		for _, l := range s.lines {
			for _, q := range l.points {
				see(q.y.Mean, deviation(q.y))
			}
		}
		for _, r := range s.references {
			see(r.F1At50.Mean, 0)
		}
	}
	room := max(2, 0.06*(hi-lo))
	return max(0, lo-room), min(100, hi+room)
}

// round are ticks at round numbers, five or so.
func round(lo, hi float64) []plot.Tick {
	step := 1.0
	for _, s := range []float64{2, 5, 10, 20} {
		if (hi-lo)/step > 7 {
			step = s
		}
	}
	var list []plot.Tick
	for v := math.Ceil(lo/step) * step; v <= hi; v += step {
		list = append(list, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
	}
	return list
}

// chart returns the panel of the curves, with F1@50 from lo to hi.
func (s sweep) chart(lo, hi float64) *plot.Plot {
	p := panel(s.title)
	p.X.Label.Text, p.Y.Label.Text = s.axis, "F1@50, per cent"
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = lo, hi, plot.TickerFunc(round)
	first, last := s.values[0], s.values[len(s.values)-1]
	if s.log {
		p.X.Scale = plot.LogScale{}
		edge := math.Pow(last/first, 0.06)
		p.X.Min, p.X.Max = first/edge, last*edge
	} else {
		edge := 0.06 * (last - first)
		p.X.Min, p.X.Max = first-edge, last+edge
	}
	var ticks plot.ConstantTicks
	for _, v := range s.values {
		ticks = append(ticks, plot.Tick{Value: v, Label: s.tick(v)})
	}
	p.X.Tick.Marker = ticks
	p.Add(s)
	return p
}

// Plot draws levels and curves. Points at one place stand beside each other.
func (s sweep) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(line(faint, 0.6), c.Min.X, y(t.Value), c.Max.X, y(t.Value))
	}
	for _, r := range s.references {
		c.StrokeLine2(referenceLine(r.Method), c.Min.X, y(r.F1At50.Mean), c.Max.X, y(r.F1At50.Mean))
	}
	for i, l := range s.lines {
		beside := vg.Points(3.2 * (float64(i) - float64(len(s.lines)-1)/2))
		look := lookOf(l.method)
		width := 1.3
		if l.method == "tandem" {
			width = 2.2
		}
		var points []vg.Point
		for _, q := range l.points {
			at := vg.Point{X: x(q.x) + beside, Y: y(q.y.Mean)}
			points = append(points, at)
			if d := deviation(q.y); d > 0 {
				from, to := y(max(q.y.Mean-d, p.Y.Min)), y(min(q.y.Mean+d, p.Y.Max))
				c.StrokeLine2(line(look.color, 1), at.X, from, at.X, to)
				for _, cap := range []vg.Length{from, to} {
					c.StrokeLine2(line(look.color, 1), at.X-vg.Points(2), cap, at.X+vg.Points(2), cap)
				}
			}
		}
		c.StrokeLines(line(look.color, width), points)
		for _, at := range points {
			c.DrawGlyph(draw.GlyphStyle{Color: look.color, Radius: vg.Points(3), Shape: look.glyph}, at)
		}
	}
}
