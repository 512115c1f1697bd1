package net

import (
	"fmt"
	"strconv"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// DepthwiseCNN is an image extractor that is trained: a convolution of stride 2, then blocks of a depthwise 3x3 and a 1x1
// convolution, each with batch normalisation and ReLU, the mean over all pixels and a linear layer (Howard et al.,
// MobileNets, arXiv 1704.04861, table 1, in small). With a Grid, a 1x1 convolution with normalisation and ReLU brings the
// last maps to Out/Grid² ones, and their means over each of Grid by Grid cells are the features, which then tell where in
// the picture something is, and are not negative. The input is RGB in NCHW order, standardised by about the mean and the
// deviation of natural images, as FilterBank's.
type DepthwiseCNN struct {
	Width  int        `json:"width"`  // of the image in pixels, at least MinSide
	Height int        `json:"height"` // likewise
	Stem   int        `json:"stem"`   // channels of the first convolution
	Blocks []CNNBlock `json:"blocks"`
	Out    int        `json:"out"` // features
	// Grid is the number of cells a side that the last maps are averaged over; 0 is the mean of all pixels and a linear layer.
	Grid int `json:"grid,omitempty"`
}

// CNNBlock is a depthwise separable convolution.
type CNNBlock struct {
	Channels int `json:"channels"` // of its result
	Stride   int `json:"stride"`   // of the depthwise convolution, 1 or 2
}

// DefaultCNN is an extractor that a processor without accelerator runs for several cameras: 256 features of a 112 by 112
// image by eight layers.
func DefaultCNN() DepthwiseCNN {
	return DepthwiseCNN{Width: 112, Height: 112, Stem: 16, Out: 256,
		Blocks: []CNNBlock{{32, 1}, {64, 2}, {64, 1}, {128, 2}, {128, 1}, {256, 2}}}
}

// Check returns an error if the configuration cannot be built.
func (c DepthwiseCNN) Check() error {
	if min(c.Width, c.Height) < MinSide || c.Stem < 1 || c.Out < 1 {
		return fmt.Errorf("cnn: image of %dx%d, stem %d, %d features; expected sides of at least %d and at least 1 of the others", c.Width,
			c.Height, c.Stem, c.Out, MinSide)
	}
	for i, k := range c.Blocks {
		if k.Channels < 1 || k.Stride < 1 || k.Stride > 2 {
			return fmt.Errorf("cnn: block %d has %d channels and stride %d, expected at least 1 and a stride of 1 or 2", i, k.Channels, k.Stride)
		}
	}
	if c.Grid == 0 {
		return nil
	}
	w, h := c.last()
	if c.Grid < 1 || c.Grid > min(w, h) || c.Out%(c.Grid*c.Grid) != 0 {
		return fmt.Errorf("cnn: a grid of %d for last maps of %dx%d and %d features, expected 1 to %d and a multiple of its square as features",
			c.Grid, w, h, c.Out, min(w, h))
	}
	return nil
}

// last returns the size of the last maps.
func (c DepthwiseCNN) last() (w, h int) {
	w, h = (c.Width+1)/2, (c.Height+1)/2
	for _, k := range c.Blocks {
		w, h = (w+k.Stride-1)/k.Stride, (h+k.Stride-1)/k.Stride
	}
	return w, h
}

// NewParams returns the network's parameters, initialised from the seed; with classes > 0 those of the head that Classify
// trains with are among them.
func (c DepthwiseCNN) NewParams(seed uint64, classes int) (*nn.Params, error) {
	return newParams(seed, c.Check, func(b *nn.Build) {
		if classes > 0 {
			c.Classify(b, classes)
			return
		}
		c.Forward(b, c.images(b), nil)
	})
}

// images declares the training input: Image [B, T, 3·Height·Width], a row a picture.
func (c DepthwiseCNN) images(b *nn.Build) *graph.Tensor {
	x := b.Features(Image, imageDepth*c.Height*c.Width)
	return b.Reshape(x, b.Batch*b.Frames, imageDepth, c.Height, c.Width)
}

// present tells which images of a padded training graph are there, [N], or nil.
func (c DepthwiseCNN) present(b *nn.Build) *graph.Tensor {
	p := b.Span().Present()
	if p == nil {
		return nil
	}
	return b.Reshape(p, b.Batch*b.Frames)
}

// Forward traces the network over x [N, 3, Height, Width] and returns the features [N, Out]. present [N] holds 0 for
// images that are padding; nil means that all are there.
func (c DepthwiseCNN) Forward(b *nn.Build, x, present *graph.Tensor) *graph.Tensor {
	if err := c.Check(); err != nil {
		b.Fail(err)
		return x
	}
	const kernel, pad = 3, 1
	im := b.Images(x, present).ConvNorm("stem", c.Stem, kernel, graph.Conv2DSpec{Stride: 2, Pad: pad}).Relu()
	for i, k := range c.Blocks {
		name, in := "block"+strconv.Itoa(i), im.Channels()
		im = im.ConvNorm(name+".depth", in, kernel, graph.Conv2DSpec{Stride: k.Stride, Pad: pad, Groups: in}).Relu()
		im = im.ConvNorm(name+".point", k.Channels, 1, graph.Conv2DSpec{}).Relu()
	}
	if c.Grid == 0 {
		return b.Linear(im.Pool(), "features", c.Out)
	}
	im = im.ConvNorm("maps", c.Out/(c.Grid*c.Grid), 1, graph.Conv2DSpec{}).Relu()
	return im.Grid(c.Grid)
}

// Infer returns the extractor: Image [N, 3, Height, Width] float32 with any N to Features [N, Out].
func (c DepthwiseCNN) Infer(p *nn.Params) ([]byte, error) {
	b := nn.NewInfer(p)
	b.Output(Features, c.Forward(b, b.Input(Image, b.Float(), b.Dim("N"), imageDepth, c.Height, c.Width), nil))
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("cnn: %w", err)
	}
	return model, nil
}

// InferClasses returns the network with the head that Classify trained: Image [N, 3, Height, Width] to Logits [N, classes].
func (c DepthwiseCNN) InferClasses(p *nn.Params, classes int) ([]byte, error) {
	b := nn.NewInfer(p)
	y := c.Forward(b, b.Input(Image, b.Float(), b.Dim("N"), imageDepth, c.Height, c.Width), nil)
	b.Output(Logits, b.Linear(b.Relu(y), "head", classes))
	model, err := b.Model()
	if err != nil {
		return nil, fmt.Errorf("cnn: %w", err)
	}
	return model, nil
}

// Classify traces the network with a linear head and the cross entropy with the input Labels [B, T]. A training sample's
// frames are images here: Image [T, 3·Height·Width].
func (c DepthwiseCNN) Classify(b *nn.Build, classes int) *graph.Tensor {
	y := c.Forward(b, c.images(b), c.present(b))
	logits := b.Reshape(b.Linear(b.Relu(y), "head", classes), b.Batch, b.Frames, classes)
	return b.CrossEntropy(logits, b.Labels(Labels, classes), b.Weights())
}

// Regress traces the network with the mean squared error to the input Target [B, T, Out]: another extractor's features
// of the same instants.
func (c DepthwiseCNN) Regress(b *nn.Build) *graph.Tensor {
	y := c.Forward(b, c.images(b), c.present(b))
	return regression(b, b.Reshape(y, b.Batch, b.Frames, c.Out))
}
