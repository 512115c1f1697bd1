package train_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/learn/train"
	"tandem/runtime/ort"
)

// The encoder-decoder learns from padded sequences, and what is deployed, with running statistics and of any length, has
// learnt it, too.
func TestCoarseToFineNetworkLearnsToLabelSequences(t *testing.T) {
	c := net.C2FTCN{In: small.In, Classes: small.Classes, Width: 16}
	p, err := c.NewParams(1)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, p, func(b *nn.Build) *graph.Tensor { return c.Loss(b, net.Objective{Labels: 1, Smooth: 0.15}) },
		train.Config{Clip: 5, Buckets: []int{128}, Rows: 4})
	if _, err := train.Fit(t.Context(), tr, sequences(16, 1), train.FitConfig{Epochs: 25, Batch: 4, Rate: 5e-3, Warmup: 4, EMA: 0.9}, train.Hooks{}); err != nil {
		t.Fatal(err)
	}
	if share := deployed(t, c, p, sequences(6, 2)); share < 0.9 {
		t.Errorf("the deployed network gets %.3f of the frames right, expected > 0.9", share)
	} else {
		t.Logf("the deployed network gets %.3f of the frames right", share)
	}
}

// pictures are images of a bright square whose corner tells the class.
func pictures(c net.DepthwiseCNN, n int, seed uint64) train.Sample {
	rng := rand.New(rand.NewPCG(seed, 2))
	plane := c.Width * c.Height
	s := train.Sample{Name: fmt.Sprint("pictures ", seed), Frames: n,
		Float: map[string][]float32{net.Image: make([]float32, n*3*plane)}, Labels: map[string][]int64{}}
	for i := range n {
		class := rng.IntN(4)
		s.Labels[net.Labels] = append(s.Labels[net.Labels], int64(class))
		image := s.Float[net.Image][i*3*plane:][:3*plane]
		for j := range image {
			image[j] = float32(rng.NormFloat64())
		}
		// Red or blue, in stripes down or across.
		for y := range c.Height {
			for x := range c.Width {
				at := y
				if class%2 == 0 {
					at = x
				}
				if at%6 < 3 {
					image[class/2*2*plane+y*c.Width+x] += 1.5
				}
			}
		}
	}
	return s
}

func TestCNNLearnsToTellImagesApart(t *testing.T) {
	c := net.DepthwiseCNN{Width: 32, Height: 32, Stem: 8, Blocks: []net.CNNBlock{{Channels: 16, Stride: 2}}, Out: 8}
	p, err := c.NewParams(1, 4)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, p, func(b *nn.Build) *graph.Tensor { return c.Classify(b, 4) },
		train.Config{Buckets: []int{16}, SGD: &optim.SGDConfig{Momentum: 0.9}})
	var samples []train.Sample
	for i := range 6 {
		samples = append(samples, pictures(c, 16-i%2, uint64(i)))
	}
	result, err := train.Fit(t.Context(), tr, samples, train.FitConfig{Epochs: 12, Rate: 0.05}, train.Hooks{})
	if err != nil || result.Loss > 0.3 {
		t.Fatalf("the loss is %g, %v", result.Loss, err)
	}
	// The head on the deployed features.
	model, err := c.Infer(p)
	if err != nil {
		t.Fatal(err)
	}
	held := pictures(c, 32, 99)
	features := extract(t, model, held.Float[net.Image], []int{32, 3, c.Height, c.Width}, c.Out)
	w, errW := p.Get("head.weight")
	bias, errB := p.Get("head.bias")
	if errW != nil || errB != nil {
		t.Fatal(errW, errB)
	}
	right := 0
	for i, label := range held.Labels[net.Labels] {
		scores := slices.Clone(bias)
		for j := range c.Out {
			for k := range scores {
				scores[k] += max(features[i*c.Out+j], 0) * w[j*len(scores)+k]
			}
		}
		if int64(slices.Index(scores, slices.Max(scores))) == label {
			right++
		}
	}
	if right < 30 {
		t.Errorf("on the deployed features %d of 32 images are told apart, expected at least 30", right)
	}
}

func extract(t testing.TB, model []byte, images []float32, shape []int, width int) []float32 {
	t.Helper()
	s, err := ort.Open(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in, err := ort.NewTensor(shape, images)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	features := make([]float32, shape[0]*width)
	out, err := ort.NewTensor([]int{shape[0], width}, features)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	b, err := s.Bind([]ort.Tensor{in}, []ort.Tensor{out})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	return features
}

// The deepest levels of the encoder-decoder see one frame to three of a short sequence. What is deployed must do there what
// training did: statistics of one frame would make it something else altogether.
func TestCoarseToFineNetworkLearnsFromSingleShortSequences(t *testing.T) {
	c := net.C2FTCN{In: small.In, Classes: small.Classes, Width: 16}
	p, err := c.NewParams(1)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, p, func(b *nn.Build) *graph.Tensor { return c.Loss(b, net.Objective{Labels: 1}) },
		train.Config{Clip: 5, Buckets: []int{96, 120}})
	samples := sequences(4, 3)
	if _, err := train.Fit(t.Context(), tr, samples, train.FitConfig{Epochs: 20, Rate: 1e-2, Warmup: 4}, train.Hooks{}); err != nil {
		t.Fatal(err)
	}
	if share := deployed(t, c, p, samples); share < 0.9 {
		t.Errorf("the deployed network gets %.3f of the frames right that it was trained on, expected > 0.9", share)
	} else {
		t.Logf("the deployed network gets %.3f of the frames right that it was trained on", share)
	}
}

// deployed is the share of frames that the exported network gets right.
func deployed(t testing.TB, c net.C2FTCN, p *nn.Params, samples []train.Sample) float64 {
	t.Helper()
	model, err := c.Infer(p)
	if err != nil {
		t.Fatal(err)
	}
	pred, err := net.NewPredictor(model, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pred.Close() }()
	right, all := 0, 0
	for _, s := range samples {
		out, err := pred.Run(s.Float[net.Features])
		if err != nil {
			t.Fatal(err)
		}
		for i, label := range s.Labels[net.Labels] {
			row := out[0][i*c.Classes : (i+1)*c.Classes]
			all++
			if int64(slices.Index(row, slices.Max(row))) == label {
				right++
			}
		}
	}
	return float64(right) / float64(all)
}
