package sim

import (
	"math/rand/v2"

	"tandem/sim/internal/raster"
)

// look is what a part looks like.
type look struct {
	shape shape
	mat   raster.Material
	size  float64
}

type shape uint8

const (
	plate shape = iota
	disc
	rod
	block
	dome
	shapes
)

func rgb(r, g, b float64) raster.RGB { return raster.RGB{R: r, G: g, B: b} }

func plain(r, g, b float64) raster.Material { return raster.Material{Base: rgb(r, g, b)} }

// Patterns are shared by all meshes; they are only read.
var (
	wideStripes = raster.Stripes(3, 0)
	longStripes = raster.Stripes(0, 4)
	fineStripes = raster.Stripes(8, 0)
	diagonal    = raster.Stripes(3, 3)
	bands       = raster.Stripes(0, 3)
	checker     = raster.Checker(3)
	fineChecker = raster.Checker(6)
	bigDots     = raster.Dots(3, 0.7)
	fineDots    = raster.Dots(6, 0.65)
	rings       = raster.Rings(3)
	lattice     = raster.Grid(4, 0.25)
	text        = raster.Bars(2, 9)
)

func builtinLooks() []look {
	return []look{
		partBase:  {plate, raster.Material{Base: rgb(0.92, 0.92, 0.88), Second: rgb(0.10, 0.16, 0.42), Pattern: wideStripes}, 1},
		partGear:  {disc, raster.Material{Base: rgb(0.90, 0.45, 0.08), Second: rgb(0.15, 0.08, 0.05), Pattern: rings}, 1},
		partShaft: {rod, raster.Material{Base: rgb(0.95, 0.95, 0.92), Second: rgb(0.75, 0.05, 0.10), Pattern: bands}, 1},
		partCover: {block, raster.Material{Base: rgb(0.06, 0.12, 0.08), Second: rgb(0.35, 0.85, 0.30), Pattern: fineDots}, 1},
	}
}

// hashedLook makes a look from a label: always the same for the same label.
func hashedLook(label string) look {
	rng := rand.New(rand.NewPCG(hash("look", label), 1))
	patterns := []*raster.Pattern{wideStripes, longStripes, fineStripes, diagonal, checker, fineChecker, bigDots, fineDots, rings, lattice, nil}
	bright := rgb(between(rng, 0.5, 1), between(rng, 0.5, 1), between(rng, 0.5, 1))
	dark := rgb(between(rng, 0, 0.35), between(rng, 0, 0.35), between(rng, 0, 0.35))
	if rng.IntN(2) == 0 {
		bright, dark = dark, bright
	}
	return look{
		shape: shape(rng.IntN(int(shapes))),
		mat:   raster.Material{Base: bright, Second: dark, Pattern: patterns[rng.IntN(len(patterns))]},
		size:  between(rng, 0.85, 1.2),
	}
}

// mesh builds the part standing on z = 0 around the origin.
func (l look) mesh() *raster.Mesh {
	var m raster.Mesh
	s := l.size
	switch l.shape {
	case plate:
		m.Box(raster.V(0, 0, 0), 0.30*s, 0.21*s, 0.028, l.mat)
	case disc:
		m.Cylinder(raster.V(0, 0, 0), 0.085*s, 0.05*s, 14, l.mat)
	case rod:
		m.Cylinder(raster.V(0, 0, 0), 0.032*s, 0.21*s, 10, l.mat)
	case block:
		m.Box(raster.V(0, 0, 0), 0.23*s, 0.16*s, 0.07*s, l.mat)
	case dome:
		m.Lathe(raster.V(0, 0, 0), 12, l.mat, raster.Ring{Z: 0, RX: 0.095 * s, RY: 0.095 * s},
			raster.Ring{Z: 0.05 * s, RX: 0.08 * s, RY: 0.08 * s}, raster.Ring{Z: 0.085 * s, RX: 0.03 * s, RY: 0.03 * s})
	}
	return &m
}
