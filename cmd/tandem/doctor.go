package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/agent"
)

func newDoctor() *cobra.Command {
	var config string
	var asJSON bool
	d := doctor{root: "/", opencv: readOpenCV, disk: readDisk}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has, what is missing, and how to mend it",
		Long: `Say what this machine has and what is missing, each with the command that mends it: OpenCV and its video backends, ONNX Runtime
and its execution providers, cameras, sources of time, disk, memory, and the hub.

With --config it looks at what that agent needs: its cameras are opened for a frame, its bundle is run, its hub is asked, and what
it can't do without is required. Nothing is changed, and nothing is waited for longer than --timeout.

States are ok; warn: it works, but not as it should; missing: it isn't there. Exit status 0: all that is required is there.
1: something that is required is missing.`,
		Example: `  tandem doctor
  tandem doctor --config agent.yaml
  tandem doctor --config agent.yaml --json | jq '.findings[] | select(.state != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.timeout < 100*time.Millisecond || d.timeout > time.Minute {
				return usagef("--timeout %v: expected 100ms to 1m", d.timeout)
			}
			if config != "" {
				d.configure(config)
			}
			return d.diagnose(cmd.Context(), cmd.OutOrStdout(), asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&config, "config", "c", "", "configuration file of an agent, whose needs are looked at")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	f.DurationVar(&d.timeout, "timeout", 8*time.Second, "the longest that one look may take")
	return cmd
}

// State of a finding.
const (
	stateOK      = "ok"
	stateWarn    = "warn"
	stateMissing = "missing"
)

// finding is one thing that the doctor has looked at.
type finding struct {
	Area     string `json:"area"`
	What     string `json:"what"`
	State    string `json:"state"`
	Required bool   `json:"required"`
	Found    string `json:"found"`
	Mend     string `json:"mend,omitempty"`
}

// doctor looks at a machine. What tests put something else in the place of stands in fields.
type doctor struct {
	root    string // of the file system: proc, dev and sys are looked for below it
	timeout time.Duration
	opencv  func() opencvBuild
	disk    func(path string) (diskSpace, error)

	path string        // of the configuration, "" for none
	cfg  *agent.Config // nil where there is none that is valid
	bad  error         // why it isn't
}

// configure reads the configuration of the agent whose needs are looked at.
func (d *doctor) configure(path string) {
	d.path = path
	cfg, err := agent.LoadConfig(path)
	if err != nil {
		d.bad = err
		return
	}
	d.cfg = &cfg
}

// look is one part of the examination. It may hang: then it is left behind.
type look struct {
	area     string
	required bool // where it doesn't answer
	run      func(ctx context.Context) []finding
}

// errSick is returned when something that is required is missing.
var errSick = errors.New("something that is required is missing")

// report is what the doctor says.
type doctorReport struct {
	OK       bool      `json:"ok"` // all that is required is there
	Config   string    `json:"config,omitempty"`
	Findings []finding `json:"findings"`
}

// diagnose looks at everything and prints what it found.
func (d *doctor) diagnose(ctx context.Context, stdout io.Writer, asJSON bool) error {
	r := doctorReport{OK: true, Config: d.path, Findings: d.examine(ctx, d.looks())}
	var sick []string
	for _, f := range r.Findings {
		if f.Required && f.State == stateMissing {
			r.OK = false
			sick = append(sick, f.Area+": "+f.What)
		}
	}
	write := r.print
	if asJSON {
		write = func(w io.Writer) error { return printJSON(w, r) }
	}
	if err := write(stdout); err != nil {
		return err
	}
	if !r.OK {
		return fmt.Errorf("doctor: %w: %s", errSick, strings.Join(sick, ", "))
	}
	return nil
}

func (d *doctor) looks() []look {
	list := []look{{area: "config", required: true, run: d.lookConfig}}
	list = append(list,
		look{area: "machine", run: d.lookMachine},
		look{area: "disk", required: d.cfg != nil, run: d.lookDisk},
		look{area: "opencv", required: true, run: d.lookOpenCV},
		look{area: "onnxruntime", required: true, run: d.lookRuntime},
	)
	list = append(list, d.lookCameras()...)
	list = append(list, d.lookClocks()...)
	if d.cfg != nil {
		list = append(list, look{area: "hub", required: true, run: d.lookHub})
	}
	return list
}

// examine takes all looks at once and returns what they found in their order. One that doesn't end in time is a finding, too.
func (d *doctor) examine(ctx context.Context, looks []look) []finding {
	results := make([]chan []finding, len(looks))
	for i, l := range looks {
		results[i] = make(chan []finding, 1) // so that one that was left behind can end
		go func() {
			limited, cancel := context.WithTimeout(ctx, d.timeout)
			defer cancel()
			results[i] <- l.run(limited)
		}()
	}
	// What heeds its context ends by itself at the timeout, and says more than that it was late.
	late, giveUp := context.WithTimeout(ctx, d.timeout+d.timeout/4)
	defer giveUp()
	var list []finding
	for i, l := range looks {
		select {
		case got := <-results[i]:
			list = append(list, got...)
			continue
		default:
		}
		select {
		case got := <-results[i]:
			list = append(list, got...)
		case <-late.Done():
			list = append(list, finding{
				Area: l.area, What: "answer", State: stateMissing, Required: l.required,
				Found: fmt.Sprintf("none within %v", d.timeout), Mend: "try again with a longer --timeout; if it stays, the driver or device hangs: restart it",
			})
		}
	}
	return list
}

func (r *doctorReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATE\tAREA\tWHAT\tFOUND")
	for _, f := range r.Findings {
		state := f.State
		if f.Required && f.State == stateMissing {
			state = "MISSING"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", state, f.Area, f.What, f.Found)
		if f.Mend != "" {
			fmt.Fprintf(t, "\t\t\tto mend it: %s\n", f.Mend)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	verdict := "all that is required is there"
	if !r.OK {
		verdict = "what is MISSING is required"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func (d *doctor) lookConfig(context.Context) []finding {
	f := finding{Area: "config", What: "agent", Required: true, State: stateOK}
	switch {
	case d.bad != nil && errors.Is(d.bad, os.ErrNotExist):
		f.State, f.Found, f.Mend = stateMissing, d.bad.Error(), "cp deploy/agent.example.yaml "+d.path+", and edit it"
	case d.bad != nil:
		f.State, f.Found = stateMissing, d.bad.Error()
		f.Mend = "edit the line; 'tandem agent --config " + d.path + " --check' tells whether it is right"
	case d.cfg == nil:
		f.Required, f.Found = false, "none looked at: --config FILE says what an agent needs"
	default:
		var list []string
		for _, c := range d.cfg.Devices() {
			list = append(list, fmt.Sprintf("%s %s of cell %s at %s", c.Role, c.Device, c.Cell, c.Site))
		}
		f.Found = d.path + ": " + strings.Join(list, ", ")
	}
	return []finding{f}
}

// silent is the log of what the doctor starts: what it says is in the findings.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
