package offsetsim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"tandem/sync/offset"
)

// TargetWithin is the share of shifted feature streams whose offset is told to a frame.
const TargetWithin = 0.86

// Shifts are drawn up to shiftMost frames on either side, draws times for each video.
const (
	shiftMost = 12
	draws     = 4
)

// Features is what was found of feature streams that were shifted by whole frames. Shares are of the videos.
type Features struct {
	Videos int `json:"videos"`
	Draws  int `json:"draws"` // of shifts
	// Pool is the share within a frame when all videos are told together (offset.Pool), Worst that of the worst draw; Alone
	// when each is told by its novelty (offset.Estimate), claimed or not.
	Pool  float64 `json:"pool"`
	Worst float64 `json:"worst"`
	Alone float64 `json:"alone"`
}

// Shift measures videos of two streams of dim features a frame that belong together frame by frame.
func Shift(videos []offset.PoolPair, dim [2]int) (*Features, error) {
	f := &Features{Videos: len(videos), Draws: draws, Worst: 1}
	for draw := range uint64(draws) {
		rng := rand.New(rand.NewPCG(draw, 3))
		shifts := make([]int, len(videos))
		moved := make([]offset.PoolPair, len(videos))
		for i, v := range videos {
			shifts[i] = rng.IntN(2*shiftMost+1) - shiftMost
			late := shifts[i]
			if need := 2 * shiftMost; len(v.One) < need*dim[0] || len(v.Other) < need*dim[1] {
				return nil, fmt.Errorf("video %d has less than %d frames", i, need)
			}
			// What one stream has at t, the other has at t + late: the first frames of the one are cut off, or of the other.
			if late >= 0 {
				moved[i] = offset.PoolPair{One: v.One[late*dim[0]:], Other: v.Other[:len(v.Other)-late*dim[1]]}
			} else {
				moved[i] = offset.PoolPair{One: v.One[:len(v.One)+late*dim[0]], Other: v.Other[-late*dim[1]:]}
			}
		}
		results, err := offset.Pool(moved, offset.PoolConfig{Dim: dim})
		if err != nil {
			return nil, err
		}
		within := 0
		for i, r := range results {
			if math.Abs(math.Round(r.Frames)-float64(shifts[i])) <= 1 {
				within++
			}
			alone, err := single(moved[i], dim)
			if err != nil {
				return nil, err
			}
			if math.Abs(math.Round(alone)-float64(shifts[i])) <= 1 {
				f.Alone += 1 / float64(draws*len(videos))
			}
		}
		share := float64(within) / float64(len(videos))
		f.Pool += share / draws
		f.Worst = min(f.Worst, share)
	}
	return f, nil
}

// single estimates one video's offset from the novelty of its streams.
func single(p offset.PoolPair, dim [2]int) (float64, error) {
	var curves [2][]float64
	for side, features := range [2][]float32{p.One, p.Other} {
		var list [][]float64
		for _, half := range []int{3, 6, 10} {
			c, err := offset.Novelty(features, dim[side], half)
			if err != nil {
				return 0, err
			}
			list = append(list, c)
		}
		sum, err := offset.Sum(list...)
		if err != nil {
			return 0, err
		}
		curves[side] = sum
	}
	r, err := offset.Estimate(curves[0], curves[1], offset.Config{})
	if err != nil && !errors.Is(err, offset.ErrUnsure) {
		return 0, err
	}
	return r.Frames, nil
}

func (f *Features) missed() []string {
	if f.Pool >= TargetWithin {
		return nil
	}
	return []string{fmt.Sprintf("features: %.1f %% of the videos are within a frame, expected at least %g %%", 100*f.Pool, 100*TargetWithin)}
}
