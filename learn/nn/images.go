package nn

import "tandem/learn/graph"

// Images are pictures inside a network. A training graph keeps them as graph.Maps, which is the layout to train in; the
// others as [N, C, H, W], which is the one to run in.
type Images struct {
	b       *Build
	x       *graph.Tensor // of graphs that are no training graphs
	maps    graph.Maps    // of training graphs
	present *graph.Tensor // [N] of 1 and 0; nil where all are there
}

// Images takes pictures x [N, C, H, W] into a network. present [N] holds 0 for those that are padding, which have no part
// in statistics; nil means that all are there.
func (b *Build) Images(x, present *graph.Tensor) Images {
	im := Images{b: b, x: x}
	if x.Rank() != 4 {
		b.failf("images of %s, expected [N, C, H, W]", b.ShapeString(x.Shape()))
	}
	if b.Mode == Train {
		im.maps, im.present = b.Maps(x), present
	}
	return im
}

// Tensor returns the pictures as [N, C, H, W].
func (im Images) Tensor() *graph.Tensor {
	if im.b.Mode == Train {
		return im.maps.Images()
	}
	return im.x
}

// Channels returns the number of channels.
func (im Images) Channels() int {
	if im.b.Mode == Train {
		return im.maps.Channels()
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
		im.maps = b.ConvMaps(im.maps, w, spec)
		present := im.present
		if present != nil {
			present = im.maps.PerImage(present)
		}
		im.maps.X = b.normalize(im.maps.X, gain, bias, name+".norm", 1, present)
		return im
	}
	w, bias := b.folded(name, out, in*kernel*kernel, out, in, kernel, kernel)
	im.x = b.Conv2D(im.x, w, bias, spec)
	return im
}

// Relu returns max(x, 0) of each pixel.
func (im Images) Relu() Images {
	if im.b.Mode == Train {
		im.maps.X = im.b.Relu(im.maps.X)
		return im
	}
	im.x = im.b.Relu(im.x)
	return im
}

// Pool returns the mean of all pixels, [N, C].
func (im Images) Pool() *graph.Tensor {
	if im.b.Mode == Train {
		return im.maps.Pool()
	}
	return im.b.GlobalPool2D(im.x)
}

// Grid returns the means of the pixels of each of k by k cells of equal area, [N, C·k·k].
func (im Images) Grid(k int) *graph.Tensor {
	b, c := im.b, im.Channels()
	var y *graph.Tensor
	if b.Mode == Train {
		y = im.maps.GridPool(k, k)
	} else {
		y = b.GridPool(im.x, k, k)
	}
	if b.Err() != nil {
		return y
	}
	return b.Reshape(y, y.Dim(0), c*k*k)
}
