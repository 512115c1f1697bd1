package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"tandem/sync/offset"
	"tandem/sync/offset/offsetsim"
	"tandem/trainer/dataset/npy"
)

// Takes of each scene in the full measurement.
const syncOffsetTakes = 6

// syncOffset is the part of bench sync that tells offsets from content.
type syncOffset struct{ *offsetsim.Report }

func measureSyncOffset(ctx context.Context, o syncScale, progress func(done, all int)) (syncResult, error) {
	cfg := offsetsim.Config{Takes: max(2, int(o.scale*syncOffsetTakes)), Threads: o.threads, Progress: progress}
	if o.scale < 0.5 {
		cfg.Length = 40 * time.Second
	}
	report, err := offsetsim.Measure(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if o.features != "" {
		videos, dim, err := readPooled(o.features)
		if err != nil {
			return nil, err
		}
		if report.Features, err = offsetsim.Shift(videos, dim); err != nil {
			return nil, fmt.Errorf("%s: %w", o.features, err)
		}
	}
	return syncOffset{report}, nil
}

// readPooled reads features_ego/NAME.npy and features_exo/NAME.npy of a directory, arrays of [D, T].
func readPooled(dir string) ([]offset.PoolPair, [2]int, error) {
	var dim [2]int
	files, err := filepath.Glob(filepath.Join(dir, "features_ego", "*.npy"))
	if err != nil || len(files) == 0 {
		return nil, dim, fmt.Errorf("--features %s: it has no features_ego/*.npy; want a data set of two feature streams", dir)
	}
	var videos []offset.PoolPair
	for _, ego := range files {
		var p offset.PoolPair
		for side, f := range []struct {
			path string
			to   *[]float32
		}{{ego, &p.One}, {filepath.Join(dir, "features_exo", filepath.Base(ego)), &p.Other}} {
			d, features, err := readFrames(f.path)
			if err != nil {
				return nil, dim, err
			}
			if dim[side] != 0 && dim[side] != d {
				return nil, dim, fmt.Errorf("%s has %d features, the files before it %d", f.path, d, dim[side])
			}
			dim[side], *f.to = d, features
		}
		if len(p.One)/dim[0] != len(p.Other)/dim[1] {
			return nil, dim, fmt.Errorf("%s has %d frames, that of the other stream %d", ego, len(p.One)/dim[0], len(p.Other)/dim[1])
		}
		videos = append(videos, p)
	}
	return videos, dim, nil
}

// readFrames reads an array of [D, T] as T rows of D.
func readFrames(path string) (dim int, rows []float32, err error) {
	f, err := npy.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	if len(f.Shape) != 2 || f.Len() == 0 {
		return 0, nil, fmt.Errorf("%s has the shape %v, expected [D, T]", path, f.Shape)
	}
	raw := make([]float32, f.Len())
	if err := f.Floats(0, raw); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", path, err)
	}
	dim = f.Shape[0]
	if f.Fortran {
		return dim, raw, nil // columns of D follow each other
	}
	frames := f.Shape[1]
	rows = make([]float32, len(raw))
	for d := range dim {
		for t := range frames {
			rows[t*dim+d] = raw[d*frames+t]
		}
	}
	return dim, rows, nil
}

func (o syncOffset) writeTable(out io.Writer) error {
	fmt.Fprintf(out, "\noffset: from what rendered takes show, offsets up to 3 s\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "cameras\tof\toffsets\tclaimed\terror, median\tp95\tmax\tbound, median\tbeyond it\tother sessions\trefused\tcalled unrelated\t\n")
	for _, s := range o.Scenes {
		for _, e := range []struct {
			of string
			offsetsim.Errors
		}{{"each", s.Single}, {"both", s.Joint}} {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.1f ms\t%.1f ms\t%.1f ms\t%.0f ms\t%d\t%d\t%d\t%d\t\n", s.Scene, e.of, e.Offsets, e.Claimed, e.MedianMS, e.P95MS, e.WorstMS,
				e.BoundMS, e.Exceeded, e.Unrelated, e.Refused, e.Called)
		}
	}
	if f := o.Features; f != nil {
		fmt.Fprintf(w, "\nfeatures of %d videos, shifted by up to 12 frames: within a frame %.1f %% (together; worst of %d draws %.1f %%), %.1f %% (alone)\n", f.Videos, 100*f.Pool, f.Draws, 100*f.Worst, 100*f.Alone)
	}
	return w.Flush()
}
