package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tandem/stream/capture"
	"tandem/sync/offset"
	"tandem/sync/offset/motion"
)

// Exit statuses of sync check, beside exitOK.
const (
	exitShifted   = 3
	exitUnsure    = 4
	exitUnrelated = 5
)

// syncCheckOptions are the flags of sync check.
type syncCheckOptions struct {
	band      time.Duration
	window    time.Duration
	tolerance time.Duration
	stamps    string
	fps       float64
	oneClock  bool
	plot      string
	json      bool
}

func newSyncCheck() *cobra.Command {
	var o syncCheckOptions
	cmd := &cobra.Command{
		Use:   "check EGO EXO...",
		Short: "Tell from what they show how far recorded videos are apart in time",
		Long: `Tell from what they show how far the recorded videos of one take are apart in time. It needs no model, no configuration and
no network.

EGO is the head-mounted camera's video, EXO those of fixed cameras: video files, directories of pictures, or patterns such as
exo1/%06d.png; NAME=PATH gives a camera another name than its file's. Frame rates and sizes may differ. A positive offset means
that the fixed camera shows things later, on its own time stamps, than the head-mounted one.

Verdicts, and the exit status (the worst one's):

  ok         0  within the tolerance
  shifted    3  further apart than the tolerance, or drifting further apart
  unsure     4  the videos have something in common, but too little to name an offset
  unrelated  5  nothing in common was found within the band: other takes, or further apart

Exit status 1: a video can't be compared.`,
		Example: `  tandem sync check ego.mp4 exo1.mp4 exo2.mp4
  tandem sync check --band 10s --plot sync.png ego.mp4 left=a/cam.avi right=b/cam.avi
  tandem sync check --fps 25 --json ego.mp4 exo1/%06d.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSyncCheck(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o, args)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.band, "band", 5*time.Second, "largest offset that is looked for")
	f.DurationVar(&o.window, "window", 0, "compare no more than this of the videos, from their start (default all)")
	f.DurationVar(&o.tolerance, "tolerance", 0, "offset that is still ok (default one frame of the slower camera)")
	f.StringVar(&o.stamps, "stamps", "auto", "times of the frames: file (NAME.stamps.csv beside each video), container, or auto: files if all videos have one")
	f.Float64Var(&o.fps, "fps", 0, "frames per second of pictures and of videos that don't say")
	f.BoolVar(&o.oneClock, "one-clock", false, "the fixed cameras share a clock: one offset for all of them")
	f.StringVar(&o.plot, "plot", "", "draw the curves and the correlation into this PNG file")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// validate refuses flags that make no sense.
func (o syncCheckOptions) validate(args []string) error {
	search := offset.Search{Band: o.band}
	switch {
	case len(args) < 2:
		return usagef("%d videos: want the head-mounted camera's and at least one fixed camera's", len(args))
	case o.band < 200*time.Millisecond || o.band > 2*time.Minute:
		return usagef("--band %v: want 200ms to 2m; videos that are further apart must be cut first", o.band)
	case o.window < 0 || o.window > 0 && o.window < search.Shortest():
		return usagef("--window %v: want at least %v for a band of %v", o.window, search.Shortest(), o.band)
	case o.tolerance < 0:
		return usagef("--tolerance %v: want more than 0", o.tolerance)
	case o.stamps != "auto" && o.stamps != "file" && o.stamps != "container":
		return usagef("--stamps %q: want auto, file or container", o.stamps)
	case !(o.fps >= 0 && o.fps <= 1000):
		return usagef("--fps %g: want more than 0 and at most 1000", o.fps)
	case o.plot != "" && !strings.EqualFold(filepath.Ext(o.plot), ".png"):
		return usagef("--plot %s: want a file name that ends in .png", o.plot)
	}
	return nil
}

// checkedVideo is a camera of the check.
type checkedVideo struct {
	name, source string
	*motion.Video
}

func runSyncCheck(ctx context.Context, stdout, stderr io.Writer, o syncCheckOptions, args []string) error {
	if err := o.validate(args); err != nil {
		return err
	}
	videos, err := nameVideos(args)
	if err != nil {
		return err
	}
	if err := o.read(ctx, stderr, videos); err != nil {
		return err
	}
	report, err := o.compare(videos)
	if err != nil {
		return err
	}
	if o.plot != "" {
		if err := plotSyncCheck(report, videos, offset.Search{Band: o.band}, o.plot); err != nil {
			return err
		}
	}
	if o.json {
		err = printJSON(stdout, report)
	} else {
		err = report.print(stdout)
	}
	if err != nil {
		return err
	}
	return exitStatus(report.status())
}

// nameVideos gives each argument the name that is written before it, or that of its file.
func nameVideos(args []string) ([]*checkedVideo, error) {
	var videos []*checkedVideo
	named := map[string]string{}
	for _, arg := range args {
		v := &checkedVideo{source: arg}
		if name, path, ok := strings.Cut(arg, "="); ok && name != "" && !strings.ContainsAny(name, "/\\:") && !exists(arg) {
			v.name, v.source = name, path
		} else {
			base := filepath.Base(filepath.Clean(arg))
			if strings.Contains(base, "%") { // a pattern of pictures: its directory's name
				base = filepath.Base(filepath.Dir(filepath.Clean(arg)))
			}
			v.name = strings.TrimSuffix(base, filepath.Ext(base))
		}
		if other, ok := named[v.name]; ok {
			return nil, usagef("two cameras are called %s: %s and %s; name one of them: NAME=%s", v.name, other, v.source, v.source)
		}
		named[v.name] = v.source
		videos = append(videos, v)
	}
	return videos, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// useStamps tells whether the times are those of stamps files. One time base for all, or nothing could be compared.
func (o syncCheckOptions) useStamps(videos []*checkedVideo) (bool, error) {
	var with, without []string
	for _, v := range videos {
		if motion.HasStamps(v.source) {
			with = append(with, v.name)
		} else {
			without = append(without, v.source)
		}
	}
	if o.stamps == "file" && len(without) > 0 {
		return false, fmt.Errorf("%s has no stamps file; expected %s, or use --stamps container", without[0], capture.SidecarPath(without[0]))
	}
	return o.stamps != "container" && len(without) == 0 && len(with) > 0, nil
}

// read measures the motion in all videos, some at a time.
func (o syncCheckOptions) read(ctx context.Context, stderr io.Writer, videos []*checkedVideo) error {
	stamps, err := o.useStamps(videos)
	if err != nil {
		return err
	}
	bars := newStageBars(stderr)
	defer bars.wait()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, v := range videos {
		cfg := motion.VideoConfig{Source: v.source, FPS: o.fps, Stamps: stamps, Window: o.window}
		if i == 0 {
			cfg.Mount = motion.Head
		}
		if isTerminal(stderr) {
			cfg.Progress = func(done, all int) { bars.report(v.name, done, max(done, all), "") }
		}
		g.Go(func() (err error) {
			v.Video, err = motion.ReadVideo(ctx, cfg)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	need := offset.Search{Band: o.band}.Shortest()
	for _, v := range videos {
		switch {
		case v.Seconds() < need.Seconds():
			return fmt.Errorf("%s lasts %.1f s, less than the %v that are needed to look for offsets up to %v; give a longer video or a smaller --band",
				v.source, v.Seconds(), need, o.band)
		case len(v.Activity.Times) < 2:
			return fmt.Errorf("%s: its %d frames all show the same picture; is the camera covered, or the recording frozen?", v.source, v.Frames+v.Repeated)
		}
	}
	return nil
}

// compare compares each fixed camera with the head-mounted one.
func (o syncCheckOptions) compare(videos []*checkedVideo) (*syncCheckReport, error) {
	ego, search := videos[0], offset.Search{Band: o.band}
	r := &syncCheckReport{BandMS: ms(o.band.Seconds()), Ego: newSyncCheckVideo(ego)}
	var joint offset.Match
	var jointErr error
	if o.oneClock {
		var all []offset.Activity
		for _, v := range videos[1:] {
			all = append(all, v.Activity)
		}
		if joint, jointErr = offset.Joint(ego.Activity, all, search); jointErr != nil && !errors.Is(jointErr, offset.ErrUnsure) {
			return nil, jointErr
		}
	}
	for _, v := range videos[1:] {
		m, err := joint, jointErr
		if !o.oneClock {
			m, err = offset.Compare(ego.Activity, v.Activity, search)
		}
		if short := (*offset.TooShort)(nil); errors.As(err, &short) {
			if v.StampsFile != "" && short.Common == 0 {
				return nil, fmt.Errorf("%s and %s have no instant in common by their stamps files: one begins %.1f s after the other; to compare from their starts, use --stamps container",
					ego.source, v.source, math.Abs(float64(v.First-ego.First)/1e9))
			}
			return nil, fmt.Errorf("%s and %s have %.1f s in common, less than the %v that are needed to look for offsets up to %v; give longer videos or a smaller --band",
				ego.source, v.source, short.Common.Seconds(), short.Need, o.band)
		}
		if err != nil && !errors.Is(err, offset.ErrUnsure) {
			return nil, fmt.Errorf("%s and %s: %w", ego.source, v.source, err)
		}
		r.Cameras = append(r.Cameras, o.judge(ego, v, m, err))
	}
	return r, nil
}

// judge gives the verdict on a camera.
func (o syncCheckOptions) judge(ego, v *checkedVideo, m offset.Match, err error) syncCheckCamera {
	slow := min(ego.FPS, v.FPS)
	tolerance := o.tolerance.Seconds()
	if tolerance == 0 {
		tolerance = 1 / slow
	}
	c := syncCheckCamera{
		syncCheckVideo: newSyncCheckVideo(v), OffsetMS: ms(m.Offset), ErrorMS: ms(m.Bound()), OffsetFrames: m.Offset * ego.FPS, ToleranceMS: ms(tolerance),
		Height: m.Height, CommonSeconds: m.Common, match: m,
	}
	if !math.IsInf(m.Confidence, 0) {
		c.Confidence = &m.Confidence
	}
	apart := math.Abs(m.Offset)
	if !math.IsNaN(m.Drift) {
		seen, spread := 1e6*m.Drift, 1e6*m.DriftErr
		c.DriftSeenPPM, c.DriftErrorPPM = &seen, &spread
		if math.Abs(seen) > 3*spread {
			c.DriftPPM = seen
			apart += math.Abs(m.Drift) * m.Common / 2 // at an end
		}
	}
	switch {
	case errors.Is(err, offset.ErrUnrelated):
		c.Verdict, c.status = "unrelated", exitUnrelated
	case err != nil:
		c.Verdict, c.status = "unsure", exitUnsure
	case apart > tolerance:
		c.Verdict, c.status = "shifted", exitShifted
	default:
		c.Verdict = "ok"
	}
	if err != nil {
		c.Reason = strings.TrimPrefix(strings.TrimPrefix(err.Error(), offset.ErrUnsure.Error()+": "), offset.ErrUnrelated.Error()+": ")
	}
	return c
}

func ms(seconds float64) float64 { return math.Round(1e6*seconds) / 1e3 }
