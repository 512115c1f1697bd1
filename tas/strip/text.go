package strip

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"sort"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// fonts parses the two fonts, once for the process.
var fonts = sync.OnceValues(func() (f struct{ regular, bold *sfnt.Font }, err error) {
	if f.regular, err = opentype.Parse(goregular.TTF); err != nil {
		return f, err
	}
	f.bold, err = opentype.Parse(gobold.TTF)
	return f, err
})

// faces are the sizes in which one chart is written. They hold caches, so each drawing has its own.
type faces struct{ title, block, name, small font.Face }

func newFaces() (f faces, err error) {
	source, err := fonts()
	if err != nil {
		return f, fmt.Errorf("parse the fonts: %w", err)
	}
	for _, want := range []struct {
		face *font.Face
		font *sfnt.Font
		size float64
	}{
		{&f.title, source.bold, 21},
		{&f.block, source.bold, 14},
		{&f.name, source.regular, 14},
		{&f.small, source.regular, 12},
	} {
		*want.face, err = opentype.NewFace(want.font, &opentype.FaceOptions{Size: want.size, DPI: 72, Hinting: font.HintingFull})
		if err != nil {
			return f, fmt.Errorf("open a font of %g pixels: %w", want.size, err)
		}
	}
	return f, nil
}

// textWidth is the width of a text in whole pixels.
func textWidth(face font.Face, s string) int { return font.MeasureString(face, s).Ceil() }

// fit shortens a text with an ellipsis until it is at most width pixels wide.
func fit(face font.Face, s string, width int) string {
	if textWidth(face, s) <= width {
		return s
	}
	runes := []rune(s)
	short := func(n int) string { return string(runes[:n]) + "…" }
	tooLong := sort.Search(len(runes), func(n int) bool { return textWidth(face, short(n)) > width })
	if tooLong == 0 {
		return ""
	}
	return short(tooLong - 1)
}

// write draws a text with its left edge at x and its capital letters centred on the line y.
func write(dst draw.Image, face font.Face, c color.Color, x, y int, s string) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y+face.Metrics().CapHeight.Round()/2)}
	d.DrawString(s)
}
