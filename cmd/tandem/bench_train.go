package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/learn/bench"
	"tandem/runtime/ort"
)

// benchTrainOptions are the flags of bench train.
type benchTrainOptions struct {
	only          []string
	threads       []int
	rounds, steps int
	json          bool
}

func newBenchTrain() *cobra.Command {
	var o benchTrainOptions
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Time training steps of the networks",
		Long: `Time training steps (forward pass, loss, gradients and Adam) of the networks that have been timed with PyTorch, too, on the
same shapes: the C2F-TCN on 256 and on 1024 features, a transformer encoder layer, and a depthwise CNN.

The steps go in rounds over all networks, so that other work on the machine does not hit one of them only; on a machine
that is not idle, trust the best step. The reference figures are medians of PyTorch 1.13 on two threads, measured on two
cores of an AMD EPYC; on another machine their ratios say little.`,
		Example: `  tandem bench train
  tandem bench train --only cnn-112 --threads 2 --steps 50
  tandem bench train --json > build/bench/train.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBenchTrain(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.only, "only", nil, "names of the networks to time (default all)")
	f.IntSliceVar(&o.threads, "threads", []int{1, 2}, "numbers of threads to time each with")
	f.IntVar(&o.rounds, "rounds", 3, "rounds over all networks")
	f.IntVar(&o.steps, "steps", 15, "timed steps a round")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// benchTrainReport is what `tandem bench train --json` prints.
type benchTrainReport struct {
	Host        benchHost      `json:"host"`
	ONNXRuntime string         `json:"onnxruntime"`
	Started     time.Time      `json:"started"`
	LoadBefore  []float64      `json:"load_before,omitempty"` // over 1, 5 and 15 minutes, where the system tells
	LoadAfter   []float64      `json:"load_after,omitempty"`
	Results     []bench.Result `json:"results"`
}

func runBenchTrain(ctx context.Context, stdout, stderr io.Writer, o benchTrainOptions) error {
	cfg := bench.Config{Threads: o.threads, Rounds: o.rounds, Steps: o.steps}
	if o.rounds < 1 || o.steps < 1 {
		return usagef("--rounds %d, --steps %d: expected at least 1", o.rounds, o.steps)
	}
	for _, n := range o.threads {
		if n < 1 {
			return usagef("--threads %d: expected at least 1", n)
		}
	}
	if len(o.only) > 0 {
		var err error
		if cfg.Cases, err = bench.Named(o.only); err != nil {
			return usagef("--only: %w", err)
		}
	}
	report := benchTrainReport{
		Host:       benchHost{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuModel(), Cores: runtime.NumCPU()},
		Started:    time.Now().UTC().Truncate(time.Second),
		LoadBefore: loadAverage(),
	}
	bars := newStageBars(stderr)
	if isTerminal(stderr) {
		cfg.Progress = func(done, all int) { bars.report("bench", done, all, "") }
	}
	var err error
	report.Results, err = bench.Run(ctx, cfg)
	bars.wait()
	if err != nil {
		return err
	}
	report.LoadAfter, report.ONNXRuntime = loadAverage(), ort.Version()
	if o.json {
		return printJSON(stdout, report)
	}
	return report.writeTable(stdout)
}

func (r benchTrainReport) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "network\tthreads\tbest ms\tmedian ms\treference ms\tmedian ratio\tbest ratio\t\n")
	for _, x := range r.Results {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t", x.Name, x.Threads, x.BestMs, x.MedianMs)
		if x.Compared == nil {
			fmt.Fprint(w, "\t\t\t\n")
			continue
		}
		fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t\n", x.Compared.MedianMs, x.MedianRatio, x.BestRatio)
	}
	return w.Flush()
}

// loadAverage returns the machine's load over 1, 5 and 15 minutes, nil where the system does not tell.
func loadAverage() []float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	var list []float64
	for _, word := range strings.Fields(string(text)) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil || len(list) == 3 {
			break
		}
		list = append(list, v)
	}
	return list
}

// cpuModel returns the processor's name, "" where the system does not tell.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
