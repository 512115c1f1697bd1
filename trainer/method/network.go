package method

import (
	"fmt"
	"slices"
	"strings"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
)

// Network says which segmentation network is trained. The zero value is the one that the reference figures of the
// two-stream data set were made with.
type Network struct {
	// Kind is "tcn" (not causal, the default), "causal" or "c2f".
	Kind     string
	Channels int     // of a TCN, default 32; of a C2F-TCN's finest levels, default 256
	Layers   int     // of a TCN, default 6
	Dropout  float64 // of a TCN, default 0.25; negative means none
	// Lags are how late the heads of a causal TCN judge, in frames, ascending; the last one's judgement counts. Default [0].
	Lags []int
}

// NetworkKinds are the kinds of networks, the default first.
func NetworkKinds() []string { return []string{"tcn", "causal", "c2f"} }

// segmenter is a network with its input's width, behind an adapter if there is one.
type segmenter struct {
	in, classes int // in is the width of what comes after the adapter
	adapter     *adapter
	tcn         *net.TCN
	c2f         *net.C2FTCN
}

func (n Network) segmenter(in, classes int) (*segmenter, error) {
	s := &segmenter{in: in, classes: classes}
	switch n.Kind {
	case "", "tcn", "causal":
		c := net.TCN{In: in, Channels: n.Channels, Layers: n.Layers, Classes: classes, Lags: n.Lags, Dropout: n.Dropout,
			Symmetric: n.Kind != "causal"}
		if c.Channels == 0 {
			c.Channels = 32
		}
		if c.Layers == 0 {
			c.Layers = 6
		}
		if c.Dropout == 0 {
			c.Dropout = 0.25
		}
		c.Dropout = max(c.Dropout, 0)
		if c.Symmetric && len(n.Lags) > 0 {
			return nil, fmt.Errorf("a network that is not causal sees what comes, so it has no lags, got %v", n.Lags)
		}
		s.tcn = &c
		return s, c.Check()
	case "c2f":
		c := net.C2FTCN{In: in, Classes: classes, Width: n.Channels, Standardized: true}
		s.c2f = &c
		return s, c.Check()
	}
	return nil, fmt.Errorf("there is no network %q, expected one of %s", n.Kind, strings.Join(NetworkKinds(), ", "))
}

// width is that of the input of the whole.
func (s *segmenter) width() int {
	if s.adapter != nil {
		return s.adapter.In
	}
	return s.in
}

// behind returns the network with an adapter before it.
func (s *segmenter) behind(a *adapter) *segmenter {
	c := *s
	c.adapter = a
	return &c
}

// output is what a head says: logits [B, T, classes] which judge at frame t the frame t-lag.
type output struct {
	logits *graph.Tensor
	lag    int
}

// forward traces the network and returns its outputs. Those of a C2F-TCN are its scales.
func (s *segmenter) forward(b *nn.Build, x *graph.Tensor) []output {
	list, _ := s.forwardHidden(b, x)
	return list
}

// forwardHidden is forward and also returns the hidden features [B, T, channels] of the finest level.
func (s *segmenter) forwardHidden(b *nn.Build, x *graph.Tensor) ([]output, *graph.Tensor) {
	if s.adapter != nil {
		x = s.adapter.network.Forward(b, x)
	}
	var list []output
	if s.c2f != nil {
		scales, hidden := s.c2f.ForwardHidden(b, x)
		for _, y := range scales {
			list = append(list, output{logits: y})
		}
		return list, hidden
	}
	heads, hidden := s.tcn.ForwardHidden(b, x)
	for i, y := range heads {
		lag := 0
		if len(s.tcn.Lags) > 0 {
			lag = s.tcn.Lags[i]
		}
		list = append(list, output{y, lag})
	}
	return list, hidden
}

// reach is how many frames back a network sees that is trained on pieces.
func (s *segmenter) reach() int {
	if s.tcn != nil {
		return s.tcn.Reach()
	}
	return 0
}

func (s *segmenter) params(seed uint64) (*nn.Params, error) {
	p, err := nn.Declare(func(b *nn.Build) { s.forward(b, b.Features(net.Features, s.width())) })
	if err != nil {
		return nil, err
	}
	p.Init(seed)
	return p, nil
}

// standardize sets the constants of what comes after the adapter.
func (s *segmenter) standardize(p *nn.Params, list []Sequence) error {
	mean, std, err := standard(list)
	if err != nil {
		return err
	}
	if s.c2f != nil {
		return s.c2f.Standardize(p, mean, std)
	}
	return s.tcn.Standardize(p, mean, std)
}

// inherit copies the parameters that two networks have in common and of one shape.
func inherit(to, from *nn.Params) error {
	have := map[string]nn.Param{}
	for _, q := range from.List() {
		have[q.Name] = q
	}
	for _, q := range to.List() {
		old, ok := have[q.Name]
		if !ok || !slices.Equal(old.Shape, q.Shape) {
			continue
		}
		v, err := from.Get(q.Name)
		if err == nil {
			err = to.Set(q.Name, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
