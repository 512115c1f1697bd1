package net

import (
	"fmt"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// Objective weighs the terms of a loss over sequences. Terms of weight 0 are left out, and with them their inputs.
type Objective struct {
	Labels float64 // cross entropy with the input Labels
	// Teacher is the weight of the distillation from the input Teacher at Temperature (0 means 1).
	Teacher, Temperature float64
	// Smooth is the weight λ of the truncated smoothing loss, 0.15 as published, with threshold Tau (0 means 4).
	Smooth, Tau float64
	// EachScale judges each decoder output of a C2FTCN by itself, with a teacher of its own (ScaleName(Teacher, i)), instead
	// of their ensemble.
	EachScale bool
}

// terms holds the inputs that a head's loss needs.
type terms struct {
	b                                 *nn.Build
	o                                 Objective
	weights, present, labels, teacher *graph.Tensor
}

// loss compares the logits from frame lag on with the targets up to lag frames before the end.
func (t terms) loss(logits *graph.Tensor, lag int) *graph.Tensor {
	b, o := t.b, t.o
	early := func(x *graph.Tensor) *graph.Tensor { return b.Crop(x, 1, 0, lag) }
	late := func(x *graph.Tensor) *graph.Tensor { return b.Crop(x, 1, lag, 0) }
	y, w := late(logits), early(t.weights)
	if lag > 0 {
		w = b.Mul(w, late(t.present)) // padding is no look ahead
	}
	var list []*graph.Tensor
	if t.labels != nil {
		list = append(list, b.Scale(b.CrossEntropy(y, early(t.labels), w), o.Labels))
	}
	if t.teacher != nil {
		temperature := o.Temperature
		if temperature == 0 {
			temperature = 1
		}
		list = append(list, b.Scale(b.Distill(y, early(t.teacher), w, temperature), o.Teacher))
	}
	if o.Smooth > 0 && b.Frames-lag > 1 {
		tau := o.Tau
		if tau == 0 {
			tau = 4
		}
		list = append(list, b.Scale(b.Smoothing(y, w, tau), o.Smooth))
	}
	if len(list) == 0 {
		b.Fail(fmt.Errorf("net: the objective %+v has no term", o))
		return b.Scalar(0)
	}
	sum := list[0]
	for _, l := range list[1:] {
		sum = b.Add(sum, l)
	}
	return sum
}
