package graph_test

import (
	"fmt"

	"tandem/learn/graph"
)

// allCases are the cases of all files.
func allCases() []gradientCase {
	list := append([]gradientCase{}, gradientCases...)
	list = append(list, sequenceCases...)
	return append(list, imageCases()...)
}

func pooled(name string, shape []int, op func(g *graph.Graph, x *graph.Tensor) *graph.Tensor) gradientCase {
	return gradientCase{name, [][]int{shape}, false, func(g *graph.Graph, x tensors) *graph.Tensor { return op(g, x[0]) }}
}

// lengths are two numbers of frames, as floats.
func lengths(g *graph.Graph, a, b float64) *graph.Tensor { return g.Const([]float64{a, b}, 2) }

var sequenceCases = []gradientCase{
	{"layer norm", [][]int{{2, 3, 5}, {5}, {5}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.LayerNorm(x[0], x[1], x[2], 1e-5)
	}},
	{"layer norm of a matrix", [][]int{{4, 6}, {6}, {6}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Tanh(g.LayerNorm(x[0], x[1], x[2], 1e-2))
	}},
	{"batch norm of sequences", [][]int{{2, 5, 3}, {3}, {3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], nil, -1, 1e-5)
		return g.Tanh(y)
	}},
	{"batch norm of padded sequences", [][]int{{2, 5, 3}, {3}, {3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		present := g.Const([]float64{1, 1, 1, 0, 0, 1, 1, 1, 1, 0}, 2, 5, 1)
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], present, 2, 1e-5)
		return g.Tanh(y)
	}},
	{"batch norm of images", [][]int{{3, 2, 2, 3}, {2}, {2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], nil, 1, 1e-3)
		return g.Tanh(y)
	}},
	{"batch norm of channel-major images", [][]int{{2, 3, 2, 3}, {2}, {2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], nil, 0, 1e-3)
		return g.Tanh(y)
	}},
	{"batch norm of some channel-major images", [][]int{{2, 3, 2, 3}, {2}, {2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], g.Const([]float64{1, 1, 0}, 1, 3, 1, 1), 0, 1e-3)
		return g.Tanh(y)
	}},
	{"batch norm of some images", [][]int{{3, 2, 2, 3}, {2}, {2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		y, _, _ := g.BatchNorm(x[0], x[1], x[2], g.Const([]float64{1, 1, 0}, 3, 1, 1, 1), 1, 1e-3)
		return g.Tanh(y)
	}},
	{"attention", [][]int{{1, 2, 4, 3}, {1, 2, 5, 3}, {1, 2, 5, 2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Attention(x[0], x[1], x[2], nil)
	}},
	{"attention with a bias", [][]int{{2, 1, 4, 3}, {2, 1, 4, 3}, {2, 1, 4, 2}, {4, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Attention(x[0], x[1], x[2], x[3])
	}},
	{"matmul A transposed, wide", [][]int{{2, 3, 9}, {2, 3, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.MatMul(x[0], x[1], true, false)
	}},
	{"attention with absent keys", [][]int{{2, 1, 4, 3}, {2, 1, 4, 3}, {2, 1, 4, 2}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Attention(x[0], x[1], x[2], g.Const([]float64{0, 0, 0, 0, 0, 0, -1e9, -1e9}, 2, 1, 1, 4))
	}},
	pooled("max pool", []int{2, 7, 3}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.MaxPool1D(x, 3) }),
	pooled("max pool by 2", []int{1, 6, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.MaxPool1D(x, 2) }),
	pooled("max pool of a short sequence", []int{2, 3, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.MaxPool1D(x, 6) }),
	pooled("max pool of a frame", []int{2, 1, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Exp(g.MaxPool1D(x, 2)) }),
	pooled("interpolate up", []int{2, 3, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Interpolate(x, 7) }),
	pooled("interpolate down", []int{1, 7, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Interpolate(x, 3) }),
	pooled("interpolate to a frame", []int{1, 4, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Interpolate(x, 1) }),
	pooled("interpolate from a frame", []int{2, 1, 3}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Interpolate(x, 4) }),
	{"double like", [][]int{{1, 3, 2}, {1, 7, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Concat(2, x[1], g.DoubleLike(x[0], x[1]))
	}},
	{"double like one that is shorter", [][]int{{1, 3, 2}, {1, 5, 4}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Concat(2, x[1], g.DoubleLike(x[0], x[1]))
	}},
	pooled("interpolate rows", []int{2, 5, 2}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
		return g.InterpolateRows(x, lengths(g, 5, 3), lengths(g, 8, 6), 9)
	}),
	pooled("take", []int{2, 4, 3}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Take(x, 1, 3, 0, 3, 3, 1) }),
	{"embed", [][]int{{4, 3}}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
		return g.Tanh(g.Embed(x[0], g.Reshape(g.Ints(2, 0, 2, 3, 2, 0), 2, 3)))
	}},
}

// imageCases go through the shapes of convolutions: kernel, stride, padding, groups.
func imageCases() []gradientCase {
	var list []gradientCase
	for _, c := range []struct {
		what string
		x, w []int
		bias bool
		spec graph.Conv2DSpec
	}{
		{"dense", []int{2, 3, 5, 6}, []int{4, 3, 3, 3}, true, graph.Conv2DSpec{Pad: 1}},
		{"dense, no padding", []int{2, 2, 4, 5}, []int{3, 2, 2, 3}, false, graph.Conv2DSpec{}},
		{"dense, stride 2", []int{2, 3, 6, 5}, []int{2, 3, 3, 3}, true, graph.Conv2DSpec{Stride: 2, Pad: 1}},
		{"dense, stride 3", []int{1, 2, 8, 9}, []int{2, 2, 3, 2}, false, graph.Conv2DSpec{Stride: 3}},
		{"dense, padded beyond the kernel", []int{1, 2, 3, 4}, []int{3, 2, 2, 2}, true, graph.Conv2DSpec{Pad: 2}},
		{"pointwise", []int{2, 3, 3, 2}, []int{4, 3, 1, 1}, true, graph.Conv2DSpec{}},
		{"pointwise, stride 2", []int{2, 3, 4, 3}, []int{4, 3, 1, 1}, false, graph.Conv2DSpec{Stride: 2}},
		{"depthwise", []int{2, 3, 4, 5}, []int{3, 1, 3, 3}, true, graph.Conv2DSpec{Pad: 1, Groups: 3}},
		{"depthwise, stride 2", []int{2, 3, 6, 5}, []int{3, 1, 3, 3}, false, graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: 3}},
		{"depthwise, stride 2, rest", []int{1, 2, 6, 6}, []int{2, 1, 3, 3}, true, graph.Conv2DSpec{Stride: 2, Groups: 2}},
		{"depthwise, large kernel", []int{1, 2, 6, 7}, []int{2, 1, 5, 4}, false, graph.Conv2DSpec{Pad: 2, Groups: 2}},
		{"groups", []int{2, 4, 4, 5}, []int{6, 2, 3, 3}, true, graph.Conv2DSpec{Pad: 1, Groups: 2}},
		{"groups, stride 2", []int{2, 4, 5, 6}, []int{2, 2, 3, 3}, false, graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: 2}},
		{"several filters a channel", []int{1, 2, 4, 4}, []int{4, 1, 3, 3}, true, graph.Conv2DSpec{Pad: 1, Groups: 2}},
	} {
		shapes := [][]int{c.x, c.w}
		if c.bias {
			shapes = append(shapes, c.w[:1])
		}
		list = append(list, gradientCase{"conv2d " + c.what, shapes, false, func(g *graph.Graph, x tensors) *graph.Tensor {
			x = append(x, nil)
			return g.Conv2D(x[0], x[1], x[2], c.spec)
		}})
	}
	for _, c := range []struct {
		what string
		x, w []int
		spec graph.Conv2DSpec
	}{
		{"dense", []int{2, 3, 5, 6}, []int{4, 3, 3, 3}, graph.Conv2DSpec{Pad: 1}},
		{"dense, stride 2", []int{2, 3, 6, 5}, []int{2, 3, 3, 3}, graph.Conv2DSpec{Stride: 2, Pad: 1}},
		{"dense, stride 2, tiles", []int{2, 2, 8, 4}, []int{3, 2, 3, 3}, graph.Conv2DSpec{Stride: 2, Pad: 1}},
		{"dense, one channel", []int{2, 1, 4, 4}, []int{3, 1, 2, 2}, graph.Conv2DSpec{}},
		{"pointwise", []int{2, 3, 3, 2}, []int{4, 3, 1, 1}, graph.Conv2DSpec{}},
		{"pointwise, stride 2", []int{2, 3, 4, 3}, []int{4, 3, 1, 1}, graph.Conv2DSpec{Stride: 2}},
		{"depthwise", []int{2, 3, 4, 5}, []int{3, 1, 3, 3}, graph.Conv2DSpec{Pad: 1, Groups: 3}},
		{"depthwise, stride 2", []int{2, 3, 6, 5}, []int{3, 1, 3, 3}, graph.Conv2DSpec{Stride: 2, Pad: 1, Groups: 3}},
		{"depthwise, no padding", []int{3, 2, 6, 6}, []int{2, 1, 3, 2}, graph.Conv2DSpec{Stride: 2, Groups: 2}},
		{"depthwise, stride 3, padded far", []int{1, 2, 5, 7}, []int{2, 1, 2, 3}, graph.Conv2DSpec{Stride: 3, Pad: 2, Groups: 2}},
		{"depthwise, tiles", []int{16, 2, 8, 8}, []int{2, 1, 3, 3}, graph.Conv2DSpec{Pad: 1, Groups: 2}},
	} {
		list = append(list, gradientCase{"conv of maps, " + c.what, [][]int{c.x, c.w}, false, func(g *graph.Graph, x tensors) *graph.Tensor {
			y := g.ConvMaps(g.Maps(x[0]), x[1], c.spec).Images()
			return g.Mul(y, y)
		}})
	}
	// Pixels in the order of one convolution's tiles, whose neighbours another one asks for; a factor a channel on the way back.
	for what, spec := range map[string]graph.Conv2DSpec{"": {Pad: 1, Groups: 2}, ", stride 2": {Stride: 2, Pad: 1, Groups: 2}, ", dense": {Stride: 2, Pad: 1}} {
		w := []int{2, 2 / max(spec.Groups, 1), 3, 3}
		list = append(list, gradientCase{"convs of maps" + what, [][]int{{3, 1, 12, 14}, {2, 1, 3, 3}, {2, 2, 1, 1}, w, {2}, {2}}, false,
			func(g *graph.Graph, x tensors) *graph.Tensor {
				m := g.ConvMaps(g.ConvMaps(g.Maps(x[0]), x[1], graph.Conv2DSpec{Pad: 1}), x[2], graph.Conv2DSpec{})
				for range 2 {
					m = g.ConvMaps(m, x[3], spec)
					m.X, _, _ = g.BatchNorm(m.X, x[4], x[5], nil, 1, 1e-3)
				}
				return g.Concat(1, g.Reshape(m.Images(), m.N, 2*m.X.Dim(2)/m.N), g.Reshape(m.GridPool(2, 3), m.N, 12), m.Pool())
			}})
	}
	for _, k := range []int{1, 2, 3} {
		list = append(list, pooled(fmt.Sprintf("average pool by %d", k), []int{2, 2, 5, 7},
			func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.AveragePool2D(x, k) }))
	}
	return append(list,
		pooled("global pool", []int{2, 3, 2, 4}, (*graph.Graph).GlobalPool2D),
		pooled("grid pool", []int{2, 2, 5, 7}, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.GridPool(x, 2, 3) }),
	)
}
