package offset

import (
	"fmt"
	"math"
	"time"
)

// FromFeatures makes an activity of a stream of features: its novelty (Novelty) at each scale, a channel each, on a time
// base of hz. features are rows of dim values at ascending times in nanoseconds; a scale is how long a time is compared with
// as long a time before, and is at least one step of the time base.
func FromFeatures(times []int64, features []float32, dim int, hz float64, scales ...time.Duration) (Activity, error) {
	switch {
	case dim < 1 || len(features) != dim*len(times):
		return Activity{}, fmt.Errorf("offset: %d values for %d instants of %d features", len(features), len(times), dim)
	case len(times) < 2:
		return Activity{}, fmt.Errorf("offset: %d instants, expected at least 2", len(times))
	case !(hz > 0) || len(scales) == 0:
		return Activity{}, fmt.Errorf("offset: a time base of %g Hz and %d scales, expected more than 0 of both", hz, len(scales))
	}
	step := 1e9 / hz
	span := float64(times[len(times)-1] - times[0])
	n := int(span/step) + 1
	if span < 0 || n > 1<<24 {
		return Activity{}, fmt.Errorf("offset: features over %.0f s at %g Hz; do their times ascend?", span/1e9, hz)
	}
	a := Activity{Times: make([]int64, n)}
	rows := make([]float32, n*dim)
	j := 0
	for i := range n {
		at := times[0] + int64(math.Round(float64(i)*step))
		a.Times[i] = at
		for j < len(times)-2 && times[j+1] <= at {
			j++
		}
		f := float32(0)
		if d := times[j+1] - times[j]; d > 0 {
			f = min(1, float32(at-times[j])/float32(d))
		}
		x, y := features[j*dim:(j+1)*dim], features[(j+1)*dim:(j+2)*dim]
		for k := range x {
			rows[i*dim+k] = x[k] + f*(y[k]-x[k])
		}
	}
	for _, scale := range scales {
		c, err := Novelty(rows, dim, max(1, int(math.Round(scale.Seconds()*hz))))
		if err != nil {
			return Activity{}, err
		}
		a.Channels = append(a.Channels, c)
	}
	return a, nil
}
