package trainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"tandem/stream/capture"
	"tandem/stream/frame"
	"tandem/tas"
)

// EachFrame reads the recording and hands over the frames of its samples, at the given rate, with the class that holds at
// each. The frame is visit's until it returns. Labels that are not of this video are the errors of Load.
func (r Recording) EachFrame(ctx context.Context, rate float64, classes tas.Labels, visit func(f *frame.Frame, class int) error) (err error) {
	all, err := classes.Encode(r.Labels)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", r.Take, LabelsFile, err)
	}
	sampler, err := frame.NewSampler(rate)
	if err != nil {
		return err
	}
	sieve, err := frame.NewSieve(rate)
	if err != nil {
		return err
	}
	cam, err := capture.Open(ctx, capture.Config{Source: r.Video, Wants: sieve.Wants})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cam.Close()) }()
	n, last := int64(len(all)), int64(-1)
	for {
		f, err := cam.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Video, err)
		}
		last = f.Index
		if _, _, ok := sampler.Take(f.Time); ok {
			at := r.label(f.Time, f.Index)
			if n == 0 || at < -r.slack() || at >= n+r.slack() {
				err = fmt.Errorf("%s: frame %d of %s lies at label %d of %d: the labels are not of this video", r.Take, f.Index, r.Video, at, n)
			} else {
				err = visit(f, all[min(max(at, 0), n-1)])
			}
		}
		cam.Release(f)
		if err != nil {
			return err
		}
	}
	if r.FPS == 0 && last+1+r.slack() < n {
		return fmt.Errorf("%s: the last frame of %s is %d, but there are %d labels: the labels are not of this video, or it is cut off",
			r.Take, r.Video, last, n)
	}
	return nil
}

// Names returns the take's name with that of the directory that it is in, since takes of several directories may have one
// name, and the recording's, which the camera's is added to.
func (r Recording) Names() (take, recording string) {
	dir := filepath.Dir(r.Video)
	take = path.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir))
	return take, path.Join(take, strings.TrimSuffix(filepath.Base(r.Video), filepath.Ext(r.Video)))
}
