package method

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/tas"
)

// Ego labels reach no method that learns without them: whatever they are, the weights are the same, even where the
// refusal to take them is left out.
func TestEgoLabelsDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	labels, err := tas.NewLabels("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	const frames, dim = 64, 3
	p := Problem{Labels: labels}
	var right, garbage []Labelled
	for range 2 {
		exo := Labelled{Sequence: Sequence{Name: "exo", Dim: dim}}
		ego := Labelled{Sequence: Sequence{Name: "ego", Dim: dim}}
		wrong := make([]int, frames)
		for f := range frames {
			c := f / 16 % 2
			exo.Classes, ego.Classes = append(exo.Classes, c), append(ego.Classes, c)
			wrong[f] = rng.IntN(2)
			for range dim {
				exo.Features = append(exo.Features, float32(float64(c)+rng.NormFloat64()))
				ego.Features = append(ego.Features, float32(float64(-c)+rng.NormFloat64()))
			}
		}
		p.Exo = append(p.Exo, exo)
		p.Pairs = append(p.Pairs, Pair{Name: "pair", Ego: ego.Sequence, Exo: []Sequence{exo.Sequence}})
		right = append(right, ego)
		garbage = append(garbage, Labelled{Sequence: ego.Sequence, Classes: wrong})
	}
	o := Options{Epochs: 2, Network: Network{Channels: 4, Layers: 2}, AdapterChannels: 4, AdapterLayers: 1}.defaults()
	o.Session.Threads = 1
	extractor := eye(t, dim)
	for i := range p.Pairs {
		p.Pairs[i].Ego.Frames = &Frames{Pictures: noise(frames, uint64(i)), Extractor: extractor}
	}
	for _, m := range methods() {
		var weights [][]float32
		for _, oracle := range []*Oracle{NewOracle(right), NewOracle(garbage)} {
			p := p
			p.Oracle = oracle
			model, err := m.apply(t.Context(), p, o)
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Clone(model.Params.Weights)
			if model.eyes != nil {
				all = append(all, model.eyes.Params.Weights...)
			}
			weights = append(weights, all)
		}
		if same := slices.Equal(weights[0], weights[1]); same == m.oracle {
			t.Errorf("%s: garbage in the place of ego labels gives the same weights: %v", m.Name, same)
		}
	}
}
