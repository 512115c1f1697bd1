package motion

import (
	"math"
	"slices"
)

// egomotion is how the picture of a camera moves that turns and tilts in front of a far scene, in the quadratic model of a
// plane's motion field (eight numbers): at x, y, from the middle of the picture, in picture widths,
//
//	u = m₀ + m₁x + m₂y + m₆x² + m₇xy
//	v = m₃ + m₄x + m₅y + m₆xy + m₇y²
type egomotion [8]float64

func (m *egomotion) at(x, y float64) (u, v float64) {
	return m[0] + m[1]*x + m[2]*y + m[6]*x*x + m[7]*x*y, m[3] + m[4]*x + m[5]*y + m[6]*x*y + m[7]*y*y
}

// pan is how far the middle moves, turn how much the rest moves otherwise, in picture widths.
func (m *egomotion) pan() float64 { return math.Hypot(m[0], m[3]) }
func (m *egomotion) turn() float64 {
	return math.Hypot(math.Hypot(m[1], m[2]), math.Hypot(m[4], m[5]))
}

// estimator finds the dominant motion between two pictures: Gauss-Newton on brightness, coarse to fine, with the weights
// of Geman and McClure for what moves otherwise (after Odobez and Bouthemy 1995). It holds its scratch.
type estimator struct{ squares []float64 }

// Steps at each level, and how small the last need be, in picture widths: a thousandth of a pixel.
const (
	steps  = 5
	enough = 1e-3 / side
)

func (e *estimator) between(a, b *pyramid) egomotion {
	var m egomotion
	for l := levels - 1; l >= 0; l-- {
		scale := 100.0 // of the squared differences; at first unknown
		for range steps {
			d, next := e.step(a[l], b[l], &m, scale)
			var most float64
			for i := range m {
				m[i] += d[i]
				most = max(most, math.Abs(d[i]))
			}
			scale = next
			if most < enough {
				break
			}
		}
	}
	return m
}

// step is one step, and the scale for the next.
func (e *estimator) step(a, b picture, m *egomotion, scale float64) (egomotion, float64) {
	var n normal
	e.squares = e.squares[:0]
	w, h := float64(a.w), float64(a.h)
	for y := 1; y < a.h-1; y++ {
		for x := 1; x < a.w-1; x++ {
			px, py := (float64(x)-w/2)/w, (float64(y)-h/2)/w
			u, v := m.at(px, py)
			to, ok := b.at(float64(x)+u*w, float64(y)+v*w)
			if !ok {
				continue
			}
			i := y*a.w + x
			gx, gy := float64(a.p[i+1]-a.p[i-1])/2*w, float64(a.p[i+a.w]-a.p[i-a.w])/2*w
			r := to - float64(a.p[i])
			if (x+y)%4 == 0 {
				e.squares = append(e.squares, r*r)
			}
			k := 1 / (1 + r*r/scale)
			s := gx*px + gy*py
			n.add(k*k, &egomotion{gx, gx * px, gx * py, gy, gy * px, gy * py, s * px, s * py}, -r)
		}
	}
	if len(e.squares) == 0 { // nothing of the one is in the other
		return egomotion{}, scale
	}
	slices.Sort(e.squares)
	return n.solve(), max(4*e.squares[len(e.squares)/2], 9)
}

// normal are the normal equations of eight unknowns.
type normal [8][9]float64

// add adds an equation row·x = r of a weight.
func (n *normal) add(weight float64, row *egomotion, r float64) {
	for i := range row {
		w := weight * row[i]
		for j := i; j < 8; j++ {
			n[i][j] += w * row[j]
		}
		n[i][8] += w * r
	}
}

// solve solves them by elimination, a little damped: a picture without texture doesn't move.
func (n *normal) solve() egomotion {
	for i := range n {
		for j := range i {
			n[i][j] = n[j][i]
		}
		n[i][i] = n[i][i]*1.001 + 1
	}
	for i := range n { // positive definite: no pivots are needed
		for r := i + 1; r < 8; r++ {
			f := n[r][i] / n[i][i]
			for c := i; c < 9; c++ {
				n[r][c] -= f * n[i][c]
			}
		}
	}
	var x egomotion
	for i := 7; i >= 0; i-- {
		s := n[i][8]
		for j := i + 1; j < 8; j++ {
			s -= n[i][j] * x[j]
		}
		x[i] = s / n[i][i]
	}
	return x
}
