package figure

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"tandem/trainer/compare"
)

// look is how a method is drawn: colour and glyph differ, so that neither is needed alone.
type look struct {
	color color.RGBA
	glyph draw.GlyphDrawer
}

// Colours that people with each kind of colour blindness tell apart (Okabe & Ito, 2008, and Tol, 2021, muted scheme).
var (
	ink       = color.RGBA{0x22, 0x22, 0x22, 0xff}
	faint     = color.RGBA{0xe6, 0xe6, 0xe6, 0xff}
	grey      = color.RGBA{0x8c, 0x8c, 0x8c, 0xff}
	darkGrey  = color.RGBA{0x5a, 0x5a, 0x5a, 0xff}
	lightGrey = color.RGBA{0xb8, 0xb8, 0xb8, 0xff}
	red       = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	blue      = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	sky       = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	green     = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	purple    = color.RGBA{0xcc, 0x79, 0xa7, 0xff}
	orange    = color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	sand      = color.RGBA{0xc8, 0xb9, 0x50, 0xff}
	olive     = color.RGBA{0x99, 0x99, 0x33, 0xff}
	wine      = color.RGBA{0x88, 0x22, 0x55, 0xff}
	indigo    = color.RGBA{0x33, 0x22, 0x88, 0xff}
)

// looks are those of the methods: greys for what the others are measured against, warm colours for what needs no pairs
// that belong together.
var looks = map[string]look{
	compare.Teacher:     {darkGrey, draw.CrossGlyph{}},
	"exo-only":          {lightGrey, draw.PlusGlyph{}},
	"ego-oracle":        {grey, draw.CrossGlyph{}},
	"tandem":            {red, draw.CircleGlyph{}},
	"tas":               {blue, draw.SquareGlyph{}},
	"both":              {green, draw.PyramidGlyph{}},
	"feature":           {sky, draw.TriangleGlyph{}},
	"feature-extractor": {indigo, draw.BoxGlyph{}},
	"coral":             {orange, draw.RingGlyph{}},
	"mmd":               {sand, draw.BoxGlyph{}},
	"dann":              {olive, draw.TriangleGlyph{}},
	"soft-dtw":          {wine, draw.RingGlyph{}},
	"tcc":               {purple, draw.PyramidGlyph{}},
}

// lookOf returns a method's look; methods that are not known here share one.
func lookOf(method string) look {
	if l, ok := looks[method]; ok {
		return l
	}
	return look{ink, draw.CrossGlyph{}}
}

// style of text. All sizes are in points.
func style(size float64, c color.Color, x text.XAlignment, y text.YAlignment) text.Style {
	return text.Style{
		Color:  c,
		Font:   font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)},
		XAlign: x, YAlign: y, Handler: plot.DefaultTextHandler,
	}
}

// plate writes text on a white ground, so that lines behind it don't cross it out.
func plate(c draw.Canvas, s text.Style, at vg.Point, words string) {
	box := s.Rectangle(words).Add(at)
	pad := vg.Points(1)
	c.FillPolygon(color.White, []vg.Point{{X: box.Min.X - pad, Y: box.Min.Y}, {X: box.Max.X + pad, Y: box.Min.Y},
		{X: box.Max.X + pad, Y: box.Max.Y}, {X: box.Min.X - pad, Y: box.Max.Y}})
	c.FillText(s, at, words)
}

func line(c color.Color, width float64, dashes ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: vg.Points(width), Dashes: dashes}
}

// referenceLine is the level of a method that the others are measured against: dotted the lower, dashed the upper.
func referenceLine(method string) draw.LineStyle {
	if method == "exo-only" {
		return line(darkGrey, 0.9, vg.Points(1.2), vg.Points(2))
	}
	return line(darkGrey, 0.9, vg.Points(4.5), vg.Points(2.5))
}

// panel returns an empty plot in the figure's style.
func panel(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.Title.TextStyle = title, style(10, ink, draw.XCenter, draw.YTop)
	p.Title.Padding = vg.Points(6)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle, a.Tick.LineStyle = line(grey, 0.7), line(grey, 0.7)
		a.Tick.Length, a.Padding = vg.Points(3), 0
		a.Label.TextStyle, a.Label.Padding = style(9, ink, draw.XCenter, draw.YBottom), vg.Points(3)
		size := a.Tick.Label
		a.Tick.Label = style(8, darkGrey, size.XAlign, size.YAlign)
	}
	return p
}
