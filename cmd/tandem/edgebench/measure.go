package edgebench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tandem/agent"
	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/stream/capture"
)

// Config says what is measured, and for how long.
type Config struct {
	Video  string // a recording; "" renders a simulated take
	Bundle string // directory; "" makes the default bundle

	// Of the simulated take.
	Width, Height int
	FPS           float64
	Length        time.Duration

	// Of the default student's training: the length of its takes, and steps.
	Student time.Duration
	Steps   int

	Cameras int           // that the pipeline has
	Rounds  int           // in which everything is measured in turns
	Round   time.Duration // of each bare measurement; the pipeline's take three times as long
	Paced   time.Duration // the pipeline at the pace of the video's stamps, and again with as many cameras as Cameras says
	Hours   float64       // of simulated input to the segmenter

	Threads   int      // of each model
	Providers []string // execution providers, in order of preference; none is the CPU

	Tandem   string // the binary whose agent's memory is measured; "" leaves that out
	Progress func(stage string, done, total int)
	Log      *slog.Logger
}

// Default is what `tandem bench pipeline` measures without flags.
func Default() Config {
	return Config{
		Width: 640, Height: 480, FPS: 30, Length: time.Minute, Student: 30 * time.Second, Steps: 200, Cameras: 1, Rounds: 8, Round: time.Second / 2,
		Paced: 20 * time.Second, Hours: 10,
	}
}

func (c *Config) progress(stage string, done, total int) {
	if c.Progress != nil {
		c.Progress(stage, done, total)
	}
}

func (c *Config) options() ort.Options {
	return ort.Options{Threads: c.Threads, Providers: c.Providers}
}

func (c *Config) runtime() agent.RuntimeConfig {
	return agent.RuntimeConfig{Threads: max(c.Threads, 1), Providers: c.Providers}
}

// inputs are what a run works on; close removes what was made for it.
type inputs struct {
	c     *Config
	dir   string // temporary
	video Video
	rel   Release
	other map[float64]*bundle.Dir // the same bundle at other rates
}

func open(ctx context.Context, c *Config) (_ *inputs, err error) {
	in := &inputs{c: c, other: map[float64]*bundle.Dir{}}
	if in.dir, err = os.MkdirTemp("", "tandem-bench-*"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	// What can be wrong with what was given shows before the long work.
	if c.Bundle != "" {
		if in.rel, err = readRelease(c.Bundle); err != nil {
			return nil, err
		}
	}
	if c.Video != "" {
		if in.video, err = lookAt(c.Video); err != nil {
			return nil, err
		}
	}
	if c.Bundle == "" {
		if in.rel, err = makeRelease(ctx, c, in.dir); err != nil {
			return nil, fmt.Errorf("make the default bundle: %w", err)
		}
	}
	if c.Video == "" {
		in.video, err = renderTake(ctx, c, filepath.Join(in.dir, "takes"))
	}
	return in, err
}

func (in *inputs) close() error { return os.RemoveAll(in.dir) }

// rates are those at which the pipeline is measured: that of the video, at which each frame is a sample, and the bundle's own.
func (in *inputs) rates() []float64 {
	if in.rel.RateHz >= in.video.FPS {
		return []float64{in.video.FPS}
	}
	return []float64{in.video.FPS, in.rel.RateHz}
}

// atRate returns the bundle for one of the rates.
func (in *inputs) atRate(rate float64) (_ *bundle.Dir, err error) {
	if rate == in.rel.RateHz {
		return in.rel.dir, nil
	}
	d := in.other[rate]
	if d == nil {
		if d, err = in.rel.at(rate, filepath.Join(in.dir, fmt.Sprintf("bundle-%g", rate))); err == nil {
			in.other[rate] = d
		}
	}
	return d, err
}

// fast is the video as a recording that is read as fast as it can be, over and over. Its times are the container's, which are as
// regular as the rate.
func (in *inputs) fast() capture.Config {
	return capture.Config{Source: in.video.path, NoStampsFile: true, FPS: in.video.FPS, Loop: true, Log: in.c.Log}
}

// Run measures everything.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	began := time.Now()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	in, err := open(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	r := &Report{Video: in.video, Bundle: in.rel, Cores: runtime.NumCPU(), Cameras: c.Cameras, ONNXRuntime: ort.Version()}
	for _, part := range []func(context.Context, *Report) error{in.speed, in.paced, in.allocations, in.hours, in.agent} {
		if err := part(ctx, r); err != nil {
			return nil, err
		}
	}
	r.judge()
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// speed measures the bare works and the pipeline in turns.
func (in *inputs) speed(ctx context.Context, r *Report) (err error) {
	c := in.c
	// Recordings that are played as fast as can be are batch work to an agent, too.
	if err := agent.AsBatch(true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.AsBatch(false)) }()
	list, picture, err := picturesOf(in.video)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	features, err := featuresOf(in.rel.dir, in.video.path, 1, c.options())
	if err != nil {
		return err
	}
	kit := &kit{}
	defer func() { err = errors.Join(err, kit.close()) }()
	for range max(r.Cores, 2) {
		if err := kit.add(in, list, picture, features); err != nil {
			return err
		}
	}
	for _, rate := range in.rates() {
		d, err := in.atRate(rate)
		if err != nil {
			return err
		}
		b, err := newBench(c, d, c.Cameras, func(int) capture.Config { return in.fast() })
		if err != nil {
			return err
		}
		kit.pipelines = append(kit.pipelines, b)
		r.Pipeline = append(r.Pipeline, Throughput{RateHz: d.RateHz, Cameras: c.Cameras})
	}
	m := &meters{}
	parts := bareParts + 2*len(kit.pipelines) + 1
	for round := range c.Rounds {
		done := round * parts
		report := func() {
			done++
			c.progress("rounds", done, c.Rounds*parts)
		}
		if err := m.round(ctx, c.Round, kit, report); err != nil {
			return err
		}
		if err := m.busy(ctx, c.Round, kit); err != nil {
			return err
		}
		report()
		for i, b := range kit.pipelines {
			if err := b.run(ctx, 3*c.Round); err != nil {
				return err
			}
			report()
			if err := m.busy(ctx, c.Round, kit); err != nil {
				return err
			}
			report()
			if err := r.Pipeline[i].add(b, m); err != nil {
				return err
			}
		}
	}
	r.Bare = m.summary()
	r.Memory = resident()
	for i := range r.Pipeline {
		r.Pipeline[i].sum()
	}
	return nil
}

// add takes the pipeline's last run, and compares it with the floor that was measured before and after it.
func (t *Throughput) add(b *bench, m *meters) error {
	samples, err := b.rate()
	if err != nil {
		return err
	}
	share := b.share()
	floor := m.floor(share)
	t.Round = append(t.Round, samples/share)
	t.Floors = append(t.Floors, floor)
	t.Ratios = append(t.Ratios, samples/share/floor)
	t.Samples, t.Lost, t.Stages = samples, b.lost(), stages(b.seen[0].kept())
	return nil
}

// sum fills in the medians.
func (t *Throughput) sum() {
	share := t.Samples / t.Round[len(t.Round)-1]
	t.FPS, t.Floor, t.Ratio = median(t.Round), median(t.Floors), median(t.Ratios)
	t.Samples = t.FPS * share
}

// allocations counts what the pipeline allocates.
func (in *inputs) allocations(ctx context.Context, r *Report) error {
	for _, rate := range in.rates() {
		d, err := in.atRate(rate)
		if err != nil {
			return err
		}
		a, err := allocations(ctx, in.c, d, in.once(), int64(float64(in.video.Frames)*min(1, rate/in.video.FPS)))
		if err != nil {
			return err
		}
		r.Allocations = append(r.Allocations, a)
	}
	return nil
}

func (in *inputs) hours(ctx context.Context, r *Report) error {
	if in.c.Hours == 0 {
		return nil
	}
	features, err := featuresOf(in.rel.dir, in.video.path, 1800, in.c.options())
	if err != nil {
		return err
	}
	h, err := hours(ctx, in.c, in.rel.dir, features)
	r.Hours = &h
	return err
}
