package graph_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tandem/learn/graph"
)

// TestMapsComputeWhatImagesDo: maps are a layout, whatever tiles their pixels are computed in.
func TestMapsComputeWhatImagesDo(t *testing.T) {
	for _, c := range []struct {
		n, channels, h, w, filters, kernel int
		spec                               graph.Conv2DSpec
	}{
		{16, 3, 13, 8, 3, 3, graph.Conv2DSpec{Pad: 1, Groups: 3}},
		{16, 2, 12, 20, 2, 3, graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: 2}},
		{5, 2, 14, 14, 2, 5, graph.Conv2DSpec{Stride: 2, Pad: 2, Groups: 2}},
		{1, 3, 9, 11, 4, 3, graph.Conv2DSpec{Stride: 3, Pad: 1}},
		{2, 3, 6, 6, 5, 1, graph.Conv2DSpec{}},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			g := graph.New(graph.Float32)
			x := g.Input("x", graph.Float32, c.n, c.channels, c.h, c.w)
			rng := rand.New(rand.NewPCG(8, 1))
			noise := func(n int) []float64 {
				v := make([]float64, n)
				for i := range v {
					v[i] = rng.NormFloat64()
				}
				return v
			}
			in := c.channels / max(c.spec.Groups, 1)
			w := g.Const(noise(c.filters*in*c.kernel*c.kernel), c.filters, in, c.kernel, c.kernel)
			// The second one starts from the order that the first one left.
			again := g.Const(noise(c.filters*9), c.filters, 1, 3, 3)
			images, maps := g.Conv2D(x, w, nil, c.spec), g.ConvMaps(g.Maps(x), w, c.spec)
			spec := graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: c.filters}
			images2, maps2 := g.Conv2D(images, again, nil, spec), g.ConvMaps(maps, again, spec)
			factors := g.Const(noise(c.n), c.n) // one an image
			scaled := maps
			scaled.X = g.Mul(maps.X, maps.PerImage(factors))
			for i, y := range []*graph.Tensor{
				images, maps.Images(),
				images2, maps2.Images(),
				g.GlobalPool2D(images), maps.Pool(),
				g.GridPool(images, 2, 1), maps.GridPool(2, 1),
				g.Mul(images, g.Reshape(factors, c.n, 1, 1, 1)), scaled.Images(),
			} {
				g.Output(fmt.Sprint("y", i), y)
			}
			out := evaluate(t, g, noise(c.n*c.channels*c.h*c.w))
			for i := 0; i < len(out); i += 2 {
				if d := relative(out[i+1], out[i]); len(out[i]) != len(out[i+1]) || d > 1e-6 {
					t.Errorf("result %d of maps is %.2g from that of images", i/2, d)
				}
			}
		})
	}
}
