package sim

import (
	"fmt"
	"math"
	"math/rand/v2"

	"tandem/sim/internal/raster"
)

// Worker is one member of the crew. How a worker moves and looks stays the same over takes.
type Worker struct {
	ID         string  `json:"id"`
	Speed      float64 `json:"speed"` // durations are divided by it
	LeftHanded bool    `json:"left_handed"`
	Gloves     bool    `json:"gloves"`
	Height     float64 `json:"height_m"` // of the eyes above the bench

	vigour   float64 // scale of rhythmic motion
	arc      float64 // how high the hands travel
	sway     float64 // scale of the head's sway
	pause    float64 // inclination to pause
	skin     raster.RGB
	hands    raster.RGB // skin or glove
	shirt    raster.RGB
	trousers raster.RGB
}

var (
	skins  = []raster.RGB{{R: 0.93, G: 0.74, B: 0.62}, {R: 0.80, G: 0.58, B: 0.44}, {R: 0.56, G: 0.38, B: 0.27}, {R: 0.87, G: 0.68, B: 0.52}}
	gloves = []raster.RGB{{R: 0.25, G: 0.45, B: 0.75}, {R: 0.85, G: 0.85, B: 0.82}, {R: 0.9, G: 0.55, B: 0.2}}
	shirts = []raster.RGB{{R: 0.20, G: 0.32, B: 0.55}, {R: 0.62, G: 0.64, B: 0.66}, {R: 0.75, G: 0.35, B: 0.15}, {R: 0.22, G: 0.42, B: 0.34}, {R: 0.45, G: 0.2, B: 0.28}}
)

// newWorker makes member i of the crew of n. One of every four or so is left-handed, spread over the crew by its number, so
// that a crew of four always has one and a few takes already show all kinds.
func newWorker(seed uint64, i, n int) Worker {
	rng := rand.New(rand.NewPCG(seed, hash("worker", fmt.Sprint(i))))
	w := Worker{
		ID:         fmt.Sprintf("worker-%d", i+1),
		Speed:      math.Round(100*between(rng, 0.88, 1.15)) / 100,
		LeftHanded: n >= 3 && i%4 == 2,
		Gloves:     i%2 == 1,
		Height:     math.Round(100*between(rng, 0.60, 0.68)) / 100,
		vigour:     between(rng, 0.9, 1.15),
		arc:        between(rng, 0.8, 1.3),
		sway:       between(rng, 0.7, 1.3),
		pause:      between(rng, 0.7, 1.3),
		skin:       skins[rng.IntN(len(skins))],
		shirt:      shirts[(i+rng.IntN(2))%len(shirts)],
		trousers:   raster.RGB{R: 0.16, G: 0.18, B: 0.24},
	}
	w.hands = w.skin
	if w.Gloves {
		w.hands = gloves[rng.IntN(len(gloves))]
	}
	return w
}

func between(rng *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*rng.Float64() }
