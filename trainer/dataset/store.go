package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"tandem/trainer/backbone"
)

// contents is what a format knows of a data set. Takes and views are numbered as they stand in their lists.
type contents struct {
	name       string
	classes    []string // in order
	background []string // nil: the default
	rateHz     float64
	views      []View // exo views first; Dim may be 0 if it is not known before reading
	takes      []takeInfo
	folds      []Fold
	notes      []string
	digest     string
	pool       Pool // the format's default, "" for First

	// open opens the stored samples of a take that the view saw.
	open func(ctx context.Context, take, view int) (*stored, error)
	// exoLabels and egoLabels return the class of each stored sample of a take that has them.
	exoLabels, egoLabels func(ctx context.Context, take int) ([]int, error)
	// verify compares files with what is known of them; nil if nothing is.
	verify func(ctx context.Context, take int) error
	close  func() error

	// pictures opens the pictures of a take's view, shoot makes them; nil where there are none. backbone is the extractor that
	// they are for.
	pictures func(take, view int) (*Pictures, error)
	shoot    func(ctx context.Context, take, view int, emit func(px []byte) error) error
	backbone *backbone.Backbone
}

// takeInfo is what is known of a take before it is read.
type takeInfo struct {
	name     string
	samples  int    // stored ones
	views    []bool // which views saw it
	exo, ego bool   // whether it has labels of exo and ego views
}

// stored are the samples of a take's view as they lie in files. Whoever opened them closes them.
type stored struct {
	name         string // of the file, for errors
	samples, dim int
	first        int       // how the files number the first sample, for errors
	times        []int64   // as Features.Times
	weights      []float32 // as Features.Weights
	// read reads the samples [at, at+len(dst)/dim) into dst, sample after sample.
	read  func(at int, dst []float32) error
	close func() error // nil if there is nothing to close
}

// store is what a data set and its blind copies share.
type store struct {
	contents
	group int // stored samples that become one
	pool  Pool
	cache *cache
}

// tileBytes is about how much is read at a time.
const tileBytes = 4 << 20

func (s *store) view(name string) (int, error) {
	for i, v := range s.views {
		if v.Name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("there is no view %q, there are %s", name, viewNames(s.views))
}

func viewNames(views []View) string {
	names := make([]string, len(views))
	for i, v := range views {
		names[i] = v.Name
	}
	return strings.Join(names, ", ")
}

// samples is the number of samples of a take at the rate of the data set.
func (s *store) samples(take int) int { return (s.takes[take].samples + s.group - 1) / s.group }

// features returns features from the cache or from the files.
func (s *store) features(ctx context.Context, take, view int) (*Features, error) {
	if !s.takes[take].views[view] {
		return nil, fmt.Errorf("view %s did not see it", s.views[view].Name)
	}
	return s.cache.get(ctx, cacheKey{take, view}, func() (*Features, error) {
		f := &Features{View: s.views[view], Samples: s.samples(take)}
		times, weights, err := s.scan(ctx, take, view, func(at int, rows []float32, dim int) error {
			if f.Data == nil {
				f.View.Dim = dim
				f.Data = make([]float32, f.Samples*dim)
			}
			copy(f.Data[at*dim:], rows)
			return nil
		})
		f.Times, f.Weights = times, weights
		return f, err
	})
}

// scan reads the take's features of a view tile by tile, checks and pools them, and hands them to emit together with the
// number of the first sample of the tile. It returns the times and weights of all samples.
func (s *store) scan(ctx context.Context, take, view int, emit func(at int, rows []float32, dim int) error) (times []int64, weights []float32, err error) {
	src, err := s.open(ctx, take, view)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if src.close != nil {
			err = errors.Join(err, src.close())
		}
	}()
	n, dim := s.takes[take].samples, src.dim
	switch want := s.views[view].Dim; {
	case src.samples != n:
		return nil, nil, fmt.Errorf("%s has %d samples, expected %d", src.name, src.samples, n)
	case dim < 1 || want > 0 && dim != want:
		return nil, nil, fmt.Errorf("%s has %d features a sample, view %s has %d", src.name, dim, s.views[view].Name, want)
	}
	tile := max(1, tileBytes/(4*dim*s.group)) * s.group
	buf := make([]float32, min(tile, n)*dim)
	for at := 0; at < n; at += tile {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		rows := buf[:min(tile, n-at)*dim]
		if err := src.read(at, rows); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", src.name, err)
		}
		if err := finite(src, at, rows); err != nil {
			return nil, nil, err
		}
		if err := emit(at/s.group, s.pool.rows(rows, dim, s.group), dim); err != nil {
			return nil, nil, err
		}
	}
	return firsts(src.times, s.group), s.pool.weights(src.weights, s.group), nil
}

// finite reports the first number that is not.
func finite(src *stored, at int, rows []float32) error {
	for i, v := range rows {
		// The exponent of infinities and NaNs has all bits set.
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return fmt.Errorf("%s: feature %d of frame %d is %g, expected a finite number; extract the features again or leave the take out",
				src.name, i%src.dim, src.first+at+i/src.dim, v)
		}
	}
	return nil
}

// pooledLabels turns labels of stored samples into those of the data set's samples.
func (s *store) pooledLabels(take int, labels []int) ([]int, error) {
	if n := s.takes[take].samples; len(labels) != n {
		return nil, fmt.Errorf("it has %d labels for %d samples", len(labels), n)
	}
	return s.pool.labels(labels, s.group, len(s.classes)), nil
}
