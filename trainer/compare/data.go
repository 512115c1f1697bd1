package compare

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// data reads a data set as the methods want it. Only takes of the folds that are at work are in memory.
type data struct {
	set *dataset.Dataset
	ego dataset.View
}

func openData(set *dataset.Dataset) (data, error) {
	ego, ok := set.EgoView()
	if !ok {
		return data{}, fmt.Errorf("data set %s has no ego view, so there is nothing to adapt to", set.Name)
	}
	return data{set, ego}, nil
}

func (d data) take(name string) (*dataset.Take, error) {
	t, ok := d.set.Take(name)
	if !ok {
		return nil, fmt.Errorf("there is no take %q in %s", name, d.set.Name)
	}
	return t, nil
}

func (d data) sequence(ctx context.Context, take, view string) (method.Sequence, error) {
	t, err := d.take(take)
	if err != nil {
		return method.Sequence{}, err
	}
	f, err := t.Features(ctx, view)
	if err != nil {
		return method.Sequence{}, err
	}
	s := method.Sequence{Name: take + "/" + view, Dim: f.View.Dim, Features: f.Data, Weights: f.Weights}
	s.Frames, err = d.frames(t, view)
	return s, err
}

// exo returns the sequences of the exo views that saw a take.
func (d data) exo(ctx context.Context, take string) ([]method.Sequence, error) {
	t, err := d.take(take)
	if err != nil {
		return nil, err
	}
	var list []method.Sequence
	for _, v := range d.set.ExoViews() {
		if !t.Has(v.Name) {
			continue
		}
		s, err := d.sequence(ctx, take, v.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// labelledExo returns each exo view of takes with labels. On an error it returns none.
func (d data) labelledExo(ctx context.Context, takes []string) ([]method.Labelled, error) {
	var list []method.Labelled
	for _, name := range takes {
		t, err := d.take(name)
		if err != nil {
			return nil, err
		}
		classes, err := t.Labels(ctx)
		if err != nil {
			return nil, err
		}
		views, err := d.exo(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, s := range views {
			list = append(list, method.Labelled{Sequence: s, Classes: classes})
		}
	}
	return list, nil
}

// labelledEgo returns the ego view of takes with labels, which needs the right to read them.
func (d data) labelledEgo(ctx context.Context, takes []string, right dataset.Oracle) ([]method.Labelled, error) {
	var list []method.Labelled
	for _, name := range takes {
		s, err := d.sequence(ctx, name, d.ego.Name)
		if err != nil {
			return nil, err
		}
		classes, err := d.set.EgoLabels(ctx, name, right)
		if err != nil {
			return nil, err
		}
		list = append(list, method.Labelled{Sequence: s, Classes: classes})
	}
	return list, nil
}

// pairs returns takes as pairs with a clock error: frame t of the exo side is that of t+d, d drawn for each take.
func (d data) pairs(ctx context.Context, takes []string, jitter float64, seed uint64) ([]method.Pair, error) {
	var list []method.Pair
	for _, name := range takes {
		ego, err := d.sequence(ctx, name, d.ego.Name)
		if err != nil {
			return nil, err
		}
		exo, err := d.exo(ctx, name)
		if err != nil {
			return nil, err
		}
		by := clockError(name, jitter, seed)
		for i := range exo {
			exo[i] = shifted(exo[i], by)
		}
		list = append(list, method.Pair{Name: name, Ego: ego, Exo: exo})
	}
	return list, nil
}

// clockError draws a whole number of frames in ±jitter.
func clockError(take string, jitter float64, seed uint64) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(take)) // never fails
	j := int(math.Floor(jitter))
	return rand.New(rand.NewPCG(seed, h.Sum64())).IntN(2*j+1) - j
}

// shifted returns the sequence whose frame t is that of t+by, of weight 0 where there is none.
func shifted(s method.Sequence, by int) method.Sequence {
	if by == 0 {
		return s
	}
	out := s
	out.Features, out.Weights = make([]float32, 0, len(s.Features)), make([]float32, s.Len())
	for t := range s.Len() {
		at := max(0, min(s.Len()-1, t+by))
		out.Features = append(out.Features, s.Features[at*s.Dim:(at+1)*s.Dim]...)
		if at != t+by {
			continue
		}
		out.Weights[t] = 1
		if s.Weights != nil {
			out.Weights[t] = s.Weights[at]
		}
	}
	return out
}

// some returns a share of the takes, at least one, in an order drawn from the seed, and the rest.
func some(takes []string, share float64, seed uint64) (chosen, rest []string) {
	list := slices.Clone(takes)
	rng := rand.New(rand.NewPCG(seed, 11))
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	n := max(1, int(math.Round(share*float64(len(list)))))
	return list[:n], list[n:]
}
