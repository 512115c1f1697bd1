package nn

import (
	"encoding/json"
	"errors"
	"fmt"

	"tandem/learn/graph"
)

// State is what one causal convolution of a streaming graph remembers. The graph reads the Taps rows that the layer's
// input had Taps·Dilation, …, 2·Dilation, Dilation frames ago, oldest first, from Input [1, Taps, Channels], and writes
// the layer's input of the present frame to Output [1, 1, Channels]. Before the first frame all rows are zero. The
// caller keeps the last Rows rows, which is all that a later frame can ask for.
type State struct {
	Input    string `json:"input"`
	Output   string `json:"output"`
	Dilation int    `json:"dilation"`
	Taps     int    `json:"taps"`
	Channels int    `json:"channels"`
}

// Rows returns how many rows of the past the layer reaches back.
func (s State) Rows() int { return s.Taps * s.Dilation }

// StreamSpec describes the state of a streaming graph. It is stored in the model's metadata under StreamMeta.
type StreamSpec struct {
	States []State `json:"states"`
}

// Metadata keys of emitted models.
const (
	ModeMeta   = "tandem.mode"
	StreamMeta = "tandem.stream"
)

// ErrStream is wrapped by errors about a model's stream description.
var ErrStream = errors.New("stream description")

type state struct {
	State
	row     *graph.Tensor
	written bool // row is an output already
}

// taps declares the state of a causal convolution and returns its older rows.
func (b *Build) taps(x *graph.Tensor, name string, taps, dilation int) *graph.Tensor {
	s := State{Input: name + ".taps", Output: name + ".row", Dilation: dilation, Taps: taps, Channels: x.Dim(-1)}
	b.states = append(b.states, state{State: s, row: x})
	return b.Input(s.Input, b.Float(), 1, taps, s.Channels)
}

// Model serialises the graph. A streaming graph gets the rows of its states as further outputs, and their description
// in its metadata.
func (b *Build) Model() ([]byte, error) {
	b.SetMeta(ModeMeta, b.Mode.String())
	if b.Mode == Stream {
		spec := b.StreamSpec()
		text, err := json.Marshal(spec)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStream, err)
		}
		b.SetMeta(StreamMeta, string(text))
		for i := range b.states {
			if s := &b.states[i]; !s.written {
				b.Output(s.Output, s.row)
				s.written = true
			}
		}
	}
	return b.Graph.Model()
}

// StreamSpec returns the states that the layers traced so far have.
func (b *Build) StreamSpec() StreamSpec {
	spec := StreamSpec{States: []State{}}
	for _, s := range b.states {
		spec.States = append(spec.States, s.State)
	}
	return spec
}

// maxStateFloats bounds the state that a model may ask for: 64 MiB is far beyond any network that runs on a rig.
const maxStateFloats = 16 << 20

// ReadStreamSpec returns the stream description in the metadata of a serialised model.
func ReadStreamSpec(model []byte) (StreamSpec, error) {
	meta, err := graph.ReadMeta(model)
	if err != nil {
		return StreamSpec{}, fmt.Errorf("%w: %w", ErrStream, err)
	}
	text, ok := meta[StreamMeta]
	if !ok {
		return StreamSpec{}, fmt.Errorf("%w: the model has no %q in its metadata, so it is not a streaming model", ErrStream, StreamMeta)
	}
	var spec StreamSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return StreamSpec{}, fmt.Errorf("%w: %q: %w", ErrStream, StreamMeta, err)
	}
	total := 0
	for i, s := range spec.States {
		for _, n := range []int{s.Taps, s.Dilation, s.Channels} {
			if n < 1 || n > maxStateFloats {
				return StreamSpec{}, fmt.Errorf("%w: state %d: taps %d, dilation %d, channels %d; expected each in [1, %d]", ErrStream, i,
					s.Taps, s.Dilation, s.Channels, maxStateFloats)
			}
		}
		if s.Input == "" || s.Output == "" {
			return StreamSpec{}, fmt.Errorf("%w: state %d has no input or output name", ErrStream, i)
		}
		if s.Dilation > maxStateFloats/s.Taps || s.Rows() > maxStateFloats/s.Channels {
			return StreamSpec{}, fmt.Errorf("%w: state %d asks for more than %d values", ErrStream, i, maxStateFloats)
		}
		if total += s.Rows() * s.Channels; total > maxStateFloats {
			return StreamSpec{}, fmt.Errorf("%w: the states ask for more than %d values", ErrStream, maxStateFloats)
		}
	}
	return spec, nil
}
