package raster

import (
	"math"
	"math/rand/v2"
	"testing"
)

var white = Material{Base: RGB{1, 1, 1}, Glow: true}

func front(w, h int) *Target {
	t := NewTarget(NewLens(w, h, math.Pi/2, 0), nil)
	t.Lens.Aim(V(0, -2, 0), V(0, 0, 0), 0)
	t.Clear(RGB{})
	return t
}

// TestNeighboursNeitherOverlapNorLeaveGaps cuts a square into random triangles and counts how often each pixel is drawn.
func TestNeighboursNeitherOverlapNorLeaveGaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		tg := front(64, 64)
		count := make([]int, 64*64)
		hub := V(rng.Float64()*2-1, 0, rng.Float64()*2-1)
		rim := []Vec{V(-1.2, 0, -1.2), V(1.2, 0, -1.2), V(1.2, 0, 1.2), V(-1.2, 0, 1.2)}
		for i := range rim {
			var m Mesh
			k := m.material(white)
			m.tri(m.vert(hub), m.vert(rim[i]), m.vert(rim[(i+1)%4]), k, [3][2]float32{})
			clear(tg.Depth)
			clear(tg.Pix)
			tg.Draw(&m, At(V(0, 0, 0)))
			for p, v := range tg.Pix {
				if v != 0 {
					count[p]++
				}
			}
		}
		for y := range 64 {
			for x := range 64 {
				inside := x >= 13 && x < 51 && y >= 13 && y < 51 // 1.2 m at 2 m distance is 19.2 pixels
				if n := count[y*64+x]; n > 1 || inside && n != 1 {
					t.Fatalf("pixel (%d, %d) is drawn %d times", x, y, n)
				}
			}
		}
	}
}

func TestNearThingsHideFarOnes(t *testing.T) {
	red, blue := Material{Base: RGB{1, 0, 0}, Glow: true}, Material{Base: RGB{0, 0, 1}, Glow: true}
	var near, far Mesh
	near.Box(V(0, 0, -0.2), 0.4, 0.4, 0.4, red)
	far.Box(V(0, 0, -0.8), 1.6, 0.4, 1.6, blue)
	for _, nearFirst := range []bool{true, false} {
		tg := front(64, 64)
		draw := []func(){
			func() { tg.Draw(&near, At(V(0, -0.8, 0))) },
			func() { tg.Draw(&far, At(V(0, 0.5, 0))) },
		}
		if !nearFirst {
			draw[0], draw[1] = draw[1], draw[0]
		}
		draw[0]()
		draw[1]()
		if c := tg.Pix[32*64+32]; c != 0xff0000 {
			t.Errorf("middle is %06x, want the near box", c)
		}
		if c := tg.Pix[32*64+41]; c != 0x0000ff {
			t.Errorf("beside it is %06x, want the far box", c)
		}
		if c := tg.Pix[1]; c != 0 {
			t.Errorf("corner is %06x, want nothing", c)
		}
	}
}

func TestTranslucentSurfacesKeepWhatIsBehind(t *testing.T) {
	tg := front(32, 32)
	var wall, beam, shade Mesh
	wall.Quad(V(-1, 0, -1), V(2, 0, 0), V(0, 0, 2), 1, 1, Material{Base: RGB{0.5, 0.5, 0.5}, Glow: true})
	beam.Quad(V(-1, -0.1, -1), V(2, 0, 0), V(0, 0, 2), 1, 1, Material{Glow: true, Blend: Beam})
	shade.Quad(V(-1, -0.1, -1), V(2, 0, 0), V(0, 0, 2), 1, 1, Material{Blend: Shade})
	at := 16*32 + 16
	tg.Draw(&wall, At(V(0, 0, 0)))
	plain, depth := tg.Pix[at], tg.Depth[at]
	tg.Draw(&beam, At(V(0, 0, 0)))
	if tg.Pix[at] <= plain || tg.Depth[at] != depth {
		t.Errorf("beam: %06x from %06x, depth %g from %g", tg.Pix[at], plain, tg.Depth[at], depth)
	}
	bright := tg.Pix[at]
	tg.Draw(&shade, At(V(0, 0, 0)))
	if tg.Pix[at] >= bright || tg.Depth[at] != depth {
		t.Errorf("shade: %06x from %06x", tg.Pix[at], bright)
	}
}

func TestTheLensBendsInwards(t *testing.T) {
	ideal, wide := NewLens(320, 240, 1.8, 0), NewLens(320, 240, 1.8, 0.25)
	for _, l := range []Lens{ideal, wide} {
		edge := point{cam: V(math.Tan(0.9), 0, 1)}
		l.project(&edge)
		if math.Abs(edge.x-320) > 1e-9 || edge.y != 120 {
			t.Errorf("K %g: the edge of the field of view is at (%g, %g)", l.K, edge.x, edge.y)
		}
	}
	// The same field of view, so barrel distortion leaves more room in the middle.
	a, b := point{cam: V(0.1, 0.1, 1)}, point{cam: V(0.1, 0.1, 1)}
	ideal.project(&a)
	wide.project(&b)
	if b.x <= a.x {
		t.Errorf("the middle is at %g, ideally at %g", b.x, a.x)
	}
	// And the forward model is the inverse of the division model: r_u = r_d/(1 − K·r_d²).
	r := math.Hypot(b.x-160, b.y-120) / wide.F
	if u := r / (1 - wide.K*r*r); math.Abs(u-math.Hypot(0.1, 0.1)) > 1e-12 {
		t.Errorf("undistorted again the radius is %g", u)
	}
}

func TestAimTurnsTheEye(t *testing.T) {
	l := NewLens(100, 100, 1, 0)
	l.Aim(V(1, 2, 3), V(1, 7, 3), 0)
	for _, tc := range []struct{ world, cam Vec }{{V(1, 3, 3), V(0, 0, 1)}, {V(2, 2, 3), V(1, 0, 0)}, {V(1, 2, 4), V(0, -1, 0)}} {
		if got := l.R.Apply(tc.world.Sub(l.Eye)); got.Sub(tc.cam).Len() > 1e-12 {
			t.Errorf("%v is seen at %v, want %v", tc.world, got, tc.cam)
		}
	}
	l.Aim(V(0, 0, 0), V(0, 1, 0), math.Pi/2)
	if got := l.R.Apply(V(0, 0, 1)); got.Sub(V(-1, 0, 0)).Len() > 1e-12 {
		t.Errorf("turned right side down, up is seen at %v, want left", got)
	}
}

// TestClippingKeepsWhatLiesBeyondTheNearPlane looks along a floor that begins behind the eye.
func TestClippingKeepsWhatLiesBeyondTheNearPlane(t *testing.T) {
	tg := NewTarget(NewLens(64, 64, 1.4, 0.2), nil)
	tg.Lens.Aim(V(0, 0, 1), V(0, 1, 1), 0)
	tg.Clear(RGB{})
	var floor Mesh
	floor.Quad(V(-50, -50, 0), V(100, 0, 0), V(0, 100, 0), 1, 1, white)
	tg.Draw(&floor, At(V(0, 0, 0)))
	if tg.Pix[63*64+32] == 0 {
		t.Error("the floor before the feet is missing")
	}
	if tg.Pix[10*64+32] != 0 {
		t.Error("the floor reaches above the horizon")
	}
}

// TestNothingBreaksWhereverTheEyeIs draws from random places, also inside of things.
func TestNothingBreaksWhereverTheEyeIs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var m Mesh
	m.Box(V(0, 0, 0), 1, 1, 1, Material{Base: RGB{1, 0, 0}, Second: RGB{0, 1, 0}, Pattern: Checker(3)})
	m.Ball(V(0, 0, 1), 0.5, 0.5, 0.5, 12, 8, Material{Base: RGB{0, 0, 1}})
	tg := NewTarget(NewLens(80, 60, 1.9, 0.25), nil)
	r := func() float64 { return 3 * (rng.Float64() - 0.5) }
	for range 3000 {
		tg.Lens.Aim(V(r(), r(), r()), V(r(), r(), r()), r())
		tg.Clear(RGB{})
		tg.Draw(&m, Pose{Euler(r(), r(), r()), V(r(), r(), r())})
		for _, d := range tg.Depth {
			if !(d >= 0 && d < 1.05/near) {
				t.Fatalf("depth %g", d)
			}
		}
	}
}

func TestPatternsTurnGreyInTheDistance(t *testing.T) {
	p := Checker(4)
	for level, tones := range p.levels {
		sum := 0
		for _, v := range tones {
			sum += int(v)
		}
		if mean := float64(sum) / float64(len(tones)); mean < 7 || mean > 8 {
			t.Errorf("size %d has mean tone %.1f, want half of 15", len(tones), mean)
		}
		if level == 0 && (tones[0] != 0 || tones[texSize/8] != 15) {
			t.Errorf("fields have tones %d and %d", tones[0], tones[texSize/8])
		}
	}
	if last := p.levels[texBits]; len(last) != 1 {
		t.Errorf("smallest size has %d dots", len(last))
	}
}

func TestMirrorKeepsTheOutsideOutside(t *testing.T) {
	var m Mesh
	m.Ball(V(0.3, 0, 0), 0.5, 0.5, 0.5, 12, 8, white)
	for _, mesh := range []*Mesh{&m, m.Mirror()} {
		centre := V(0.3, 0, 0)
		if mesh != &m {
			centre.X = -0.3
		}
		for _, f := range mesh.tris {
			mid := mesh.verts[f.a].Add(mesh.verts[f.b]).Add(mesh.verts[f.c]).Mul(1.0 / 3)
			cross := mesh.verts[f.b].Sub(mesh.verts[f.a]).Cross(mesh.verts[f.c].Sub(mesh.verts[f.a])).Unit()
			if f.n.Dot(mid.Sub(centre)) <= 0 || f.n.Sub(cross).Len() > 1e-9 {
				t.Fatalf("face at %v looks to %v", mid, f.n)
			}
		}
	}
}

func TestDrawingDoesNotAllocate(t *testing.T) {
	var m Mesh
	m.Ball(V(0, 0, 0), 0.5, 0.5, 0.5, 12, 8, Material{Base: RGB{1, 1, 1}, Second: RGB{0, 0, 0}, Pattern: Checker(2)})
	tg := front(64, 64)
	draw := func() { tg.Draw(&m, At(V(0, 0, 0))) }
	draw()
	if n := testing.AllocsPerRun(100, draw); n != 0 {
		t.Errorf("%v allocations a mesh", n)
	}
}
