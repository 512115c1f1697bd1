package graph_test

import (
	"errors"
	"strings"
	"testing"

	"tandem/learn/graph"
)

func TestMisuseIsReportedWithShapes(t *testing.T) {
	type tensor = *graph.Tensor
	for _, c := range []struct {
		name string
		do   func(g *graph.Graph, x, y tensor) // x [2, 3], y [4, 5]
		want string
	}{
		{"add", func(g *graph.Graph, x, y tensor) { g.Add(x, y) }, "Add: shapes [2 3] and [4 5] do not broadcast"},
		{"nil", func(g *graph.Graph, x, _ tensor) { g.Mul(x, nil) }, "Mul: operand 1 is nil"},
		{"other graph", func(g *graph.Graph, x, _ tensor) {
			g.Add(x, graph.New(graph.Float32).Scalar(1))
		}, "belongs to another graph"},
		{"integers", func(g *graph.Graph, x, _ tensor) { g.Add(x, g.Ints(1)) }, "is int64, expected float32"},
		{"reshape", func(g *graph.Graph, x, _ tensor) { g.Reshape(x, 4, 2) }, "Reshape: [2 3] does not fit into [4 2]"},
		{"reshape to -1", func(g *graph.Graph, x, _ tensor) { g.Reshape(x, -1) }, "Reshape: [2 3] does not fit into [-1]"},
		{"transpose", func(g *graph.Graph, x, _ tensor) { g.Transpose(x, 0, 0) }, "expected a permutation of its 2 axes"},
		{"transpose rank", func(g *graph.Graph, x, _ tensor) { g.Transpose(x, 0) }, "expected a permutation"},
		{"slice", func(g *graph.Graph, x, _ tensor) { g.Slice(x, 1, 2, 4) }, "Slice: [2, 4) on axis 1 of shape [2 3]"},
		{"slice dynamic", func(g *graph.Graph, _, _ tensor) {
			g.Slice(g.Input("t", graph.Float32, g.Dim("T"), 2), 0, 0, 1)
		}, "of shape [T 2]"},
		{"crop", func(g *graph.Graph, x, _ tensor) { g.Crop(x, 0, 1, 1) }, "leave nothing"},
		{"crop axis", func(g *graph.Graph, x, _ tensor) { g.Crop(x, 2, 1, 1) }, "off axis 2 of shape [2 3]"},
		{"pad axis", func(g *graph.Graph, x, _ tensor) { g.Pad(x, 5, 1, 1) }, "Pad: axis 5 of shape [2 3]"},
		{"pad crop", func(g *graph.Graph, x, _ tensor) { g.Pad(x, 1, -3, 0) }, "leave nothing"},
		{"concat", func(g *graph.Graph, x, y tensor) { g.Concat(1, x, y) }, "Concat: shapes [2 3] and [4 5] differ off axis 1"},
		{"concat nothing", func(g *graph.Graph, _, _ tensor) { g.Concat(1) }, "Concat: of nothing"},
		{"concat axis", func(g *graph.Graph, x, _ tensor) { g.Concat(2, x, x) }, "on axis 2"},
		{"expand", func(g *graph.Graph, x, _ tensor) { g.Expand(x, 3, 3) }, "Expand"},
		{"expand to less", func(g *graph.Graph, x, _ tensor) { g.Expand(x, 1, 3) }, "Expand: [2 3] to [1 3]"},
		{"sum axes", func(g *graph.Graph, x, _ tensor) { g.Sum(x, 2) }, "Sum: axes [2] of shape [2 3]"},
		{"sum axis twice", func(g *graph.Graph, x, _ tensor) { g.Sum(x, 1, -1) }, "Sum: axes [1 -1]"},
		{"mean dynamic", func(g *graph.Graph, _, _ tensor) { g.Mean(g.Input("t", graph.Float32, g.Dim("T"))) }, "Mean: axes [] of shape [T]"},
		{"gemm", func(g *graph.Graph, x, y tensor) { g.Gemm(x, y, nil, false, true) }, "Gemm: shapes [2 3] and [4 5]ᵀ"},
		{"gemm bias", func(g *graph.Graph, x, y tensor) { g.Gemm(x, x, y, false, true) }, "do not broadcast"},
		{"linear", func(g *graph.Graph, x, y tensor) { g.Linear(x, y, nil) }, "weights [4 5] for inputs [2 3], expected [3, outputs]"},
		{"matmul", func(g *graph.Graph, x, y tensor) { g.MatMul(x, y, false, false) }, "MatMul: shapes [2 3] and [4 5]"},
		{"conv1d", func(g *graph.Graph, x, y tensor) { g.Conv1D(x, y, nil, graph.Causal(3, 1)) }, "Conv1D: input [2 3]"},
		{"conv1d weights", func(g *graph.Graph, x, y tensor) {
			g.Conv1D(g.Reshape(x, 1, 2, 3), y, nil, graph.Causal(3, 1))
		}, "weights [4 5] for an input of [1 2 3], expected [9, outputs]"},
		{"conv1d too short", func(g *graph.Graph, x, _ tensor) {
			w := g.Const(make([]float64, 18), 9, 2)
			g.Conv1D(g.Reshape(x, 1, 2, 3), w, nil, graph.Conv1DSpec{Kernel: 3})
		}, "2 frames are too few"},
		{"conv2d", func(g *graph.Graph, x, y tensor) { g.Conv2D(x, y, nil, graph.Conv2DSpec{}) }, "Conv2D: input [2 3], weights [4 5]"},
		{"conv2d small", func(g *graph.Graph, x, _ tensor) {
			g.Conv2D(g.Reshape(x, 1, 1, 2, 3), g.Const(make([]float64, 9), 1, 1, 3, 3), nil, graph.Conv2DSpec{})
		}, "Conv2D: input [1 1 2 3] is smaller than the kernel"},
		{"maps", func(g *graph.Graph, x, y tensor) { g.Maps(x) }, "Maps: images [2 3]"},
		{"conv of maps, weights", func(g *graph.Graph, x, y tensor) {
			g.ConvMaps(g.Maps(g.Reshape(x, 1, 2, 3, 1)), y, graph.Conv2DSpec{})
		}, "ConvMaps: 2 channels, weights [4 5]"},
		{"conv of maps, few groups", func(g *graph.Graph, _, _ tensor) {
			g.ConvMaps(g.Maps(g.Const(make([]float64, 64), 1, 4, 4, 4)), g.Const(make([]float64, 8), 4, 2, 1, 1), graph.Conv2DSpec{Groups: 2})
		}, "ConvMaps: 2 groups of 4 channels"},
		{"conv of maps, small", func(g *graph.Graph, x, _ tensor) {
			g.ConvMaps(g.Maps(g.Reshape(x, 1, 1, 2, 3)), g.Const(make([]float64, 9), 1, 1, 3, 3), graph.Conv2DSpec{})
		}, "ConvMaps: maps of 2 by 3 pixels are smaller than the kernel"},
		{"grid pool of maps", func(g *graph.Graph, x, _ tensor) { g.Maps(g.Reshape(x, 1, 1, 2, 3)).GridPool(4, 1) }, "maps of 2 by 3 pixels to 4 by 1 cells"},
		{"layer norm", func(g *graph.Graph, x, _ tensor) {
			g.LayerNorm(x, g.Const([]float64{1, 1}, 2), g.Const([]float64{1, 1}, 2), 1e-5)
		}, "LayerNorm: input [2 3], gain [2], bias [2]"},
		{"reverse", func(g *graph.Graph, x, _ tensor) { g.Reverse(x, g.Const([]float64{1, 1}, 2)) }, "Reverse: "},
		{"batch norm", func(g *graph.Graph, x, _ tensor) {
			g.BatchNorm(x, g.Const([]float64{1, 1}, 2), g.Const([]float64{1, 1}, 2), nil, 1, 1e-5)
		}, "BatchNorm: input [2 3], gain [2], bias [2], channels on axis 1"},
		{"batch norm presence", func(g *graph.Graph, x, _ tensor) {
			one := g.Const([]float64{1, 1, 1}, 3)
			g.BatchNorm(x, one, one, x, 1, 1e-5)
		}, "BatchNorm: presence [2 3] for an input of [2 3], expected one for all channels"},
		{"attention", func(g *graph.Graph, x, y tensor) { g.Attention(x, y, x, nil) }, "Attention: queries [2 3], keys [4 5], values [2 3]"},
		{"attention bias", func(g *graph.Graph, x, _ tensor) {
			g.Attention(x, x, x, g.Const(make([]float64, 8), 2, 2, 2))
		}, "Attention: bias [2 2 2] for scores of [2 2]"},
		{"max pool", func(g *graph.Graph, x, _ tensor) { g.MaxPool1D(x, 2) }, "MaxPool1D: input [2 3] with windows of 2"},
		{"interpolate", func(g *graph.Graph, x, _ tensor) { g.Interpolate(g.Reshape(x, 1, 2, 3), 0) }, "Interpolate: input [1 2 3] to 0 frames"},
		{"interpolate like", func(g *graph.Graph, x, y tensor) { g.InterpolateLike(x, y) }, "InterpolateLike: input [2 3] to the frames of [4 5]"},
		{"double like", func(g *graph.Graph, x, y tensor) { g.DoubleLike(x, y) }, "DoubleLike: input [2 3] to the frames of [4 5]"},
		{"interpolate rows", func(g *graph.Graph, x, _ tensor) { g.InterpolateRows(g.Reshape(x, 1, 2, 3), x, x, 4) }, "InterpolateRows: input [1 2 3]"},
		{"take", func(g *graph.Graph, x, _ tensor) { g.Take(x, 0, 1, 2) }, "Take: indices [1 2] on axis 0 of shape [2 3]"},
		{"embed", func(g *graph.Graph, x, y tensor) { g.Embed(x, y) }, "Embed: table [2 3], ids float32 [4 5]"},
		{"global pool", func(g *graph.Graph, x, _ tensor) { g.GlobalPool2D(x) }, "GlobalPool2D: input [2 3]"},
		{"average pool", func(g *graph.Graph, x, _ tensor) { g.AveragePool2D(x, 2) }, "AveragePool2D: input [2 3]"},
		{"grid pool", func(g *graph.Graph, x, _ tensor) { g.GridPool(g.Reshape(x, 1, 1, 2, 3), 4, 1) }, "to 4 by 1 cells"},
		{"cross entropy labels", func(g *graph.Graph, x, _ tensor) {
			g.CrossEntropy(x, g.Ints(0, 1, 2), g.Const([]float64{1, 1}, 2))
		}, "labels must be int64 [2]"},
		{"cross entropy weights", func(g *graph.Graph, x, _ tensor) {
			g.CrossEntropy(x, g.Ints(0, 1), g.Const([]float64{1, 1, 1}, 3))
		}, "weights [3] for [2 3]"},
		{"distill temperature", func(g *graph.Graph, x, _ tensor) {
			g.Distill(x, x, g.Const([]float64{1, 1}, 2), 0)
		}, "expected equal shapes and a temperature > 0"},
		{"squared error", func(g *graph.Graph, x, y tensor) {
			g.SquaredError(x, y, g.Const([]float64{1, 1}, 2))
		}, "shapes [2 3] and [4 5], expected equal ones"},
		{"smoothing", func(g *graph.Graph, x, _ tensor) {
			g.Smoothing(x, g.Const([]float64{1, 1}, 2), 4)
		}, "logits [2 3], expected [B, T >= 2, K]"},
		{"name twice", func(g *graph.Graph, x, _ tensor) { g.Output("x", x) }, `the name "x" is empty or taken`},
		{"no name", func(g *graph.Graph, x, _ tensor) { g.Output("", x) }, `the name "" is empty or taken`},
		{"constant", func(g *graph.Graph, _, _ tensor) { g.Const([]float64{1}, 2) }, "1 elements for the shape [2]"},
		{"input shape", func(g *graph.Graph, _, _ tensor) { g.Input("z", graph.Float32, 0) }, `"z" has shape [0]`},
		{"dim", func(_ *graph.Graph, x, _ tensor) { x.Dim(2) }, "axis 2 of a tensor of shape [2 3]"},
		{"two dynamic dimensions", func(g *graph.Graph, _, _ tensor) {
			g.Add(g.Input("p", graph.Float32, g.Dim("P")), g.Input("q", graph.Float32, g.Dim("Q")))
		}, "shapes [P] and [Q] do not broadcast"},
		{"layer", func(g *graph.Graph, _, _ tensor) { g.Fail(errors.New("a layer's complaint")) }, "a layer's complaint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New(graph.Float32)
			x, y := g.Input("x", graph.Float32, 2, 3), g.Input("y", graph.Float32, 4, 5)
			g.Output("fine", g.Relu(x))
			c.do(g, x, y)
			// What follows a mistake must neither crash nor hide it.
			g.Output("later", g.Softmax(g.Linear(g.Add(x, y), x, y)))
			_, err := g.Model()
			if !errors.Is(err, graph.ErrGraph) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected %q", err, c.want)
			}
			if _, err := g.Backward(x, []tensor{y}); !errors.Is(err, graph.ErrGraph) || !errors.Is(g.Err(), graph.ErrGraph) {
				t.Errorf("Backward says %v, Err %v", err, g.Err())
			}
		})
	}
}

func TestGraphNeedsOutputsAndAFloatType(t *testing.T) {
	if _, err := graph.New(graph.Float32).Model(); err == nil || !strings.Contains(err.Error(), "no output") {
		t.Errorf("a graph without outputs gives %v", err)
	}
	if err := graph.New(graph.Int64).Err(); err == nil || !strings.Contains(err.Error(), "int64") {
		t.Errorf("a graph of integers gives %v", err)
	}
}

func TestBackwardRefusesWhatItCannotDifferentiate(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 2)
	if _, err := g.Backward(x, []*graph.Tensor{x}); err == nil || !strings.Contains(err.Error(), "shape [2], expected one element") {
		t.Errorf("a loss of two elements gives %v", err)
	}
	g = graph.New(graph.Float32)
	x = g.Input("x", graph.Float32, g.Dim("N"), 1, 4, 4)
	w := g.Input("w", graph.Float32, 1, 1, 4, 4)
	y := g.Reshape(g.Conv2D(x, w, nil, graph.Conv2DSpec{}), x.Dim(0), 1)
	loss := g.Gemm(y, y, nil, true, false)
	if _, err := g.Backward(loss, []*graph.Tensor{w}); err == nil || !strings.Contains(err.Error(), "Conv2D of dynamic shape: has no gradient") {
		t.Errorf("the gradient of a convolution over any number of images gives %v", err)
	}
}
