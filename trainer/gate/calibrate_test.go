package gate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// rated draws labels from probabilities, and tells others: those of logits times sharp.
func rated(sharp float64, n int) Rated {
	rng := rand.New(rand.NewPCG(8, 8))
	r := Rated{Name: "r"}
	row := make([]float64, classes)
	honest := make([]float32, classes)
	for range n {
		for j := range row {
			honest[j] = float32(math.Exp(1.5 * rng.NormFloat64()))
		}
		scaled(row, honest, 1)
		u, c := rng.Float64(), 0
		for u > row[c] && c < classes-1 {
			u -= row[c]
			c++
		}
		r.Classes = append(r.Classes, c)
		scaled(row, honest, 1/sharp)
		for _, p := range row {
			r.Probs = append(r.Probs, float32(p))
		}
	}
	return r
}

// TestCalibrateFindsTheTemperature: confidences that are too high or too low by a factor in the logits are put right.
func TestCalibrateFindsTheTemperature(t *testing.T) {
	for _, sharp := range []float64{0.5, 1, 3} {
		c, err := Calibrate([]Rated{rated(sharp, 20000)}, classes)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(c.Temperature/sharp-1) > 0.03 || c.ECEAfter > 0.012 || c.NLLAfter > c.NLLBefore || c.Frames != 20000 {
			t.Errorf("sharpened by %g: %+v", sharp, c)
		}
		if sharp != 1 && c.ECEBefore < 0.1 {
			t.Errorf("sharpened by %g: the error was only %g before", sharp, c.ECEBefore)
		}
	}
}

func TestCalibrateSureNetwork(t *testing.T) {
	c, err := Calibrate([]Rated{{Name: "r", Probs: []float32{1, 0, 0, 1}, Classes: []int{0, 1}}}, 2)
	if err != nil || c.Temperature < coldest || c.Temperature > 20 || c.ECEAfter > 1e-6 {
		t.Errorf("%+v, %v", c, err)
	}
	p := c.Apply([]float32{1, 0}, 2)
	if math.IsNaN(float64(p[0])) || p[0]+p[1] < 0.999 {
		t.Errorf("%v", p)
	}
}

func TestCalibrateWeights(t *testing.T) {
	r := rated(3, 5000)
	spoilt := rated(3, 5000)
	for i := range 1000 {
		r.Weights, spoilt.Weights = append(r.Weights, 0), append(spoilt.Weights, 0)
		spoilt.Classes[i] = (spoilt.Classes[i] + 1) % classes
	}
	ones := slices.Repeat([]float32{1}, 4000)
	r.Weights, spoilt.Weights = append(r.Weights, ones...), append(spoilt.Weights, ones...)
	a, err := Calibrate([]Rated{r}, classes)
	b, e := Calibrate([]Rated{spoilt}, classes)
	if err != nil || e != nil || a != b || a.Frames != 4000 {
		t.Errorf("%+v and %+v, %v, %v", a, b, err, e)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	for want, r := range map[string]Rated{
		"not one labelled frame":          {},
		"r has 3 probabilities":           {Name: "r", Probs: make([]float32, 3), Classes: []int{0}},
		"r: frame 0 has class 4, expecte": {Name: "r", Probs: make([]float32, 4), Classes: []int{4}},
	} {
		if _, err := Calibrate([]Rated{r}, classes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
