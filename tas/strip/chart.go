// Package strip draws segments as coloured strips over a time axis: one row for each source (ground truth, a model), one
// block of rows for each take, so that the eye sees what a score can't say.
package strip

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"tandem/tas"
)

// Limits of a picture.
const (
	defaultWidth = 1600
	minWidth     = 480
	maxWidth     = 16384
	maxHeight    = 16384
)

// Chart is a picture of strips. Its text is drawn in the Go fonts, which hold the Latin, Greek and Cyrillic scripts.
type Chart struct {
	Title      string
	Labels     tas.Labels // what spans may be labelled; class i is drawn in Color(i)
	Background []string   // the classes that are drawn in light grey; they need not be in Labels
	Blocks     []Block    // one below the other, at the same scale
	Width      int        // pixels, 480 to 16384; 0 is 1600. The height follows
}

// Block is a group of rows over one time axis, usually a take.
type Block struct {
	Title string // may be empty
	Rows  []Row
}

// Row is one strip. Time without a span stays white.
type Row struct {
	Name  string     // to the left of the strip
	Note  string     // to the right of it, for instance its score; may be empty
	Spans []tas.Span // Start and End count from the beginning of the block, which a span may precede; none overlap
}

// FrameRow is the row of per-frame labels at rate (more than 0) frames a second, the first of which begins with the block.
func FrameRow(name string, frames []string, rate float64) Row {
	return Row{Name: name, Spans: tas.FrameSpans(frames, 0, rate)}
}

// SpanRow is the row of spans of site time in a block that begins at origin (site time, nanoseconds since the Unix epoch).
func SpanRow(name string, spans []tas.Span, origin int64) Row {
	row := Row{Name: name, Spans: slices.Clone(spans)}
	for i := range row.Spans {
		row.Spans[i].Start -= origin
		row.Spans[i].End -= origin
	}
	return row
}

// Render writes the chart as a PNG. The same chart gives the same bytes. A label that is in neither Labels nor
// Background, spans that overlap or end before they begin, a chart without any span, and one that is too large for a
// picture are errors that name the block and the row; nothing is written then.
func Render(w io.Writer, c Chart) error {
	img, err := c.paint()
	if err != nil {
		return fmt.Errorf("draw strips: %w", err)
	}
	if err := encode(w, img); err != nil {
		return fmt.Errorf("write strips: %w", err)
	}
	return nil
}

// extent is the time that a block covers, in nanoseconds from its beginning; start is never after the beginning.
type extent struct{ start, end int64 }

func (e extent) length() int64 { return e.end - e.start }

// check says what keeps the chart from being drawn. It returns the extent of each block.
func (c Chart) check() ([]extent, error) {
	if c.Width != 0 && (c.Width < minWidth || c.Width > maxWidth) {
		return nil, fmt.Errorf("the width is %d, expected %d to %d pixels", c.Width, minWidth, maxWidth)
	}
	extents := make([]extent, len(c.Blocks))
	spans := 0
	for i, b := range c.Blocks {
		for j, r := range b.Rows {
			if err := c.checkRow(r); err != nil {
				return nil, fmt.Errorf("block %d %q, row %d %q: %w", i+1, b.Title, j+1, r.Name, err)
			}
			for _, s := range r.Spans {
				extents[i].start = min(extents[i].start, s.Start)
				extents[i].end = max(extents[i].end, s.End)
			}
			spans += len(r.Spans)
		}
	}
	if spans == 0 {
		return nil, errors.New("there is no span to draw")
	}
	return extents, nil
}

func (c Chart) checkRow(r Row) error {
	sorted := slices.SortedFunc(slices.Values(r.Spans), func(a, b tas.Span) int { return cmp.Compare(a.Start, b.Start) })
	for i, s := range sorted {
		if s.Start >= s.End {
			return fmt.Errorf("the span %q [%d, %d) is empty", s.Label, s.Start, s.End)
		}
		if s.Start < -maxTime || s.End > maxTime {
			return fmt.Errorf("the span %q [%d, %d) lies years from the block's beginning; does it count from there?", s.Label, s.Start, s.End)
		}
		if i > 0 && s.Start < sorted[i-1].End {
			return fmt.Errorf("the spans %q and %q overlap", sorted[i-1].Label, s.Label)
		}
		if _, ok := c.Labels.Index(s.Label); !ok && !c.isBackground(s.Label) {
			return fmt.Errorf("the label %q is neither one of the %d classes nor background", s.Label, c.Labels.Len())
		}
	}
	return nil
}

// maxTime is how far from its block's beginning a span may lie: a year, in nanoseconds.
const maxTime = int64(365 * 24 * 3600 * 1e9)

func (c Chart) isBackground(label string) bool { return slices.Contains(c.Background, label) }
