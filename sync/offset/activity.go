package offset

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Activity is what was seen to happen over time, in channels of any units: motion in parts of the picture, or novelty at
// some scales.
type Activity struct {
	// Times are instants in nanoseconds, strictly ascending. Their spacing may vary.
	Times []int64
	// Channels are the values at these instants, each of the length of Times.
	Channels [][]float64
	// Nuisance are values at these instants whose linear effect on the channels is taken out, such as how fast a head-mounted
	// camera moves itself.
	Nuisance [][]float64
}

// check refuses what can't be compared.
func (a Activity) check() error {
	n := len(a.Times)
	if n < 2 {
		return fmt.Errorf("%d instants, expected at least 2", n)
	}
	if len(a.Channels) == 0 {
		return fmt.Errorf("no channels")
	}
	for i := 1; i < n; i++ {
		if a.Times[i] <= a.Times[i-1] {
			return fmt.Errorf("instant %d is %d ns and the one before it %d ns, expected them to ascend", i, a.Times[i], a.Times[i-1])
		}
	}
	for _, list := range [2][][]float64{a.Channels, a.Nuisance} {
		for c, v := range list {
			if len(v) != n {
				return fmt.Errorf("channel %d has %d values for %d instants", c, len(v), n)
			}
			for i, x := range v {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return fmt.Errorf("channel %d is %g at instant %d, expected a finite number", c, x, i)
				}
			}
		}
	}
	return nil
}

// grid is a time base with equal steps.
type grid struct {
	origin int64 // ns
	step   float64
}

// at returns an instant's place on the grid.
func (g grid) at(t int64) float64 { return float64(t-g.origin) / g.step }

// signal is an activity on a grid: whitened channels of mean 0, from place first on.
type signal struct {
	first int
	v     [][]float64
}

func (s signal) end() int { return s.first + len(s.v[0]) }

// clean brings an activity onto the grid, from place first on: resampled by its own times, band-passed, its outliers drawn
// in, without what the nuisance explains. stretch is by how much the activity's clock runs fast about the instant pivot.
func (s Search) clean(a Activity, g grid, pivot int64, stretch float64) (first int, v [][]float64, err error) {
	places := make([]float64, len(a.Times))
	for i, t := range a.Times {
		places[i] = g.at(t) - stretch*float64(t-pivot)/g.step
	}
	first = int(math.Ceil(places[0]))
	n := int(math.Floor(places[len(places)-1])) - first + 1
	if n < 2 {
		return 0, nil, fmt.Errorf("it lasts less than two steps of %.0f ms", g.step/1e6)
	}
	if n > maxSteps {
		return 0, nil, fmt.Errorf("it lasts %.0f h; are its times right?", float64(n)*g.step/3.6e12)
	}
	plain := func(list [][]float64) [][]float64 {
		out := make([][]float64, len(list))
		for c, v := range list {
			x := s.bandpass(resample(places, v, first, n))
			for range 2 { // drawn in, values have another deviation
				standardize(x)
				for i := range x {
					x[i] = outlier * math.Tanh(x[i]/outlier)
				}
			}
			standardize(x)
			out[c] = x
		}
		return out
	}
	v = plain(a.Channels)
	if len(a.Nuisance) > 0 {
		project(v, whiten(plain(a.Nuisance), 1e-3))
	}
	return first, v, nil
}

// prepare makes the signal of an activity: clean and whitened.
func (s Search) prepare(a Activity, g grid, pivot int64, stretch float64) (signal, error) {
	first, v, err := s.clean(a, g, pivot, stretch)
	if err != nil {
		return signal{}, err
	}
	return signal{first, whiten(v, shrinkage)}, nil
}

// Profile returns an activity as one curve for people to look at, with the times of its points: the mean of its channels as
// they are compared, of standard deviation 1.
func (s Search) Profile(a Activity) (times []int64, curve []float64, err error) {
	s = s.defaults()
	if err := errors.Join(s.check(), a.check()); err != nil {
		return nil, nil, err
	}
	g := grid{origin: a.Times[0], step: 1e9 / s.Hz}
	first, v, err := s.clean(a, g, a.Times[0], 0)
	if err != nil {
		return nil, nil, err
	}
	times, curve = make([]int64, len(v[0])), make([]float64, len(v[0]))
	for i := range times {
		times[i] = g.origin + int64(float64(first+i)*g.step)
		for _, c := range v {
			curve[i] += c[i]
		}
	}
	standardize(curve)
	return times, curve, nil
}

const (
	maxSteps  = 1 << 24 // of the time base: ten days at 20 Hz
	outlier   = 3       // standard deviations to which larger ones are drawn in
	shrinkage = 0.3     // added to the eigenvalues of the channels' correlation: weak mixtures of them are noise
)

// resample interpolates values at ascending places at the n whole places from first on.
func resample(places, values []float64, first, n int) []float64 {
	out := make([]float64, n)
	j := sort.SearchFloat64s(places, float64(first))
	for i := range out {
		x := float64(first + i)
		for j < len(places)-1 && places[j] < x {
			j++
		}
		if j == 0 {
			out[i] = values[0]
			continue
		}
		f := (x - places[j-1]) / (places[j] - places[j-1])
		out[i] = values[j-1] + min(f, 1)*(values[j]-values[j-1])
	}
	return out
}

// bandpass returns the difference of two Gaussian means, of Smooth and of Drop.
func (s Search) bandpass(v []float64) []float64 {
	fine, coarse := gaussian(v, s.Smooth.Seconds()*s.Hz), gaussian(v, s.Drop.Seconds()*s.Hz)
	for i := range fine {
		fine[i] -= coarse[i]
	}
	return fine
}

// gaussian returns the mean of v weighted by a normal distribution; at the ends, of what there is.
func gaussian(v []float64, sd float64) []float64 {
	reach := int(3 * sd)
	kernel := make([]float64, reach+1)
	for i := range kernel {
		kernel[i] = math.Exp(-float64(i*i) / (2 * sd * sd))
	}
	out := make([]float64, len(v))
	for i := range v {
		var sum, weight float64
		for j := max(0, i-reach); j <= min(len(v)-1, i+reach); j++ {
			w := kernel[max(i-j, j-i)]
			sum, weight = sum+w*v[j], weight+w
		}
		out[i] = sum / weight
	}
	return out
}

// standardize brings v to mean 0 and standard deviation 1; a constant to 0.
func standardize(v []float64) {
	var sum, square, most float64
	for _, x := range v {
		sum += x
		most = max(most, math.Abs(x))
	}
	mean := sum / float64(len(v))
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	sd := math.Sqrt(square / float64(len(v)))
	if sd <= 1e-9*most {
		clear(v)
		return
	}
	for i, x := range v {
		v[i] = (x - mean) / sd
	}
}

// whiten returns the principal components of channels of standard deviation 1, each scaled to 1, the weak ones to less:
// by 1/√(λ + shrink) for an eigenvalue λ of the channels' correlation.
func whiten(v [][]float64, shrink float64) [][]float64 {
	d, n := len(v), len(v[0])
	if d == 1 {
		return v // an eigenvector's sign is arbitrary, and one channel's is not
	}
	sym := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			sym.SetSym(i, j, dot(v[i], v[j])/float64(n))
		}
	}
	var eig mat.EigenSym
	out := make([][]float64, d)
	if !eig.Factorize(sym, true) {
		return v // only for values that are not finite, which check refuses
	}
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	for c, lambda := range eig.Values(nil) {
		x := make([]float64, n)
		scale := 1 / math.Sqrt(max(lambda, 0)+shrink)
		for k := range d {
			w := scale * vectors.At(k, c)
			for i, y := range v[k] {
				x[i] += w * y
			}
		}
		out[c] = x
	}
	return out
}

// project takes out of each channel what the orthogonal channels of out explain of it.
func project(v, out [][]float64) {
	for _, x := range v {
		for _, z := range out {
			q := dot(z, z)
			if q <= 1e-9*float64(len(z)) {
				continue
			}
			f := dot(x, z) / q
			for i := range x {
				x[i] -= f * z[i]
			}
		}
		standardize(x)
	}
}

func dot(a, b []float64) float64 { return floats.Dot(a, b) }
