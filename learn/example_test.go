package learn_test

import (
	"context"
	"fmt"
	"math"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

// A network that tells high tones from low ones is trained, written as a model over sequences and as one over single
// frames, and asked.
func Example() {
	cfg := net.TCN{In: 1, Channels: 8, Layers: 3, Classes: 2, Lags: []int{0, 4}}
	params, err := cfg.NewParams(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	trainer, err := train.New(params, func(b *nn.Build) *graph.Tensor {
		return cfg.Loss(b, net.Objective{Labels: 1, Smooth: 0.15})
	}, train.Config{Clip: 5, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = trainer.Close() }()
	result, err := train.Fit(context.Background(), trainer, tones(), train.FitConfig{Epochs: 20, Rate: 0.02}, train.Hooks{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("learnt:", result.Loss < 0.2)

	segmenter, err := cfg.Infer(params)
	if err != nil {
		fmt.Println(err)
		return
	}
	predictor, err := net.NewPredictor(segmenter, ort.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = predictor.Close() }()
	low := tones()[1]
	heads, err := predictor.Run(low.Float[net.Features])
	if err != nil {
		fmt.Println(err)
		return
	}
	last := heads[1][2*(low.Frames-1):] // what the late head says in the end
	fmt.Println("a low tone is low:", last[0] > last[1])

	_, spec, err := cfg.Stream(params)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range spec.States {
		fmt.Printf("%s keeps %d rows of %d\n", s.Input, s.Rows(), s.Channels)
	}
	// Output:
	// learnt: true
	// a low tone is low: true
	// layer0.conv.taps keeps 2 rows of 8
	// layer1.conv.taps keeps 4 rows of 8
	// layer2.conv.taps keeps 8 rows of 8
}

// tones are two samples of class 1 and 0, a fast and a slow oscillation.
func tones() []train.Sample {
	var list []train.Sample
	for i, speed := range []float64{2, 0.4} {
		class := int64(1 - i)
		s := train.Sample{Name: fmt.Sprint("tone ", class), Frames: 60, Float: map[string][]float32{}, Labels: map[string][]int64{}}
		for i := range s.Frames {
			s.Float[net.Features] = append(s.Float[net.Features], float32(math.Sin(speed*float64(i))))
			s.Labels[net.Labels] = append(s.Labels[net.Labels], class)
		}
		list = append(list, s)
	}
	return list
}
