package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"gocv.io/x/gocv"
)

// egoExposure is the ego camera's exposure in seconds: what moves meanwhile is blurred.
const egoExposure = 0.011

// noisePictures is how many pictures of noise a sensor has, taken in turn.
const noisePictures = 5

// sensor turns what the studio draws into the frames of a camera: drifting light and noise, and for the ego camera blur,
// vignetting and an exposure that controls itself. Close frees its pictures.
type sensor struct {
	w, h  int
	mono  bool
	gain  float64
	drift struct{ phase, rate, depth float64 } // of the lamps, for the exo cameras

	pix   []uint32 // what the studio draws, in the memory of drawn
	drawn gocv.Mat // 8-bit BGRA
	frame gocv.Mat // 8-bit BGR, the result
	noise [noisePictures]gocv.Mat

	// Of the ego camera, 8-bit grey. planes are the memory of grey and of a picture to blur into.
	grey     gocv.Mat
	vignette gocv.Mat
	planes   [2][]byte
	mats     []gocv.Mat // all, to be closed
}

// newSensor makes the sensor of a camera. The studio draws into its pix.
func newSensor(s *Scene, cam *Camera) (*sensor, error) {
	rng := newRand(s.cfg.Seed, s.spec.Index, "sensor "+cam.ID)
	sn := &sensor{w: cam.Width, h: cam.Height, mono: cam.ID == "ego", gain: between(rng, 0.95, 1.05)}
	sn.drift.phase, sn.drift.rate, sn.drift.depth = between(rng, 0, 6.28), between(rng, 0.05, 0.2), between(rng, 0.01, 0.04)
	var errs []error
	mat := func(t gocv.MatType) (gocv.Mat, []byte) {
		m := gocv.NewMatWithSize(cam.Height, cam.Width, t)
		sn.mats = append(sn.mats, m)
		b, err := m.DataPtrUint8()
		errs = append(errs, err)
		return m, b
	}
	var drawn []byte
	sn.drawn, drawn = mat(gocv.MatTypeCV8UC4)
	sn.frame, _ = mat(gocv.MatTypeCV8UC3)
	kind, sd := gocv.MatTypeCV8UC3, 1.2
	if sn.mono {
		kind, sd = gocv.MatTypeCV8UC1, 1.6
		sn.grey, sn.planes[0] = mat(kind)
		_, sn.planes[1] = mat(kind)
		var v []byte
		sn.vignette, v = mat(kind)
		for i := range v {
			x, y := float64(i%sn.w)/float64(sn.w)-0.5, float64(i/sn.w-sn.h/2)/float64(sn.w)
			v[i] = uint8(255 * (1 - 0.95*(x*x+y*y)))
		}
	}
	for i := range sn.noise {
		var p []byte
		sn.noise[i], p = mat(kind)
		for k := range p {
			p[k] = uint8(128 + max(min(math.Round(rng.NormFloat64()*sd), 7), -7))
		}
	}
	if err := errors.Join(errs...); err != nil {
		sn.Close()
		return nil, fmt.Errorf("make pictures: %w", err)
	}
	// A mat's rows follow each other, and 0xRRGGBB in little-endian memory is OpenCV's BGRA.
	sn.pix = unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(drawn))), sn.w*sn.h)
	return sn, nil
}

// Close frees the pictures.
func (sn *sensor) Close() {
	for i := range sn.mats {
		_ = sn.mats[i].Close() // frees memory, never fails
	}
}

// develop makes the frame of the drawn picture, captured t seconds into the take as capture index, whose middle moved by (dx, dy)
// pixels during the exposure.
func (sn *sensor) develop(t float64, index int, dx, dy float64) error {
	noise := sn.noise[index%noisePictures]
	if sn.mono {
		return sn.developMono(noise, dx, dy)
	}
	if err := gocv.CvtColor(sn.drawn, &sn.frame, gocv.ColorBGRAToBGR); err != nil {
		return fmt.Errorf("convert picture: %w", err)
	}
	gain := sn.gain * (1 + sn.drift.depth*math.Sin(sn.drift.phase+sn.drift.rate*t))
	if err := gocv.AddWeighted(sn.frame, gain, noise, 1, -128, &sn.frame); err != nil {
		return fmt.Errorf("add noise: %w", err)
	}
	return nil
}

func (sn *sensor) developMono(noise gocv.Mat, dx, dy float64) error {
	a, b := sn.planes[0], sn.planes[1]
	pix := sn.pix[:len(a)]
	for i := range a {
		a[i] = uint8(pix[i])
	}
	sn.meter(a)
	// Averaging with a copy that is shifted by half, a quarter, an eighth of the way makes a box filter along it. The last four are the lens,
	// a tent filter. An even number of steps leaves the result where it began.
	var steps [8][2]int
	n := 0
	for k := 2.0; k <= 16; k *= 2 {
		if s := [2]int{int(math.Round(dx / k)), int(math.Round(dy / k))}; s != [2]int{} {
			steps[n] = s
			n++
		}
	}
	n -= n % 2
	n += copy(steps[n:], [][2]int{{1, 0}, {0, 1}, {-1, 0}, {0, -1}})
	for _, s := range steps[:n] {
		sn.smear(b, a, s[0], s[1])
		a, b = b, a
	}
	if err := gocv.MultiplyWithParams(sn.grey, sn.vignette, &sn.grey, 1.0/255, -1); err != nil {
		return fmt.Errorf("darken corners: %w", err)
	}
	if err := gocv.AddWeighted(sn.grey, 1, noise, 1, -128, &sn.grey); err != nil {
		return fmt.Errorf("add noise: %w", err)
	}
	if err := gocv.CvtColor(sn.grey, &sn.frame, gocv.ColorGrayToBGR); err != nil {
		return fmt.Errorf("convert picture: %w", err)
	}
	return nil
}

// meter steers the exposure towards a mean brightness of 118, within about a second.
func (sn *sensor) meter(grey []byte) {
	sum, n := 0, 0
	for i := 0; i < len(grey); i += 13 {
		sum += int(grey[i])
		n++
	}
	mean := max(float64(sum)/float64(n), 1)
	sn.gain = min(max(sn.gain*math.Pow(118/mean, 0.05), 0.5), 2.5)
}

// smear writes to dst the mean of src and src shifted by (x, y) pixels, eight pixels at a time. What would come from outside the picture
// stays as it is.
func (sn *sensor) smear(dst, src []byte, x, y int) {
	w, h := sn.w, sn.h
	x0, x1 := max(0, -x), min(w, w-x)
	y0, y1 := max(0, -y), min(h, h-y)
	if x1 <= x0 || y1 <= y0 {
		copy(dst, src)
		return
	}
	copy(dst[:y0*w], src)
	copy(dst[y1*w:], src[y1*w:])
	for r := y0; r < y1; r++ {
		copy(dst[r*w:r*w+x0], src[r*w:])
		copy(dst[r*w+x1:(r+1)*w], src[r*w+x1:])
		p := src[r*w+x0 : r*w+x1]
		q := src[(r+y)*w+x+x0 : (r+y)*w+x+x1][:len(p)]
		d := dst[r*w+x0 : r*w+x1][:len(p)]
		i := 0
		for ; i+8 <= len(p); i += 8 {
			u, v := binary.LittleEndian.Uint64(p[i:]), binary.LittleEndian.Uint64(q[i:])
			binary.LittleEndian.PutUint64(d[i:], u&v+(u^v)>>1&0x7f7f7f7f7f7f7f7f)
		}
		for ; i < len(p); i++ {
			d[i] = uint8((int(p[i]) + int(q[i])) / 2)
		}
	}
}
