package strip

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"tandem/tas"
)

func labels(t *testing.T, names ...string) tas.Labels {
	t.Helper()
	l, err := tas.NewLabels(names...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// render draws the chart and returns the decoded picture with the places of its parts.
func render(t *testing.T, c Chart) (*image.RGBA, layout) {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, c); err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	img, ok := decoded.(*image.RGBA)
	if !ok {
		t.Fatalf("the picture is a %T, want plain RGB", decoded)
	}
	l := place(t, c)
	if img.Rect.Size() != l.size {
		t.Fatalf("the picture is %v, the layout %v", img.Rect.Size(), l.size)
	}
	return img, l
}

// place finds the places of the chart's parts.
func place(t *testing.T, c Chart) layout {
	t.Helper()
	extents, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFaces()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLayout(c, extents, f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at is the colour of a row of an untitled block at an instant, near the strip's upper edge, where no caption is.
func at(img *image.RGBA, l layout, block, row int, ns int64) color.RGBA {
	x := int(l.x(l.extents[block], ns))
	return img.RGBAAt(x, l.blocks[block]+row*rowPitch+2)
}

func TestRowsShowTheirLabelsAtTheRightTime(t *testing.T) {
	const second = int64(1e9)
	origin := 1_700_000_000 * second
	frames := strings.Split("a a - - b b b b", " ") // two a second
	c := Chart{
		Title:      "Rows",
		Labels:     labels(t, "-", "a", "b"),
		Background: []string{"-"},
		Blocks: []Block{
			{Rows: []Row{
				FrameRow("frames", frames, 2),
				SpanRow("spans", []tas.Span{
					{Label: "b", Start: origin + 2*second, End: origin + 3*second},
					{Label: "a", Start: origin - second, End: origin + second},
				}, origin),
			}},
			{Rows: []Row{FrameRow("longer", []string{"a", "b"}, 0.1)}},
		},
	}
	img, l := render(t, c)
	for _, test := range []struct {
		block, row int
		ns         int64
		want       color.RGBA
	}{
		{0, 0, second / 2, Color(1)},
		{0, 0, 3 * second / 2, backgroundGrey},
		{0, 0, 5 * second / 2, Color(2)},
		{0, 0, 7 * second / 2, Color(2)},
		{0, 1, -second / 2, Color(1)},
		{0, 1, second / 2, Color(1)},
		{0, 1, 5 * second / 2, Color(2)},
		{1, 0, 9 * second, Color(1)},
		{1, 0, 11 * second, Color(2)},
	} {
		if got := at(img, l, test.block, test.row, test.ns); got != test.want {
			t.Errorf("block %d, row %d, %.1f s: %v, want %v", test.block, test.row, float64(test.ns)/1e9, got, test.want)
		}
	}
	gapX, gapY := int(l.x(l.extents[0], 3*second/2)), l.blocks[0]+rowPitch+rowHeight/2
	if got := img.RGBAAt(gapX, gapY); got != white {
		t.Errorf("time without a span is %v, want white", got)
	}
	if a, b := l.x(l.extents[0], second)-l.x(l.extents[0], 0), l.x(l.extents[1], second)-l.x(l.extents[1], 0); math.Abs(a-b) > 1e-6 {
		t.Errorf("a second is %v pixels in one block, %v in another", a, b)
	}
}

func TestARunNarrowerThanAPixelLeavesATrace(t *testing.T) {
	frames := make([]string, 200_000)
	for i := range frames {
		frames[i] = "calm"
	}
	const flash = 100_010
	for i := range 40 {
		frames[flash+i] = "flash"
	}
	c := Chart{Labels: labels(t, "calm", "flash"), Blocks: []Block{{Rows: []Row{FrameRow("r", frames, 30)}}}}
	img, l := render(t, c)
	if perPixel := float64(len(frames)) / float64(l.plot.right-l.plot.left); perPixel < 100 {
		t.Fatalf("%.0f frames a pixel are too few for this test", perPixel)
	}
	touched := 0
	for x := l.plot.left; x < l.plot.right; x++ {
		if img.RGBAAt(x, l.blocks[0]+2) != Color(0) {
			touched++
		}
	}
	if touched < 1 || touched > 2 {
		t.Errorf("%d columns show the flash, want 1 or 2", touched)
	}
}

func TestTheLegendHoldsWhatOccursOnceAndBackgroundLast(t *testing.T) {
	c := Chart{
		Labels:     labels(t, "idle", "unused", "b", "a"),
		Background: []string{"gap", "idle"},
		Blocks: []Block{
			{Rows: []Row{FrameRow("x", []string{"a", "idle", "b"}, 1)}},
			{Rows: []Row{FrameRow("y", []string{"gap", "a"}, 1)}},
		},
	}
	img, l := render(t, c)
	var got []string
	for _, item := range l.legend {
		got = append(got, item.label)
		want := backgroundGrey
		if !c.isBackground(item.label) {
			class, _ := c.Labels.Index(item.label)
			want = Color(class)
		}
		if col := img.RGBAAt(item.x+swatch/2, item.y); col != want {
			t.Errorf("the swatch of %s is %v, want %v", item.label, col, want)
		}
	}
	if want := "b a gap idle"; strings.Join(got, " ") != want {
		t.Errorf("the legend holds %q, want %s", got, want)
	}
}

func TestTextIsDrawnAndStaysInside(t *testing.T) {
	long := strings.Repeat("a very long text ", 60)
	row := FrameRow(long, []string{"a", "b"}, 1)
	row.Note = long
	many := make([]string, 60)
	for i := range many {
		many[i] = fmt.Sprintf("a class with a long name %d", i)
	}
	for name, c := range map[string]Chart{
		"long texts":  {Title: long, Labels: labels(t, "a", "b"), Width: minWidth, Blocks: []Block{{Title: long, Rows: []Row{row}}}},
		"many labels": {Title: "x", Labels: labels(t, many...), Width: 700, Blocks: []Block{{Title: "y", Rows: []Row{FrameRow("z", many, 1)}}}},
	} {
		img, l := render(t, c)
		dark := 0
		for y := range l.size.Y {
			for x := range l.size.X {
				c := img.RGBAAt(x, y)
				light := int(c.R) + int(c.G) + int(c.B)
				edge := x < margin-2 || x >= l.size.X-margin+2 || y >= l.size.Y-margin/2
				if edge && light < 3*0xf0 {
					t.Fatalf("%s: something is drawn in the margin at %d, %d of %v", name, x, y, l.size)
				}
				if y < margin+titleHeight/2 && light < 3*0x60 {
					dark++
				}
			}
		}
		if dark < 30 {
			t.Errorf("%s: the title has %d dark pixels", name, dark)
		}
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	c := Chart{Title: "Same", Labels: labels(t, "a", "b"), Blocks: []Block{{Title: "t", Rows: []Row{FrameRow("r", []string{"a", "b", "a"}, 30)}}}}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := Render(b, c); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two drawings of one chart differ")
	}
}

func TestRenderRefuses(t *testing.T) {
	ab := labels(t, "a", "b")
	row := func(spans ...tas.Span) []Block {
		return []Block{{Title: "take 1", Rows: []Row{{Name: "gt"}, {Name: "pred", Spans: spans}}}}
	}
	long := Block{Rows: make([]Row, 600)}
	long.Rows[0] = FrameRow("r", []string{"a"}, 1)
	for _, test := range []struct {
		name  string
		chart Chart
		want  string
	}{
		{"nothing", Chart{Labels: ab}, "draw strips: there is no span to draw"},
		{"only empty rows", Chart{Labels: ab, Blocks: row()}, "draw strips: there is no span to draw"},
		{"an unknown label", Chart{Labels: ab, Blocks: row(tas.Span{Label: "c", End: 1})},
			`draw strips: block 1 "take 1", row 2 "pred": the label "c" is neither one of the 2 classes nor background`},
		{"overlap", Chart{Labels: ab, Blocks: row(tas.Span{Label: "b", Start: 5, End: 9}, tas.Span{Label: "a", End: 6})},
			`draw strips: block 1 "take 1", row 2 "pred": the spans "a" and "b" overlap`},
		{"an empty span", Chart{Labels: ab, Blocks: row(tas.Span{Label: "a", Start: 3, End: 3})},
			`draw strips: block 1 "take 1", row 2 "pred": the span "a" [3, 3) is empty`},
		{"site time instead of the block's", Chart{Labels: ab, Blocks: row(tas.Span{Label: "a", Start: 1_700_000_000_000_000_000, End: 1_700_000_000_000_000_001})},
			`draw strips: block 1 "take 1", row 2 "pred": the span "a" [1700000000000000000, 1700000000000000001) lies years from the block's beginning; does it count from there?`},
		{"a frame rate of zero", Chart{Labels: ab, Blocks: []Block{{Rows: []Row{FrameRow("r", []string{"a"}, 0)}}}}, `draw strips: block 1 "", row 1 "r": the span "a"`},
		{"narrow", Chart{Labels: ab, Width: 100, Blocks: row(tas.Span{Label: "a", End: 1})}, "draw strips: the width is 100, expected 480 to 16384 pixels"},
		{"high", Chart{Labels: ab, Blocks: []Block{long}}, "draw strips: the picture would be higher than 16384 pixels; draw fewer rows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Render(&b, test.chart); err == nil || !strings.HasPrefix(err.Error(), test.want) || b.Len() > 0 {
				t.Errorf("wrote %d bytes, got  %v\nwant %s", b.Len(), err, test.want)
			}
		})
	}
}

type brokenWriter struct{ error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.error }

func TestRenderReportsAFailedWrite(t *testing.T) {
	full := errors.New("no space left")
	c := Chart{Labels: labels(t, "a"), Blocks: []Block{{Rows: []Row{FrameRow("r", []string{"a"}, 1)}}}}
	if err := Render(brokenWriter{full}, c); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestTicksAreReadableAtEveryScale(t *testing.T) {
	for ns := int64(1); ns < maxTime; ns = ns*3 + 1 {
		c := Chart{Labels: labels(t, "a"), Blocks: []Block{{Rows: []Row{{Name: "r", Spans: []tas.Span{{Label: "a", End: ns}}}}}}}
		l := place(t, c)
		if marks := ns / l.tickStep(); marks > int64(l.size.X/80) {
			t.Errorf("%d ns get %d marks", ns, marks)
		}
	}
}
