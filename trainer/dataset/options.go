package dataset

import (
	"errors"
	"fmt"
	"math"

	"tandem/runtime/feature"
	"tandem/trainer/backbone"
)

// Pool says how several samples become one when a data set is read at a lower rate than it is stored at.
type Pool string

// The kinds of pooling. With Max and Mean, the label of a group is the most frequent one, of several the first class;
// with First it is that of the sample that is kept.
const (
	First Pool = "first" // keep the first of a group, as MS-TCN's sample rate does
	Max   Pool = "max"   // the greatest value of each feature, as C2F-TCN does on Assembly101
	Mean  Pool = "mean"
)

// Options say how a data set is opened. The zero value takes what the format has by default.
type Options struct {
	Name string // of the data set; "" is that of its directory, or of its manifest

	// Exo and Ego choose views by name; nothing is the format's default. Formats without an ego view ignore Ego.
	Exo []string
	Ego string

	// RateHz is the number of samples a second that is wanted; the stored rate must be a multiple of it. Stride keeps one
	// of so many samples instead, for files that don't say their rate. 0 reads what is stored.
	RateHz float64
	Stride int
	Pool   Pool // "" is Max for Assembly101, First otherwise
	// SourceHz is the rate of files whose layout doesn't say it.
	SourceHz float64

	TimeMajor  bool     // ms-tcn and two-stream: the arrays are [T, D] and not [D, T]
	Background []string // classes that mean that nothing is done; nil is "background", if there is such a class
	// Folds makes so many folds of a data set that comes with none: take i is tested in fold i modulo Folds.
	Folds     int
	Scenarios []string // ego-exo4d: only these; nil is all

	// CacheBytes bounds the features that are kept in memory; 0 is DefaultCacheBytes, negative keeps none.
	CacheBytes int64

	// Extractor makes the features of formats that hold videos (sim). The caller closes it after the data set.
	Extractor *feature.Extractor
	// Frames keeps pictures of the ego view with the features when a format that holds videos is imported, for methods that
	// train the extractor: it is what Extractor was made of, and must have parameters. nil keeps none.
	Frames *backbone.Backbone
	Clock  Clock // sim: by which clock frames are matched; "" is Stamps
}

// DefaultCacheBytes is the default of Options.CacheBytes.
const DefaultCacheBytes = 256 << 20

// maxFolds bounds Options.Folds.
const maxFolds = 1000

// Validate says what is wrong with the options in themselves, whatever the data set. Open calls it.
func (o Options) Validate() error {
	switch o.Pool {
	case "", First, Max, Mean:
	default:
		return fmt.Errorf("pool %q: expected %q, %q or %q", o.Pool, First, Max, Mean)
	}
	switch {
	case o.Stride < 0:
		return fmt.Errorf("stride %d: expected 1 or more", o.Stride)
	case !(o.RateHz >= 0 && o.RateHz <= maxRate):
		return fmt.Errorf("rate %g Hz: expected more than 0, at most %g", o.RateHz, float64(maxRate))
	case !(o.SourceHz >= 0 && o.SourceHz <= maxRate):
		return fmt.Errorf("source rate %g Hz: expected more than 0, at most %g", o.SourceHz, float64(maxRate))
	case o.Stride > 1 && o.RateHz > 0:
		return fmt.Errorf("a stride of %d and a rate of %g Hz: expected one of them", o.Stride, o.RateHz)
	case o.Folds < 0 || o.Folds == 1 || o.Folds > maxFolds:
		return fmt.Errorf("%d folds: expected 2 to %d", o.Folds, maxFolds)
	}
	if o.Frames != nil && o.Frames.Params == nil {
		return errors.New("frames are to be kept for training an extractor, but this one has no parameters to train")
	}
	return o.Clock.validate()
}

// maxRate bounds rates, in samples a second.
const maxRate = 1000

// group is how many stored samples become one.
func (o Options) group(stored float64) (int, error) {
	if o.RateHz == 0 {
		return max(o.Stride, 1), nil
	}
	if stored == 0 {
		return 0, fmt.Errorf("a rate of %g Hz is wanted, but the files don't say theirs; say it, or give a stride", o.RateHz)
	}
	n := math.Round(stored / o.RateHz)
	if n < 1 || math.Abs(n*o.RateHz-stored) > 1e-6*stored {
		return 0, fmt.Errorf("a rate of %g Hz is wanted of files with %g Hz: expected %g divided by a whole number", o.RateHz, stored, stored)
	}
	return int(n), nil
}
