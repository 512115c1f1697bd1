package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/cmd/tandem/edgebench"
)

// benchPipelineOptions are the flags of bench pipeline.
type benchPipelineOptions struct {
	edgebench.Config
	size         string
	round, paced float64 // seconds
	noAgent      bool
	json         bool
}

func newBenchPipeline() *cobra.Command {
	o := benchPipelineOptions{Config: edgebench.Default()}
	o.size = fmt.Sprintf("%dx%d", o.Width, o.Height)
	o.round, o.paced = o.Round.Seconds(), o.Paced.Seconds()
	length := o.Length.Seconds()
	cmd := &cobra.Command{
		Use:   "pipeline",
		Short: "Time the whole pipeline of a device beside its bare parts",
		Long: `Time the whole pipeline of a device (capture, preprocess, extract, segment, encode) beside bare decoding, bare preprocessing and
bare models on the same video, in turns within one run: the floor is the slower of decoding and models, each on one core while the
other cores do the same work. Further the stages' times, the delay from the capture of a frame to its provisional label at the
camera's pace, allocations, the segmenter after an hour and after many, and the memory of an ego agent.

The pipeline is timed twice, with each frame of the video a sample and at the bundle's own rate. Without --video a take of the simulated cell
is rendered; without --bundle the built-in extractor runs, with a causal student of the default recipe. Missed targets are errors.`,
		Example: `  tandem bench pipeline
  tandem bench pipeline --video head.mp4 --bundle build/bench/rig/bundle --json
  tandem bench pipeline --cameras 4 --hours 0 --no-agent`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Length = time.Duration(length * float64(time.Second))
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Video, "video", "", "recording to measure on (default a simulated take)")
	f.StringVar(&o.Bundle, "bundle", "", "directory of the bundle (default the built-in extractor with a causal student)")
	f.IntVar(&o.Cameras, "cameras", o.Cameras, "cameras in one process")
	f.StringVar(&o.size, "size", o.size, "of the simulated take's pictures")
	f.Float64Var(&o.FPS, "fps", o.FPS, "of the simulated take")
	f.Float64Var(&length, "length", length, "of the simulated take, in seconds")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds in which everything is measured in turns")
	f.Float64Var(&o.round, "seconds", o.round, "of a bare measurement in each round; the pipeline's last three times as long")
	f.Float64Var(&o.paced, "paced", o.paced, "seconds at the camera's pace, 0 for none")
	f.Float64Var(&o.Hours, "hours", o.Hours, "hours of simulated input to the segmenter, 0 for none")
	f.IntVar(&o.Threads, "threads", 1, "threads of one model")
	f.StringSliceVar(&o.Providers, "providers", nil, "execution providers in order of preference (default cpu)")
	f.BoolVar(&o.noAgent, "no-agent", false, "leave out the memory of an ego agent")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// complete checks the flags.
func (o *benchPipelineOptions) complete() error {
	switch {
	case o.Cameras < 1 || o.Cameras > 64:
		return usagef("--cameras %d: expected 1 to 64", o.Cameras)
	case o.Rounds < 1:
		return usagef("--rounds %d: expected at least 1", o.Rounds)
	case !(o.round >= 0.01 && o.round <= 600):
		return usagef("--seconds %g: expected 0.01 to 600", o.round)
	case !(o.paced >= 0 && o.paced <= 3600):
		return usagef("--paced %g: expected 0 to 3600", o.paced)
	case !(o.Hours >= 0 && o.Hours <= 1000):
		return usagef("--hours %g: expected 0 to 1000", o.Hours)
	case !(o.FPS > 0 && o.FPS <= 240):
		return usagef("--fps %g: expected more than 0 and at most 240", o.FPS)
	case o.Length < time.Second || o.Length > time.Hour:
		return usagef("--length %g: expected 1 to 3600", o.Length.Seconds())
	case o.Threads < 1:
		return usagef("--threads %d: expected at least 1", o.Threads)
	}
	var err error
	if o.Width, o.Height, err = parsePictureSize(o.size); err != nil {
		return err
	}
	o.Round, o.Paced = time.Duration(o.round*float64(time.Second)), time.Duration(o.paced*float64(time.Second))
	if !o.noAgent {
		if o.Tandem, err = os.Executable(); err != nil {
			return fmt.Errorf("find the agent's binary: %w; --no-agent leaves it out", err)
		}
	}
	return nil
}

// parsePictureSize reads WIDTHxHEIGHT.
func parsePictureSize(text string) (width, height int, err error) {
	w, h, ok := strings.Cut(text, "x")
	if ok {
		if width, err = strconv.Atoi(w); err == nil {
			height, err = strconv.Atoi(h)
		}
	}
	if !ok || err != nil || width < 32 || height < 32 || width > 4096 || height > 4096 || width%2+height%2 > 0 {
		return 0, 0, usagef("--size %q: expected WIDTHxHEIGHT, even numbers from 32 to 4096", text)
	}
	return width, height, nil
}

// benchPipelineReport is what `tandem bench pipeline --json` prints.
type benchPipelineReport struct {
	Host       benchHost `json:"host"`
	Started    time.Time `json:"started"`
	LoadBefore []float64 `json:"load_before,omitempty"` // over 1, 5 and 15 minutes, where the system tells
	*edgebench.Report
	Missed []string `json:"missed"`
}

func (o *benchPipelineOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := o.complete(); err != nil {
		return err
	}
	report := benchPipelineReport{Host: thisHost(), Started: time.Now().UTC().Truncate(time.Second), LoadBefore: loadAverage()}
	progress := stagesApart(stderr)
	o.Progress = progress.report
	var err error
	report.Report, err = edgebench.Run(ctx, o.Config)
	progress.end()
	if err != nil {
		return err
	}
	report.Missed = report.Report.Missed()
	if o.json {
		err = printJSON(stdout, report)
	} else {
		fmt.Fprintf(stdout, "%s, %d cores, load before %.1f\n", report.Host.CPU, report.Host.Cores, report.LoadBefore)
		err = report.Print(stdout)
	}
	return orMissed(err, report.Missed)
}

// orMissed is the error of missed targets.
func orMissed(err error, missed []string) error {
	if err == nil && len(missed) > 0 {
		err = fmt.Errorf("%d targets are missed: %s", len(missed), strings.Join(missed, "; "))
	}
	return err
}

func thisHost() benchHost {
	return benchHost{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuModel(), Cores: runtime.NumCPU()}
}

// apart shows stages one after another and ends each one's bars with it: bars that are redrawn while something is measured
// would be measured, too.
type apart struct {
	out  io.Writer
	bars *stageBars
}

func stagesApart(out io.Writer) *apart { return &apart{out: out} }

func (a *apart) report(stage string, done, total int) {
	if !isTerminal(a.out) {
		return
	}
	if a.bars == nil {
		a.bars = newStageBars(a.out)
	}
	a.bars.report(stage, done, total, "")
	if done >= total {
		a.end()
	}
}

func (a *apart) end() {
	if a.bars != nil {
		a.bars.wait()
		a.bars = nil
	}
}
