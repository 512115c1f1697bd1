package nn

import "tandem/learn/graph"

// Images are pictures inside a network. A training graph keeps them with the channels first, [C, N, H, W], which is the
// layout to train in (graph.ConvChannels); the others as [N, C, H, W], which is the one to run in.
type Images struct {
	b       *Build
	x       *graph.Tensor
	present *graph.Tensor // [1, N, 1, 1] of 1 and 0; nil where all are there
}

// Images takes pictures x [N, C, H, W] into a network. present [N] holds 0 for those that are padding, which have no part
// in statistics; nil means that all are there.
func (b *Build) Images(x, present *graph.Tensor) Images {
	im := Images{b: b, x: x}
	if x.Rank() != 4 {
		b.failf("images of %s, expected [N, C, H, W]", b.ShapeString(x.Shape()))
		return im
	}
	if b.Mode == Train {
		im.x = b.Transpose(x, 1, 0, 2, 3)
		if present != nil {
			im.present = b.Reshape(present, 1, x.Dim(0), 1, 1)
		}
	}
	return im
}

// Tensor returns the pictures in the layout of the graph's mode.
func (im Images) Tensor() *graph.Tensor { return im.x }

// Channels returns the number of channels.
func (im Images) Channels() int {
	if im.b.Mode == Train {
		return im.x.Dim(0)
	}
	return im.x.Dim(1)
}

// ConvNorm convolves with square kernels and normalises the result over images and pixels. It has no bias of its own and is
// folded like Conv1DNorm. Parameters: name.weight [out, C/groups, kernel, kernel], name.norm.gain and name.norm.bias
// [out]; buffers: name.norm.mean and name.norm.variance [out]. The groups must be 1, or as many as channels with out as many.
func (im Images) ConvNorm(name string, out, kernel int, spec graph.Conv2DSpec) Images {
	b, in := im.b, im.Channels()/max(spec.Groups, 1)
	if b.Err() != nil {
		return im
	}
	if b.Mode == Train {
		w := b.Param(name+".weight", FanIn(in*kernel*kernel), true, out, in, kernel, kernel)
		gain, bias := b.Param(name+".norm.gain", Ones, false, out), b.Param(name+".norm.bias", Zeros, false, out)
		im.x = b.normalize(b.ConvChannels(im.x, w, nil, spec), gain, bias, name+".norm", 0, im.present)
		return im
	}
	w, bias := b.folded(name, out, in*kernel*kernel, out, in, kernel, kernel)
	im.x = b.Conv2D(im.x, w, bias, spec)
	return im
}

// Relu returns max(x, 0) of each pixel.
func (im Images) Relu() Images {
	im.x = im.b.Relu(im.x)
	return im
}

// Pool returns the mean of all pixels, [N, C].
func (im Images) Pool() *graph.Tensor {
	y := im.b.GlobalPool2D(im.x)
	if im.b.Mode == Train && y.Rank() == 2 {
		return im.b.Transpose(y, 1, 0)
	}
	return y
}

// Grid returns the means of the pixels of each of k by k cells of equal area, [N, C·k·k].
func (im Images) Grid(k int) *graph.Tensor {
	b, c := im.b, im.Channels()
	y := b.GridPool(im.x, k, k)
	if b.Err() != nil {
		return y
	}
	if b.Mode == Train {
		y = b.Transpose(y, 1, 0, 2, 3)
	}
	return b.Reshape(y, y.Dim(0), c*k*k)
}
