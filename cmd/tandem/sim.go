package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tandem/sim"
)

// simFlags are the flags of tandem sim. Those of a camera hold [camera=]value lists.
type simFlags struct {
	out       string
	takes     int
	first     int
	seed      uint64
	minutes   float64
	processes []string
	fps       float64
	workers   int
	parallel  int
	cameras   []string
	size      []string
	offset    []string
	skew      []string
	jitter    []string
	latency   []string
	drop      []string
	double    []string
	genlock   bool
	json      bool
}

func newSim() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "sim --out DIR --takes N --seed S",
		Short: "Render takes of the simulated cell, with their truth",
		Long: `Render takes of a simulated assembly cell: two fixed colour cameras (exo1, exo2) and a head-mounted
monochrome wide-angle one (ego), the label of each frame, and the truth about the clocks.

Each take becomes a directory DIR/take-NNN with a video and stamps for each camera, labels.txt and truth.json.
The same seed gives the same takes. Flags of cameras and clocks take a value for all cameras, or camera=value.`,
		Example: `  tandem sim --out takes --takes 4 --seed 1
  tandem sim --out takes --takes 1 --seed 7 --minutes 5 --cameras exo1,ego
  tandem sim --out takes --takes 2 --seed 1 --offset-ms ego=130 --skew-ppm ego=40 --drop 0.01
  tandem sim --out takes --takes 3 --seed 1 --process labels/a.tsv --process labels/b.tsv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.out, "out", "o", "", "directory for the takes (made if missing)")
	fl.IntVarP(&f.takes, "takes", "n", 1, "number of takes")
	fl.IntVar(&f.first, "first", 1, "number of the first take, to add takes of the same seed later")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of everything random")
	fl.Float64Var(&f.minutes, "minutes", 0, "length of a take (default 1, or the whole process file)")
	fl.StringArrayVar(&f.processes, "process", nil, "file of start<TAB>end<TAB>label lines in frames at 30 fps that says what is done; repeat it to alternate between takes")
	fl.Float64Var(&f.fps, "fps", 30, "frames per second")
	fl.IntVar(&f.workers, "workers", 4, "size of the crew")
	fl.IntVar(&f.parallel, "parallel", 0, "takes rendered at a time (default: the number of processors)")
	fl.StringSliceVar(&f.cameras, "cameras", sim.CameraIDs(), "cameras that record")
	fl.StringSliceVar(&f.size, "size", nil, "picture size, like 640x360 or ego=640x480")
	fl.StringSliceVar(&f.latency, "latency-ms", nil, "time from capture to stamp")
	fl.StringSliceVar(&f.offset, "offset-ms", nil, "offset of a device's clock")
	fl.StringSliceVar(&f.skew, "skew-ppm", nil, "by how much a device's clock runs fast")
	fl.StringSliceVar(&f.jitter, "jitter-ms", nil, "standard deviation of stamps (default 1)")
	fl.StringSliceVar(&f.drop, "drop", nil, "probability that a frame is lost")
	fl.StringSliceVar(&f.double, "double", nil, "probability that a frame is delivered twice")
	fl.BoolVar(&f.genlock, "genlock", false, "capture at the same instants with all cameras")
	fl.BoolVar(&f.json, "json", false, "report as JSON")
	return cmd
}

// config makes the configuration of the flags. Its errors are wrong use.
func (f *simFlags) config() (sim.Config, error) {
	cfg := sim.Config{
		Seed: f.seed, FPS: f.fps, Workers: f.workers, Length: time.Duration(f.minutes * float64(time.Minute)),
		Cameras: sim.DefaultCameras(f.cameras...),
	}
	switch {
	case f.out == "":
		return cfg, usagef("--out is missing; name a directory for the takes")
	case f.takes < 1 || f.takes > 100000:
		return cfg, usagef("--takes %d: want 1 to 100000", f.takes)
	case f.first < 1:
		return cfg, usagef("--first %d: want 1 or more", f.first)
	case !(f.minutes >= 0 && f.minutes <= 360):
		return cfg, usagef("--minutes %g: want 0 to 360", f.minutes)
	case f.parallel < 0:
		return cfg, usagef("--parallel %d: want 0 or more", f.parallel)
	case len(f.cameras) == 0:
		return cfg, usagef("--cameras: want at least one of %s", strings.Join(sim.CameraIDs(), ", "))
	}
	ms := func(to func(*sim.Camera) *time.Duration) func(*sim.Camera, string) error {
		return func(c *sim.Camera, v string) error {
			x, err := strconv.ParseFloat(v, 64)
			*to(c) = time.Duration(x * float64(time.Millisecond))
			return err
		}
	}
	number := func(to func(*sim.Camera) *float64) func(*sim.Camera, string) error {
		return func(c *sim.Camera, v string) (err error) {
			*to(c), err = strconv.ParseFloat(v, 64)
			return err
		}
	}
	for _, o := range []struct {
		flag   string
		values []string
		set    func(*sim.Camera, string) error
	}{
		{"size", f.size, setSize},
		{"latency-ms", f.latency, ms(func(c *sim.Camera) *time.Duration { return &c.Latency })},
		{"offset-ms", f.offset, ms(func(c *sim.Camera) *time.Duration { return &c.Offset })},
		{"jitter-ms", f.jitter, ms(func(c *sim.Camera) *time.Duration { return &c.Jitter })},
		{"skew-ppm", f.skew, number(func(c *sim.Camera) *float64 { return &c.SkewPPM })},
		{"drop", f.drop, number(func(c *sim.Camera) *float64 { return &c.Drop })},
		{"double", f.double, number(func(c *sim.Camera) *float64 { return &c.Double })},
	} {
		if err := setCameras(cfg.Cameras, o.flag, o.values, o.set); err != nil {
			return cfg, err
		}
	}
	for i := range cfg.Cameras {
		cfg.Cameras[i].Genlock = f.genlock
	}
	return cfg, nil
}

// setCameras applies [camera=]value words to the cameras that they name, or to all.
func setCameras(cams []sim.Camera, flag string, words []string, set func(*sim.Camera, string) error) error {
	for _, word := range words {
		id, value, named := strings.Cut(word, "=")
		if !named {
			id, value = "", word
		}
		hit := false
		for i := range cams {
			if named && cams[i].ID != id {
				continue
			}
			hit = true
			if err := set(&cams[i], strings.TrimSpace(value)); err != nil {
				return usagef("--%s %q: want a value, or camera=value", flag, word)
			}
		}
		if !hit {
			return usagef("--%s %q: camera %q doesn't record; choose of --cameras", flag, word, id)
		}
	}
	return nil
}

func setSize(c *sim.Camera, v string) error {
	w, h, ok := strings.Cut(v, "x")
	if !ok {
		return strconv.ErrSyntax
	}
	var err error
	if c.Width, err = strconv.Atoi(w); err != nil {
		return err
	}
	c.Height, err = strconv.Atoi(h)
	return err
}

// simReport is what tandem sim --json prints.
type simReport struct {
	Out          string    `json:"out"`
	Seed         uint64    `json:"seed"`
	Takes        []simTake `json:"takes"`
	Pictures     int       `json:"pictures"`
	Seconds      float64   `json:"seconds"`
	MSPerPicture float64   `json:"ms_per_picture"` // wall clock, over all takes rendered side by side
}

type simTake struct {
	Dir      string         `json:"dir"`
	Worker   string         `json:"worker"`
	Seconds  float64        `json:"seconds"`
	Segments int            `json:"segments"`
	Labels   int            `json:"labels"` // different ones that occur
	Frames   map[string]int `json:"frames"` // in each camera's video
}

func (f *simFlags) run(cmd *cobra.Command) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	for _, path := range f.processes {
		p, err := sim.ReadProcess(path)
		if err != nil {
			return err
		}
		cfg.Processes = append(cfg.Processes, p)
	}
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	batch := sim.Batch{Config: cfg, Parallel: f.parallel}
	for i := range f.takes {
		batch.Takes = append(batch.Takes, sim.TakeSpec{Index: f.first - 1 + i})
	}
	pictures, err := batch.Pictures()
	if err != nil {
		return err
	}
	bars, bar := simBar(cmd.ErrOrStderr(), pictures)
	if bar != nil {
		batch.Progress = bar.IncrBy
	}
	begin := time.Now()
	takes, err := batch.Render(cmd.Context(), f.out)
	if bar != nil {
		bar.Abort(err != nil)
		bars.Wait()
	}
	if err != nil {
		return err
	}
	secs := time.Since(begin).Seconds()
	r := simReport{Out: f.out, Seed: f.seed, Pictures: pictures, Seconds: secs, MSPerPicture: 1000 * secs / float64(pictures)}
	for _, t := range takes {
		r.Takes = append(r.Takes, summarize(f.out, t))
	}
	return r.print(cmd.OutOrStdout(), f.json)
}

func summarize(out string, t *sim.Take) simTake {
	s := simTake{
		Dir: filepath.Join(out, t.Name), Worker: t.Worker.ID, Seconds: float64(t.Frames) / t.FPS,
		Segments: len(t.Segments), Frames: map[string]int{},
	}
	seen := map[string]bool{}
	for _, g := range t.Segments {
		seen[g.Label] = true
	}
	s.Labels = len(seen)
	for _, c := range t.Cameras {
		s.Frames[c.ID] = len(c.CaptureNS)
	}
	return s
}

func (r *simReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	for _, t := range r.Takes {
		fmt.Fprintf(w, "%s  %s  %.1f s  %d segments of %d labels\n", t.Dir, t.Worker, t.Seconds, t.Segments, t.Labels)
	}
	fmt.Fprintf(w, "%d pictures in %.1f s, %.2f ms each\n", r.Pictures, r.Seconds, r.MSPerPicture)
	return nil
}

// simBar shows a progress bar where w is a terminal; else both results are nil.
func simBar(w io.Writer, pictures int) (*mpb.Progress, *mpb.Bar) {
	if !isTerminal(w) {
		return nil, nil
	}
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(48))
	return p, p.AddBar(int64(pictures),
		mpb.PrependDecorators(decor.Name("rendering "), decor.Percentage(decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.CountersNoUnit("%d/%d pictures "), decor.AverageETA(decor.ET_STYLE_GO)),
	)
}
