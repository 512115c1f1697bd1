package net_test

import (
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
)

// network is any network as tests see it: a loss over sequences, and the forward pass of what is exported.
type network struct {
	name    string
	params  *nn.Params
	loss    func(b *nn.Build) *graph.Tensor
	forward func(b *nn.Build, x *graph.Tensor) []*graph.Tensor // over [B, T, width]
	infer   func(p *nn.Params) ([]byte, error)
	input   string
	width   int            // values a frame of the input
	fields  map[string]int // widths of the other float inputs; what is named Teacher holds probabilities
	classes int            // of the input Labels; 0 if there is none
	lengths []int          // of the sequences that gradients are compared on,
	padding []bool         // and whether they are padded
}

const (
	inWidth  = 6
	outWidth = 4
	classes  = 3
)

// smallCNN has a block of each kind.
var smallCNN = net.DepthwiseCNN{Width: 33, Height: 34, Stem: 4, Blocks: []net.CNNBlock{{6, 1}, {8, 2}}, Out: 5}

// gridCNN tells where something is: its last maps, 9 pixels a side, are averaged over four cells.
var gridCNN = net.DepthwiseCNN{Width: 33, Height: 34, Stem: 4, Blocks: []net.CNNBlock{{6, 1}, {8, 2}}, Out: 12, Grid: 2}

var (
	smallC2F         = net.C2FTCN{In: inWidth, Classes: classes, Width: 8, Ensemble: []float64{1, 1, 1, 1, 0, 0.5}, Standardized: true}
	smallTransformer = net.TransformerAdapter{In: inWidth, Out: outWidth, Width: 8, Layers: 2, Heads: 2, Hidden: 12}
	plainTransformer = net.TransformerAdapter{In: inWidth, Out: inWidth, Layers: 1, Heads: 3}
	smallTCNAdapter  = net.TCNAdapter{In: inWidth, Out: outWidth, Channels: 8, Layers: 3}
	causalAdapter    = net.TCNAdapter{In: inWidth, Out: inWidth, Channels: 8, Layers: 3, Causal: true}
	symmetricTCN     = net.TCN{In: inWidth, Channels: 8, Layers: 3, Classes: classes, Symmetric: true}
	causalTCN        = net.TCN{In: inWidth, Channels: 8, Layers: 3, Classes: classes, Lags: []int{0, 2}}
)

// networks returns one of each, with parameters that are all different from what they start with.
func networks(t testing.TB) []network {
	t.Helper()
	one := func(f func(b *nn.Build, x *graph.Tensor) *graph.Tensor) func(b *nn.Build, x *graph.Tensor) []*graph.Tensor {
		return func(b *nn.Build, x *graph.Tensor) []*graph.Tensor { return []*graph.Tensor{f(b, x)} }
	}
	objective := net.Objective{Labels: 1, Teacher: 0.7, Temperature: 2}
	each := objective
	each.EachScale = true
	teachers := map[string]int{}
	for i := range smallC2F.Scales() {
		teachers[net.ScaleName(net.Teacher, i)] = classes
	}
	target := func(width int) map[string]int { return map[string]int{net.Target: width} }
	list := []network{
		{name: "C2F-TCN", params: must[*nn.Params](t)(smallC2F.NewParams(1)),
			loss:    func(b *nn.Build) *graph.Tensor { return smallC2F.Loss(b, objective) },
			forward: one(func(b *nn.Build, x *graph.Tensor) *graph.Tensor { return smallC2F.Join(b, smallC2F.Forward(b, x)) }),
			infer:   smallC2F.Infer, classes: classes, fields: map[string]int{net.Teacher: classes}},
		{name: "C2F-TCN by scales", params: must[*nn.Params](t)(smallC2F.NewParams(2)),
			loss:    func(b *nn.Build) *graph.Tensor { return smallC2F.Loss(b, each) },
			forward: smallC2F.Forward,
			infer:   smallC2F.InferScales, classes: classes, fields: teachers},
		{name: "transformer adapter", params: must[*nn.Params](t)(smallTransformer.NewParams(3)),
			loss: smallTransformer.Loss, forward: one(smallTransformer.Forward), infer: smallTransformer.Infer, fields: target(outWidth)},
		{name: "transformer adapter as published", params: must[*nn.Params](t)(plainTransformer.NewParams(4)),
			loss: plainTransformer.Loss, forward: one(plainTransformer.Forward), infer: plainTransformer.Infer, fields: target(inWidth)},
		{name: "TCN adapter", params: must[*nn.Params](t)(smallTCNAdapter.NewParams(5)),
			loss: smallTCNAdapter.Loss, forward: one(smallTCNAdapter.Forward), infer: smallTCNAdapter.Infer, fields: target(outWidth)},
		{name: "causal TCN adapter", params: must[*nn.Params](t)(causalAdapter.NewParams(6)),
			loss: causalAdapter.Loss, forward: one(causalAdapter.Forward), infer: causalAdapter.Infer, fields: target(inWidth)},
		{name: "symmetric TCN", params: must[*nn.Params](t)(symmetricTCN.NewParams(7)),
			loss:    func(b *nn.Build) *graph.Tensor { return symmetricTCN.Loss(b, objective) },
			forward: symmetricTCN.Forward, infer: symmetricTCN.Infer, classes: classes, fields: map[string]int{net.Teacher: classes}},
		{name: "causal TCN", params: must[*nn.Params](t)(causalTCN.NewParams(8)),
			loss:    func(b *nn.Build) *graph.Tensor { return causalTCN.Loss(b, objective) },
			forward: causalTCN.Forward, infer: causalTCN.Infer, classes: classes, fields: map[string]int{net.Teacher: classes}},
	}
	both := []bool{false, true}
	for i := range list {
		list[i].input, list[i].width, list[i].lengths, list[i].padding = net.Features, inWidth, []int{21, 21}, both
		if i < 2 {
			// Batch statistics of very few frames would make the loss too steep to compare anything.
			list[i].lengths, list[i].padding = []int{260, 260}, both[i:i+1] // either is enough of so large a graph
		}
	}
	pixels := 3 * smallCNN.Width * smallCNN.Height
	list = append(list,
		network{name: "CNN that classifies", params: must[*nn.Params](t)(smallCNN.NewParams(9, classes)),
			loss:  func(b *nn.Build) *graph.Tensor { return smallCNN.Classify(b, classes) },
			infer: smallCNN.Infer, input: net.Image, width: pixels, lengths: []int{3}, padding: both, classes: classes},
		network{name: "CNN that regresses", params: must[*nn.Params](t)(smallCNN.NewParams(10, 0)),
			loss: smallCNN.Regress, infer: smallCNN.Infer, input: net.Image, width: pixels, lengths: []int{3}, padding: both, fields: target(smallCNN.Out)},
		network{name: "CNN with a grid", params: must[*nn.Params](t)(gridCNN.NewParams(11, 0)),
			loss: gridCNN.Regress, infer: gridCNN.Infer, input: net.Image, width: pixels, lengths: []int{3}, padding: both, fields: target(gridCNN.Out)})
	for _, n := range list {
		// Biases, gains and what starts as zero have something to say, too.
		for i, v := range random(len(n.params.Weights), 40) {
			n.params.Weights[i] += 0.1 * v
		}
		for i, v := range random(len(n.params.Buffers), 41) {
			n.params.Buffers[i] += 0.1 * v
		}
	}
	return list
}

// example is data for rows of frames each; row i has lengths[i] of them, the others have no weight and are not present.
func (n network) example(frames int, lengths ...int) (map[string][]float32, []int64) {
	rows := len(lengths)
	data := map[string][]float32{n.input: random(rows*frames*n.width, 50)}
	for name, width := range n.fields {
		v := random(rows*frames*width, uint64(60+len(name)))
		if name != net.Target {
			probabilities(v, width)
		}
		data[name] = v
	}
	total := 0
	for _, l := range lengths {
		total += l
	}
	labels := make([]int64, rows*frames)
	weights, present := make([]float32, rows*frames), make([]float32, rows*frames)
	for r, l := range lengths {
		for i := range l {
			at := r*frames + i
			weights[at], present[at] = 1/float32(total), 1
			labels[at] = int64((i*i + r) % max(n.classes, 1))
		}
	}
	data[nn.WeightsField], data[nn.PresentField] = weights, present
	return data, labels
}

// probabilities makes rows of positive numbers that add up to 1.
func probabilities(v []float32, width int) {
	for i := 0; i < len(v); i += width {
		var sum float32
		for j := range width {
			v[i+j] = v[i+j]*v[i+j] + 0.1
			sum += v[i+j]
		}
		for j := range width {
			v[i+j] /= sum
		}
	}
}

// trace builds the training graph with its gradients.
func (n network) trace(t testing.TB, b *nn.Build) *nn.Build {
	t.Helper()
	loss := n.loss(b)
	if _, err := b.Gradients(loss); err != nil {
		t.Fatalf("%s: %v", n.name, err)
	}
	b.Output("loss", b.Reshape(loss, 1))
	return b
}
