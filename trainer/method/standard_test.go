package method

import (
	"math"
	"strings"
	"testing"
)

func TestStandard(t *testing.T) {
	s := Sequence{Name: "far", Dim: 2}
	for i := range 1000 {
		// Far from 0 the squares would swamp the deviation.
		s.Features = append(s.Features, float32(4e6+float64(i%2)), -5)
	}
	lost := Sequence{Name: "lost", Dim: 2, Weights: []float32{0}, Features: []float32{1e9, 1e9}}
	mean, std, err := standard([]Sequence{s, lost})
	if err != nil || math.Abs(float64(mean[0])-4e6-0.5) > 0.5 || math.Abs(float64(std[0])-0.5) > 1e-6 || mean[1] != -5 || std[1] != 0 {
		t.Errorf("mean %v, deviation %v, %v", mean, std, err)
	}
	for want, list := range map[string][]Sequence{"no sequences": nil, "not one frame has a weight": {lost}} {
		if _, _, err := standard(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
