package net

import (
	"fmt"
	"math"

	"tandem/learn/graph"
)

// Image is the name of an image extractor's input, [N, 3, H, W]; its output is Features, [N, D].
const Image = "image"

// FilterBank is an image extractor that is computed, not trained: what the first layers of every vision network come
// down to. It sees where in the picture there are edges of which direction and size, spots, and colours.
//
// On the luminance, at full and at half size, it has Gabor filters with odd phase (Daugman, JOSA A 1985) in Orientations directions
// and a difference of Gaussians; on the red-green and the blue-yellow difference, at a quarter of the size, a Gaussian and two edge
// filters. Each response is split into its positive and its negative part, averaged over a grid of Grid by Grid cells and
// compressed by a square root. The input is RGB in NCHW order, standardised by about the mean and the deviation of
// natural images; the output has Size features.
type FilterBank struct {
	Width, Height int // of the image in pixels, at least MinSide
	Grid          int // cells a side
	Orientations  int // directions of the Gabor filters over half a turn
}

// DefaultFilterBank is the extractor of a fresh installation: 512 features of a 96 by 96 image.
func DefaultFilterBank() FilterBank {
	return FilterBank{Width: 96, Height: 96, Grid: 4, Orientations: 4}
}

// Filters of the bank. Sizes are in pixels of the plane they work on.
const (
	MinSide      = 32 // smallest image side
	fineKernel   = 7
	colourKernel = 5
	colourMaps   = 6      // a blob and two edges on two opponent planes
	floor        = 1e-3   // response at which the root stops being steep
	imageDepth   = 3      // colour channels
	halvesFine   = 1      // the second Gabor scale halves the picture once,
	halvesColour = 2      // the colour planes twice
	strideFine   = 2      // of the Gabor filters
	wavelength   = 6.0    // of the Gabor filters,
	envelope     = 2.0    // and the deviation of their Gaussian
	centre       = 0.9    // deviation of the spot filter's centre,
	surround     = 2.0    // and of its surround
	blob         = 1.2    // deviation of the colour filters
	grey         = 1. / 3 // weight of each channel in the luminance
)

// Check returns an error if the bank cannot be built.
func (f FilterBank) Check() error {
	smallest := min(f.Width, f.Height)
	switch {
	case smallest < MinSide:
		return fmt.Errorf("filter bank: image of %dx%d, expected sides of at least %d", f.Width, f.Height, MinSide)
	case f.Grid < 1 || f.Grid > smallest>>halvesColour-colourKernel+1:
		return fmt.Errorf("filter bank: grid of %d for an image of %dx%d, expected 1 to %d", f.Grid, f.Width, f.Height,
			smallest>>halvesColour-colourKernel+1)
	case f.Orientations < 1 || f.Orientations > 32:
		return fmt.Errorf("filter bank: %d orientations, expected 1 to 32", f.Orientations)
	}
	return nil
}

// Size returns the number of features.
func (f FilterBank) Size() int { return 2 * (2*(f.Orientations+1) + colourMaps) * f.Grid * f.Grid }

// Model returns the extractor: Image [N, 3, Height, Width] float32 with any N to Features [N, Size]. The same bank gives
// the same bytes.
func (f FilterBank) Model() ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	g := graph.New(graph.Float32)
	n := g.Dim("N")
	planes := g.Conv2D(g.Input(Image, graph.Float32, n, imageDepth, f.Height, f.Width), f.opponents(g), nil, graph.Conv2DSpec{})
	light := g.Crop(planes, 1, 0, 2)
	bank := f.gabors(g)
	fine := g.Conv2D(light, bank, nil, graph.Conv2DSpec{Stride: strideFine})
	coarse := g.Conv2D(g.AveragePool2D(light, 1<<halvesFine), bank, nil, graph.Conv2DSpec{Stride: strideFine})
	colour := g.Conv2D(g.AveragePool2D(g.Crop(planes, 1, 1, 0), 1<<halvesColour), f.colourFilters(g), nil, graph.Conv2DSpec{Groups: 2})
	g.Output(Features, g.Concat(1, f.pool(g, fine), f.pool(g, coarse), f.pool(g, colour)))
	model, err := g.Model()
	if err != nil {
		return nil, fmt.Errorf("filter bank: %w", err)
	}
	return model, nil
}

// pool rectifies responses [N, C, H, W] both ways and gives [N, 2·C·Grid²] features.
func (f FilterBank) pool(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
	both := g.Concat(1, g.Relu(x), g.Relu(g.Neg(x)))
	cells := g.GridPool(both, f.Grid, f.Grid)
	root := g.Shift(g.Sqrt(g.Shift(cells, floor)), -math.Sqrt(floor))
	return g.Reshape(root, x.Dim(0), 2*x.Dim(1)*f.Grid*f.Grid)
}

// opponents maps RGB to luminance, red-green and blue-yellow.
func (f FilterBank) opponents(g *graph.Graph) *graph.Tensor {
	return g.Const([]float64{
		grey, grey, grey,
		0.5, -0.5, 0,
		-0.25, -0.25, 0.5,
	}, 3, imageDepth, 1, 1)
}

// gabors returns the filters of the luminance, [Orientations+1, 1, k, k].
func (f FilterBank) gabors(g *graph.Graph) *graph.Tensor {
	var w []float64
	for i := range f.Orientations {
		angle := math.Pi * float64(i) / float64(f.Orientations)
		sin, cos := math.Sincos(angle)
		w = append(w, filter(fineKernel, func(x, y float64) float64 {
			return gauss(x, y, envelope) * math.Sin(2*math.Pi*(x*cos+y*sin)/wavelength)
		})...)
	}
	spot := func(x, y float64) float64 {
		return gauss(x, y, centre)/(centre*centre) - gauss(x, y, surround)/(surround*surround)
	}
	w = append(w, filter(fineKernel, spot)...)
	return g.Const(w, f.Orientations+1, 1, fineKernel, fineKernel)
}

// colourFilters returns a blob and two edges for each of two planes, [6, 1, k, k] in two groups.
func (f FilterBank) colourFilters(g *graph.Graph) *graph.Tensor {
	var w []float64
	for range 2 {
		w = append(w, filter(colourKernel, func(x, y float64) float64 { return gauss(x, y, blob) })...)
		w = append(w, filter(colourKernel, func(x, y float64) float64 { return x * gauss(x, y, blob) })...)
		w = append(w, filter(colourKernel, func(x, y float64) float64 { return y * gauss(x, y, blob) })...)
	}
	return g.Const(w, colourMaps, 1, colourKernel, colourKernel)
}

func gauss(x, y, deviation float64) float64 {
	return math.Exp(-(x*x + y*y) / (2 * deviation * deviation))
}

// filter samples a function on a k by k grid around the origin. Filters that have both signs get a sum of exactly 0, so that an even
// surface gives no response; all get absolute values that add up to 1.
func filter(k int, at func(x, y float64) float64) []float64 {
	w := make([]float64, 0, k*k)
	var sum, size float64
	signs := false
	for y := range k {
		for x := range k {
			v := at(float64(x-k/2), float64(y-k/2))
			w = append(w, v)
			sum += v
			signs = signs || v < 0
		}
	}
	for i := range w {
		if signs {
			w[i] -= sum / float64(len(w))
		}
		size += math.Abs(w[i])
	}
	for i := range w {
		w[i] /= size
	}
	return w
}
