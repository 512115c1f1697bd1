package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"tandem/stream/wire"
	"tandem/trainer"
)

func newTrainer() *cobra.Command {
	var path string
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "trainer --config FILE",
		Short: "Run the central trainer: teacher, pair archive, distillation, releases",
		Long: `Run a central trainer of a line. It trains the teacher on labelled exo takes and releases it to every device, stores
the rigs' pairs, distils a student for a cell whenever enough new takes of it are complete, compares it with the release that
runs on the rigs on held-out pairs, and releases it to those where it is better beyond the error. What was compared, and why
a student was refused, is in the hub's bucket TRAINING.

Several trainers share the work of a line: the same line and cells in their configurations, a name and a store of its own
for each. They take their jobs from the hub. When one ends in the middle of a job, another does the job. It goes on where it
was when it is started again.`,
		Example: `  tandem trainer --config trainer.yaml
  tandem trainer --config trainer.yaml --check
  nats kv get TRAINING job.plant-1.line-1.cell-1 --raw   # the last job: takes, outcome, verdict`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usagef("--config is missing; deploy/trainer.example.yaml is a start")
			}
			cfg, err := trainer.LoadConfig(path)
			if err != nil {
				return usageError{err}
			}
			if checkOnly {
				teacher := "teacher from " + cfg.Labelled.Dir
				if cfg.Labelled.Dir == "" {
					teacher = "teacher from another trainer of the line"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: trainer %s of line %s, cells %s at %s, %s, students after %d paired takes by %s\n",
					path, cfg.Name, cfg.Line, strings.Join(cfg.Cells, ", "), cfg.Site, teacher, cfg.Distil.Takes, cfg.Distil.Method)
				return nil
			}
			bars := newStageBars(cmd.ErrOrStderr())
			log := slog.New(slog.NewTextHandler(bars.lines(cmd.ErrOrStderr()), nil))
			t, err := trainer.New(cfg, trainer.Options{Log: log, Progress: bars.report,
				Released: func(info *wire.ReleaseInfo, d *trainer.Distillation) {
					if d == nil {
						fmt.Fprintf(cmd.OutOrStdout(), "released the teacher as %s to all devices; next: pairs from the rigs\n", info.Release)
						return
					}
					fmt.Fprintf(cmd.OutOrStdout(), "released student %s: agreement with the teacher F1@50 %.1f, before %.1f, on %d held-out pairs\n",
						info.Release, d.Report.After.F1At50, d.Report.Before.F1At50, d.Report.GatePairs)
					printGate(cmd.OutOrStdout(), d)
				},
				Rejected: func(d *trainer.Distillation) {
					fmt.Fprintln(cmd.OutOrStdout(), "no release: the running one stays")
					printGate(cmd.OutOrStdout(), d)
				},
			})
			if err != nil {
				return err
			}
			err = t.Run(cmd.Context())
			bars.wait()
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&checkOnly, "check", false, "only check the configuration")
	return cmd
}

// printGate says what a student was compared with, and how it did.
func printGate(w io.Writer, d *trainer.Distillation) {
	for _, x := range d.Report.Gate {
		fmt.Fprintf(w, "  against %s on %s: %s\n", x.Running, strings.Join(x.Devices, ", "), x.Verdict.Why)
	}
}
