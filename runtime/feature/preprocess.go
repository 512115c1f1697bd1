package feature

import (
	"errors"
	"fmt"
	"image"
	"image/color"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
)

// preprocessor brings a picture into an extractor's input tensor: fit, then one pass over the pixels that looks each
// value up in a table, which is both the normalisation and the conversion to float32.
type preprocessor struct {
	im      bundle.Image
	data    []float32 // the input tensor
	table   [3][256]float32
	shrink  shrinker
	shrunk  gocv.Mat // on the way to a picture that is narrower and taller, or wider and flatter
	resized gocv.Mat
	padded  gocv.Mat
}

func newPreprocessor(im bundle.Image) *preprocessor {
	p := &preprocessor{
		im: im, data: make([]float32, im.Depth()*im.Height*im.Width),
		shrunk: gocv.NewMat(), resized: gocv.NewMat(), padded: gocv.NewMat(),
	}
	for c := range im.Depth() {
		for v := range 256 {
			p.table[c][v] = float32((float64(v)*im.Scale - im.Mean[c]) / im.Std[c])
		}
	}
	return p
}

func (p *preprocessor) shape() []int {
	if p.im.Layout == "NHWC" {
		return []int{1, p.im.Height, p.im.Width, p.im.Depth()}
	}
	return []int{1, p.im.Depth(), p.im.Height, p.im.Width}
}

// close frees the pictures. Closing again does nothing.
func (p *preprocessor) close() error {
	return errors.Join(p.shrunk.Close(), p.resized.Close(), p.padded.Close())
}

// run fills data from a picture.
func (p *preprocessor) run(m gocv.Mat) error { return p.fill(m, p.data) }

// fill fills an input tensor from a picture.
func (p *preprocessor) fill(m gocv.Mat, dst []float32) error {
	w, h := m.Cols(), m.Rows()
	if w < 1 || h < 1 {
		return errors.New("the picture is empty")
	}
	if t := m.Type(); t != gocv.MatTypeCV8UC1 && t != gocv.MatTypeCV8UC3 {
		return fmt.Errorf("the picture is %v, expected 8 bit with 1 or 3 channels", t)
	}
	src, err := p.fit(m, w, h)
	if err != nil {
		return err
	}
	px, err := src.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("read pixels: %w", err)
	}
	n := p.im.Width * p.im.Height
	if len(px) != n*src.Channels() {
		return fmt.Errorf("the fitted picture has %d bytes, expected %d", len(px), n*src.Channels())
	}
	p.convert(px, src.Channels(), n, dst)
	return nil
}

// fit brings the picture to the input's size.
func (p *preprocessor) fit(m gocv.Mat, w, h int) (gocv.Mat, error) {
	size := image.Pt(p.im.Width, p.im.Height)
	switch p.im.Fit {
	case "crop":
		// The largest centred part with the input's aspect ratio.
		cw, ch := w, h
		if w*size.Y > h*size.X {
			cw = max(1, h*size.X/size.Y)
		} else {
			ch = max(1, w*size.Y/size.X)
		}
		x, y := (w-cw)/2, (h-ch)/2
		return p.resized, p.resize(m, image.Rect(x, y, x+cw, y+ch), size)
	case "letterbox":
		nw, nh := size.X, size.Y
		if w*size.Y > h*size.X {
			nh = max(1, h*size.X/w)
		} else {
			nw = max(1, w*size.Y/h)
		}
		if err := p.resize(m, image.Rect(0, 0, w, h), image.Pt(nw, nh)); err != nil {
			return p.resized, err
		}
		top, left := (size.Y-nh)/2, (size.X-nw)/2
		err := gocv.CopyMakeBorder(p.resized, &p.padded, top, size.Y-nh-top, left, size.X-nw-left, gocv.BorderConstant, color.RGBA{})
		return p.padded, err
	}
	return p.resized, p.resize(m, image.Rect(0, 0, w, h), size)
}

// resize writes a part of m at the given size into resized. Sides that shrink are averaged over areas, since interpolation would
// skip pixels and alias; sides that grow are interpolated.
func (p *preprocessor) resize(m gocv.Mat, part image.Rectangle, size image.Point) error {
	from, to := geometry{part.Dx(), part.Dy(), m.Channels()}, geometry{size.X, size.Y, m.Channels()}
	if m.IsContinuous() && shrinks(from, to) {
		return p.average(m, part.Min, from, to)
	}
	if part.Dx() == m.Cols() && part.Dy() == m.Rows() {
		return p.interpolate(m, size)
	}
	region := m.Region(part)
	return errors.Join(p.interpolate(region, size), region.Close())
}

// average writes the part of m that begins at a point into resized, with neither side growing.
func (p *preprocessor) average(m gocv.Mat, at image.Point, from, to geometry) error {
	px, err := m.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("read pixels: %w", err)
	}
	if p.resized.Cols() != to.w || p.resized.Rows() != to.h || p.resized.Type() != m.Type() {
		if err := p.resized.Close(); err != nil {
			return err
		}
		p.resized = gocv.NewMatWithSize(to.h, to.w, m.Type())
	}
	dst, err := p.resized.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("write pixels: %w", err)
	}
	stride := m.Cols() * from.channels
	p.shrink.prepare(from, to)
	p.shrink.run(px[at.Y*stride+at.X*from.channels:], stride, dst)
	return nil
}

// interpolate has OpenCV write m at the given size into resized.
func (p *preprocessor) interpolate(m gocv.Mat, size image.Point) error {
	w, h := m.Cols(), m.Rows()
	switch {
	case w >= size.X && h >= size.Y:
		return gocv.Resize(m, &p.resized, size, 0, 0, gocv.InterpolationArea)
	case w <= size.X && h <= size.Y:
		return gocv.Resize(m, &p.resized, size, 0, 0, gocv.InterpolationLinear)
	}
	// OpenCV would interpolate both sides.
	if err := gocv.Resize(m, &p.shrunk, image.Pt(min(w, size.X), min(h, size.Y)), 0, 0, gocv.InterpolationArea); err != nil {
		return err
	}
	return gocv.Resize(p.shrunk, &p.resized, size, 0, 0, gocv.InterpolationLinear)
}

// convert writes n pixels into a tensor in the contract's order of channels and axes.
func (p *preprocessor) convert(px []byte, channels, n int, to []float32) {
	depth := p.im.Depth()
	if depth == 1 {
		grey(px, channels, to[:n], &p.table[0])
		return
	}
	// offset[c] is where channel c of the contract lies in a BGR pixel; a grey picture repeats its only one.
	offset := [3]int{2, 1, 0}
	if p.im.Channels == "BGR" {
		offset = [3]int{0, 1, 2}
	}
	if channels == 1 {
		offset = [3]int{}
	}
	t0, t1, t2 := &p.table[0], &p.table[1], &p.table[2]
	if p.im.Layout == "NHWC" {
		for dst := to; len(dst) >= 3 && len(px) >= channels; dst, px = dst[3:], px[channels:] {
			dst[0], dst[1], dst[2] = t0[px[offset[0]]], t1[px[offset[1]]], t2[px[offset[2]]]
		}
		return
	}
	d0, d1, d2 := to[:n], to[n:2*n], to[2*n:3*n]
	for i := 0; i < n && len(px) >= channels; i, px = i+1, px[channels:] {
		d0[i], d1[i], d2[i] = t0[px[offset[0]]], t1[px[offset[1]]], t2[px[offset[2]]]
	}
}

// grey converts to luminance by ITU-R BT.601 where the picture has colour.
func grey(px []byte, channels int, dst []float32, t *[256]float32) {
	if channels == 1 {
		for i := range dst {
			dst[i] = t[px[i]]
		}
		return
	}
	for i := range dst {
		b, g, r := int(px[3*i]), int(px[3*i+1]), int(px[3*i+2])
		dst[i] = t[(114*b+587*g+299*r+500)/1000]
	}
}
