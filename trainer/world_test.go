package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"tandem/tas"
)

// The made-up line of the training tests: a few classes, each with features of its own in noise. The rig's features are a
// fixed mixing of the exo camera's, so that a network trained on one cannot read the other, and nothing is lost.
const (
	worldClasses = 4
	worldDim     = 6
)

var worldLabels = []string{"background", "pick", "screw", "pack"}

func newWorldLabels() (tas.Labels, error) { return tas.NewLabels(worldLabels...) }

func labelsOf(t testing.TB, names ...string) tas.Labels {
	t.Helper()
	l, err := tas.NewLabels(names...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// worldRecipe trains a small network within a second or two.
func worldRecipe() Recipe {
	return Recipe{
		RateHz: testRate, Channels: 16, Layers: 4, Dropout: 0.1, Lag: 400 * time.Millisecond, Hold: 300 * time.Millisecond,
		Epochs: 20, Batch: 4, Rate: 1e-2, Decay: 1e-4, Smooth: 0.15, Temperature: 1, Method: "tandem", Seed: 7, Threads: 1,
	}
}

// world makes takes of n samples each: as the exo camera sees them, and as the rig does.
func world(seed uint64, takes, n int) (exo, ego []LabelledTake) {
	look := rand.New(rand.NewPCG(1, 1)) // the same in every world
	var prototypes [worldClasses][worldDim]float64
	for c := range prototypes {
		for i := range prototypes[c] {
			prototypes[c][i] = 1.5 * look.NormFloat64()
		}
	}
	var mixing [worldDim][worldDim]float64
	for i := range mixing {
		for j := range mixing[i] {
			mixing[i][j] = look.NormFloat64()
		}
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for k := range takes {
		name := fmt.Sprintf("take-%d", k)
		x, e := &Sequence{Name: name + "/exo1", Dim: worldDim}, &Sequence{Name: name + "/ego", Dim: worldDim}
		var classes []int
		for c := 0; len(classes) < n; c = (c + 1 + rng.IntN(worldClasses-1)) % worldClasses {
			for range min(15+rng.IntN(30), n-len(classes)) {
				classes = append(classes, c)
			}
		}
		for t, c := range classes {
			at := testStart + int64(k)*1e12 + int64(t)*1e8
			var row [worldDim]float64
			for i := range row {
				row[i] = prototypes[c][i] + 0.6*rng.NormFloat64()
				x.Features = append(x.Features, float32(row[i]))
			}
			for i := range row {
				v := 3.0
				for j := range row {
					v += mixing[i][j] * row[j]
				}
				e.Features = append(e.Features, float32(v))
			}
			for _, s := range []*Sequence{x, e} {
				s.Times, s.Weights = append(s.Times, at), append(s.Weights, 1)
			}
		}
		exo, ego = append(exo, LabelledTake{x, classes}), append(ego, LabelledTake{e, classes})
	}
	return exo, ego
}

// pairUp joins what the cameras saw, without the labels.
func pairUp(exo, ego []LabelledTake) []*PairedTake {
	var list []*PairedTake
	for i := range exo {
		list = append(list, &PairedTake{
			ID: TakeID{"rig-1", fmt.Sprintf("take-%d", i)}, Ego: ego[i].Sequence, Exo: []*Sequence{exo[i].Sequence},
			EgoExtractor: egoDigest, ExoExtractor: exoDigest, RateHz: testRate,
		})
	}
	return list
}

// trainWorld makes a network from takes, of which the last two are held out.
func trainWorld(t testing.TB, takes []LabelledTake, r Recipe) *Network {
	t.Helper()
	n := len(takes) - 2
	net, err := TrainLabelled(t.Context(), "test", takes[:n], takes[n:], labelsOf(t, worldLabels...), worldLabels[:1], r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func scoreOf(t testing.TB, n *Network, takes []LabelledTake) tas.Scores {
	t.Helper()
	s, err := n.Score(takes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sameWeights(a, b *Network) bool {
	for i, w := range a.Params.Weights {
		if math.Float32bits(w) != math.Float32bits(b.Params.Weights[i]) {
			return false
		}
	}
	for i, w := range a.Params.Buffers {
		if math.Float32bits(w) != math.Float32bits(b.Params.Buffers[i]) {
			return false
		}
	}
	return len(a.Params.Weights) == len(b.Params.Weights)
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
