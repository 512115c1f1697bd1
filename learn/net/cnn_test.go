package net_test

import (
	"strings"
	"testing"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/ort"
)

// TestGridTellsWhereSomethingIs: a bright corner shows in the features of its cell more than in any other's.
func TestGridTellsWhereSomethingIs(t *testing.T) {
	c := net.DepthwiseCNN{Width: 64, Height: 64, Stem: 4, Blocks: []net.CNNBlock{{8, 2}}, Out: 4 * 6, Grid: 2}
	p := must[*nn.Params](t)(c.NewParams(4, 0))
	s := must[*ort.Session](t)(ort.Open(must[[]byte](t)(c.Infer(p)), ort.Options{}))
	defer func() { _ = s.Close() }()
	x, even := make([]float32, 2*3*64*64), 3*64*64
	for ch := range 3 {
		for y := range 20 {
			for i := range 20 { // of the second picture, at the bottom left
				x[even+ch*64*64+(63-y)*64+i] = 2
			}
		}
	}
	in := must[ort.Tensor](t)(ort.NewTensor([]int{2, 3, 64, 64}, x))
	got := make([]float32, 2*c.Out)
	out := must[ort.Tensor](t)(ort.NewTensor([]int{2, c.Out}, got))
	bind := must[*ort.Binding](t)(s.Bind([]ort.Tensor{in}, []ort.Tensor{out}))
	defer func() {
		for _, x := range []interface{ Close() error }{bind, in, out} {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := bind.Run(); err != nil {
		t.Fatal(err)
	}
	var change [4]float64
	for i := range c.Out { // channel after channel, its cells row by row
		d := float64(got[c.Out+i] - got[i])
		change[i%4] += d * d
	}
	for cell, v := range change {
		if cell != 2 && v > change[2]/10 {
			t.Errorf("cell %d of 4 changes by %g, the one with the bright corner by %g", cell, v, change[2])
		}
	}
}

func TestGridsThatCannotBeAreRefused(t *testing.T) {
	two := []net.CNNBlock{{4, 2}, {4, 2}}
	for want, c := range map[string]net.DepthwiseCNN{
		"a grid of 5 for last maps of 4x4": {Width: 32, Height: 32, Stem: 1, Out: 25, Grid: 5, Blocks: two},
		"a multiple of its square":         {Width: 32, Height: 32, Stem: 1, Out: 10, Grid: 2, Blocks: two},
		"a grid of -1":                     {Width: 32, Height: 32, Stem: 1, Out: 10, Grid: -1, Blocks: two},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}
