package motion

// side is the longer side of the small pictures that motion is measured on.
const side = 80

// picture is a small grey one.
type picture struct {
	w, h int
	p    []float32
}

func newPicture(w, h int) picture { return picture{w, h, make([]float32, w*h)} }

// halve writes the means of 2×2 pixels to dst, which has half the size.
func (m picture) halve(dst picture) {
	for y := range dst.h {
		up, down := m.p[2*y*m.w:], m.p[(2*y+1)*m.w:]
		for x := range dst.w {
			dst.p[y*dst.w+x] = (up[2*x] + up[2*x+1] + down[2*x] + down[2*x+1]) / 4
		}
	}
}

// at returns the value between pixels; false outside.
func (m picture) at(x, y float64) (float64, bool) {
	if !(x >= 0 && y >= 0 && x < float64(m.w-1) && y < float64(m.h-1)) {
		return 0, false
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float64(ix), y-float64(iy)
	i := iy*m.w + ix
	a, b := float64(m.p[i]), float64(m.p[i+1])
	c, d := float64(m.p[i+m.w]), float64(m.p[i+m.w+1])
	return (a+(b-a)*fx)*(1-fy) + (c+(d-c)*fx)*fy, true
}

// levels of a pyramid: full, half and quarter size.
const levels = 3

type pyramid [levels]picture

func newPyramid(w, h int) pyramid {
	var p pyramid
	for i := range p {
		p[i] = newPicture(w>>i, h>>i)
	}
	return p
}

// level is the mean brightness that pictures are brought to: exposure that is controlled is no motion.
const level = 118

// set fills the pyramid from w×h grey bytes.
func (p *pyramid) set(grey []byte) {
	sum := 0
	for _, v := range grey {
		sum += int(v)
	}
	gain := float32(level*len(grey)) / float32(max(sum, len(grey)))
	for i, v := range grey {
		p[0].p[i] = gain * float32(v)
	}
	for i := 1; i < levels; i++ {
		p[i-1].halve(p[i])
	}
}
