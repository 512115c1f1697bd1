package trainer

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	cam, err := capture.Open(ctx, capture.Config{Source: r.Video})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cam.Close()) }()
	n, last := int64(len(all)), int64(0)
	for {
		f, err := cam.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Video, err)
		}
		if _, _, ok := sampler.Take(f.Time); !ok {
			last = f.Index
			cam.Release(f)
			continue
		}
		last = f.Index
		at := r.label(f.Time, f.Index)
		if n == 0 || at < -r.slack() || at >= n+r.slack() {
			err = fmt.Errorf("%s: frame %d of %s lies at label %d of %d: the labels are not of this video", r.Take, f.Index, r.Video, at, n)
		} else {
			err = visit(f, all[min(max(at, 0), n-1)])
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
