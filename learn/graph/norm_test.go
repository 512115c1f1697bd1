package graph_test

import (
	"math"
	"testing"

	"tandem/learn/graph"
)

func TestBatchNormGivesTheStatisticsOfWhatIsPresent(t *testing.T) {
	const batch, frames, channels, epsilon = 2, 6, 3, 1e-3
	x := make([]float64, batch*frames*channels)
	for i := range x {
		x[i] = 5 * math.Sin(float64(7*i)) // an absent frame is as large as a present one
	}
	present := []float64{1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0}
	g := graph.New(graph.Float32)
	in := g.Input("x", graph.Float32, batch, frames, channels)
	y, mean, variance := g.BatchNorm(in, g.Const([]float64{1, 2, -1}, channels), g.Const([]float64{0, 3, 1}, channels),
		g.Const(present, batch, frames, 1), -1, epsilon)
	g.Output("y", y)
	g.Output("mean", mean)
	g.Output("variance", variance)
	out := evaluate(t, g, x)
	for c := range channels {
		var sum, square, n float64
		for i, p := range present {
			sum += p * x[i*channels+c]
			n += p
		}
		m := sum / n
		for i, p := range present {
			square += p * (x[i*channels+c] - m) * (x[i*channels+c] - m)
		}
		v := square / n
		if math.Abs(float64(out[1][c])-m) > 1e-5 || math.Abs(float64(out[2][c])-v) > 1e-4 {
			t.Errorf("channel %d: mean %g and variance %g, expected %g and %g", c, out[1][c], out[2][c], m, v)
		}
		for i := range present {
			want := []float64{1, 2, -1}[c]*(x[i*channels+c]-m)/math.Sqrt(v+epsilon) + []float64{0, 3, 1}[c]
			if got := float64(out[0][i*channels+c]); math.Abs(got-want) > 1e-5 {
				t.Errorf("channel %d, place %d: %g, expected %g", c, i, got, want)
			}
		}
	}
}

func TestGeluAndLayerNormHaveTheValuesOfTheirFormulas(t *testing.T) {
	x := []float64{-7, -1.5, -.3, 0, .4, 2.5, 9, 1}
	for _, float := range []graph.DType{graph.Float32, graph.Float64} {
		g := graph.New(float)
		in := g.Input("x", float, 1, len(x))
		ones, zeros := make([]float64, len(x)), make([]float64, len(x))
		for i := range ones {
			ones[i] = 1
		}
		g.Output("gelu", g.Gelu(in))
		g.Output("norm", g.LayerNorm(in, g.Const(ones, len(x)), g.Const(zeros, len(x)), 1e-5))
		limit, gelu, norm := 1e-6, []float64(nil), []float64(nil)
		if float == graph.Float64 {
			limit = 1e-13
			m := open[float64](t, g, [][]float64{x})
			m.run(t)
			gelu, norm = m.out[0], m.out[1]
		} else {
			for i, list := range evaluate(t, g, x) {
				for _, v := range list {
					if i == 0 {
						gelu = append(gelu, float64(v))
					} else {
						norm = append(norm, float64(v))
					}
				}
			}
		}
		var mean, variance float64
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x))
		}
		for i, v := range x {
			if want := v * (1 + math.Erf(v/math.Sqrt2)) / 2; math.Abs(gelu[i]-want) > limit*(1+math.Abs(v)) {
				t.Errorf("%v: gelu(%g) is %g, expected %g", float, v, gelu[i], want)
			}
			if want := (v - mean) / math.Sqrt(variance+1e-5); math.Abs(norm[i]-want) > limit*10 {
				t.Errorf("%v: %g is standardised to %g, expected %g", float, v, norm[i], want)
			}
		}
	}
}
