package figure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"tandem/trainer/compare"
)

// Of the figure, in points.
const (
	width     = 860
	margin    = 14
	head      = 34 // the title
	rowHeight = 17
	barsFrame = 44 // title and axis of the bars
	curves    = 270
	legend    = 118 // width
	dpi       = 150
)

// Check returns an error unless the file's name says a format that can be written.
func Check(path string) error {
	if e := strings.ToLower(filepath.Ext(path)); e != ".png" && e != ".svg" {
		return fmt.Errorf("%s: expected a file name that ends in .png or .svg", path)
	}
	return nil
}

// Write draws the table to a PNG or SVG file, by the end of its name. The file is the whole figure or what it was before.
func Write(t compare.Table, path string) error {
	if err := Check(path); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := render(t, strings.ToLower(filepath.Ext(path)) == ".svg", dpi, &b); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".figure-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// render draws the figure.
func render(t compare.Table, svg bool, dpi int, w io.Writer) error {
	rows, condition := standing(t)
	if len(rows) == 0 {
		return errors.New("the table has no rows")
	}
	lines := sweeps(t)
	barsHeight := barsFrame + rowHeight*float64(len(rows))
	height := head + barsHeight + margin
	if len(lines) > 0 {
		height += curves + margin
	}
	var canvas vg.CanvasSizer
	var out io.WriterTo
	if svg {
		c := vgsvg.NewWith(vgsvg.UseWH(width, vg.Points(height)), vgsvg.EmbedFonts(true))
		canvas, out = c, c
	} else {
		c := vgimg.NewWith(vgimg.UseWH(width, vg.Points(height)), vgimg.UseDPI(dpi))
		canvas, out = c, vgimg.PngCanvas{Canvas: c}
	}
	c := draw.New(canvas)
	top := c.Max.Y
	c.FillText(style(12, ink, draw.XLeft, draw.YTop), vg.Point{X: margin, Y: top - vg.Points(10)}, headline(t, condition))
	drawBars(part(c, margin, width-margin, top-vg.Points(head), vg.Points(barsHeight)), rows)
	if len(lines) > 0 {
		drawCurves(part(c, margin, width-margin, top-vg.Points(head+barsHeight+margin), curves), lines)
	}
	_, err := out.WriteTo(w)
	return err
}

// part is a part of a canvas, below a height.
func part(c draw.Canvas, left, right, top, height vg.Length) draw.Canvas {
	return draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: left, Y: top - height}, Max: vg.Point{X: right, Y: top}}}
}

// standing picks the rows that the bars show, those without clock error and with all pairs if there are any, and says
// which they are.
func standing(t compare.Table) (rows []compare.Row, condition string) {
	jitter, pairs := 0.0, 1.0
	is := func(r compare.Row) bool { return r.Jitter == jitter && r.Pairs == pairs }
	if i := slices.IndexFunc(t.Rows, varied); i >= 0 && !slices.ContainsFunc(t.Rows, func(r compare.Row) bool { return varied(r) && is(r) }) {
		jitter, pairs = t.Rows[i].Jitter, t.Rows[i].Pairs
		condition = fmt.Sprintf(", clocks within ±%g frames, %g %% of the pairs", jitter, 100*pairs)
	}
	for _, r := range t.Rows {
		if is(r) || (!varied(r) && r.NotApplicable == "") {
			rows = append(rows, r)
		}
	}
	return rows, condition
}

func headline(t compare.Table, condition string) string {
	folds, seeds := fmt.Sprintf("%d folds", len(t.Folds)), fmt.Sprintf("mean ± standard deviation over %d seeds", t.Seeds)
	if len(t.Folds) == 1 {
		folds = "1 fold"
	}
	if t.Seeds == 1 {
		seeds = "1 seed"
	}
	return fmt.Sprintf("%s, %s: %s, per cent%s", t.Data, folds, seeds, condition)
}

// drawBars draws a panel for each figure, with the methods' names before the first.
func drawBars(c draw.Canvas, rows []compare.Row) {
	names := vg.Length(0)
	label := style(9, ink, draw.XRight, draw.YCenter)
	for _, r := range rows {
		names = max(names, label.Width(r.Method))
	}
	names += vg.Points(6)
	panels := []struct {
		title  string
		figure func(compare.Row) compare.Spread
	}{
		{"MoF", func(r compare.Row) compare.Spread { return r.MoF }},
		{"Edit", func(r compare.Row) compare.Spread { return r.Edit }},
		{"F1@10", func(r compare.Row) compare.Spread { return r.F1At10 }},
		{"F1@25", func(r compare.Row) compare.Spread { return r.F1At25 }},
		{"F1@50", func(r compare.Row) compare.Spread { return r.F1At50 }},
	}
	each := (c.Max.X - c.Min.X - names) / vg.Length(len(panels))
	for i, q := range panels {
		b := bars{rows, q.figure}
		p := b.chart(q.title)
		at := c
		at.Min.X = c.Min.X + names + vg.Length(i)*each
		at.Max.X = at.Min.X + each - vg.Points(8)
		p.Draw(at)
		if i > 0 {
			continue
		}
		data := p.DataCanvas(at)
		_, y := p.Transforms(&data)
		for j, r := range rows {
			c.FillText(label, vg.Point{X: c.Min.X + names - vg.Points(5), Y: y(b.at(j))}, r.Method)
		}
	}
}

// drawCurves draws the sweeps beside each other and a legend.
func drawCurves(c draw.Canvas, list []sweep) {
	each := (c.Max.X - c.Min.X - legend) / vg.Length(len(list))
	var methods []string
	lo, hi := span(list)
	for i, s := range list {
		at := c
		at.Min.X = c.Min.X + vg.Length(i)*each
		at.Max.X = at.Min.X + each - vg.Points(12)
		s.chart(lo, hi).Draw(at)
		for _, l := range s.lines {
			if !slices.Contains(methods, l.method) {
				methods = append(methods, l.method)
			}
		}
	}
	x, y := c.Max.X-legend+vg.Points(6), c.Max.Y-vg.Points(30)
	for _, m := range methods {
		look := lookOf(m)
		c.StrokeLine2(line(look.color, 1.6), x, y, x+vg.Points(22), y)
		c.DrawGlyph(draw.GlyphStyle{Color: look.color, Radius: vg.Points(3), Shape: look.glyph}, vg.Point{X: x + vg.Points(11), Y: y})
		c.FillText(style(9, ink, draw.XLeft, draw.YCenter), vg.Point{X: x + vg.Points(27), Y: y}, m)
		y -= vg.Points(15)
	}
	for _, r := range list[0].references {
		c.StrokeLine2(referenceLine(r.Method), x, y, x+vg.Points(22), y)
		c.FillText(style(9, ink, draw.XLeft, draw.YCenter), vg.Point{X: x + vg.Points(27), Y: y}, r.Method)
		y -= vg.Points(15)
	}
}
