package strip

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"strconv"

	"tandem/tas"
)

// paint checks the chart and draws it.
func (c Chart) paint() (*image.RGBA, error) {
	extents, err := c.check()
	if err != nil {
		return nil, err
	}
	f, err := newFaces()
	if err != nil {
		return nil, err
	}
	l, err := newLayout(c, extents, f)
	if err != nil {
		return nil, err
	}
	p := painter{chart: c, layout: l, faces: f, img: image.NewRGBA(image.Rectangle{Max: l.size})}
	p.fill(p.img.Rect, white)
	p.header()
	for i := range c.Blocks {
		p.block(i)
	}
	return p.img, nil
}

// encode writes the picture in one piece, so that an encoder's failure leaves nothing behind.
func encode(w io.Writer, img image.Image) error {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// painter draws one chart.
type painter struct {
	chart  Chart
	layout layout
	faces  faces
	img    *image.RGBA
	shares []share // of one row's columns, used again for the next
}

// share is what spans put into a column of pixels: colours times the widths they cover, and the sum of those widths.
type share struct{ r, g, b, width float64 }

// header draws the title and the legend.
func (p *painter) header() {
	if p.chart.Title != "" {
		title := fit(p.faces.title, p.chart.Title, p.layout.size.X-2*margin)
		write(p.img, p.faces.title, ink, margin, margin+swatch/2, title)
	}
	for _, item := range p.layout.legend {
		box := image.Rect(item.x, item.y-swatch/2, item.x+swatch, item.y+swatch/2)
		p.fill(box, p.colorOf(item.label))
		x := box.Max.X + gap/2
		write(p.img, p.faces.name, ink, x, item.y, fit(p.faces.name, item.label, p.layout.size.X-margin-x))
	}
}

// block draws a block's title, rows and axis.
func (p *painter) block(i int) {
	b, e := p.chart.Blocks[i], p.layout.extents[i]
	y := p.layout.blocks[i]
	if b.Title != "" {
		write(p.img, p.faces.block, ink, margin, y+blockHead/3, fit(p.faces.block, b.Title, p.layout.size.X-2*margin))
		y += blockHead
	}
	bottom := y + len(b.Rows)*rowPitch
	p.axis(e, y, bottom)
	for _, r := range b.Rows {
		p.row(r, e, y)
		y += rowPitch
	}
}

// row draws a strip and the text beside it with the upper edge at y.
func (p *painter) row(r Row, e extent, y int) {
	left, right := p.layout.plot.left, p.layout.plot.right
	middle := y + rowHeight/2
	write(p.img, p.faces.name, ink, margin, middle, fit(p.faces.name, r.Name, left-gap-margin))
	if r.Note != "" {
		write(p.img, p.faces.name, softInk, right+gap, middle, fit(p.faces.name, r.Note, p.layout.size.X-margin-right-gap))
	}
	end := int(math.Ceil(p.layout.x(e, e.end)))
	p.fill(image.Rect(left, y, end, y+rowHeight), gridGrey)
	p.fill(image.Rect(left+1, y+1, end-1, y+rowHeight-1), white)

	p.shares = append(p.shares[:0], make([]share, right-left)...)
	for _, s := range r.Spans {
		p.spread(s, e)
	}
	for i, s := range p.shares {
		if s.width == 0 {
			continue
		}
		// What no span covers shows the paper.
		paper := math.Max(0, 1-s.width)
		channel := func(sum float64) uint8 { return uint8(math.Min(255, math.Round(sum+paper*255))) }
		column := color.RGBA{channel(s.r), channel(s.g), channel(s.b), 0xff}
		p.fill(image.Rect(left+i, y, left+i+1, y+rowHeight), column)
	}
	for _, s := range r.Spans {
		p.caption(s, e, middle)
	}
}

// spread adds a span's colour to each column that it covers, by how much of the column it covers: a run that is
// narrower than a pixel still leaves a trace, and none hides another.
func (p *painter) spread(s tas.Span, e extent) {
	left := p.layout.plot.left
	from, to := p.layout.x(e, s.Start)-float64(left), p.layout.x(e, s.End)-float64(left)
	c := p.colorOf(s.Label)
	for i := int(from); i < len(p.shares) && float64(i) < to; i++ {
		width := math.Min(to, float64(i+1)) - math.Max(from, float64(i))
		col := &p.shares[i]
		col.r += width * float64(c.R)
		col.g += width * float64(c.G)
		col.b += width * float64(c.B)
		col.width += width
	}
}

// caption writes the label into its span where there is room, so that nobody depends on colours alone.
func (p *painter) caption(s tas.Span, e extent, y int) {
	const least, pad = 24, 6
	from, to := int(math.Ceil(p.layout.x(e, s.Start))), int(p.layout.x(e, s.End))
	if p.chart.isBackground(s.Label) || to-from < least {
		return
	}
	if textWidth(p.faces.small, s.Label) > to-from-2*pad {
		return
	}
	write(p.img, p.faces.small, inkOn(p.colorOf(s.Label)), from+pad, y, s.Label)
}

// axis draws the marks of a block whose rows reach from top to bottom, with the seconds below.
func (p *painter) axis(e extent, top, bottom int) {
	step := p.layout.tickStep()
	first := e.start / step * step // start is not after 0, so this rounds towards the inside
	for t := first; t <= e.end; t += step {
		x := int(p.layout.x(e, t))
		p.fill(image.Rect(x, top-3, x+1, bottom+3), gridGrey)
		text := strconv.FormatFloat(float64(t)/1e9, 'f', -1, 64) + " s"
		width := textWidth(p.faces.small, text)
		place := min(max(x-width/2, p.layout.plot.left), p.layout.size.X-margin-width)
		write(p.img, p.faces.small, softInk, place, bottom+axisHeight/2, text)
	}
}

// colorOf is the colour of a label that check has seen.
func (p *painter) colorOf(label string) color.RGBA {
	if p.chart.isBackground(label) {
		return backgroundGrey
	}
	class, _ := p.chart.Labels.Index(label)
	return Color(class)
}

func (p *painter) fill(r image.Rectangle, c color.RGBA) {
	draw.Draw(p.img, r, image.NewUniform(c), image.Point{}, draw.Src)
}
