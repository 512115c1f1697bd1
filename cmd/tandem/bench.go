package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/perf/benchfmt"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Time the engine, measure synchronization, and work with the results of benchmarks",
		Example: "  tandem bench parse build/bench/go.txt\n  tandem bench train\n  tandem bench sync\n  tandem bench pipeline",
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchParse(), newBenchTrain(), newBenchSync(), newBenchPipeline(), newBenchSoak())
	return cmd
}

func newBenchParse() *cobra.Command {
	return &cobra.Command{
		Use:   "parse [FILE]",
		Short: "Turn the output of go test -bench into JSON",
		Long: `Turn the output of go test -bench, from FILE or the standard input, into JSON: the machine, and each benchmark line with
its package, name, time, memory and further metrics, in their order.

Go's version and the number of processors are not in that output. Lines "go: VERSION" and "cores: N" at its top tell
them, as make bench writes them; without these they are those of this machine, as long as its platform is the same.
Failed packages, broken lines and a file without benchmarks are errors.`,
		Example: `  # of all packages, as make bench runs them
  tandem bench parse build/bench/go.txt > build/bench/go.json

  # of one package
  go test -run '^$' -bench . -benchmem ./runtime/ort | tandem bench parse`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("unexpected argument %q: expected one file", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, in := "standard input", cmd.InOrStdin()
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // only read
				name, in = args[0], f
			}
			report, err := parseBench(name, in)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(report)
		},
	}
}

// benchReport is what `tandem bench parse` prints.
type benchReport struct {
	Host       benchHost     `json:"host"`
	Benchmarks []benchResult `json:"benchmarks"`
}

// benchHost is the machine that ran the benchmarks. What is not known is left out.
type benchHost struct {
	Go    string `json:"go,omitempty"` // version
	OS    string `json:"os,omitempty"`
	Arch  string `json:"arch,omitempty"`
	CPU   string `json:"cpu,omitempty"`
	Cores int    `json:"cores,omitempty"`
}

// benchResult is one benchmark line. A benchmark that ran several times has several.
type benchResult struct {
	Package    string             `json:"package,omitempty"`
	Name       string             `json:"name"`  // without "Benchmark" and the number of processors
	Procs      int                `json:"procs"` // GOMAXPROCS
	Iterations int                `json:"iterations"`
	NsPerOp    float64            `json:"ns_per_op"`
	BytesPerOp *float64           `json:"bytes_per_op,omitempty"` // with -benchmem
	AllocsOp   *float64           `json:"allocs_per_op,omitempty"`
	Metrics    map[string]float64 `json:"metrics,omitempty"` // by unit
}

// maxBenchOutput bounds what is read: the output of the whole tree is some kilobytes.
const maxBenchOutput = 64 << 20

// parseBench reads the output of go test -bench. name is the file's, for errors, which name the line, too.
func parseBench(name string, in io.Reader) (*benchReport, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxBenchOutput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxBenchOutput {
		return nil, fmt.Errorf("%s has more than %d bytes; is it the output of go test -bench?", name, maxBenchOutput)
	}
	if err := checkBenchLines(name, text); err != nil {
		return nil, err
	}
	report := &benchReport{}
	r := benchfmt.NewReader(bytes.NewReader(text), name)
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("%w; was something printed in between?", record)
		case *benchfmt.Result:
			if err := report.add(record); err != nil {
				_, line := record.Pos()
				return nil, fmt.Errorf("%s:%d: %w", name, line, err)
			}
		}
	}
	if err := r.Err(); err != nil {
		return nil, err // names the file and the line
	}
	if len(report.Benchmarks) == 0 {
		return nil, fmt.Errorf("%s holds no benchmark lines; expected the output of go test -bench", name)
	}
	report.Host.complete()
	return report, nil
}

// checkBenchLines refuses what a reader of the benchmark format passes over, though it means that results are missing.
func checkBenchLines(name string, text []byte) error {
	s := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; s.Scan(); number++ {
		line := s.Text()
		switch {
		case line == "FAIL" || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "--- FAIL:") || strings.HasPrefix(line, "panic:"):
			return fmt.Errorf("%s:%d: %s: a benchmark failed; mend it, or leave it out", name, number, strings.ReplaceAll(line, "\t", " "))
		case strings.Contains(line, " ns/op") && !strings.HasPrefix(line, "Benchmark"):
			return fmt.Errorf("%s:%d: measurements without a benchmark's name; something was printed in between", name, number)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w; is it the output of go test -bench?", name, err)
	}
	return nil
}

// add takes a benchmark line into the report, and what stands above it about the machine.
func (r *benchReport) add(record *benchfmt.Result) error {
	if err := r.Host.read(record); err != nil {
		return err
	}
	b := benchResult{Package: record.GetConfig("pkg"), Iterations: record.Iters, Procs: 1}
	base, parts := record.Name.Parts()
	b.Name = string(base)
	for _, p := range parts {
		if p[0] == '-' {
			procs, err := strconv.Atoi(string(p[1:]))
			if err != nil || procs < 1 {
				return fmt.Errorf("benchmark %s: %q is no number of processors", record.Name, p[1:])
			}
			b.Procs = procs
			continue
		}
		b.Name += string(p)
	}
	timed := false
	for _, v := range record.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" { // benchfmt turns ns/op into seconds
			value, unit = v.OrigValue, v.OrigUnit
		}
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Errorf("benchmark %s: %g %s, expected a finite number", record.Name, value, unit)
		}
		switch unit {
		case "ns/op":
			b.NsPerOp, timed = value, true
		case "B/op":
			b.BytesPerOp = &value
		case "allocs/op":
			b.AllocsOp = &value
		default:
			if b.Metrics == nil {
				b.Metrics = map[string]float64{}
			}
			b.Metrics[unit] = value
		}
	}
	if !timed {
		return fmt.Errorf("benchmark %s has no ns/op", record.Name)
	}
	r.Benchmarks = append(r.Benchmarks, b)
	return nil
}

// read takes what the lines above a result say. Results of two machines in one file are an error.
func (h *benchHost) read(record *benchfmt.Result) error {
	for _, c := range []struct {
		key string
		dst *string
	}{{"go", &h.Go}, {"goos", &h.OS}, {"goarch", &h.Arch}, {"cpu", &h.CPU}} {
		v := record.GetConfig(c.key)
		if v != "" && *c.dst != "" && v != *c.dst {
			return fmt.Errorf("%s is %q here and %q above; parse the results of each machine for themselves", c.key, v, *c.dst)
		}
		if v != "" {
			*c.dst = v
		}
	}
	if v := record.GetConfig("cores"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("cores is " + strconv.Quote(v) + ", expected a number")
		}
		h.Cores = n
	}
	return nil
}

// complete adds what only this machine can tell, if it seems to be the one.
func (h *benchHost) complete() {
	if h.OS != runtime.GOOS || h.Arch != runtime.GOARCH {
		return
	}
	if h.Go == "" {
		h.Go = runtime.Version()
	}
	if h.Cores == 0 {
		h.Cores = runtime.NumCPU()
	}
}
