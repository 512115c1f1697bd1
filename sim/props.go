package sim

import "tandem/sim/internal/raster"

// toolMesh builds a tool in the frame of the hand that holds it: fingers along +y, back of the hand up. The finish varies colours,
// so that tools of a process file's labels differ; 0 is the ordinary finish.
func toolMesh(t tool, finish int) *raster.Mesh {
	var m raster.Mesh
	f := finishes[finish%len(finishes)]
	switch t {
	case driver:
		// A pistol-grip driver held upright: dark body, bright rings, the bit below.
		body := raster.Material{Base: f.dark, Second: f.bright, Pattern: bands}
		m.Lathe(raster.V(0, 0.03, -0.11), 10, body, raster.Ring{Z: 0, RX: 0.030, RY: 0.030}, raster.Ring{Z: 0.05, RX: 0.055, RY: 0.055},
			raster.Ring{Z: 0.26, RX: 0.058, RY: 0.058}, raster.Ring{Z: 0.30, RX: 0.035, RY: 0.035})
	case mallet:
		m.Box(raster.V(0, 0.12, -0.015), 0.028, 0.30, 0.028, plain(0.55, 0.36, 0.18))
		head := raster.Material{Base: f.bright.Mix(rgb(1, 1, 1), 0.8), Second: f.dark.Mix(rgb(0.6, 0, 0), 0.7), Pattern: bands}
		m.Cylinder(raster.V(0, 0.26, -0.10), 0.055, 0.20, 10, head)
	case scanner:
		m.Box(raster.V(0, 0.02, -0.06), 0.04, 0.05, 0.09, plain(0.15, 0.15, 0.17))
		m.Box(raster.V(0, 0.06, 0.02), 0.085, 0.19, 0.07, raster.Material{Base: f.bright.Mix(rgb(1, 1, 1), 0.4), Second: rgb(0.2, 0.2, 0.25), Pattern: longStripes})
	case cloth:
		// A folded rag with a border: strips that go up and down.
		light, border := raster.Material{Base: f.bright.Mix(rgb(1, 1, 1), 0.85)}, raster.Material{Base: f.dark.Mix(rgb(0.1, 0.2, 0.5), 0.6)}
		const strips, width = 6, 0.045
		for i := range strips {
			lo, hi, mat := -0.034, -0.010, light
			if i%2 == 1 {
				lo, hi = hi, lo
			}
			if i%3 == 1 {
				mat = border
			}
			y := -0.12 + width*float64(i)
			m.Quad(raster.V(-0.17, y, lo), raster.V(0.34, 0, 0), raster.V(0.01, width, hi-lo), 1, 1, mat)
		}
	case brush:
		m.Box(raster.V(0, 0.06, 0), 0.035, 0.22, 0.025, raster.Material{Base: f.bright, Second: f.dark, Pattern: diagonal})
		m.Box(raster.V(0, 0.14, -0.07), 0.14, 0.06, 0.07, raster.Material{Base: f.dark, Second: f.bright, Pattern: fineStripes})
	case spanner:
		m.Box(raster.V(0, 0.12, -0.01), 0.035, 0.30, 0.018, raster.Material{Base: rgb(0.78, 0.8, 0.84), Second: f.dark, Pattern: longStripes})
		m.Cylinder(raster.V(0, 0.28, -0.02), 0.055, 0.035, 8, raster.Material{Base: f.bright})
	case can:
		m.Cylinder(raster.V(0, 0.09, -0.08), 0.065, 0.19, 12, raster.Material{Base: f.bright, Second: f.dark, Pattern: checker})
		m.Lathe(raster.V(0, 0.09, 0.11), 8, raster.Material{Base: f.dark}, raster.Ring{Z: 0, RX: 0.05, RY: 0.05}, raster.Ring{Z: 0.06, RX: 0.012, RY: 0.012})
	default:
	}
	return &m
}

// finishes are the colours of tools.
var finishes = []struct{ dark, bright raster.RGB }{
	{rgb(0.06, 0.06, 0.08), rgb(0.95, 0.80, 0.15)},
	{rgb(0.10, 0.10, 0.12), rgb(0.95, 0.45, 0.10)},
	{rgb(0.05, 0.12, 0.30), rgb(0.85, 0.90, 0.95)},
	{rgb(0.35, 0.05, 0.08), rgb(0.90, 0.85, 0.70)},
	{rgb(0.05, 0.25, 0.15), rgb(0.60, 0.95, 0.45)},
	{rgb(0.25, 0.10, 0.35), rgb(0.95, 0.60, 0.85)},
}

// homePose is how a tool stands in the holder.
func homePose(t tool) raster.Pose {
	p := raster.At(toolHome[t])
	switch t {
	case mallet, brush, spanner:
		p.R = raster.Euler(0.5, 1.25, 0)
	case scanner:
		p.R = raster.Euler(-0.3, 0.9, 0)
	default:
	}
	return p
}

// bitMesh is the turning part of the driver: flutes that show its spin.
func bitMesh() *raster.Mesh {
	var m raster.Mesh
	m.Box(raster.V(0, 0, 0), 0.022, 0.022, 0.11, plain(0.8, 0.82, 0.85))
	m.Box(raster.V(0, 0, 0.085), 0.085, 0.03, 0.03, plain(0.92, 0.92, 0.92))
	return &m
}

// bitAt is the bit's place in the hand's frame.
var bitAt = raster.V(0, 0.03, -0.21)

// slotAt is where each slot's part stands in the assembly.
var slotAt = [slots]raster.Vec{{}, {X: -0.075, Y: 0, Z: 0.028}, {X: 0.075, Y: 0, Z: 0.028}, {X: 0, Y: 0, Z: 0.078}}

// beamMesh is the scanner's light in the hand's frame: a cone forwards.
func beamMesh() *raster.Mesh {
	var m raster.Mesh
	light := raster.Material{Base: rgb(1, 1, 1), Glow: true, Blend: raster.Beam}
	m.Join(lathe(light, 10, raster.Ring{Z: 0, RX: 0.03, RY: 0.02}, raster.Ring{Z: 0.26, RX: 0.13, RY: 0.10}),
		raster.Pose{R: raster.Euler(0, -1.5708, 0), T: raster.V(0, 0.155, 0.05)})
	return &m
}

// glareMesh is the scanner's bright line on the work.
func glareMesh() *raster.Mesh {
	var m raster.Mesh
	m.Box(raster.V(0, 0, 0), 0.26, 0.035, 0.006, raster.Material{Base: rgb(1, 0.95, 0.95), Glow: true})
	m.Box(raster.V(0, 0, 0), 0.035, 0.20, 0.006, raster.Material{Base: rgb(1, 0.95, 0.95), Glow: true})
	return &m
}

func lathe(mat raster.Material, sides int, r ...raster.Ring) *raster.Mesh {
	var m raster.Mesh
	return m.Lathe(raster.V(0, 0, 0), sides, mat, r...)
}

// shadowMesh is a soft spot on the bench.
func shadowMesh(rx, ry float64) *raster.Mesh {
	return lathe(raster.Material{Blend: raster.Shade}, 10, raster.Ring{Z: 0, RX: rx, RY: ry}, raster.Ring{Z: 0.001, RX: rx * 0.98, RY: ry * 0.98})
}
