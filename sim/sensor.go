package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"gocv.io/x/gocv"
)

// exposure of the ego camera, in seconds: what moves meanwhile is blurred.
const egoExposure = 0.011

// sensor turns what the studio draws into the frames of a camera: gain, noise, and for the ego camera blur, vignetting and an
// exposure that controls itself. Close frees its pictures.
type sensor struct {
	w, h   int
	mono   bool
	drawn  gocv.Mat // 8-bit, 4 channels: the studio's pixels
	frame  gocv.Mat // 8-bit BGR: the result
	out    []byte   // frame's bytes
	noise  []gocv.Mat
	drift  [3]float64 // phase, rate in rad/s and depth of the lamps' drift
	a, b   []byte     // ego: grey planes
	vign   []uint16   // ego: brightness by pixel, 256 is full
	grain  []int8     // ego: noise
	curve  [1024]uint8
	gain   float64
	offset uint64
}

// newSensor makes the sensor of a camera and returns it with the pixels that the studio shall draw into.
func newSensor(s *Scene, cam *Camera) (*sensor, []uint32, error) {
	rng := newRand(s.cfg.Seed, s.spec.Index, "sensor "+cam.ID)
	sn := &sensor{w: cam.Width, h: cam.Height, mono: cam.ID == "ego", gain: between(rng, 0.9, 1.1)}
	sn.drift = [3]float64{between(rng, 0, 6.28), between(rng, 0.05, 0.2), between(rng, 0.01, 0.04)}
	sn.drawn = gocv.NewMatWithSize(cam.Height, cam.Width, gocv.MatTypeCV8UC4)
	sn.frame = gocv.NewMatWithSize(cam.Height, cam.Width, gocv.MatTypeCV8UC3)
	bytes, err := sn.drawn.DataPtrUint8()
	if err != nil {
		sn.Close()
		return nil, nil, fmt.Errorf("make picture: %w", err)
	}
	if sn.out, err = sn.frame.DataPtrUint8(); err != nil {
		sn.Close()
		return nil, nil, fmt.Errorf("make picture: %w", err)
	}
	n := cam.Width * cam.Height
	if sn.mono {
		sn.a, sn.b = make([]byte, n), make([]byte, n)
		sn.vign = make([]uint16, n)
		for i := range sn.vign {
			x, y := float64(i%sn.w)/float64(sn.w)-0.5, float64(i/sn.w)/float64(sn.w)-0.5*float64(sn.h)/float64(sn.w)
			sn.vign[i] = uint16(256 * (1 - 1.1*(x*x+y*y)))
		}
		sn.grain = make([]int8, n+4096)
		for i := range sn.grain {
			sn.grain[i] = int8(max(min(math.Round(rng.NormFloat64()*2.2), 9), -9))
		}
		for i := range sn.curve {
			// Brighter in the dark, as small sensors are tuned; clipped above.
			sn.curve[i] = uint8(min(255*math.Pow(float64(i)/255, 0.88), 255))
		}
	} else {
		for range 4 {
			m := gocv.NewMatWithSize(cam.Height, cam.Width, gocv.MatTypeCV8UC3)
			sn.noise = append(sn.noise, m)
			p, err := m.DataPtrUint8()
			if err != nil {
				sn.Close()
				return nil, nil, fmt.Errorf("make noise: %w", err)
			}
			for i := range p {
				p[i] = uint8(128 + max(min(math.Round(rng.NormFloat64()*1.6), 7), -7))
			}
		}
	}
	// The mat's rows are contiguous, and 0xRRGGBB in little-endian memory is OpenCV's BGRA.
	return sn, unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(bytes))), n), nil
}

// Close frees the pictures.
func (sn *sensor) Close() {
	_ = sn.drawn.Close() // frees memory, never fails
	_ = sn.frame.Close()
	for i := range sn.noise {
		_ = sn.noise[i].Close()
	}
}

// develop makes the frame of the drawn picture, captured t seconds into the take as capture index, whose middle moved by (dx, dy)
// pixels during the exposure.
func (sn *sensor) develop(t float64, index int, dx, dy float64) error {
	if sn.mono {
		sn.developMono(index, dx, dy)
		return nil
	}
	if err := gocv.CvtColor(sn.drawn, &sn.frame, gocv.ColorBGRAToBGR); err != nil {
		return fmt.Errorf("convert picture: %w", err)
	}
	gain := sn.gain * (1 + sn.drift[2]*math.Sin(sn.drift[0]+sn.drift[1]*t))
	if err := gocv.AddWeighted(sn.frame, gain, sn.noise[index%len(sn.noise)], 1, -128, &sn.frame); err != nil {
		return fmt.Errorf("add noise: %w", err)
	}
	return nil
}

func (sn *sensor) developMono(index int, dx, dy float64) {
	src, err := sn.drawn.DataPtrUint8()
	if err != nil {
		return
	}
	a, b := sn.a, sn.b
	for i := range a {
		a[i] = src[4*i]
	}
	// Averaging with a copy that is shifted by half, a quarter, an eighth of the way makes a box filter along it; the last two are the lens.
	for k := 2.0; k <= 8; k *= 2 {
		x, y := int(math.Round(dx/k)), int(math.Round(dy/k))
		if x == 0 && y == 0 {
			break
		}
		sn.smear(b, a, x, y)
		a, b = b, a
	}
	sn.smear(b, a, 1, 0)
	sn.smear(a, b, 0, 1)

	sum := 0
	grain := sn.grain[(index*7919)&4095:]
	grain = grain[:len(a)]
	g := uint32(sn.gain * 256)
	vign := sn.vign[:len(a)]
	for i, v := range a {
		lit := uint32(v) * uint32(vign[i]) * g >> 16
		t := int(sn.curve[lit&1023]) + int(grain[i])
		if t < 0 {
			t = 0
		} else if t > 255 {
			t = 255
		}
		sum += t
		o := sn.out[3*i : 3*i+3 : 3*i+3]
		o[0], o[1], o[2] = uint8(t), uint8(t), uint8(t)
	}
	// The camera steers for a mean of 112 within about a second.
	mean := max(float64(sum)/float64(len(a)), 1)
	sn.gain = min(max(sn.gain*math.Pow(112/mean, 0.05), 0.5), 2.5)
}

// smear writes to dst the mean of src and src shifted by (x, y) pixels, eight pixels at a time. What would come from outside stays as it is.
func (sn *sensor) smear(dst, src []byte, x, y int) {
	w, h := sn.w, sn.h
	copy(dst, src)
	x0, x1 := max(0, -x), min(w, w-x)
	for r := max(0, -y); r < min(h, h-y); r++ {
		if x1 <= x0 {
			return
		}
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
