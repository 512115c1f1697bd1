package strip

import "image/color"

// palette was made by taking, again and again, the colour of a grid over lightness, chroma and hue that lies farthest in
// OKLab from all taken before it and from the greys of the picture. The first 24 are at least 0.1 apart.
var palette = [...]uint32{
	0x427fd8, 0xde0865, 0x058d1d, 0xcb7e19, 0xf592fe, 0x7900a7, 0xc8e93d, 0x7b4d65,
	0x27e3bd, 0x0a6c69, 0xfc8999, 0x88a275, 0x70c9fa, 0x615201, 0x9b1207, 0xad92be,
	0x3d27d2, 0xf6ca70, 0x9769fc, 0xb54ba0, 0x514295, 0xfb4c10, 0x1ad535, 0x11a6aa,
	0xb7e8a7, 0xf7bbe8, 0x84b01c, 0xb96460, 0x921159, 0xd7a48b, 0x1e6321, 0x115c91,
}

// The greys of the picture.
var (
	white          = color.RGBA{0xff, 0xff, 0xff, 0xff}
	backgroundGrey = color.RGBA{0xe6, 0xe7, 0xea, 0xff}
	gridGrey       = color.RGBA{0xc4, 0xc8, 0xce, 0xff}
	softInk        = color.RGBA{0x5a, 0x62, 0x6e, 0xff}
	ink            = color.RGBA{0x1b, 0x1f, 0x26, 0xff}
)

// Color is the colour of a class. The first 32 are told apart at sight; after that the same colours return in darker
// and lighter shades. A class is not negative.
func Color(class int) color.RGBA {
	class = max(class, 0)
	rgb := palette[class%len(palette)]
	c := color.RGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 0xff}
	switch class / len(palette) % 3 {
	case 1:
		return mix(c, ink, 0.45)
	case 2:
		return mix(c, white, 0.5)
	}
	return c
}

// mix is a with the share t of b.
func mix(a, b color.RGBA, t float64) color.RGBA {
	channel := func(a, b uint8) uint8 { return uint8(float64(a)*(1-t) + float64(b)*t + 0.5) }
	return color.RGBA{channel(a.R, b.R), channel(a.G, b.G), channel(a.B, b.B), 0xff}
}

// inkOn is the ink that reads best on a colour.
func inkOn(c color.RGBA) color.RGBA {
	if 299*int(c.R)+587*int(c.G)+114*int(c.B) > 125_000 {
		return ink
	}
	return white
}
