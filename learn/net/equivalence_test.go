package net_test

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

// settle sets the running statistics of a network to those of the batch in out, so that inference normalises as
// training does. places is the number of values that each statistic is taken over, by the buffer's name.
func settle(t testing.TB, p *nn.Params, b *nn.Build, out map[string][]float32, places func(buffer string) float64) {
	t.Helper()
	for buffer, name := range b.Statistics() {
		v := slices.Clone(out[name])
		if strings.HasSuffix(buffer, ".variance") {
			// Training normalises by the biased variance, and tells the unbiased one.
			n := max(places(buffer), 8) // few are filled up to that
			for i := range v {
				v[i] *= float32(max(n-1, 1) / n)
			}
		}
		if err := p.Set(buffer, v); err != nil {
			t.Fatal(err)
		}
	}
}

// forwardOutputs runs a training graph's forward pass; its results are named "y0", "y1", …
func forwardOutputs(t testing.TB, n network, b *nn.Build, data map[string][]float32) map[string][]float32 {
	t.Helper()
	for i, y := range n.forward(b, b.Features(n.input, n.width)) {
		b.Output(outputName(i), y)
	}
	b.Statistics()
	return outputs[float32](t, b, n.params, data, nil)
}

// levelFrames is the number of frames at the level that a C2F-TCN's buffer belongs to.
func levelFrames(frames int, buffer string) float64 {
	depth := int(buffer[len("down")] - '0')
	if rest, ok := strings.CutPrefix(buffer, "up"); ok {
		depth = 5 - int(rest[0]-'0')
	}
	for range depth {
		frames = max(frames/2, 1)
	}
	return float64(frames)
}

func TestExportedNetworksComputeWhatTrainingDoes(t *testing.T) {
	for _, n := range networks(t) {
		if n.forward == nil {
			continue // images: below
		}
		// Single decoder outputs have passed up to 26 normalisations, which makes float32 itself differ from float64 by 1e-5.
		limit := 1e-5
		if n.name == "C2F-TCN by scales" {
			limit = 5e-5
		}
		const frames = 401
		data := map[string][]float32{n.input: random(frames*n.width, 1)}
		b := nn.NewTrain(n.params, 1, frames)
		want := forwardOutputs(t, n, b, data)
		settle(t, n.params, b, want, func(buffer string) float64 { return levelFrames(frames, buffer) })
		pred := must[*net.Predictor](t)(net.NewPredictor(must[[]byte](t)(n.infer(n.params)), ort.Options{}))
		compare := func(what string, x []float32, want map[string][]float32) {
			for i, got := range must[[][]float32](t)(pred.Run(x)) {
				if d := relative(got, want[outputName(i)]); d > limit {
					t.Errorf("%s, output %d: the exported model is %.2g from %s", n.name, i, d, what)
				}
			}
		}
		compare("training", data[n.input], want)
		// The same network with a fixed length pools and stretches by the formulas of the training graph. The statistics of
		// so few frames would not bear a comparison with training itself.
		for _, few := range []int{1, 5, 127} {
			b := nn.NewInfer(n.params)
			b.Frames = few
			data := map[string][]float32{n.input: random(few*n.width, uint64(few))}
			compare("a fixed length of "+strconv.Itoa(few), data[n.input], forwardOutputs(t, n, b, data))
		}
		if err := pred.Close(); err != nil {
			t.Error(err)
		}
	}
}

// relative is the L2 distance over the norm of what is expected.
func relative(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var d, n float64
	for i := range got {
		d += float64(got[i]-want[i]) * float64(got[i]-want[i])
		n += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(d / n)
}

func outputName(i int) string { return "y" + strconv.Itoa(i) }

func TestExportedCNNComputesWhatTrainingDoes(t *testing.T) {
	c := smallCNN
	p := networks(t)[8].params
	const images = 5
	x := random(images*3*c.Width*c.Height, 3)
	b := nn.NewTrain(p, 1, images)
	pixels := b.Reshape(b.Features(net.Image, len(x)/images), images, 3, c.Height, c.Width)
	b.Output("y", c.Forward(b, pixels, nil))
	b.Statistics()
	want := outputs[float32](t, b, p, map[string][]float32{net.Image: x}, nil)
	settle(t, p, b, want, func(buffer string) float64 {
		h, w := (c.Height+1)/2, (c.Width+1)/2
		if strings.HasPrefix(buffer, "block1") {
			h, w = (h+1)/2, (w+1)/2
		}
		return float64(images * h * w)
	})
	s := must[*ort.Session](t)(ort.Open(must[[]byte](t)(c.Infer(p)), ort.Options{}))
	defer func() { _ = s.Close() }()
	for _, n := range []int{1, images} {
		in := must[ort.Tensor](t)(ort.NewTensor([]int{n, 3, c.Height, c.Width}, x[:n*len(x)/images]))
		got := make([]float32, n*c.Out)
		out := must[ort.Tensor](t)(ort.NewTensor([]int{n, c.Out}, got))
		bind := must[*ort.Binding](t)(s.Bind([]ort.Tensor{in}, []ort.Tensor{out}))
		if err := bind.Run(); err != nil {
			t.Fatal(err)
		}
		if d := farthest(got, want["y"][:n*c.Out]); d > 1e-5 {
			t.Errorf("%d images: the exported extractor is %.2g from training", n, d)
		}
		for _, x := range []interface{ Close() error }{bind, in, out} {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A sequence that is padded, even with a whole row of nothing, gives the loss, the statistics and the gradient that it
// gives alone, although the network looks ahead, pools, stretches and takes statistics.
func TestPaddingHasNoInfluence(t *testing.T) {
	for _, n := range networks(t) {
		lengths := map[int]int{3: 8, 53: 60}
		switch {
		case n.forward == nil:
			lengths = map[int]int{2: 3}
		case n.lengths[0] > 100:
			delete(lengths, 3) // too steep
		}
		for frames, long := range lengths {
			data, labels := n.example(frames, frames)
			want := outputs[float32](t, n.traceAll(t, nn.NewTrain(n.params, 1, frames)), n.params, data, labels)
			padded, paddedLabels := pad(data, labels, frames, long)
			b := nn.NewTrain(n.params, 2, long)
			b.Padded = true
			got := outputs[float32](t, n.traceAll(t, b), n.params, padded, paddedLabels)
			var apart, size float64
			for name, w := range want {
				g := got[name][:len(w)]
				for i := range w {
					apart += float64(g[i]-w[i]) * float64(g[i]-w[i])
					size += float64(w[i]) * float64(w[i])
				}
			}
			if d := math.Sqrt(apart / size); d > 1e-4 {
				t.Errorf("%s, %d frames of %d: loss, gradient and statistics are %.2g from those without padding", n.name, frames, long, d)
			}
		}
	}
}

// traceAll builds the training graph with its gradients and statistics, and the forward pass's results.
func (n network) traceAll(t testing.TB, b *nn.Build) *nn.Build {
	t.Helper()
	b.Smooth = true
	n.trace(t, b)
	b.Statistics()
	return b
}

// pad makes one row of frames the first of two rows of more frames, with garbage for what is not there.
func pad(data map[string][]float32, labels []int64, frames, long int) (map[string][]float32, []int64) {
	wide := map[string][]float32{}
	for name, v := range data {
		width := len(v) / frames
		w := make([]float32, 2*long*width)
		if name != nn.WeightsField && name != nn.PresentField {
			for i := range w {
				w[i] = 0.3 // any class's probability, any feature
			}
		}
		copy(w, v)
		wide[name] = w
	}
	more := make([]int64, 2*long)
	copy(more, labels)
	return wide, more
}

func TestNetworksThatLookAheadCannotStream(t *testing.T) {
	for _, n := range networks(t) {
		if n.forward == nil {
			continue
		}
		b := nn.NewStream(n.params)
		n.forward(b, b.Features(n.input, n.width))
		causal := strings.HasPrefix(n.name, "causal")
		if err := b.Err(); (err == nil) != causal || (err != nil && !strings.Contains(err.Error(), "frame by frame")) {
			t.Errorf("%s: streaming gives %v", n.name, err)
		}
	}
}

func TestStreamingAdapterEqualsOffline(t *testing.T) {
	p := must[*nn.Params](t)(causalAdapter.NewParams(2))
	for i, v := range random(len(p.Weights), 1) {
		p.Weights[i] += 0.1 * v // the last layer starts at zero
	}
	if err := causalAdapter.Standardize(p, random(inWidth, 2), []float32{1, 2, 0.5, 1, 3, 1}); err != nil {
		t.Fatal(err)
	}
	x := random(150*inWidth, 3)
	want := exported(t, must[[]byte](t)(causalAdapter.Infer(p)), x)
	model, spec, err := causalAdapter.Stream(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := farthest(streamed(t, model, spec, x, inWidth)[0], want[0]); d > 1e-5 {
		t.Errorf("streaming is %.2g from offline", d)
	}
	if _, _, err := smallTCNAdapter.Stream(must[*nn.Params](t)(smallTCNAdapter.NewParams(1))); err == nil {
		t.Error("an adapter that looks ahead was written for streaming")
	}
}

func exported(t testing.TB, model []byte, x []float32) [][]float32 {
	t.Helper()
	pred := must[*net.Predictor](t)(net.NewPredictor(model, ort.Options{}))
	defer func() { _ = pred.Close() }()
	return must[[][]float32](t)(pred.Run(x))
}

// An adapter that has learnt nothing yet changes nothing.
func TestTCNAdapterStartsAsTheIdentity(t *testing.T) {
	p := must[*nn.Params](t)(causalAdapter.NewParams(2))
	x := random(20*inWidth, 3)
	if got := exported(t, must[[]byte](t)(causalAdapter.Infer(p)), x)[0]; farthest(got, x) > 0 {
		t.Errorf("a fresh adapter moves features by %g", farthest(got, x))
	}
}

func TestNetworksThatCannotBeAreRefused(t *testing.T) {
	for name, check := range map[string]func() error{
		"in 0":                      net.C2FTCN{Classes: 2}.Check,
		"width 7":                   net.C2FTCN{In: 1, Classes: 2, Width: 7}.Check,
		"2 weights of the ensemble": net.C2FTCN{In: 1, Classes: 2, Ensemble: []float64{1, 1}}.Check,
		"expected one > 0":          net.C2FTCN{In: 1, Classes: 2, Ensemble: make([]float64, 6)}.Check,
		"expected them >= 0":        net.C2FTCN{In: 1, Classes: 2, Ensemble: []float64{1, 1, math.NaN(), 1, 1, 1}}.Check,
		"out 0":                     net.TransformerAdapter{In: 1, Layers: 1, Heads: 1}.Check,
		"0 layers":                  net.TransformerAdapter{In: 1, Out: 1, Heads: 1}.Check,
		"3 heads for a width of 8":  net.TransformerAdapter{In: 8, Out: 1, Layers: 1, Heads: 3}.Check,
		"dropout 1":                 net.TransformerAdapter{In: 8, Out: 1, Layers: 1, Heads: 4, Dropout: 1}.Check,
		"channels 0":                net.TCNAdapter{In: 1, Out: 1, Layers: 1}.Check,
		"17 layers":                 net.TCNAdapter{In: 1, Out: 1, Channels: 1, Layers: 17}.Check,
		"dropout NaN":               net.TCNAdapter{In: 1, Out: 1, Channels: 1, Layers: 1, Dropout: math.NaN()}.Check,
		"image of 16x112":           net.DepthwiseCNN{Width: 16, Height: 112, Stem: 1, Out: 1}.Check,
		"block 1 has 4 channels and stride 3": net.DepthwiseCNN{Width: 112, Height: 112, Stem: 1, Out: 1,
			Blocks: []net.CNNBlock{{4, 1}, {4, 3}}}.Check,
	} {
		if err := check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, expected %q", err, name)
		}
	}
	if _, err := (net.C2FTCN{}).NewParams(1); err == nil {
		t.Error("parameters of a network that cannot be were made")
	}
	if _, err := smallC2F.Infer(must[*nn.Params](t)(causalTCN.NewParams(1))); err == nil || !strings.Contains(err.Error(), "down0.conv0") {
		t.Errorf("the parameters of another network give %v", err)
	}
}

// The teacher in its published size.
func TestExportedTeacherComputesWhatTrainingDoes(t *testing.T) {
	const frames = 600
	c := net.C2FTCN{In: 64, Classes: 33}
	p := must[*nn.Params](t)(c.NewParams(1))
	n := network{params: p, input: net.Features, width: c.In, forward: func(b *nn.Build, x *graph.Tensor) []*graph.Tensor {
		return []*graph.Tensor{c.Join(b, c.Forward(b, x))}
	}}
	data := map[string][]float32{net.Features: random(frames*c.In, 9)}
	b := nn.NewTrain(p, 1, frames)
	want := forwardOutputs(t, n, b, data)
	settle(t, p, b, want, func(buffer string) float64 { return levelFrames(frames, buffer) })
	pred := must[*net.Predictor](t)(net.NewPredictor(must[[]byte](t)(c.Infer(p)), ort.Options{}))
	defer func() { _ = pred.Close() }()
	got := must[[][]float32](t)(pred.Run(data[net.Features]))[0]
	var largest float64
	y := want["y0"]
	for i := range y {
		largest = max(largest, math.Abs(math.Exp(float64(got[i]))-math.Exp(float64(y[i]))))
	}
	t.Logf("log probabilities: relative %.2g, probabilities: at most %.2g", relative(got, y), largest)
	if d := relative(got, y); d > 1e-5 || largest > 1e-5 {
		t.Errorf("the exported model's log probabilities are %.2g from training, its probabilities up to %.2g", d, largest)
	}
}
