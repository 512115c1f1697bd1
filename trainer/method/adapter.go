package method

import (
	"fmt"
	"strings"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
)

// AdapterKinds are the kinds of feature adapters, the default first.
func AdapterKinds() []string { return []string{"tcn", "transformer"} }

// adapter maps ego features to those of the exo stream.
type adapter struct {
	In, Out int
	Causal  bool
	// longest is the longest piece of a take that it is trained on at once, in frames.
	longest int
	network interface {
		Check() error
		NewParams(seed uint64) (*nn.Params, error)
		Forward(b *nn.Build, x *graph.Tensor) *graph.Tensor
		Loss(b *nn.Build) *graph.Tensor
		Infer(p *nn.Params) ([]byte, error)
	}
	// standardize sets the constants that its input is standardised with; nil where it isn't.
	standardize func(p *nn.Params, mean, std []float32) error
}

// longestAttention bounds the memory of attention, which grows with the square of the frames.
const longestAttention = 1024

// newAdapter returns the adapter that the options ask for: the residual layers of a TCN, which start as the identity, or, as
// published, a transformer's encoder with a feed-forward layer of four times its width and as many heads as divide it, up to 16.
func (o Options) newAdapter(in, out int) (*adapter, error) {
	a := &adapter{In: in, Out: out, longest: longest}
	switch o.Adapter {
	case "", "tcn":
		c := net.TCNAdapter{In: in, Out: out, Channels: o.AdapterChannels, Layers: o.AdapterLayers, Causal: o.Network.Kind == "causal"}
		a.Causal, a.network, a.standardize = c.Causal, c, c.Standardize
	case "transformer":
		if o.Network.Kind == "causal" {
			return nil, fmt.Errorf("a transformer adapter sees the whole take, so it can't stand before a causal network; use the adapter tcn")
		}
		heads := 16
		for o.AdapterChannels%heads > 0 {
			heads /= 2
		}
		a.longest = longestAttention
		a.network = net.TransformerAdapter{In: in, Out: out, Width: o.AdapterChannels, Layers: o.AdapterLayers, Heads: heads}
	default:
		return nil, fmt.Errorf("there is no adapter %q, expected one of %s", o.Adapter, strings.Join(AdapterKinds(), ", "))
	}
	return a, a.network.Check()
}

// params returns the adapter's parameters for the ego sequences that it is to read.
func (a *adapter) params(seed uint64, ego []Sequence) (*nn.Params, error) {
	p, err := a.network.NewParams(seed)
	if err != nil || a.standardize == nil {
		return p, err
	}
	mean, std, err := standard(ego)
	if err != nil {
		return nil, err
	}
	return p, a.standardize(p, mean, std)
}

func (a *adapter) open(p *nn.Params, o Options) (*net.Predictor, error) {
	model, err := a.network.Infer(p)
	if err != nil {
		return nil, err
	}
	return net.NewPredictor(model, o.Session)
}
