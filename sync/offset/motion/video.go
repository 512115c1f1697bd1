package motion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"tandem/stream/capture"
	"tandem/stream/frame"
	"tandem/sync/offset"
)

// VideoConfig describes a recorded video. Only Source is required.
type VideoConfig struct {
	Source string // a video file, a directory or a numbered pattern of pictures
	Mount  Mount
	FPS    float64 // of pictures, and of video that doesn't say
	// Stamps takes the times of the frames from NAME.stamps.csv beside the video, which must be there; else the times are the
	// container's own, from its start.
	Stamps bool
	// Window is how much is read, from the start; 0 is all.
	Window time.Duration
	// Progress is told how many frames are read of about how many there are (0: unknown).
	Progress func(done, all int)
}

// Video is what was measured of a recorded video.
type Video struct {
	Activity   offset.Activity
	Frames     int
	FPS        float64 // one by the median time between frames
	First      int64   // time of the first frame, ns
	Last       int64
	StampsFile string // that the times are from, "" if they are the container's
	Repeated   int    // frames that came twice
	Back       int    // frames left out because their times went back
}

// Seconds is how long the video lasts.
func (v Video) Seconds() float64 { return float64(v.Last-v.First) / 1e9 }

// HasStamps tells whether a recording has a stamps file beside it.
func HasStamps(source string) bool {
	_, err := os.Stat(capture.SidecarPath(source))
	return err == nil
}

// ErrOneFrame says that a video has one frame only.
var ErrOneFrame = errors.New("it has one frame only, in which nothing can move; record a video")

// ReadVideo measures the motion in a recorded video. Errors are those of package capture, for what can't be opened, has no
// frames, or whose stamps file is damaged or goes back; and ErrOneFrame.
func ReadVideo(ctx context.Context, cfg VideoConfig) (*Video, error) {
	switch kind, err := capture.KindOf(cfg.Source); {
	case err != nil:
		return nil, err
	case kind.Live():
		return nil, fmt.Errorf("source %s: it is live; record it first, and give the recording", cfg.Source)
	}
	open := capture.Config{Source: cfg.Source, FPS: cfg.FPS, NoStampsFile: !cfg.Stamps, Log: slog.New(slog.DiscardHandler)}
	if cfg.Stamps {
		open.StampsFile = capture.SidecarPath(cfg.Source)
	}
	c, err := capture.Open(ctx, open)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v, err := read(ctx, c, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Source, err)
	}
	return v, nil
}

func read(ctx context.Context, c *capture.Capture, cfg VideoConfig) (*Video, error) {
	m := NewMeter(cfg.Mount)
	defer m.Close()
	info := c.Info()
	v := &Video{StampsFile: info.StampsFile}
	const report = 30
	var gaps []int64
	for {
		f, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		use, err := v.take(m, f, &gaps)
		c.Release(f)
		if err != nil {
			return nil, err
		}
		if cfg.Window > 0 && use && v.Last-v.First >= int64(cfg.Window) {
			break
		}
		if cfg.Progress != nil && v.Frames%report == 0 {
			cfg.Progress(v.Frames, int(max(info.Frames, 0)))
		}
	}
	v.Back += int(c.Stats().DroppedBack)
	if v.Frames < 2 {
		return nil, ErrOneFrame
	}
	slices.Sort(gaps)
	v.FPS = 1e9 / float64(max(gaps[len(gaps)/2], 1))
	v.Repeated += m.Repeated
	v.Activity = m.Activity()
	if cfg.Progress != nil {
		cfg.Progress(v.Frames, v.Frames)
	}
	return v, nil
}

// take measures a frame; false if its time says nothing.
func (v *Video) take(m *Meter, f *frame.Frame, gaps *[]int64) (bool, error) {
	at := f.Raw
	if v.Frames > 0 && at <= v.Last {
		v.Repeated++ // a doubled frame has its stamp twice
		return false, nil
	}
	if v.Frames == 0 {
		v.First = at
	} else {
		*gaps = append(*gaps, at-v.Last)
	}
	v.Frames++
	v.Last = at
	return true, m.Add(at, f.Mat)
}
