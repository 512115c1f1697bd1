package sim

import (
	"math"

	"tandem/sim/internal/raster"
)

// placed is a mesh at its place.
type placed struct {
	mesh *raster.Mesh
	pose raster.Pose
}

// cell is the meshes of one take. It is only read while drawing.
type cell struct {
	fixed   []placed // never move
	tools   [tools]*raster.Mesh
	variant map[[2]int]*raster.Mesh // tools with another finish, by tool and finish
	parts   []*raster.Mesh
	bit     *raster.Mesh
	beam    *raster.Mesh
	glare   *raster.Mesh
	screw   *raster.Mesh
	packed  *raster.Mesh
	shadow  *raster.Mesh
	spot    *raster.Mesh
	figure  figure
	usable  []tool // tools that stand in the holder
}

// crateLook is a bin's outside; the fixed bins of the cell differ in brightness and pattern, not only in colour.
var crateLook = []struct {
	at    raster.Vec
	mat   raster.Material
	floor raster.RGB
	yaw   float64
}{
	{binA, raster.Material{Base: rgb(0.95, 0.95, 0.97), Second: rgb(0.05, 0.18, 0.65), Pattern: wideStripes}, rgb(0.10, 0.16, 0.45), 0.75},
	{binB, raster.Material{Base: rgb(0.85, 0.10, 0.08), Second: rgb(0.12, 0.03, 0.03), Pattern: checker}, rgb(0.45, 0.05, 0.05), 0.35},
	{binC, raster.Material{Base: rgb(0.98, 0.88, 0.20), Second: rgb(0.10, 0.08, 0.05), Pattern: bigDots}, rgb(0.80, 0.72, 0.25), -0.35},
	{binD, raster.Material{Base: rgb(0.05, 0.30, 0.12), Second: rgb(0.80, 0.98, 0.75), Pattern: longStripes}, rgb(0.03, 0.14, 0.06), -0.75},
}

func newCell(v *vocabulary, w *Worker) *cell {
	c := &cell{
		variant: map[[2]int]*raster.Mesh{},
		bit:     bitMesh(), beam: beamMesh(), glare: glareMesh(),
		shadow: shadowMesh(0.075, 0.075), spot: shadowMesh(0.19, 0.14),
		figure: newFigure(w),
	}
	for _, l := range v.looks {
		c.parts = append(c.parts, l.mesh())
	}
	c.screw = new(raster.Mesh)
	for _, at := range corners {
		c.screw.Cylinder(at, 0.016, 0.012, 6, plain(0.95, 0.95, 0.98))
	}
	c.packed = new(raster.Mesh)
	c.packed.Box(raster.V(0, 0, 0), 0.20, 0.14, 0.05, raster.Material{Base: rgb(0.8, 0.78, 0.7), Second: rgb(0.2, 0.2, 0.3), Pattern: wideStripes})
	need := [tools]bool{}
	for _, a := range v.actions {
		if t := toolOf[a.motion]; t != noTool {
			need[t] = true
			if a.finish != 0 {
				key := [2]int{int(t), a.finish % len(finishes)}
				c.variant[key] = toolMesh(t, a.finish)
			}
		}
	}
	for t := noTool + 1; t < tools; t++ {
		if need[t] {
			c.tools[t] = toolMesh(t, 0)
			c.usable = append(c.usable, t)
		}
	}
	c.furnish(v)
	return c
}

// tool returns the mesh of a tool with a finish.
func (c *cell) tool(h held) *raster.Mesh {
	if m, ok := c.variant[[2]int{int(h.tool), h.finish % len(finishes)}]; ok {
		return m
	}
	return c.tools[h.tool]
}

func (c *cell) add(m *raster.Mesh, p raster.Pose) { c.fixed = append(c.fixed, placed{m, p}) }

// furnish builds what stands in the cell.
func (c *cell) furnish(v *vocabulary) {
	c.bench()
	for _, l := range crateLook {
		var crate raster.Mesh
		crate.Crate(raster.V(0, 0, 0), 0.27, 0.21, 0.12, l.mat, raster.Material{Base: l.floor})
		pose := raster.Pose{R: raster.Euler(l.yaw, 0.22, 0), T: l.at.Add(raster.V(0, 0, 0.035))}
		c.add(&crate, pose)
		if part, ok := v.inBin(l.at); ok {
			c.add(heap(v.looks[part]), pose)
		}
	}
	// The far things last: most of them is hidden by then.
	c.room()
}

// inBin returns the part that an action takes from a spot.
func (v *vocabulary) inBin(spot raster.Vec) (part int, ok bool) {
	for _, a := range v.actions {
		if a.motion == fetch && a.spot == spot {
			return a.part, true
		}
	}
	return 0, false
}

// heap is some smaller copies of a part, as they lie about in a bin.
func heap(l look) *raster.Mesh {
	var m raster.Mesh
	l.size *= 0.5
	part := l.mesh()
	for k := range 3 {
		a := 2.1 * float64(k)
		m.Join(part, raster.Pose{R: raster.Euler(a, 0.3*math.Sin(a), 0.2), T: raster.V(0.055*math.Cos(a), 0.04*math.Sin(a), 0.012+0.02*float64(k))})
	}
	return &m
}

// room is the surroundings: floor, walls with racks, as far as cameras see.
func (c *cell) room() {
	var floor, walls raster.Mesh
	tiles := [2]raster.Material{plain(0.43, 0.44, 0.45), plain(0.36, 0.37, 0.38)}
	panels := [2]raster.Material{plain(0.66, 0.68, 0.69), plain(0.58, 0.60, 0.63)}
	dado := plain(0.30, 0.36, 0.42)
	const tile = 0.8
	for i := range 8 {
		for k := range 7 {
			at := raster.V(-3.2+tile*float64(i), -3.0+tile*float64(k), -0.95)
			floor.Quad(at, raster.V(tile, 0, 0), raster.V(0, tile, 0), 1, 1, tiles[(i+k)%2])
		}
	}
	c.add(&floor, raster.At(raster.V(0, 0, 0)))
	for _, w := range []struct {
		o, u raster.Vec
		n    int
	}{
		{raster.V(-3.2, 2.6, 0), raster.V(tile, 0, 0), 8}, {raster.V(3.2, -3.0, 0), raster.V(-tile, 0, 0), 8},
		{raster.V(3.2, 2.6, 0), raster.V(0, -tile, 0), 7}, {raster.V(-3.2, -3.0, 0), raster.V(0, tile, 0), 7},
	} {
		for i := range w.n {
			o := w.o.Add(w.u.Mul(float64(i)))
			o.Z = -0.95
			walls.Quad(o, w.u, raster.V(0, 0, 0.8), 1, 1, dado)
			o.Z = -0.15
			walls.Quad(o, w.u, raster.V(0, 0, 2.2), 1, 2, panels[i%2])
		}
	}
	c.add(&walls, raster.At(raster.V(0, 0, 0)))
	var racks raster.Mesh
	for i := range 5 {
		x := -2.4 + 1.2*float64(i)
		for k := range 3 {
			z := -0.75 + 0.55*float64(k)
			shade := 0.25 + 0.12*float64((i*2+k*3)%5)
			racks.Box(raster.V(x, -2.7, z), 0.9, 0.4, 0.32, plain(shade, shade*0.9, shade*(0.6+0.1*float64(k))))
			racks.Box(raster.V(x+0.1, 2.4, z), 0.8, 0.3, 0.3, plain(shade*0.9, shade*0.85, shade*0.75))
		}
	}
	c.add(&racks, raster.At(raster.V(0, 0, 0)))
}

// bench is the table, the mat, the screen, the holder, the tray and the box.
func (c *cell) bench() {
	wood := plain(0.69, 0.66, 0.60)
	steel := plain(0.50, 0.52, 0.55)
	var top raster.Mesh
	top.Quad(raster.V(-0.92, -0.06, 0), raster.V(1.84, 0, 0), raster.V(0, 0.86, 0), 18, 9, wood)
	top.Quad(raster.V(-0.92, -0.06, -0.05), raster.V(1.84, 0, 0), raster.V(0, 0, 0.05), 12, 1, steel)
	top.Quad(raster.V(0.92, 0.80, -0.05), raster.V(-1.84, 0, 0), raster.V(0, 0, 0.05), 12, 1, steel)
	top.Quad(raster.V(-0.92, 0.80, -0.05), raster.V(0, -0.86, 0), raster.V(0, 0, 0.05), 6, 1, steel)
	top.Quad(raster.V(0.92, -0.06, -0.05), raster.V(0, 0.86, 0), raster.V(0, 0, 0.05), 6, 1, steel)
	for _, x := range []float64{-0.86, 0.86} {
		for _, y := range []float64{0, 0.74} {
			top.Box(raster.V(x, y, -0.95), 0.06, 0.06, 0.90, steel)
		}
	}
	c.add(&top, raster.At(raster.V(0, 0, 0)))
	var mat raster.Mesh
	mat.Quad(raster.V(-0.27, 0.05, 0.012), raster.V(0.54, 0, 0), raster.V(0, 0.40, 0), 6, 5, plain(0.16, 0.30, 0.27))
	c.add(&mat, raster.At(raster.V(0, 0, 0)))

	var display raster.Mesh
	display.Box(raster.V(0, 0.04, -0.20), 0.08, 0.05, 0.22, steel)
	var shell raster.Mesh
	black := plain(0.08, 0.08, 0.09)
	shell.Crate(raster.V(0, 0, 0), 0.38, 0.25, 0.05, black, black)
	display.Join(&shell, raster.Pose{R: raster.Euler(0, math.Pi/2, 0), T: raster.V(0, 0.062, 0.005)})
	display.Quad(raster.V(-0.19, 0.012, -0.12), raster.V(0.38, 0, 0), raster.V(0, 0, 0.25), 3, 2, black)
	page := raster.Material{Base: rgb(0.05, 0.22, 0.45), Second: rgb(0.95, 0.97, 1), Pattern: text, Glow: true}
	display.Quad(raster.V(-0.175, 0, -0.105), raster.V(0.35, 0, 0), raster.V(0, 0, 0.22), 3, 2, page)
	c.add(&display, raster.Pose{R: raster.Euler(0, -0.30, 0), T: screen})

	var stand raster.Mesh
	stand.Box(raster.V(0.37, 0.36, 0), 0.30, 0.10, 0.05, plain(0.28, 0.29, 0.32))
	c.add(&stand, raster.At(raster.V(0, 0, 0)))

	var bowl raster.Mesh
	bowl.Crate(raster.V(0, 0, 0), 0.30, 0.19, 0.06, raster.Material{Base: rgb(0.75, 0.08, 0.30), Second: rgb(1, 0.85, 0.9), Pattern: diagonal},
		raster.Material{Base: rgb(0.90, 0.75, 0.80), Second: rgb(0.55, 0.05, 0.2), Pattern: lattice})
	c.add(&bowl, raster.Pose{R: raster.Identity, T: tray.Add(raster.V(0, 0, 0.001))})
	var carton raster.Mesh
	carton.Crate(raster.V(0, 0, 0), 0.42, 0.24, 0.10, raster.Material{Base: rgb(0.72, 0.54, 0.33), Second: rgb(0.55, 0.38, 0.2), Pattern: longStripes},
		plain(0.50, 0.36, 0.22))
	c.add(&carton, raster.At(box.Add(raster.V(0, 0, 0.001))))
}
