package vision

import (
	"math"
	"math/rand/v2"
)

// Augment says how far a training picture is changed, each time anew. The zero value changes nothing.
type Augment struct {
	Grey   float64 `json:"grey"`   // probability that the colours are taken away
	Blur   float64 `json:"blur"`   // probability of a mean over 3x3 pixels
	Light  float64 `json:"light"`  // largest logarithm of the gain and of the gamma
	Tint   float64 `json:"tint"`   // largest logarithm of a channel's own gain
	Noise  float64 `json:"noise"`  // largest deviation of the noise, of 1
	Turn   float64 `json:"turn"`   // largest angle in degrees
	Zoom   float64 `json:"zoom"`   // largest logarithm of the scale
	Shift  float64 `json:"shift"`  // largest shift, as a share of the sides
	Erase  float64 `json:"erase"`  // probability that a rectangle becomes noise (Zhong et al., AAAI 2020)
	Invert float64 `json:"invert"` // probability that light and dark change places
}

// DefaultAugment is light enough for fixed cameras, and takes colours away half of the time, since many head-mounted
// cameras have none. Pictures are not mirrored: left and right hands do different things.
func DefaultAugment() Augment {
	return Augment{Grey: 0.5, Blur: 0.3, Light: 0.4, Tint: 0.1, Noise: 0.04, Turn: 12, Zoom: 0.25, Shift: 0.1}
}

// canvas augments pictures of one size. It is used by one goroutine at a time.
type canvas struct {
	a       Augment
	w, h    int
	pixels  []float32 // [3, h, w] of [0, 1]
	blurred []float32
}

func newCanvas(a Augment, w, h int) *canvas {
	return &canvas{a: a, w: w, h: h, pixels: make([]float32, 3*w*h), blurred: make([]float32, 3*w*h)}
}

// draw writes picture, [3, h, w] bytes, augmented and standardised, into dst.
func (c *canvas) draw(dst []float32, picture []byte, rng *rand.Rand, mean, std float32) {
	px := c.pixels
	c.warp(px, picture, rng)
	n := c.w * c.h
	if rng.Float64() < c.a.Grey {
		for i := range n {
			v := 0.299*px[i] + 0.587*px[n+i] + 0.114*px[2*n+i]
			px[i], px[n+i], px[2*n+i] = v, v, v
		}
	}
	if rng.Float64() < c.a.Blur {
		c.blur(c.blurred, px)
		px = c.blurred
	}
	invert := rng.Float64() < c.a.Invert
	gamma, gain := math.Exp(c.a.Light*sym(rng)), math.Exp(c.a.Light*sym(rng))
	var tables [3][256]float32
	for ch := range tables {
		own := gain * math.Exp(c.a.Tint*sym(rng))
		for v := range tables[ch] {
			x := math.Min(own*math.Pow(float64(v)/255, gamma), 1)
			if invert {
				x = 1 - x
			}
			tables[ch][v] = (float32(x) - mean) / std
		}
	}
	noise := float32(c.a.Noise*rng.Float64()) / std
	for i, v := range px {
		dst[i] = tables[i/n][uint8(v*255+0.5)]
		if noise > 0 {
			// Two uniform numbers are noise enough.
			u := rng.Uint64()
			dst[i] += noise * 1.22 * float32(int64(u&0xffff)+int64(u>>16&0xffff)-0xffff) / 0x7fff
		}
	}
	if rng.Float64() < c.a.Erase {
		c.erase(dst, rng)
	}
}

// sym draws from [-1, 1).
func sym(rng *rand.Rand) float64 { return 2*rng.Float64() - 1 }

// warp turns, zooms and shifts about the middle, interpolating; beyond the border its pixels are repeated.
func (c *canvas) warp(dst []float32, src []byte, rng *rand.Rand) {
	angle, zoom := c.a.Turn*sym(rng)*math.Pi/180, math.Exp(c.a.Zoom*sym(rng))
	stretch := math.Exp(c.a.Zoom / 3 * sym(rng))
	dx, dy := c.a.Shift*sym(rng)*float64(c.w), c.a.Shift*sym(rng)*float64(c.h)
	sin, cos := math.Sincos(angle)
	w, h, n := c.w, c.h, c.w*c.h
	mx, my := float64(w-1)/2, float64(h-1)/2
	xx, xy := float32(cos/zoom*stretch), float32(sin/zoom*stretch)
	yx, yy := float32(-sin/zoom/stretch), float32(cos/zoom/stretch)
	for y := range h {
		fx := float32(mx+dx) - xx*float32(mx) + xy*(float32(y)-float32(my))
		fy := float32(my+dy) - yx*float32(mx) + yy*(float32(y)-float32(my))
		for x := range w {
			sx := min(max(fx+xx*float32(x), 0), float32(w-1))
			sy := min(max(fy+yx*float32(x), 0), float32(h-1))
			x0, y0 := int(sx), int(sy)
			x1, y1 := min(x0+1, w-1), min(y0+1, h-1)
			ax, ay := sx-float32(x0), sy-float32(y0)
			a, b, d, e := y0*w+x0, y0*w+x1, y1*w+x0, y1*w+x1
			wa, wb, wd, we := (1-ax)*(1-ay)/255, ax*(1-ay)/255, (1-ax)*ay/255, ax*ay/255
			at := y*w + x
			for ch := 0; ch < 3*n; ch += n {
				p := src[ch : ch+n]
				dst[ch+at] = wa*float32(p[a]) + wb*float32(p[b]) + wd*float32(p[d]) + we*float32(p[e])
			}
		}
	}
}

// blur writes the mean over 3x3 pixels of each plane.
func (c *canvas) blur(dst, src []float32) {
	w, h := c.w, c.h
	for p := 0; p < len(src); p += w * h {
		for y := range h {
			up, down := p+max(y-1, 0)*w, p+min(y+1, h-1)*w
			for x := range w {
				l, r, row := max(x-1, 0), min(x+1, w-1), p+y*w
				dst[row+x] = (src[up+l] + src[up+x] + src[up+r] + src[row+l] + src[row+x] + src[row+r] +
					src[down+l] + src[down+x] + src[down+r]) / 9
			}
		}
	}
}

// erase fills a rectangle of up to a third of the sides with one random value a channel.
func (c *canvas) erase(dst []float32, rng *rand.Rand) {
	ew, eh := 1+rng.IntN(c.w/3), 1+rng.IntN(c.h/3)
	x0, y0 := rng.IntN(c.w-ew), rng.IntN(c.h-eh)
	for ch := range 3 {
		v := float32(1.8 * sym(rng))
		for y := y0; y < y0+eh; y++ {
			row := dst[ch*c.w*c.h+y*c.w:]
			for x := x0; x < x0+ew; x++ {
				row[x] = v
			}
		}
	}
}
