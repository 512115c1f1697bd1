package method

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"tandem/learn/graph"
	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/learn/train"
)

// tcc is feature for pairs of which only the order of what happens is known, not the times, by temporal cycle consistency
// (Dwibedi et al., CVPR 2019, section 3.2): of 64 frames drawn from each of a pair's sequences, one from each 64th, an adapted
// ego frame's soft nearest neighbour among the exo frames must have that frame as its own nearest neighbour, and the other
// way round,
//
//	L = ½ (cycle(ego → exo → ego) + cycle(exo → ego → exo)) + Penalty · anchor,  default Penalty = 1
//
// with the terms of cycleBack over features that are standardised by the exo stream's statistics. The exo features stay as
// they are and the ego features pass the adapter, so that the teacher can read the result. The published loss alone says how
// frames lie to each other, not where: anchor, which is ours, draws each adapted frame to its soft nearest neighbour, to where
// the teacher knows its way.
//
// What it can't do: a cycle through the wrong frames is consistent as well, and actions that come again look alike on the way
// back, so it sharpens what similarity there is at the start, and does not make one.
func tcc() Method {
	return Method{
		Name: "tcc", Summary: "an adapter by temporal cycle consistency, on unknown times",
		Source: "Dwibedi et al., CVPR 2019, section 3.2",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			a, params, err := o.adaptByCycles(ctx, teacher, lessons, choose)
			if err != nil {
				return nil, err
			}
			return o.join(p, a, params, teacher.net, teacher.Params)
		},
	}
}

const (
	// cycleFrames are drawn from each sequence of a pair.
	cycleFrames = 64
	// Inputs: the exo features, and which frames are drawn, a column of one 1 each.
	cycleExo     = "exo_features"
	cyclePickEgo = "pick_ego"
	cyclePickExo = "pick_exo"
)

// cycles is a piece of a pair, of at most so many frames that an adapter can be trained on it at once.
type cycles struct {
	pair     string
	ego, exo []float32
	frames   int
	seen     [2][]int // frames of ego and exo
}

func (o Options) adaptByCycles(ctx context.Context, teacher *Model, lessons, choose []lesson) (*adapter, *nn.Params, error) {
	a, err := o.newAdapter(lessons[0].pair.Ego.Dim, teacher.Dim())
	if err != nil {
		return nil, nil, err
	}
	var ego, exo []Sequence
	for _, l := range lessons {
		ego, exo = append(ego, l.pair.Ego), append(exo, l.pair.Exo...)
	}
	params, err := a.params(o.Seed, ego)
	if err != nil {
		return nil, nil, err
	}
	mean, std, err := standard(exo)
	if err != nil {
		return nil, nil, err
	}
	s := newStandard(mean, std)
	pieces, held := cut(lessons, a), cut(choose, a)
	samples := make([]train.Sample, len(pieces))
	byName := map[string]cycles{}
	for i, c := range pieces {
		samples[i] = train.Sample{Name: fmt.Sprintf("%s, piece %d", c.pair, i), Frames: c.frames,
			Float: map[string][]float32{net.Features: c.ego, cycleExo: c.exo}}
		byName[samples[i].Name] = c
	}
	j := job{stage: "adapter", params: params, samples: samples, longest: a.longest}
	j.loss = func(b *nn.Build) *graph.Tensor {
		b.Padded = true
		drawn := func(x *graph.Tensor, pick string) *graph.Tensor {
			frames := b.Batch * b.Frames
			p := b.Reshape(b.Features(pick, cycleFrames), frames, cycleFrames)
			return b.Gemm(p, s.apply(b, b.Reshape(x, frames, a.Out)), nil, true, false)
		}
		u := drawn(a.network.Forward(b, b.Features(net.Features, a.In)), cyclePickEgo)
		v := drawn(b.Features(cycleExo, a.Out), cyclePickExo)
		there, anchor := cycleBack(b, u, v)
		back, _ := cycleBack(b, v, u)
		loss := b.Add(b.Scale(b.Add(there, back), 0.5), b.Scale(anchor, o.Penalty))
		return b.Mul(loss, b.Sum(b.Weights())) // a piece counts by its frames
	}
	j.prepare = func(m moment, batch []train.Sample) ([]train.Sample, error) {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(m.step)))
		out := slices.Clone(batch)
		for i, x := range out {
			c := byName[x.Name]
			out[i].Float = maps.Clone(x.Float)
			for side, name := range []string{cyclePickEgo, cyclePickExo} {
				pick := make([]float32, c.frames*cycleFrames)
				for at, t := range draw(c.seen[side], rng.Float64) {
					pick[t*cycleFrames+at] = 1
				}
				out[i].Float[name] = pick
			}
		}
		return out, nil
	}
	if len(held) > 0 {
		j.evaluate = func(p *nn.Params) (float64, error) { return o.consistency(a, p, s, held) }
	}
	return a, params, o.fit(ctx, j)
}

// cut returns the pieces of pairs. Both sides are cut at the same places.
func cut(lessons []lesson, a *adapter) []cycles {
	var list []cycles
	for _, l := range lessons {
		features := l.features()
		for start := 0; start < l.pair.Ego.Len(); start += a.longest {
			end := min(start+a.longest, l.pair.Ego.Len())
			c := cycles{pair: l.pair.Name, frames: end - start, ego: l.pair.Ego.Features[start*a.In : end*a.In],
				exo: features[start*a.Out : end*a.Out]}
			for t := start; t < end; t++ {
				if l.pair.Ego.weight(t) > 0 {
					c.seen[0] = append(c.seen[0], t-start)
				}
				if slices.ContainsFunc(l.pair.Exo, func(x Sequence) bool { return x.weight(t) > 0 }) {
					c.seen[1] = append(c.seen[1], t-start)
				}
			}
			if len(c.seen[0]) > 1 && len(c.seen[1]) > 1 {
				list = append(list, c)
			}
		}
	}
	return list
}

// draw takes cycleFrames of the frames in their order, one from each of as many equal parts; where in it, random says.
func draw(frames []int, random func() float64) []int {
	list := make([]int, cycleFrames)
	for i := range list {
		list[i] = frames[min(int((float64(i)+random())/cycleFrames*float64(len(frames))), len(frames)-1)]
	}
	return list
}

// consistency is the negative loss on pairs to choose by, of the frame in the middle of each part.
func (o Options) consistency(a *adapter, params *nn.Params, s standardizer, held []cycles) (_ float64, err error) {
	p, err := a.open(params, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var sum float64
	for _, c := range held {
		y, err := p.Run(c.ego)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", c.pair, err)
		}
		var rows [2][]float64
		for side, x := range [][]float32{y[0], c.exo} {
			for _, t := range draw(c.seen[side], func() float64 { return 0.5 }) {
				rows[side] = append(rows[side], s.row(x[t*a.Out:(t+1)*a.Out])...)
			}
		}
		there, anchor := cycleLoss(rows[0], rows[1], a.Out)
		back, _ := cycleLoss(rows[1], rows[0], a.Out)
		sum += (there+back)/2 + o.Penalty*anchor
	}
	return -sum / float64(len(held)), nil
}

// standardizer takes features to mean 0 and deviation 1.
type standardizer struct{ mean, scale []float64 }

func newStandard(mean, std []float32) standardizer {
	s := standardizer{make([]float64, len(mean)), make([]float64, len(mean))}
	largest := float64(slices.Max(std))
	for i := range mean {
		// A feature that hardly moves counts as if it did a little more, as in nn.SetStandard.
		s.mean[i], s.scale[i] = float64(mean[i]), 1/max(float64(std[i]), 1e-3*largest, 1e-12)
	}
	return s
}

func (s standardizer) apply(b *nn.Build, x *graph.Tensor) *graph.Tensor {
	return b.Mul(b.Sub(x, b.Const(s.mean, len(s.mean))), b.Const(s.scale, len(s.scale)))
}

func (s standardizer) row(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (float64(v) - s.mean[i]) * s.scale[i]
	}
	return y
}
