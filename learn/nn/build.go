package nn

import (
	"fmt"
	"slices"

	"tandem/learn/graph"
)

// Mode says what a network is traced for.
type Mode int

// The three graphs that one definition gives.
const (
	Train Mode = iota
	Infer
	Stream
)

func (m Mode) String() string { return [...]string{"train", "infer", "stream"}[m] }

// Build traces a network onto a graph. The graph's operations can be called on it directly; its own methods are layers
// with parameters and the inputs that carry data.
type Build struct {
	*graph.Graph
	Mode Mode
	// Batch and Frames are the leading dimensions of sequences [Batch, Frames, width]. In Infer mode Frames is dynamic.
	Batch, Frames int
	// Padded says that the sequences of a training graph may be shorter than Frames, so that layers which look ahead or
	// take statistics must leave out what is not Present. Set it before tracing.
	Padded bool
	// Smooth puts SiLU in the place of ReLU, so that gradients in float32 and float64 can be compared: a ReLU's input may have
	// another sign in each. Set it before tracing.
	Smooth bool

	params  *Params
	declare bool
	used    map[string]*graph.Tensor
	fields  []Field
	masks   []Mask
	states  []state
	stats   []statistic
	masked  bool // a layer made use of Padded
}

// Field is an input that carries data, one row a frame.
type Field struct {
	Name    string
	Width   int // values a frame
	Classes int // for int64 labels: their number; 0 for float values
}

// Mask is a dropout mask that a training graph reads. Each of its elements is 0 with probability Rate, else
// 1/(1-Rate).
type Mask struct {
	Input string
	Shape []int
	Rate  float64
}

// Names of the inputs that Weights and Present declare.
const (
	WeightsField = "weights"
	PresentField = "present"
)

// NewTrain returns a Build for a training graph over batch sequences of frames each, in float32.
func NewTrain(p *Params, batch, frames int) *Build {
	return newBuild(p, Train, graph.Float32, batch, frames)
}

// NewReference is NewTrain in float64, to check gradients against.
func NewReference(p *Params, batch, frames int) *Build {
	return newBuild(p, Train, graph.Float64, batch, frames)
}

// NewInfer returns a Build for a graph over one sequence of any length, its dimension named "T".
func NewInfer(p *Params) *Build {
	b := newBuild(p, Infer, graph.Float32, 1, 1)
	b.Frames = b.Dim("T")
	return b
}

// NewStream returns a Build for a graph over one frame.
func NewStream(p *Params) *Build { return newBuild(p, Stream, graph.Float32, 1, 1) }

func newBuild(p *Params, mode Mode, float graph.DType, batch, frames int) *Build {
	b := &Build{Graph: graph.New(float), Mode: mode, Batch: batch, Frames: frames, params: p, used: map[string]*graph.Tensor{}}
	if batch < 1 || frames < 1 {
		b.failf("%d sequences of %d frames, expected at least 1 of each", batch, frames)
	}
	return b
}

func (b *Build) failf(format string, args ...any) { b.Fail(fmt.Errorf(format, args...)) }

// Features declares a float input [Batch, Frames, width].
func (b *Build) Features(name string, width int) *graph.Tensor {
	b.fields = append(b.fields, Field{Name: name, Width: width})
	return b.Input(name, b.Float(), b.Batch, b.Frames, width)
}

// Labels declares an int64 input [Batch, Frames] of labels in [0, classes). Frames of weight 0 may have any label.
func (b *Build) Labels(name string, classes int) *graph.Tensor {
	b.fields = append(b.fields, Field{Name: name, Width: 1, Classes: classes})
	return b.Input(name, graph.Int64, b.Batch, b.Frames)
}

// Weights returns the float input "weights" [Batch, Frames], each frame's share of the loss.
func (b *Build) Weights() *graph.Tensor { return b.perFrame(WeightsField) }

// Present returns the float input "present" [Batch, Frames], 1 for frames of the sequence and 0 for what pads it. A frame of
// weight 0 may be present: it is seen, but not judged.
func (b *Build) Present() *graph.Tensor { return b.perFrame(PresentField) }

func (b *Build) perFrame(name string) *graph.Tensor {
	t, ok := b.used[name]
	if !ok {
		t = b.Input(name, b.Float(), b.Batch, b.Frames)
		b.used[name] = t
	}
	return t
}

// Fields returns the inputs declared by Features and Labels.
func (b *Build) Fields() []Field { return slices.Clone(b.fields) }

// Masks returns the dropout masks that the graph reads.
func (b *Build) Masks() []Mask { return slices.Clone(b.masks) }

// Param returns a trained parameter. In training it is an input of the graph, otherwise a constant.
func (b *Build) Param(name string, init Init, decay bool, shape ...int) *graph.Tensor {
	return b.param(Param{Name: name, Shape: shape, Trained: true, Decay: decay, init: init})
}

// Buffer returns a parameter that is not trained.
func (b *Build) Buffer(name string, init Init, shape ...int) *graph.Tensor {
	return b.param(Param{Name: name, Shape: shape, init: init})
}

func (b *Build) param(q Param) *graph.Tensor {
	if t, ok := b.used[q.Name]; ok && slices.Equal(t.Shape(), q.Shape) {
		return t // shared by two layers
	}
	q.size = 1
	for _, d := range q.Shape {
		if d < 1 {
			b.failf("parameter %q has shape %v, expected dimensions > 0", q.Name, q.Shape)
			d = 1
		}
		q.size *= d
	}
	if b.declare {
		b.params.index[q.Name] = len(b.params.list)
		b.params.list = append(b.params.list, q)
	}
	i, ok := b.params.index[q.Name]
	if !ok {
		b.failf("the network has no parameter %q", q.Name)
	} else if have := b.params.list[i]; !slices.Equal(have.Shape, q.Shape) || have.Trained != q.Trained {
		b.failf("parameter %q has shape %v, the network expects %v", q.Name, have.Shape, q.Shape)
		ok = false
	}
	var t *graph.Tensor
	if ok && b.Mode != Train {
		t = b.NamedConst(q.Name, b.params.data(b.params.list[i]), q.Shape...)
	} else {
		t = b.Input(q.Name, b.Float(), q.Shape...)
	}
	b.used[q.Name] = t
	return t
}

// Gradients appends the backward pass of loss and returns an output name for each trained parameter of the graph, by
// parameter name. Parameters that the graph does not use have none.
func (b *Build) Gradients(loss *graph.Tensor) (map[string]string, error) {
	var list []string
	var wrt []*graph.Tensor
	for _, q := range b.params.list {
		if t, ok := b.used[q.Name]; ok && q.Trained {
			list = append(list, q.Name)
			wrt = append(wrt, t)
		}
	}
	grads, err := b.Backward(loss, wrt)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(list))
	for i, name := range list {
		names[name] = "grad." + name
		b.Output(names[name], grads[i])
	}
	return names, b.Err()
}
