package strip

import (
	"fmt"
	"image"
)

// Measures of the picture in pixels.
const (
	margin      = 28
	gap         = 14 // between a strip and the text beside it
	titleHeight = 40
	lineHeight  = 24 // of the legend
	swatch      = 14
	blockGap    = 22 // above a block
	blockHead   = 26 // a block's title
	rowHeight   = 28
	rowPitch    = 34
	axisHeight  = 26
	maxNames    = 260 // the widest column of names
	maxNotes    = 320 // the widest column of notes
)

// legendItem is a class in the legend, with the place of its swatch's left edge and its line's middle.
type legendItem struct {
	label string
	x, y  int
}

// layout is where everything goes.
type layout struct {
	size    image.Point
	plot    struct{ left, right int } // the columns of the strips, right is outside
	legend  []legendItem
	blocks  []int   // the top of each block, below its gap
	scale   float64 // pixels a nanosecond
	extents []extent
}

// newLayout finds the places for a chart whose blocks have the given extents.
func newLayout(c Chart, extents []extent, f faces) (layout, error) {
	l := layout{extents: extents}
	l.size.X = c.Width
	if l.size.X == 0 {
		l.size.X = defaultWidth
	}
	var names, notes int
	for _, b := range c.Blocks {
		for _, r := range b.Rows {
			names = max(names, textWidth(f.name, r.Name))
			notes = max(notes, textWidth(f.name, r.Note))
		}
	}
	// Text takes at most a third of the width, whatever it says.
	names, notes = min(names, maxNames, l.size.X/6), min(notes, maxNotes, l.size.X/6)
	l.plot.left = margin + names + gap
	l.plot.right = l.size.X - margin
	if notes > 0 {
		l.plot.right -= notes + gap
	}
	var longest int64
	for _, e := range extents {
		longest = max(longest, e.length())
	}
	l.scale = float64(l.plot.right-l.plot.left) / float64(longest)

	y := margin
	if c.Title != "" {
		y += titleHeight
	}
	y = l.placeLegend(c, f, y)
	for _, b := range c.Blocks {
		y += blockGap
		l.blocks = append(l.blocks, y)
		if b.Title != "" {
			y += blockHead
		}
		y += len(b.Rows)*rowPitch + axisHeight
		if y > maxHeight {
			return l, fmt.Errorf("the picture would be higher than %d pixels; draw fewer rows", maxHeight)
		}
	}
	l.size.Y = y + margin
	return l, nil
}

// placeLegend puts the classes that occur into lines, in the order of the classes and background last, and returns the
// lower end.
func (l *layout) placeLegend(c Chart, f faces, y int) int {
	x := margin
	for _, label := range c.occurring() {
		width := swatch + gap/2 + textWidth(f.name, label) + 2*gap
		if x > margin && x+width-2*gap > l.size.X-margin {
			x = margin
			y += lineHeight
		}
		l.legend = append(l.legend, legendItem{label: label, x: x, y: y + lineHeight/2})
		x += width
	}
	return y + lineHeight
}

// occurring are the labels of all spans: first the classes in their order, then background in its.
func (c Chart) occurring() []string {
	seen := make(map[string]bool)
	for _, b := range c.Blocks {
		for _, r := range b.Rows {
			for _, s := range r.Spans {
				seen[s.Label] = true
			}
		}
	}
	var labels []string
	add := func(name string, wanted bool) {
		if wanted && seen[name] {
			labels = append(labels, name)
			seen[name] = false
		}
	}
	for _, name := range c.Labels.Names() {
		add(name, !c.isBackground(name))
	}
	for _, name := range c.Background {
		add(name, true)
	}
	return labels
}

// x is the column, with its fraction, of an instant of a block.
func (l layout) x(e extent, t int64) float64 {
	return float64(l.plot.left) + float64(t-e.start)*l.scale
}

// tickSteps are the distances between the marks of an axis in seconds.
var tickSteps = []int64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 7 * 86400, 28 * 86400}

// subSteps are those of an axis that is shorter than some seconds, in nanoseconds.
var subSteps = []int64{1, 2, 5, 10, 20, 50, 100, 200, 500}

// tickStep is the distance between two marks in nanoseconds, such that they are some 80 pixels or more apart.
func (l layout) tickStep() int64 {
	const apart = 80
	for _, unit := range []int64{1e3, 1e6} {
		for _, n := range subSteps {
			if float64(n*unit)*l.scale >= apart {
				return n * unit
			}
		}
	}
	for _, s := range tickSteps {
		if float64(s*1e9)*l.scale >= apart {
			return s * 1e9
		}
	}
	return tickSteps[len(tickSteps)-1] * 1e9
}
