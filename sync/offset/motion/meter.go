// Package motion turns video into activity that can be compared between cameras (package offset): how much moves in each
// part of the picture. A fixed camera sees the worker move; a head-mounted one sees the hands, and the whole picture move
// with the head, which is measured and taken out.
//
//	m := motion.NewMeter(motion.Head)
//	defer m.Close()
//	for each frame { err = m.Add(at, frame) }
//	activity := m.Activity()
package motion

import (
	"errors"
	"fmt"
	"image"
	"math"
	"time"

	"gocv.io/x/gocv"

	"tandem/sync/offset"
)

// Mount says what a camera hangs on.
type Mount uint8

// The mounts.
const (
	Fixed Mount = iota // on a wall or a post: the picture stands still
	Head               // on a head: the picture moves with it
)

// Cells that the picture is cut into: a head-mounted camera has what happens in front of it, a fixed one somewhere.
func (m Mount) cells() (across, down int) {
	if m == Head {
		return 3, 2
	}
	return 6, 4
}

// Channels returns how many values a picture gives: the cells' motion, and of a head-mounted camera two nuisances more.
func (m Mount) Channels() (channels, nuisance int) {
	x, y := m.cells()
	if m == Head {
		return x * y, 2
	}
	return x * y, 0
}

// Meter measures the motion from picture to picture. It is not safe for concurrent use. Close frees its memory.
type Meter struct {
	mount Mount

	grey, small gocv.Mat
	w, h        int // of the small picture
	pixels      []byte
	last        []byte // pixels of the picture before
	at          int64
	begun       bool
	a, b        pyramid
	fit         estimator
	sums        []float64
	counts      []int

	activity offset.Activity
	// Repeated counts pictures that were the same as the one before: they were delivered twice, and are left out.
	Repeated int
}

// NewMeter returns a Meter for a camera.
func NewMeter(mount Mount) *Meter {
	n, nuisance := mount.Channels()
	return &Meter{
		mount: mount, grey: gocv.NewMat(), small: gocv.NewMat(), sums: make([]float64, n), counts: make([]int, n),
		activity: offset.Activity{Channels: make([][]float64, n), Nuisance: make([][]float64, nuisance)},
	}
}

// Close frees the memory.
func (m *Meter) Close() error { return errors.Join(m.grey.Close(), m.small.Close()) }

// shortest is the least time between two pictures that are compared: the motion from one to the next of a fast camera is
// lost in noise, so it is measured over several.
const shortest = 24 * time.Millisecond

// Add measures the motion since the picture before. at is in nanoseconds and must be later; picture is 8-bit grey or BGR of
// any size, and isn't kept. The size may change: then the motion up to this picture isn't known.
func (m *Meter) Add(at int64, pic gocv.Mat) error {
	if pic.Empty() {
		return errors.New("motion: the picture is empty")
	}
	if m.begun && at <= m.at {
		return fmt.Errorf("motion: the picture at %d ns comes after that at %d ns", at, m.at)
	}
	if m.begun && at-m.at < int64(shortest) {
		return nil
	}
	if err := m.shrink(pic); err != nil {
		return err
	}
	switch {
	case !m.begun:
		m.begun = true
	case same(m.pixels, m.last):
		m.Repeated++
		return nil // the motion since m.at shows in the next one
	default:
		m.b.set(m.pixels)
		m.measure(at)
	}
	m.a.set(m.pixels)
	copy(m.last, m.pixels)
	m.at = at
	return nil
}

// shrink makes pixels of the picture.
func (m *Meter) shrink(pic gocv.Mat) error {
	src := pic
	if pic.Channels() > 1 {
		if err := gocv.CvtColor(pic, &m.grey, gocv.ColorBGRToGray); err != nil {
			return fmt.Errorf("motion: %w", err)
		}
		src = m.grey
	}
	w, h := side, side
	if pic.Cols() >= pic.Rows() {
		h = max(side/4, int(math.Round(float64(side*pic.Rows())/float64(pic.Cols()))))
	} else {
		w = max(side/4, int(math.Round(float64(side*pic.Cols())/float64(pic.Rows()))))
	}
	if w != m.w || h != m.h {
		m.w, m.h, m.begun = w, h, false
		m.a, m.b = newPyramid(w, h), newPyramid(w, h)
		m.last = make([]byte, w*h)
	}
	if err := gocv.Resize(src, &m.small, image.Pt(w, h), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("motion: %w", err)
	}
	pixels, err := m.small.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("motion: %w", err)
	}
	m.pixels = pixels
	return nil
}

// same tells whether two pictures are one that was delivered twice: a sensor's noise is never the same.
func same(a, b []byte) bool {
	differ := 0
	for i, v := range a {
		if v != b[i] {
			differ++
		}
	}
	return differ*500 < len(a)
}

// Motion is measured as the speed that brightness moves along its gradient, in pixels of the small picture in 1/15 s. Speeds
// are logarithmic, from a least one on that noise makes.
const (
	leastSpeed = 0.02
	leastPan   = 0.002 // picture widths
	leastTurn  = 0.005
	noise      = 4 // grey levels a pixel: gradients below tell nothing
	unit       = float64(time.Second / 15)
)

// measure adds the motion from picture a to picture b.
func (m *Meter) measure(at int64) {
	var ego egomotion
	if m.mount == Head {
		ego = m.fit.between(&m.a, &m.b)
	}
	clear(m.sums)
	clear(m.counts)
	across, down := m.mount.cells()
	a, b := m.a[0], m.b[0]
	w, h := float64(a.w), float64(a.h)
	for y := 1; y < a.h-1; y++ {
		row := y * down / a.h * across
		for x := 1; x < a.w-1; x++ {
			i := y*a.w + x
			to, ok := float64(b.p[i]), true
			if m.mount == Head {
				u, v := ego.at((float64(x)-w/2)/w, (float64(y)-h/2)/w)
				to, ok = b.at(float64(x)+u*w, float64(y)+v*w)
			}
			if !ok {
				continue
			}
			gx, gy := float64(a.p[i+1]-a.p[i-1])/2, float64(a.p[i+a.w]-a.p[i-a.w])/2
			cell := row + x*across/a.w
			m.sums[cell] += math.Abs(to-float64(a.p[i])) / (math.Sqrt(gx*gx+gy*gy) + noise)
			m.counts[cell]++
		}
	}
	rate := unit / float64(at-m.at)
	m.activity.Times = append(m.activity.Times, m.at+(at-m.at)/2)
	for c, sum := range m.sums {
		m.activity.Channels[c] = append(m.activity.Channels[c], math.Log(leastSpeed+rate*sum/float64(max(m.counts[c], 1))))
	}
	if m.mount == Head {
		m.activity.Nuisance[0] = append(m.activity.Nuisance[0], math.Log(leastPan+rate*ego.pan()))
		m.activity.Nuisance[1] = append(m.activity.Nuisance[1], math.Log(leastTurn+rate*ego.turn()))
	}
}

// Activity returns what was measured so far. It shares the Meter's memory until the next Add.
func (m *Meter) Activity() offset.Activity { return m.activity }
